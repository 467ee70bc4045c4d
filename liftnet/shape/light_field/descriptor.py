"""The light field descriptor of a mesh (Chen et al., On Visual Similarity Based 3D Model Retrieval, 2003).

Ten light fields of ten silhouettes each; a silhouette is described by MPEG-7's angular radial transform, the Fourier
descriptor of its outline, its circularity and its eccentricity, each in 8 bits. Numbers that the paper leaves open are
those of its authors' program.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser.hard import render_silhouettes
from liftnet.shape.light_field.contour import fourier_descriptor
from liftnet.shape.light_field.moments import angular_radial_transform, measure
from liftnet.shape.light_field.views import light_field_cameras, view_directions

Bytes = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

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

    art: Bytes
    fourier: Bytes
    circularity: Bytes
    eccentricity: Bytes

    def __repr__(self) -> str:
        return f"LightField({self.art.shape[0]} light fields of {self.art.shape[1]} views)"


def describe(mesh: TriangleMesh, threads: int = 1, directions: FloatArray | None = None) -> LightField:
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


def describe_silhouettes(silhouettes: npt.NDArray[np.uint8]) -> LightField:
    """The descriptor from silhouettes (L, 10, 256, 256) uint8, 0 or 1, bottom row first."""
    return _stacked([_describe_light_field(each) for each in silhouettes])


def unit_box(mesh: TriangleMesh) -> FloatArray:
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


def _describe_light_field(silhouettes: npt.NDArray[np.uint8]) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    silhouettes = np.ascontiguousarray(silhouettes)
    numbers = np.stack([measure(silhouette) for silhouette in silhouettes])
    centres = np.ascontiguousarray(numbers[:, :2])
    art = angular_radial_transform(silhouettes, centres, float(numbers[:, 2].max()))
    fourier = np.stack([fourier_descriptor(*each) for each in zip(silhouettes, centres, strict=True)])
    return _bytes(art), _bytes(2 * fourier), _bytes(numbers[:, 5]), _bytes(numbers[:, 6])


def _bytes(values: FloatArray) -> Bytes:
    """8 bits of values from 0 to 1; the descriptor cuts off, it does not round."""
    return np.minimum(values * _LEVELS, _LEVELS - 1).astype(np.uint8)


def _stacked(light_fields: Sequence[tuple[Bytes, Bytes, Bytes, Bytes]]) -> LightField:
    return LightField(*(np.stack(parts) for parts in zip(*light_fields, strict=True)))
