"""Where the light field descriptor looks from: ten turned dodecahedra, and the 60 turns that map one onto itself."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from liftnet.core.types import Float64Array, Int64Array
from liftnet.rasteriser.camera_batch import CameraBatch, look_at

LIGHT_FIELDS, VIEWS = 10, 10
_CANDIDATES = 30_000  # rotations to choose from, about 500 of them in the part that the dodecahedron repeats 60 times


@cache
def view_axes() -> Float64Array:
    """(10, 3) unit vectors to the vertices of a dodecahedron, one of each opposite pair: both show one silhouette."""
    golden = (1 + 5**0.5) / 2
    corner = [(1.0, 1.0, 1.0), (1.0, 1.0, -1.0), (1.0, -1.0, 1.0), (-1.0, 1.0, 1.0)]
    edge = [(0.0, golden, 1 / golden), (0.0, golden, -1 / golden)]
    turned = [np.roll(vertex, shift) for vertex in edge for shift in range(3)]
    return np.array([*corner, *turned]) / 3**0.5


@cache
def alignments() -> Int64Array:
    """(60, 10): for each turn that maps the dodecahedron onto itself, the axis on which each of the ten axes lands."""
    axes = view_axes()
    turned = np.einsum("gij,vj->gvi", Rotation.create_group("I").as_matrix(), axes)
    return np.abs(turned @ axes.T).argmax(-1)


@cache
def light_field_rotations() -> Rotation:
    """The ten rotations of the dodecahedron, the first of them none at all.

    The original (Chen et al. 2003) took ten even ones and gives them only as data. Here each next rotation is the one
    farthest from those before it, as the dodecahedron sees it, among the rotations of a super-Fibonacci spiral (Alexa,
    Super-Fibonacci Spirals, CVPR 2022).
    """
    group = Rotation.create_group("I")
    spiral = _super_fibonacci(_CANDIDATES)
    # Of 60 rotations that turn the dodecahedron into the same place, the smallest is kept.
    spiral = spiral[np.abs(spiral @ group.as_quat().T).max(1) <= np.abs(spiral[:, 3]) + 1e-12]
    chosen = [np.array([0.0, 0.0, 0.0, 1.0])]
    nearest = np.zeros(len(spiral))  # cosine of half the angle to the nearest chosen one
    while len(chosen) < LIGHT_FIELDS:
        same_place = (Rotation.from_quat(chosen[-1]) * group).as_quat()
        nearest = np.maximum(nearest, np.abs(spiral @ same_place.T).max(1))
        chosen.append(spiral[np.argmin(nearest.round(9))])
    return Rotation.from_quat(chosen)


def _super_fibonacci(count: int) -> Float64Array:
    """(count, 4) unit quaternions, x y z w, spread evenly over the rotations."""
    phi, psi = 2**0.5, brentq(lambda x: x**4 - x - 4, 1, 2)
    index = np.arange(count) + 0.5
    share = index / count
    inner, outer = np.sqrt(share), np.sqrt(1 - share)
    a, b = 2 * np.pi * index / phi, 2 * np.pi * index / psi
    return np.stack([inner * np.sin(a), inner * np.cos(a), outer * np.sin(b), outer * np.cos(b)], 1)


@cache
def view_directions() -> Float64Array:
    """(10, 10, 3) unit vectors from the object to the cameras: light field, view."""
    return np.stack([rotation.apply(view_axes()) for rotation in light_field_rotations()])


def light_field_cameras(directions: Float64Array) -> CameraBatch:
    """Orthographic cameras that show [-1, 1], +y up, from each of the directions (..., 3)."""
    return look_at(torch.from_numpy(np.ascontiguousarray(directions.reshape(-1, 3))), half_width=1.0)
