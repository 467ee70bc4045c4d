"""The light field descriptor and its distance: which shapes look alike from all around, whatever their pose.

    >>> from liftnet.shape.light_field import describe, distance
    >>> distance(describe(mesh), describe(other))  # doctest: +SKIP

Chen et al., On Visual Similarity Based 3D Model Retrieval (2003). Ten light fields of ten silhouettes each; a
silhouette is described by MPEG-7's angular radial transform, the Fourier descriptor of its outline, its circularity
and its eccentricity, each in 8 bits. Numbers that the paper leaves open are those of its authors' program.

It follows the program of the descriptor's authors to the byte, but for two things: the ten rotations of the cameras
follow a rule (`light_field_rotations`), and the eccentricity of both shapes is compared, where the program reads only
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from liftnet.core.errors import LiftnetError
from liftnet.core.types import Float64Array, Int64Array, UInt8Array
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser.camera_batch import CameraBatch, look_at
from liftnet.rasteriser.hard import render_silhouettes
from liftnet.shape.silhouettes import angular_radial_transform, fourier_descriptor, measure

IMAGE_SIZE = 256
_LEVELS = 256
LIGHT_FIELDS, VIEWS = 10, 10
_CANDIDATES = 30_000  # rotations to choose from, about 500 of them in the part that the dodecahedron repeats 60 times


@dataclass(frozen=True, repr=False)
class LightField:
    """Descriptor of one shape, 4,700 bytes.

    Attributes:
        art: (L, 10, 35) uint8 angular radial transform; light field, view, coefficient. L is 10 unless other
            directions are asked for.
        fourier: (L, 10, 10) uint8 Fourier descriptor of the outline.
        circularity: (L, 10) uint8.
        eccentricity: (L, 10) uint8.
    """

    art: UInt8Array
    fourier: UInt8Array
    circularity: UInt8Array
    eccentricity: UInt8Array

    def __repr__(self) -> str:
        return f"LightField({self.art.shape[0]} light fields of {self.art.shape[1]} views)"


def describe(mesh: TriangleMesh, threads: int = 1, directions: Float64Array | None = None) -> LightField:
    """The light field descriptor of a mesh: of its outlines only, so doubled faces and inner parts do not matter.

    Args:
        mesh: Any triangle mesh. Its position and scale are normalised away by the bounding box of its faces.
        threads: Threads to use; the descriptor does not depend on them.
        directions: (L, 10, 3) from the object to the cameras of each light field, in the order of `view_axes`; by
            default `view_directions()`.

    Raises:
        LiftnetError: The mesh is a single point, or has no face.
    """
    directions = view_directions() if directions is None else directions
    vertices = unit_box(mesh)
    covered = render_silhouettes(vertices, mesh.faces, light_field_cameras(directions), IMAGE_SIZE, threads)
    # The recipe reads images from the bottom row, as OpenGL hands them out; contours start there.
    silhouettes = covered[:, ::-1].view(np.uint8).reshape(*directions.shape[:2], IMAGE_SIZE, IMAGE_SIZE)
    return describe_silhouettes(silhouettes, threads)


def describe_silhouettes(silhouettes: UInt8Array, threads: int = 1) -> LightField:
    """The descriptor from silhouettes (L, 10, 256, 256) uint8, 0 or 1, bottom row first."""
    with ThreadPoolExecutor(threads) as pool:
        light_fields = list(pool.map(_describe_light_field, silhouettes))
    return LightField(*(np.stack(parts) for parts in zip(*light_fields, strict=True)))


def unit_box(mesh: TriangleMesh) -> Float64Array:
    """(V, 3) vertices with the bounding box of the faces centred at 0, its longest side 1."""
    used = mesh.vertices[np.unique(mesh.faces)]
    if not len(used):
        raise LiftnetError("a mesh without faces has no light field", "nothing can be seen of it", "give it faces")
    low, high = used.min(0), used.max(0)
    extent = float((high - low).max())
    if not extent > 0:
        raise LiftnetError(
            "a mesh that is one point has no light field", "its bounding box is empty", "check the file"
        )
    return np.asarray((mesh.vertices - (low + high) / 2) / extent, np.float64)


def _describe_light_field(silhouettes: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array, UInt8Array]:
    silhouettes = np.ascontiguousarray(silhouettes)
    numbers = np.stack([measure(silhouette) for silhouette in silhouettes])
    centres = np.ascontiguousarray(numbers[:, :2])
    art = angular_radial_transform(silhouettes, centres, float(numbers[:, 2].max()))
    fourier = np.stack([fourier_descriptor(*each) for each in zip(silhouettes, centres, strict=True)])
    return _bytes(art), _bytes(2 * fourier), _bytes(numbers[:, 5]), _bytes(numbers[:, 6])


def _bytes(values: Float64Array) -> UInt8Array:
    """8 bits of values from 0 to 1; the descriptor cuts off, it does not round."""
    return np.minimum(values * _LEVELS, _LEVELS - 1).astype(np.uint8)


def distance(a: LightField, b: LightField) -> int:
    """The light field distance: 0 for equal descriptors, symmetric, some thousands for shapes of different kind.

    The smallest sum of differences of ten images over all pairs of light fields and all 60 turns of the dodecahedron.
    Images differ by the L1 distance of their bytes, outlines (Fourier) and circularity counted twice.
    """
    return int(distances([a], [b])[0, 0])


def distances(a: Sequence[LightField], b: Sequence[LightField]) -> Int64Array:
    """(A, B) distances of each of `a` from each of `b`."""
    left, right = [_weighted(each) for each in a], [_weighted(each) for each in b]
    return np.array([[_distance(one, other) for other in right] for one in left], np.int64).reshape(len(a), len(b))


def _weighted(shape: LightField) -> Float64Array:
    """(L * 10, 47) bytes with their weights, so that L1 distances are image differences."""
    parts = [shape.art, 2.0 * shape.fourier, 2.0 * shape.circularity[..., None], shape.eccentricity[..., None]]
    weighted = np.concatenate(parts, -1)
    return weighted.reshape(-1, weighted.shape[-1])


def _distance(a: Float64Array, b: Float64Array) -> int:
    costs = cdist(a, b, "cityblock").reshape(len(a) // VIEWS, VIEWS, len(b) // VIEWS, VIEWS)
    pairs = costs.transpose(0, 2, 1, 3).reshape(-1, VIEWS * VIEWS)
    return round(float((pairs @ _chosen_pairs()).min()))


@cache
def _chosen_pairs() -> Float64Array:
    """(100, 60): 1 where a turn lays view i on view j, row 10 i + j; a product with it sums the costs of each turn."""
    chosen = np.zeros((VIEWS, VIEWS, len(alignments())))
    for turn, landing in enumerate(alignments()):
        chosen[np.arange(VIEWS), landing, turn] = 1
    return chosen.reshape(VIEWS * VIEWS, -1)


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
