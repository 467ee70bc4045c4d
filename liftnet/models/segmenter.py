"""A trained segmenter: its network, how an image is masked by it, and its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from liftnet.core.devices import choose_device
from liftnet.core.types import BoolArray, Float32Array, UInt8Array
from liftnet.models import segmentation_networks
from liftnet.models.folder import (
    SHIPPED,
    ModelKind,
    SavedModel,
    build_architecture,
    load_model,
    read_config,
    save_model,
)
from liftnet.models.guided_filter import guided_filter
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, NetworkSettings, PredictionSettings

SURE = 6.0  # logits beyond it say no more
EVEN = 1e-4  # variance of grey values in [0, 1] below which there is no edge: noise of .01
STRIDE = 32  # of an encoder's deepest level: sides of an input are multiples of it


class SegmentationNetwork(nn.Module):
    """Base of the networks in `liftnet.models.segmentation_networks`.

    They map (B, 3, H, W) RGB in [0, 1], H and W multiples of `STRIDE`, to (B, 1, H, W) logits; positive means
    foreground.
    """

    def pretrained_part(self) -> nn.Module | None:
        """What `load_pretrained` gives weights to, and so learns more slowly; None without an encoder."""
        return None

    def load_pretrained(self, sources: Sequence[str]) -> str:
        """Start from the first of `sources` that can be had, where the network knows any.

        Returns:
            What was used, in words; "none" for random weights.
        """
        return "none"


def _build(settings: NetworkSettings) -> SegmentationNetwork:
    network: SegmentationNetwork = build_architecture(segmentation_networks, settings.architecture, settings)
    return network


SEGMENTER: ModelKind[NetworkSettings, SegmentationNetwork] = ModelKind(
    "segmenter", NetworkSettings, _build, "segment train"
)


@dataclass
class Segmenter:
    """A network with what is needed to run it on photographs of any size.

    Attributes:
        network: The network, in evaluation mode.
        settings: What built it.
        notes: What config.json says besides: training settings, data.
    """

    network: SegmentationNetwork
    settings: NetworkSettings
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> Self:
        """Read a folder that `save` wrote; `shipped` is the segmenter that comes with the package.

        Raises:
            LiftnetError: A file is missing or damaged, or the two do not belong together.
        """
        folder = SHIPPED / "segmenter" if str(path) == SHIPPED_SEGMENTER else path
        saved = load_model(folder, SEGMENTER, str(choose_device(device)))
        return cls(saved.network, saved.settings, saved.notes)

    @staticmethod
    def shipped_config() -> tuple[NetworkSettings, set[str]]:
        """Of the segmenter that comes with the package: what its network is, and the ids of the works it has seen."""
        config = read_config(SHIPPED / "segmenter", SEGMENTER.name, "Install liftnet again")
        return NetworkSettings.model_validate(config["network"]), set(config["training"]["seen_works"])

    def save(self, path: Path, half: bool = False) -> None:
        """Write model.safetensors and config.json into the folder `path`, atomically file by file."""
        save_model(path, SEGMENTER, SavedModel(self.network, self.settings, self.notes), half)

    def predict(self, image: UInt8Array, settings: PredictionSettings) -> Float32Array:
        """Foreground probability of every pixel.

        Args:
            image: (H, W, 3) uint8 RGB, any size.
            settings: Scales and mirroring at test time.

        Returns:
            (H, W) float32 in [0, 1].
        """
        # logits are smooth across an edge where probabilities are a step: upsample them, so that edges stay straight
        maps = [self._at_scale(image, scale, settings.test_time_flip) for scale in settings.test_time_scales]
        height, width = max(maps, key=np.size).shape
        alike = [cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) for found in maps]
        logits: Float32Array = np.mean(alike, axis=0, dtype=np.float32)
        if settings.outline_radius:
            grey = np.multiply(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 1 / 255, dtype=np.float32)
            # what is sure is cut off: else a map far from the outline decides where it is
            full: Float32Array = guided_filter(grey, np.clip(logits, -SURE, SURE), settings.outline_radius, EVEN)
        else:
            full = np.asarray(cv2.resize(logits, (image.shape[1], image.shape[0])), np.float32)
        return (1 / (1 + np.exp(-np.clip(full, -30, 30)))).astype(np.float32)

    def _at_scale(self, image: UInt8Array, scale: float, flip: bool) -> Float32Array:
        """Logits of the image with a long side of `scale` times the size the network was trained at."""
        height, width = working_shape(image.shape, round(self.settings.image_size * scale), STRIDE)
        shrinks = height < image.shape[0]
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        batch = torch.from_numpy(np.ascontiguousarray(resized, np.float32) / 255).permute(2, 0, 1)[None]
        return self._logits(batch.to(next(self.network.parameters()).device), flip)

    @torch.inference_mode()
    def _logits(self, batch: torch.Tensor, flip: bool) -> Float32Array:
        logits = self.network(batch)
        if flip:
            logits = (logits + self.network(batch.flip(-1)).flip(-1)) / 2
        result: Float32Array = logits[0, 0].float().cpu().numpy()
        return result


def mask_image(segmenter: Segmenter, image: UInt8Array, settings: PredictionSettings) -> tuple[BoolArray, float]:
    """The foreground mask of an image and how good it is to be expected to be.

    Args:
        segmenter: A trained segmenter.
        image: (H, W, 3) uint8 RGB.
        settings: Scales, threshold and cleaning.

    Returns:
        (H, W) bool, and the IoU that it is to be expected to have, in [0, 1] (`expected_iou`). The mask may be empty
        or too small to be one: see `shows_foreground`.
    """
    probability = segmenter.predict(image, settings)
    mask = clean_mask(probability, settings.threshold, settings.component_fraction, settings.hole_fraction)
    # parts that cleaning has dropped are decided: they are no doubt about the mask
    doubtful = np.where((probability >= settings.threshold) & ~mask, 0, probability)
    return mask, expected_iou(doubtful, mask)


def shows_foreground(mask: BoolArray, min_coverage: float) -> bool:
    """Whether so much of an image is foreground that its mask is one."""
    return bool(mask.any() and mask.mean() >= min_coverage)


def clean_mask(
    probability: npt.NDArray[np.floating], threshold: float, component_fraction: float, hole_fraction: float
) -> BoolArray:
    """Threshold a probability map, keep its large parts and fill its pinholes.

    Sculptures may be pierced, so a hole is filled only if it is tiny.

    Args:
        probability: (H, W) foreground probability.
        threshold: From this probability on a pixel is foreground.
        component_fraction: Parts (8-connected) smaller than this fraction of the largest part are dropped.
        hole_fraction: Enclosed holes (4-connected) up to this fraction of the remaining foreground are filled.

    Returns:
        (H, W) bool.
    """
    mask = (probability >= threshold).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # label 0 is the background
    kept = (areas > 0) & (areas >= component_fraction * areas.max())
    foreground = kept[labels]
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((~foreground).astype(np.uint8), connectivity=4)
    filled = statistics[:, cv2.CC_STAT_AREA] <= hole_fraction * np.count_nonzero(foreground)
    filled[0] = False
    for rim in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        filled[rim] = False
    return foreground | filled[labels]


def expected_iou(probability: npt.NDArray[np.floating], mask: BoolArray) -> float:
    """The IoU that `mask` is to be expected to have if the probabilities are right: what a mask's confidence means.

    A pixel of the mask is in the intersection with probability p, and always in the union; one off the mask is in the
    union with probability p. The ratio of the two sums is the expected IoU up to terms that vanish in large images.

    Args:
        probability: (H, W) foreground probability.
        mask: (H, W) bool.

    Returns:
        In [0, 1]; 0 for an empty mask.
    """
    inside = float(probability[mask].sum())
    union = np.count_nonzero(mask) + float(probability[~mask].sum())
    return inside / union if mask.any() else 0.0


def working_shape(shape: tuple[int, ...], long_side: int, multiple: int = 1) -> tuple[int, int]:
    """Height and width after scaling to `long_side`, each rounded to a multiple (the network's strides want 32)."""
    height, width = shape[:2]
    scale = long_side / max(height, width)
    return tuple(max(1, round(side * scale / multiple)) * multiple for side in (height, width))  # type: ignore[return-value]
