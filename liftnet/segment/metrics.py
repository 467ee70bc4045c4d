"""Agreement of masks, for evaluation and as a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

BoolArray = npt.NDArray[np.bool_]


def iou(predicted: BoolArray, truth: BoolArray) -> float:
    """Intersection over union of two (H, W) bool masks; 1 where both are empty.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    union = np.count_nonzero(predicted | truth)
    return float(np.count_nonzero(predicted & truth) / union) if union else 1.0


def pixel_accuracy(predicted: BoolArray, truth: BoolArray) -> float:
    """Share of the pixels of two (H, W) bool masks that agree.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    return float(np.mean(predicted == truth))


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy plus one minus the soft IoU, averaged over the batch.

    The soft IoU is that of Rahman and Wang (ISVC 2016): sums of products in place of counts, one an image.

    Args:
        logits: (B, 1, H, W) float.
        target: (B, 1, H, W) float in [0, 1].

    Returns:
        A scalar.
    """
    from torch.nn import functional

    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    probability = logits.sigmoid()
    both = (probability * target).sum((1, 2, 3))
    either = (probability + target - probability * target).sum((1, 2, 3))
    return entropy + (1 - (both + 1) / (either + 1)).mean()


def _same_shape(predicted: BoolArray, truth: BoolArray) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"the masks are {predicted.shape} and {truth.shape}")
