"""Hard images of meshes: silhouettes, nearest face and depth by OpenGL's rule of coverage.

A pixel belongs to a triangle if its centre lies inside; of a centre on an edge, top and left edges own it (OpenGL 4.5,
section 14.6). Corners are snapped to 1/256 pixel, as graphics hardware does, so that the test is exact in integers and
neighbouring triangles leave neither gaps nor double pixels: thin parts break up as they do there.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from liftnet.rasteriser.cameras import Cameras

BoolArray = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_Views = tuple[Floats, Ints, Floats, Floats]
_SHIFT = 8  # bits of a corner's position within a pixel
_SUBPIXELS, _HALF = 1 << _SHIFT, 1 << (_SHIFT - 1)
_OUTSIDE = 2**28  # subpixels; farther corners are held here: the products below stay under 2^63


@dataclass(frozen=True, repr=False)
class HardImages:
    """What N cameras see of a mesh.

    Attributes:
        face: (N, S, S) int32, index of the nearest face, -1 for background.
        depth: (N, S, S) float32, depth of the nearest face along the optical axis, infinite for background.
    """

    face: npt.NDArray[np.int32]
    depth: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"HardImages({len(self.face)} of {self.face.shape[-1]} px)"


def render_silhouettes(
    vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: Cameras, image_size: int = 256, threads: int = 1
) -> BoolArray:
    """Which pixels a mesh covers.

    Args:
        vertices: (V, 3) world coordinates.
        faces: (F, 3) indices of vertices, of any winding; F may be 0.
        cameras: N cameras; all vertices must lie in front of perspective ones.
        image_size: Side of the images in pixels.
        threads: Threads that share the views. The images do not depend on them.

    Returns:
        (N, S, S) bool, row 0 on top.

    Raises:
        ValueError: Arrays of the wrong shape, an index out of range, coordinates that are not finite or behind a
            perspective camera.
    """
    views = _checked(vertices, faces, cameras)
    covered = np.zeros((len(cameras), image_size, image_size), np.uint8)

    def render(view: int) -> None:
        points, triangles, rotations, translations = views
        corners, _ = _project(points, rotations[view], translations[view], *_projection(cameras), image_size)
        _cover(corners, triangles, covered[view])

    _for_each(render, len(cameras), threads)
    return covered.view(np.bool_)


def render_nearest(
    vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: Cameras, image_size: int = 256, threads: int = 1
) -> HardImages:
    """The nearest face in each pixel, and its depth there; arguments and errors as `render_silhouettes`.

    Of faces at the same depth the one with the lowest index is seen.
    """
    views = _checked(vertices, faces, cameras)
    shape = (len(cameras), image_size, image_size)
    images = HardImages(np.full(shape, -1, np.int32), np.full(shape, np.inf, np.float32))

    def render(view: int) -> None:
        points, triangles, rotations, translations = views
        corners, depth = _project(points, rotations[view], translations[view], *_projection(cameras), image_size)
        _nearest(corners, depth, triangles, cameras.orthographic, images.face[view], images.depth[view])

    _for_each(render, len(cameras), threads)
    return images


def _projection(cameras: Cameras) -> tuple[float, bool]:
    return cameras.half_width, cameras.orthographic


def _for_each(render: Callable[[int], None], count: int, threads: int) -> None:
    if threads == 1:
        for view in range(count):
            render(view)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(render, range(count)))


def _checked(vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: Cameras) -> _Views:
    """Vertices, faces, rotations and translations as contiguous numpy arrays."""
    points = np.ascontiguousarray(vertices, np.float64)
    triangles = np.ascontiguousarray(faces, np.int64)
    if points.ndim != 2 or points.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"a mesh has vertices (V, 3) and faces (F, 3), not {points.shape} and {triangles.shape}")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= len(points)):
        raise ValueError(
            f"faces name vertices from 0 to {len(points) - 1}, not {triangles.min()} to {triangles.max()}"
        )
    if not np.isfinite(points).all():
        raise ValueError("vertices must be finite")
    rotations = np.ascontiguousarray(cameras.rotation.detach().cpu().numpy(), np.float64)
    translations = np.ascontiguousarray(cameras.translation.detach().cpu().numpy(), np.float64)
    if not cameras.orthographic and len(points):
        axes = zip(rotations[:, 2], translations[:, 2], strict=True)
        nearest = min(float((points @ axis).min() + shift) for axis, shift in axes)
        if nearest <= 0:
            raise ValueError("a perspective camera needs all vertices in front of it; move it away from the mesh")
    return points, triangles, rotations, translations


@njit(nogil=True, cache=True)
def _project(
    points: Floats, rotation: Floats, translation: Floats, half_width: float, orthographic: bool, size: int
) -> tuple[Ints, Floats]:
    """Corners (V, 2) int64 in 1/256 pixel from the image's top left, and depth (V,) along the optical axis."""
    corners = np.empty((len(points), 2), np.int64)
    depth = np.empty(len(points))
    for vertex in range(len(points)):
        x, y, z = points[vertex]
        depth[vertex] = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation[2]
        scale = half_width if orthographic else half_width * depth[vertex]
        for axis in range(2):
            seen = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z + translation[axis]
            place = (seen / scale + 1) * (0.5 * size * _SUBPIXELS)
            corners[vertex, axis] = np.int64(np.rint(min(max(place, -_OUTSIDE), _OUTSIDE)))
    return corners, depth


