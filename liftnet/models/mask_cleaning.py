"""From a probability map to a mask: threshold, small parts dropped, pinholes filled."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


def clean_mask(
    probability: npt.NDArray[np.floating], threshold: float, component_share: float, hole_share: float
) -> BoolArray:
    """Threshold a probability map, keep its large parts and fill its pinholes.

    Sculptures may be pierced, so a hole is filled only if it is tiny.

    Args:
        probability: (H, W) foreground probability.
        threshold: From this probability on a pixel is foreground.
        component_share: Parts (8-connected) smaller than this share of the largest part are dropped.
        hole_share: Enclosed holes (4-connected) up to this share of the remaining foreground are filled.

    Returns:
        (H, W) bool.
    """
    mask = (probability >= threshold).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # label 0 is the background
    kept = (areas > 0) & (areas >= component_share * areas.max())
    foreground = kept[labels]
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((~foreground).astype(np.uint8), connectivity=4)
    filled = statistics[:, cv2.CC_STAT_AREA] <= hole_share * np.count_nonzero(foreground)
    filled[0] = False
    for rim in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        filled[rim] = False
    return foreground | filled[labels]
