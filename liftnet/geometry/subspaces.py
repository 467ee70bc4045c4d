"""Affine subspaces (hyperplanes and 2-planes) in the joint space of two affine views: fits and minimal solvers.

A match is one point X = (x', y', x, y) of R^4, with (x', y') in image b and (x, y) in image a. Matches of one rigid
scene seen by two affine cameras lie on a hyperplane (codimension 1): the affine fundamental matrix. Matches of one
plane, or of two copies of one picture, lie on a 2-plane (codimension 2): an affine homography. Both constraints are
linear, so the orthogonal distance to the subspace is the exact reprojection error (Hartley & Zisserman, Multiple View
Geometry, 2nd ed., sections 4.2 and 14.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray, Float64Array, Int64Array

MAX_SCALE = 20.0  # two photographs of one object do not differ more in scale; beyond it a subspace ignores one image
MIN_VOLUME = 1e-6  # of a minimal sample, relative to its edges: below, its subspace is rounding error
MIN_RANK_RATIO = 1e-12  # of the second principal variance in the first: below, the points lie on one line


@dataclass(frozen=True)
class AffineSubspace:
    """A subspace of R^4: all X with `normals @ X + offsets == 0`.

    Attributes:
        normals: (C, 4) orthonormal rows; C is 1 for a hyperplane and 2 for a 2-plane.
        offsets: (C,).
    """

    normals: Float64Array
    offsets: Float64Array

    @property
    def is_two_view(self) -> bool:
        """Whether the subspace ties the two images together with a scale between 1/MAX_SCALE and MAX_SCALE."""
        return bool(_is_two_view(self.normals[None])[0])

    def residuals(self, points: Float64Array) -> Float64Array:
        """Orthogonal distances of (N, 4) points to the subspace, (N,)."""
        signed = points @ self.normals.T + self.offsets
        return np.abs(signed[:, 0]) if len(self.offsets) == 1 else np.sqrt(np.einsum("nc,nc->n", signed, signed))

    def moved(self, shift: Float64Array) -> AffineSubspace:
        """The subspace after adding `shift` (4,) to all its points."""
        return AffineSubspace(self.normals, self.offsets - self.normals @ shift)


def joint_points(points_a: npt.ArrayLike, points_b: npt.ArrayLike) -> Float64Array:
    """Stack matched points as (x', y', x, y).

    Args:
        points_a: (N, 2) points of image a.
        points_b: (N, 2) points of image b.

    Returns:
        (N, 4) float64.

    Raises:
        ValueError: The shapes differ or are not (N, 2), or a coordinate is not finite.
    """
    a, b = np.asarray(points_a, np.float64), np.asarray(points_b, np.float64)
    if a.ndim != 2 or a.shape[1] != 2 or a.shape != b.shape:
        raise ValueError(f"matched points must be two arrays of one shape (N, 2), not {a.shape} and {b.shape}")
    joint = np.hstack([b, a])
    if not np.isfinite(joint).all():
        raise ValueError("matched points must be finite")
    return joint


def fit_subspace(points: Float64Array, codimension: int) -> AffineSubspace | None:
    """The subspace with the smallest sum of squared orthogonal distances.

    The maximum-likelihood estimate for equal Gaussian noise in all four coordinates: Hartley & Zisserman, Algorithm
    14.1 for codimension 1 (affine fundamental matrix) and Algorithm 4.7 for codimension 2 (affine homography).

    Args:
        points: (N, 4) joint points, N >= 4 - codimension + 1.
        codimension: 1 or 2.

    Returns:
        None where the points lie on one line, so that no subspace is determined.
    """
    mean = points.mean(axis=0)
    centred = points - mean
    variances, directions = np.linalg.eigh(centred.T @ centred)
    if variances[2] <= MIN_RANK_RATIO * variances[3]:
        return None
    normals = directions[:, :codimension].T
    return AffineSubspace(normals, -normals @ mean)


def hyperplanes_through(samples: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The hyperplane through each sample of four points (Hartley & Zisserman, Algorithm 14.2), in closed form.

    The normal is the generalised cross product of the three differences. Samples of vanishing 4-volume (a repeated
    point, three points in line, all four on one affine homography) are left out, and so are hyperplanes that ignore
    one image.

    Args:
        samples: (K, 4, 4) joint points.

    Returns:
        (k, 1, 4) unit normals and (k, 1) offsets, k <= K.
    """
    edges = samples[:, 1:] - samples[:, :1]
    normals = _cross(edges[:, 0], edges[:, 1], edges[:, 2])
    length = np.linalg.norm(normals, axis=1)
    usable = length > MIN_VOLUME * np.prod(np.linalg.norm(edges, axis=2), axis=1)
    normals = (normals[usable] / length[usable, None])[:, None, :]
    return _with_offsets(normals, samples[usable, 0])


