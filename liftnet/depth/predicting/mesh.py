"""Depth as a surface: triangles over the foreground, none across a jump in depth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import trimesh

from liftnet.data.images import BoolArray, UInt8Array

Float32Array = npt.NDArray[np.float32]
RELIEF = 0.8  # range of depth on a mesh, in half widths: the loss leaves the scale of depth free
JUMP = 8.0  # a triangle is left out where depth changes by more than this many times the usual step


def depth_mesh(depth: Float32Array, mask: BoolArray, colours: UInt8Array, relief: float = RELIEF) -> trimesh.Trimesh:
    """The visible surface as a mesh.

    Args:
        depth: (S, S), growing away from the viewer, of any scale.
        mask: (S, S) bool, the foreground.
        colours: (S, S, 3) uint8.
        relief: Distance between the 2nd and the 98th percentile of depth on the mesh.

    Returns:
        Vertices in half widths of the crop, x right, y up, z towards the viewer, centred on the crop and on the
        median depth; triangles face the viewer; a colour a vertex. Without triangles where the mask is too thin.
    """
    size = depth.shape[0]
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(int(mask.sum()))
    rows, columns = np.nonzero(mask)
    height = np.zeros(mask.shape)
    if len(rows):
        low, middle, high = np.percentile(depth[mask], [2, 50, 98])
        height = -(depth - middle) * (relief / (high - low) if high > low else 0.0)
    half = size / 2
    vertices = np.column_stack(
        [(columns - (size - 1) / 2) / half, ((size - 1) / 2 - rows) / half, height[rows, columns]]
    )
    return trimesh.Trimesh(
        vertices, _triangles(number, height), vertex_colors=colours[rows, columns], process=False, validate=False
    )


def _triangles(number: npt.NDArray[np.intp], height: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """(F, 3) vertex numbers, counter-clockwise as seen by the viewer; two triangles for each square of pixels."""
    corners = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    heights = height[:-1, :-1], height[:-1, 1:], height[1:, :-1], height[1:, 1:]
    faces, spans = [], []
    for a, b, c in ((0, 2, 1), (1, 2, 3)):  # top left, bottom left, top right; top right, bottom left, bottom right
        triangle = np.stack([corners[a], corners[b], corners[c]], -1)
        three = np.stack([heights[a], heights[b], heights[c]], -1)
        whole = (triangle >= 0).all(-1)
        faces.append(triangle[whole])
        spans.append(np.ptp(three[whole], axis=-1))
    triangles, span = np.concatenate(faces), np.concatenate(spans)
    usual = max(float(np.median(span)) if len(span) else 0.0, 1 / max(height.shape))
    return triangles[span <= JUMP * usual]
