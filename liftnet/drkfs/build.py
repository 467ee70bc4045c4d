"""DR-KFS from settings."""

from __future__ import annotations

import torch

from liftnet.drkfs.comparison import Options
from liftnet.drkfs.metric import DRKFS
from liftnet.drkfs.settings import DrkfsSettings
from liftnet.drkfs.views import semi_sphere


def build_metric(settings: DrkfsSettings, device: torch.device | None = None) -> DRKFS:
    """DR-KFS as the settings say."""
    cameras = semi_sphere(settings.views, settings.camera_distance, settings.half_angle, settings.lowest_elevation)
    metric = DRKFS(
        settings.image_size, cameras, settings.sigma, settings.gamma, settings.neighbourhood,
        settings.detector, settings.descriptor, settings.descriptor_weights, settings.shaded,
        options=Options(
            precision=settings.precision, descriptor_sha256=settings.descriptor_sha256, stride=settings.stride
        ),
    )  # fmt: skip
    return metric.to(device) if device is not None else metric
