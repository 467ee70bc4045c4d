"""Stage `drkfs`: a differentiable visual similarity of shapes, after the paper DR-KFS (ECCV 2020).

For users of the library: with `metric = DRKFS(MetricSettings(image_size=256, views=25))`, what
`metric(meshes, metric.prepare(targets))` gives is a score of each mesh, differentiable in its vertices. Names are
imported when they are first used, so that the command line's help does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.drkfs.comparison import Differences, Options, Target
    from liftnet.drkfs.meshes import Meshes
    from liftnet.drkfs.metric import DRKFS, hemisphere
    from liftnet.drkfs.settings import MetricSettings
    from liftnet.models.patch_descriptors import PatchDescriptor, load_descriptor
    from liftnet.models.point_detector import PointDetector, load_detector

_HOMES = {
    "DRKFS": "liftnet.drkfs.metric",
    "Differences": "liftnet.drkfs.comparison",
    "Meshes": "liftnet.drkfs.meshes",
    "MetricSettings": "liftnet.drkfs.settings",
    "Options": "liftnet.drkfs.comparison",
    "PatchDescriptor": "liftnet.models.patch_descriptors",
    "PointDetector": "liftnet.models.point_detector",
    "Target": "liftnet.drkfs.comparison",
    "load_descriptor": "liftnet.models.patch_descriptors",
    "load_detector": "liftnet.models.point_detector",
    "hemisphere": "liftnet.drkfs.metric",
}
__all__ = [
    "DRKFS",
    "Differences",
    "Meshes",
    "MetricSettings",
    "Options",
    "PatchDescriptor",
    "PointDetector",
    "Target",
    "hemisphere",
    "load_descriptor",
    "load_detector",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
