"""Where a field or a grid of values is zero, as a triangle mesh: marching cubes.

A field is a function of points. Grids are meshed by scikit-image (Lewiner et al., Efficient Implementation of Marching
Cubes' Cases with Topological Guarantees, 2003); `liftnet.mesh.marching_cubes` adds the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from liftnet.core.types import FloatArray, IntArray
from liftnet.mesh.mesh import TriangleMesh, Up

Field = Callable[[FloatArray], FloatArray]  # of (3, N) points float32: (N,) distances, negative inside
Inside = Literal["above", "below"]
REACH = 1.8  # a field is looked for within [-REACH, REACH] along each axis
BLOCK = 8  # cells along a block of the sparse grid
CHUNK = 1 << 15  # points a call, so that the temporaries stay in the cache
SLACK = 2.2  # how far a field may overstate the distance


def isosurface(
    values: FloatArray, spacing: float = 1.0, inside: Inside = "below", degenerate: bool = False
) -> tuple[FloatArray, IntArray]:
    """The surface of a grid where its values are zero.

    Args:
        values: (X, Y, Z), at least two each way, on both sides of zero.
        spacing: World units between neighbouring values.
        inside: Whether the solid is where values are negative (signed distance) or positive.
        degenerate: Keep triangles without area.

    Returns:
        Vertices (V, 3) float32, the grid's first value at the origin, and faces (F, 3) int32, wound counter-clockwise
        seen from outside.
    """
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(spacing,) * 3, allow_degenerate=degenerate)
    return vertices, faces if inside == "below" else faces[:, ::-1]


def evaluate(field: Field, points: FloatArray) -> FloatArray:
    """The field at (N, 3) points, in chunks."""
    columns = np.ascontiguousarray(points.T, np.float32)
    starts = range(0, columns.shape[1], CHUNK)
    return np.concatenate([field(columns[:, i : i + CHUNK]) for i in starts]).astype(np.float32)


def mesh_field(field: Field, resolution: int, up: Up = "y") -> TriangleMesh:
    """Mesh the zero level of `field` by marching cubes.

    Only blocks of the grid near the surface are evaluated. The vertices are then moved onto the surface by a Newton
    step and take their normals from the field's gradient.

    Args:
        field: The body, within `REACH` of the origin.
        resolution: Grid cells along the body's longest side.
        up: The axis that points up in the field.

    Returns:
        The largest piece, float32, with normals; what floats free of it is dropped.
    """
    low, spacing, values = sample_grid(field, resolution)
    vertices, faces = isosurface(values, spacing)
    vertices, faces = _largest_piece(vertices.astype(np.float32) + low, faces.astype(np.int32))
    for _ in range(2):
        value, gradient = _value_and_gradient(field, vertices, 0.25 * spacing)
        squared = np.maximum(np.square(gradient).sum(1), 0.05)
        step = np.clip(value / squared, -0.5 * spacing, 0.5 * spacing)
        vertices = vertices - step[:, None] * gradient
    _, gradient = _value_and_gradient(field, vertices, 0.75 * spacing)
    normals = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-9)
    faces = _face_outward(vertices, faces, normals)
    return TriangleMesh(vertices.astype(np.float32), faces, normals.astype(np.float32), up=up)


def sample_grid(field: Field, resolution: int) -> tuple[FloatArray, float, FloatArray]:
    """Sample `field` on a grid around the body.

    Returns:
        (3,) lowest corner, spacing, and (X, Y, Z) values; the outermost layer is outside the body.
    """
    low, high = _bounds(field)
    spacing = float((high - low).max()) / resolution
    blocks = np.ceil((high - low) / (spacing * BLOCK)).astype(int) + 1
    corner = (low + high) / 2 - blocks * BLOCK * spacing / 2
    index = np.stack(np.meshgrid(*map(np.arange, blocks), indexing="ij"), -1).reshape(-1, 3)
    middles = corner + (index + 0.5 - 0.5 / BLOCK) * BLOCK * spacing
    coarse = evaluate(field, middles)
    near = np.abs(coarse) < SLACK * np.sqrt(0.75) * BLOCK * spacing
    inside = np.stack(np.meshgrid(*(np.arange(BLOCK),) * 3, indexing="ij"), -1).reshape(-1, 3)
    fine = (corner + (index[near, None] * BLOCK + inside) * spacing).reshape(-1, 3)
    values = np.repeat(coarse[:, None], BLOCK**3, 1)
    values[near] = evaluate(field, fine).reshape(-1, BLOCK**3)
    grid = values.reshape(*blocks, BLOCK, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2, 5).reshape(blocks * BLOCK)
    for axis in range(3):
        for side in (0, -1):
            layer = np.moveaxis(grid, axis, 0)[side]
            np.maximum(layer, spacing, out=layer)
    return corner.astype(np.float32), spacing, np.ascontiguousarray(grid)


def _bounds(field: Field, cells: int = 40) -> tuple[FloatArray, FloatArray]:
    ticks = np.linspace(-REACH, REACH, cells)
    points = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    cell = 2 * REACH / (cells - 1)
    found = points[evaluate(field, points) < cell]
    if not len(found):
        raise ValueError("the field is empty")
    return np.maximum(found.min(0) - cell, -REACH), np.minimum(found.max(0) + cell, REACH)


def _value_and_gradient(field: Field, points: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    value = evaluate(field, points)
    shifts = np.eye(3, dtype=np.float32) * np.float32(step)
    sides = [evaluate(field, points + shift) - evaluate(field, points - shift) for shift in shifts]
    return value, np.stack(sides, 1) / np.float32(2 * step)


def _largest_piece(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(len(vertices),) * 2)
    _, labels = connected_components(graph, directed=False)
    keep = labels == np.bincount(labels).argmax()
    number = np.cumsum(keep) - 1
    return vertices[keep], number[faces[keep[faces[:, 0]]]].astype(np.int32)


def _face_outward(vertices: FloatArray, faces: IntArray, normals: FloatArray) -> IntArray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    agree = (np.cross(b - a, c - a) * normals[faces[:, 0]]).sum(1)
    return faces if np.median(agree) > 0 else np.ascontiguousarray(faces[:, ::-1])
