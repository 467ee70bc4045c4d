"""Agreement of masks, for evaluation and as a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
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
    """Fraction of the pixels of two (H, W) bool masks that agree.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    return float(np.mean(predicted == truth))


def boundary_f(predicted: BoolArray, truth: BoolArray, tolerance: float = 0.008) -> float:
    """How well the outlines of two (H, W) bool masks agree: the F measure of Perazzi et al. (CVPR 2016).

    Precision is the fraction of the predicted outline that lies close to the true one, recall the reverse. The image's
    border is no outline.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        tolerance: What is close, as a fraction of the image's diagonal (.008 in the DAVIS benchmark).

    Returns:
        2 P R / (P + R), in [0, 1]; 1 where neither mask has an outline, 0 where only one has.

    Raises:
        ValueError: The masks differ in shape.
    """
    _same_shape(predicted, truth)
    outlines = [_outline(mask) for mask in (predicted, truth)]
    if not all(outline.any() for outline in outlines):
        return float(not any(outline.any() for outline in outlines))
    reach = tolerance * float(np.hypot(*truth.shape))
    far = [cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5) for outline in outlines]
    precision, recall = (far[1][outlines[0]] <= reach).mean(), (far[0][outlines[1]] <= reach).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


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


def _outline(mask: BoolArray) -> BoolArray:
    """(H, W) bool: the pixels of the mask that touch a pixel off it, sideways or up and down."""
    inner = cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    return mask & (inner == 0)


def _same_shape(predicted: BoolArray, truth: BoolArray) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"the masks are {predicted.shape} and {truth.shape}")
