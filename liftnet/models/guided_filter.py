"""A filter that draws the edges of a map where those of a photograph are (He, Sun and Tang, TPAMI 2013)."""

from __future__ import annotations

import cv2
import numpy as np

from liftnet.core.types import Float32Array

LONGEST = 1024  # px, of what the functions are fitted to: more finds no other edges, and takes far more memory


def guided_filter(guide: Float32Array, values: Float32Array, radius: float, epsilon: float) -> Float32Array:
    """Values that are, in each window, the linear function of a photograph that fits them best (equations 5, 6, 8).

    A large photograph is made smaller for the fits, and its own pixels go into the functions ("Fast Guided Filter",
    He and Sun 2015).

    Args:
        guide: (H, W) in [0, 1], the photograph in grey.
        values: (h, w), the same picture at any size.
        radius: Half the side of the square windows, as a fraction of the guide's long side.
        epsilon: Variance of the guide below which a window counts as even, and its values are averaged.

    Returns:
        (H, W) float32.

    >>> guide = np.zeros((8, 8), np.float32)
    >>> guide[:, 4:] = 1
    >>> ramp = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1))
    >>> filtered = guided_filter(guide, ramp, 0.4, 1e-4)
    >>> bool(filtered[4, 4] - filtered[4, 3] > 2 * (ramp[4, 4] - ramp[4, 3]))
    True
    """
    height, width = guide.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(guide, size, interpolation=cv2.INTER_AREA)
    sought = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    reach = max(1, round(radius * max(size)))
    side = (2 * reach + 1, 2 * reach + 1)
    mean_guide, mean_values = cv2.blur(small, side), cv2.blur(sought, side)
    covariance = cv2.blur(small * sought, side) - mean_guide * mean_values
    variance = cv2.blur(small * small, side) - mean_guide * mean_guide
    slope = covariance / (np.maximum(variance, 0) + np.float32(epsilon))
    offset = cv2.blur(mean_values - slope * mean_guide, side)
    fitted = (
        cv2.resize(line, (width, height), interpolation=cv2.INTER_LINEAR) for line in (cv2.blur(slope, side), offset)
    )
    filtered: Float32Array = (next(fitted) * guide + next(fitted)).astype(np.float32)
    return filtered
