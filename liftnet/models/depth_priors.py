"""Depth from the mask alone: what LiftNet has to beat."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import spsolve

from liftnet.core.types import BoolArray

Float32Array = npt.NDArray[np.float32]


def constant_depth(mask: BoolArray) -> Float32Array:
    """(H, W) zeros: everything at one depth."""
    return np.zeros(mask.shape, np.float32)


def inflated_depth(mask: BoolArray) -> Float32Array:
    """The mask inflated to a rounded surface: minus the square root of the solution of Poisson's equation.

    With `laplace(u) = -4` on the mask and `u = 0` off it, the height `sqrt(u)` over a disc is a hemisphere and over a
    strip half an elliptic cylinder (Baran and Lehtinen, "Notes on Inflating Curves", 2009).

    Args:
        mask: (H, W) bool; there is no foreground beyond its border.

    Returns:
        (H, W) float32 in half widths of the array, growing away from the viewer: 0 off the mask, negative on it.
    """
    count = int(mask.sum())
    if not count:
        return constant_depth(mask)
    number = np.full(np.add(mask.shape, 2), -1)
    number[1:-1, 1:-1][mask] = np.arange(count)
    inside = number >= 0
    entries = [(np.arange(count), np.arange(count), np.full(count, 4.0))]
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        neighbour = np.roll(number, step, axis)[inside]
        there = neighbour >= 0
        entries.append((np.flatnonzero(there), neighbour[there], np.full(int(there.sum()), -1.0)))
    rows, columns, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    laplacian = sparse.csc_matrix((values, (rows, columns)), shape=(count, count))
    depth = np.zeros(mask.shape, np.float32)
    depth[mask] = -np.sqrt(spsolve(laplacian, np.full(count, 4.0)).clip(min=0)) / (max(mask.shape) / 2)
    return depth


def ellipsoid_depth(mask: BoolArray) -> Float32Array:
    """Half an ellipsoid over the ellipse that has the mask's centre and second moments.

    The semi-axis along the view is the geometric mean of the ellipse's; evaluation scales depth anyway.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) float32 in half widths of the array, growing away from the viewer: 0 off the mask and where it reaches
        beyond the ellipse, negative elsewhere.
    """
    depth = constant_depth(mask)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return depth
    points = np.stack([columns - columns.mean(), rows - rows.mean()], 1).astype(np.float64)
    # a pixel is a square, with a second moment of 1/12 of its own: a single one has an ellipse as well
    moments = points.T @ points / len(points) + np.eye(2) / 12
    # a full ellipse with semi-axes a and b has the moments a^2 / 4 and b^2 / 4
    distance = np.einsum("ni,ij,nj->n", points, np.linalg.inv(4 * moments), points)
    height = np.linalg.det(4 * moments) ** 0.25 * np.sqrt((1 - distance).clip(min=0))
    depth[rows, columns] = -height / (max(mask.shape) / 2)
    return depth