@njit(nogil=True, cache=True)
def _edges(corners: Ints, i: int, j: int, k: int, size: int, box: Ints, functions: Ints) -> bool:
    """Fill in the pixels whose centres a triangle may own, and its three edge functions; False if there are none.

    Args:
        corners: (V, 2) of `_project`.
        i: The triangle's first corner.
        j: Its second.
        k: Its third.
        size: Side of the image.
        box: First column, first row, last column, last row; written.
        functions: (3, 3), for corners i, j, k: value at the first pixel of the box, increase per column and per row;
            written. A centre is inside where all three values are at least 0.
    """
    for axis in range(2):
        a, b, c = corners[i, axis], corners[j, axis], corners[k, axis]
        box[axis] = max((min(a, b, c) + _HALF - 1) >> _SHIFT, 0)
        box[2 + axis] = min((max(a, b, c) - _HALF) >> _SHIFT, size - 1)
        if box[axis] > box[2 + axis]:
            return False
    area = (corners[j, 0] - corners[i, 0]) * (corners[k, 1] - corners[i, 1])
    area -= (corners[j, 1] - corners[i, 1]) * (corners[k, 0] - corners[i, 0])
    if area == 0:
        return False
    ends = (j, k, i, j) if area > 0 else (k, j, i, k)
    x, y = (box[0] << _SHIFT) + _HALF, (box[1] << _SHIFT) + _HALF
    for edge in range(3):
        a, b = ends[edge], ends[edge + 1]
        dx, dy = corners[b, 0] - corners[a, 0], corners[b, 1] - corners[a, 1]
        owned = dy < 0 or (dy == 0 and dx > 0)  # a left edge, or a top one
        row = edge if area > 0 else -edge  # the corner opposite this edge; seen from behind, j and k change places
        functions[row, 0] = dx * (y - corners[a, 1]) - dy * (x - corners[a, 0]) - (0 if owned else 1)
        functions[row, 1] = -(dy << _SHIFT)
        functions[row, 2] = dx << _SHIFT
    return True


@njit(nogil=True, cache=True)
def _cover(corners: Ints, faces: Ints, image: Bytes) -> None:
    """Set the pixels of an image (S, S) uint8 that a face covers."""
    box, functions = np.zeros(4, np.int64), np.zeros((3, 3), np.int64)
    for face in range(len(faces)):
        if not _edges(corners, faces[face, 0], faces[face, 1], faces[face, 2], len(image), box, functions):
            continue
        u, v, w = functions[0, 0], functions[1, 0], functions[2, 0]
        for y in range(box[1], box[3] + 1):
            for x in range(box[0], box[2] + 1):
                column = x - box[0]
                a, b, c = u + column * functions[0, 1], v + column * functions[1, 1], w + column * functions[2, 1]
                if (a | b | c) >= 0:
                    image[y, x] = 1
            u, v, w = u + functions[0, 2], v + functions[1, 2], w + functions[2, 2]


@njit(nogil=True, cache=True)
def _nearest(
    corners: Ints,
    depth: Floats,
    faces: Ints,
    orthographic: bool,
    nearest: npt.NDArray[np.int32],
    image: npt.NDArray[np.float32],
) -> None:
    """Write the nearest face (S, S) int32 and its depth (S, S) float32 where it is nearer than what stands there."""
    box, functions = np.zeros(4, np.int64), np.zeros((3, 3), np.int64)
    for face in range(len(faces)):
        i, j, k = faces[face]
        if not _edges(corners, i, j, k, len(image), box, functions):
            continue
        for y in range(box[1], box[3] + 1):
            for x in range(box[0], box[2] + 1):
                column, row = x - box[0], y - box[1]
                a = functions[0, 0] + column * functions[0, 1] + row * functions[0, 2]
                b = functions[1, 0] + column * functions[1, 1] + row * functions[1, 2]
                c = functions[2, 0] + column * functions[2, 1] + row * functions[2, 2]
                if (a | b | c) < 0:
                    continue
                total = a + b + c
                if total == 0:  # a triangle of one or two subpixels
                    here = depth[i]
                elif orthographic:
                    here = (a * depth[i] + b * depth[j] + c * depth[k]) / total
                else:  # the inverse of depth is linear in the image
                    here = total / (a / depth[i] + b / depth[j] + c / depth[k])
                if np.float32(here) < image[y, x]:
                    nearest[y, x], image[y, x] = face, here
