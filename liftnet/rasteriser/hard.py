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

from liftnet.core.types import BoolArray, Float32Array, Float64Array, Int32Array, UInt8Array, UInt32Array
from liftnet.rasteriser.camera_batch import CameraBatch

_Views = tuple[Float64Array, UInt32Array, Float64Array, Float64Array]
_SHIFT = 8  # bits of a corner's position within a pixel
_SUBPIXELS, _HALF = 1 << _SHIFT, 1 << (_SHIFT - 1)
LARGEST = 1e100  # coordinate of a vertex: what is computed of it is finite
_OUTSIDE = 2**28  # subpixels; farther corners are held here: the products below stay under 2^63


@dataclass(frozen=True, repr=False)
class HardImages:
    """What N cameras see of a mesh.

    Attributes:
        face: (N, S, S) int32, index of the nearest face, -1 for background.
        depth: (N, S, S) float32, depth of the nearest face along the optical axis, infinite for background.
    """

    face: Int32Array
    depth: Float32Array

    def __repr__(self) -> str:
        return f"HardImages({len(self.face)} of {self.face.shape[-1]} px)"


def render_silhouettes(
    vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: CameraBatch, image_size: int = 256, threads: int = 1
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
    vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: CameraBatch, image_size: int = 256, threads: int = 1
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


def _projection(cameras: CameraBatch) -> tuple[float, bool]:
    return cameras.half_width, cameras.orthographic


def _for_each(render: Callable[[int], None], count: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(render, range(count)))


def _checked(vertices: npt.ArrayLike, faces: npt.ArrayLike, cameras: CameraBatch) -> _Views:
    """Vertices, faces, rotations and translations as contiguous numpy arrays."""
    points = np.ascontiguousarray(vertices, np.float64)
    triangles = np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(f"a mesh has vertices (V, 3) and faces (F, 3), not {points.shape} and {triangles.shape}")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= len(points)):
        raise ValueError(
            f"faces name vertices from 0 to {len(points) - 1}, not {triangles.min()} to {triangles.max()}"
        )
    triangles = np.ascontiguousarray(triangles, np.uint32)
    if not np.isfinite(points).all():
        raise ValueError("vertices must be finite")
    if len(points) and np.abs(points).max() > LARGEST:
        raise ValueError(f"a vertex lies farther than {LARGEST:g} from the origin; scale the mesh to ordinary numbers")
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
    points: Float64Array,
    rotation: Float64Array,
    translation: Float64Array,
    half_width: float,
    orthographic: bool,
    size: int,
) -> tuple[Int32Array, Float64Array]:
    """Corners (V, 2) in 1/256 pixel from the image's top left, and depth (V,) along the optical axis."""
    corners = np.empty((len(points), 2), np.int32)
    depth = np.empty(len(points))
    for vertex in range(len(points)):
        x, y, z = points[vertex]
        depth[vertex] = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation[2]
        scale = half_width if orthographic else half_width * depth[vertex]
        for axis in range(2):
            seen = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z + translation[axis]
            place = (seen / scale + 1) * (0.5 * size * _SUBPIXELS)
            corners[vertex, axis] = np.int32(np.rint(min(max(place, -_OUTSIDE), _OUTSIDE)))
    return corners, depth


@njit(nogil=True, cache=True)
def _span(a: int, b: int, c: int, size: int) -> tuple[int, int]:
    """First and last row, or column, whose pixel centres lie between three corners; first > last if there is none."""
    return max((min(a, b, c) + _HALF - 1) >> _SHIFT, 0), min((max(a, b, c) - _HALF) >> _SHIFT, size - 1)


@njit(nogil=True, cache=True)
def _edge(ax: int, ay: int, bx: int, by: int, column: int, row: int) -> tuple[int, int, int]:
    """Edge function from corner a to b: its value at a pixel's centre, and its increase per column and per row.

    Inside is where it is at least 0, of a triangle whose corners turn clockwise in the image.
    """
    dx, dy = bx - ax, by - ay
    x, y = (column << _SHIFT) + _HALF, (row << _SHIFT) + _HALF
    owned = dy < 0 or (dy == 0 and dx > 0)  # a left edge, or a top one
    return dx * (y - ay) - dy * (x - ax) - (0 if owned else 1), -(dy << _SHIFT), dx << _SHIFT


@njit(nogil=True, cache=True)
def _cover(corners: Int32Array, faces: UInt32Array, image: UInt8Array) -> None:
    """Set the pixels of an image (S, S) that a face covers."""
    for face in range(len(faces)):
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, bx, cx = corners[i, 0], corners[j, 0], corners[k, 0]
        left, right = _span(ax, bx, cx, len(image))
        if left > right:
            continue
        ay, by, cy = corners[i, 1], corners[j, 1], corners[k, 1]
        top, bottom = _span(ay, by, cy, len(image))
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if top > bottom or area == 0:
            continue
        if area < 0:
            bx, by, cx, cy = cx, cy, bx, by
        u, u_column, u_row = _edge(bx, by, cx, cy, left, top)
        v, v_column, v_row = _edge(cx, cy, ax, ay, left, top)
        w, w_column, w_row = _edge(ax, ay, bx, by, left, top)
        for row in range(top, bottom + 1):
            here_u, here_v, here_w = u, v, w
            for column in range(left, right + 1):
                if (here_u | here_v | here_w) >= 0:
                    image[row, column] = 1
                here_u, here_v, here_w = here_u + u_column, here_v + v_column, here_w + w_column
            u, v, w = u + u_row, v + v_row, w + w_row


@njit(nogil=True, cache=True)
def _nearest(
    corners: Int32Array,
    depth: Float64Array,
    faces: UInt32Array,
    orthographic: bool,
    nearest: Int32Array,
    image: Float32Array,
) -> None:
    """Write the nearest face (S, S) and its depth (S, S) where it is nearer than what stands there."""
    for face in range(len(faces)):
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        (ax, ay), (bx, by), (cx, cy) = _corner(corners, i), _corner(corners, j), _corner(corners, k)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        left, right = _span(ax, bx, cx, len(image))
        top, bottom = _span(ay, by, cy, len(image))
        if left > right or top > bottom or area == 0:
            continue
        if area < 0:
            j, k, bx, by, cx, cy = k, j, cx, cy, bx, by
        u, u_column, u_row = _edge(bx, by, cx, cy, left, top)
        v, v_column, v_row = _edge(cx, cy, ax, ay, left, top)
        w, w_column, w_row = _edge(ax, ay, bx, by, left, top)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                here_u = u + (column - left) * u_column + (row - top) * u_row
                here_v = v + (column - left) * v_column + (row - top) * v_row
                here_w = w + (column - left) * w_column + (row - top) * w_row
                if (here_u | here_v | here_w) < 0:
                    continue
                total = here_u + here_v + here_w
                if total == 0:  # a triangle of one or two subpixels
                    here = depth[i]
                elif orthographic:
                    here = (here_u * depth[i] + here_v * depth[j] + here_w * depth[k]) / total
                else:  # the inverse of depth is linear in the image
                    here = total / (here_u / depth[i] + here_v / depth[j] + here_w / depth[k])
                if np.float32(here) < image[row, column]:
                    nearest[row, column], image[row, column] = face, here


@njit(nogil=True, cache=True)
def _corner(corners: Int32Array, index: int) -> tuple[int, int]:
    return corners[index, 0], corners[index, 1]
