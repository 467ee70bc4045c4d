"""The light field descriptor of a mesh, and the distance of two descriptors.

Chen et al., On Visual Similarity Based 3D Model Retrieval (2003). Ten light fields of ten silhouettes each; a
silhouette is described by MPEG-7's angular radial transform, the Fourier descriptor of its outline, its circularity
and its eccentricity, each in 8 bits. Numbers that the paper leaves open are those of its authors' program.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial.distance import cdist

from liftnet.core.errors import LiftnetError
from liftnet.core.types import Float64Array, Int64Array, UInt8Array
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser.hard import render_silhouettes
from liftnet.shape.light_field.contour import fourier_descriptor
from liftnet.shape.light_field.moments import angular_radial_transform, measure
from liftnet.shape.light_field.views import VIEWS, alignments, light_field_cameras, view_directions

IMAGE_SIZE = 256
_LEVELS = 256


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
    if threads == 1:
        return describe_silhouettes(silhouettes)
    with ThreadPoolExecutor(threads) as pool:
        return _stacked(list(pool.map(_describe_light_field, silhouettes)))


def describe_silhouettes(silhouettes: UInt8Array) -> LightField:
    """The descriptor from silhouettes (L, 10, 256, 256) uint8, 0 or 1, bottom row first."""
    return _stacked([_describe_light_field(each) for each in silhouettes])


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


def _stacked(light_fields: Sequence[tuple[UInt8Array, UInt8Array, UInt8Array, UInt8Array]]) -> LightField:
    return LightField(*(np.stack(parts) for parts in zip(*light_fields, strict=True)))


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