def planes_through(samples: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The 2-plane through each sample of three points: the affine homography of three matches, in closed form.

    Args:
        samples: (K, 3, 4) joint points.

    Returns:
        (k, 2, 4) orthonormal normals and (k, 2) offsets, k <= K: samples in line are left out, and so are planes that
        are no invertible map between the images.
    """
    edges = samples[:, 1:] - samples[:, :1]
    lengths = np.linalg.norm(edges, axis=2)
    # rows of the dual Pluecker matrix of the two edges span the plane's normals; the longest row is well conditioned
    rows = np.stack([_cross(edges[:, 0], edges[:, 1], axis[None]) for axis in np.eye(4)], axis=1)
    row_lengths = np.linalg.norm(rows, axis=2)
    longest = row_lengths.argmax(axis=1)
    length = row_lengths[np.arange(len(rows)), longest]
    usable = length > MIN_VOLUME * lengths.prod(axis=1)
    first = rows[usable, longest[usable]] / length[usable, None]
    second = _cross(edges[usable, 0], edges[usable, 1], first)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return _with_offsets(np.stack([first, second], axis=1), samples[usable, 0])


def distinct_samples(n: int, size: int, count: int, rng: np.random.Generator) -> Int64Array:
    """Draw `count` samples of `size` different indices below `n`, uniformly, without a loop over samples.

    Returns:
        (count, size) int64.
    """
    samples = np.empty((count, size), np.int64)
    for k in range(size):
        draw = rng.integers(0, n - k, count)
        for taken in np.sort(samples[:, :k], axis=1).T:  # skip over the indices taken, in rising order
            draw += draw >= taken
        samples[:, k] = draw
    return samples


def _cross(u: Float64Array, v: Float64Array, w: Float64Array) -> Float64Array:
    """The vector of R^4 orthogonal to three others, as long as the volume they span; each (K, 4) or (1, 4)."""
    m01, m02 = v[:, 0] * w[:, 1] - v[:, 1] * w[:, 0], v[:, 0] * w[:, 2] - v[:, 2] * w[:, 0]
    m03, m12 = v[:, 0] * w[:, 3] - v[:, 3] * w[:, 0], v[:, 1] * w[:, 2] - v[:, 2] * w[:, 1]
    m13, m23 = v[:, 1] * w[:, 3] - v[:, 3] * w[:, 1], v[:, 2] * w[:, 3] - v[:, 3] * w[:, 2]
    return np.stack(
        [
            u[:, 1] * m23 - u[:, 2] * m13 + u[:, 3] * m12,
            -u[:, 0] * m23 + u[:, 2] * m03 - u[:, 3] * m02,
            u[:, 0] * m13 - u[:, 1] * m03 + u[:, 3] * m01,
            -u[:, 0] * m12 + u[:, 1] * m02 - u[:, 2] * m01,
        ],
        axis=1,
    )


def _with_offsets(normals: Float64Array, through: Float64Array) -> tuple[Float64Array, Float64Array]:
    two_view = _is_two_view(normals)
    normals, through = normals[two_view], through[two_view]
    return normals, -np.einsum("kci,ki->kc", normals, through)


def _is_two_view(normals: Float64Array) -> BoolArray:
    """For (K, C, 4) normals: (K,) whether both images' halves take part, at a scale of at most MAX_SCALE.

    For a similarity of scale s both measures are 1 / (1 + s^2) in image b and s^2 / (1 + s^2) in image a.
    """
    if normals.shape[1] == 1:
        in_b, in_a = (normals[:, 0, :2] ** 2).sum(axis=1), (normals[:, 0, 2:] ** 2).sum(axis=1)
    else:
        in_b = np.abs(normals[:, 0, 0] * normals[:, 1, 1] - normals[:, 0, 1] * normals[:, 1, 0])
        in_a = np.abs(normals[:, 0, 2] * normals[:, 1, 3] - normals[:, 0, 3] * normals[:, 1, 2])
    return np.minimum(in_a, in_b) >= 1 / (1 + MAX_SCALE**2)
