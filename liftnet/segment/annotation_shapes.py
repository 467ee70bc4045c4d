"""Shapes that annotation programs hold, as masks: polygons, ellipses, turned rectangles, runs, brushes.

A polygon covers the pixels whose centres lie inside it, where (0, 0) is the corner of the picture: so all three
programs write their coordinates. Where it crosses itself it covers what its line goes around, as they display it (the
non-zero rule of SVG): a loop of the hand cuts no hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.types import BoolArray
from liftnet.data.pictures import Size

Points = npt.NDArray[np.float64]
_FARTHEST = 1e7  # px
_ELLIPSE_CORNERS = 360  # off the ellipse by 4e-5 of its radius at most


def fill_polygon(points: Any, size: Size) -> BoolArray:
    """(H, W) bool: the pixels inside a polygon.

    Args:
        points: (N, 2) x, y in px, or 2N numbers.
        size: (width, height) in px.

    Raises:
        ValueError: It has fewer than three corners, or coordinates that are no numbers or far too large.
    """
    flat = np.asarray(points, float).ravel()
    if flat.size % 2 or flat.size < 6:
        raise ValueError(f"a polygon of {flat.size / 2:g} corners")
    if not (np.abs(flat) < _FARTHEST).all():  # so also where one is no number
        raise ValueError("a polygon with coordinates that cannot be")
    corners = flat.reshape(-1, 2)
    first = np.floor(corners.min(axis=0)).clip(0, size).astype(int)
    width, height = np.ceil(corners.max(axis=0)).clip(first, size).astype(int) - first
    mask = np.zeros(size[::-1], bool)
    mask[first[1] : first[1] + height, first[0] : first[0] + width] = _inside(corners - first - 0.5, (width, height))
    return mask


def _inside(corners: Points, size: Size) -> BoolArray:
    """(H, W) bool: the points of whole coordinates that a polygon goes around, by how often it does."""
    width, height = size
    x, y = corners.T
    after = np.roll(y, -1)
    low, high = np.ceil(np.minimum(y, after)).clip(0, height), np.ceil(np.maximum(y, after)).clip(0, height)
    count = (high - low).astype(np.int64)
    edge = np.repeat(np.arange(len(y)), count)
    row = low.astype(np.int64)[edge] + np.arange(len(edge)) - (np.cumsum(count) - count)[edge]
    slope = (np.roll(x, -1) - x)[edge] / (after - y)[edge]
    column = np.ceil(x[edge] + (row - y[edge]) * slope).clip(0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.int64)
    np.add.at(turns, (row, column), np.where(after > y, 1, -1)[edge])
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] != 0)


def ellipse_corners(centre: Sequence[float], radii: Sequence[float], degrees: float = 0.0) -> Points:
    """(N, 2) an ellipse as a polygon, turned clockwise (y points down) about its centre."""
    angle = np.linspace(0, 2 * math.pi, _ELLIPSE_CORNERS, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radii
    return turned(points + centre, centre, degrees)


def rectangle_corners(left: float, top: float, width: float, height: float) -> Points:
    """(4, 2) the corners of a rectangle."""
    return np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)])


def turned(points: Points, about: Sequence[float], degrees: float) -> Points:
    """Points turned clockwise (y points down) about one."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return np.asarray((points - about) @ np.array([[cosine, sine], [-sine, cosine]]) + about)


def runs_to_flat(lengths: Sequence[int], total: int) -> BoolArray:
    """(total,) bool of the lengths of alternating runs, background first.

    Raises:
        ValueError: They do not fill it.
    """
    if min(lengths, default=0) < 0 or sum(lengths) != total:
        raise ValueError(f"runs of {sum(lengths)} px where there are {total}")
    return np.asarray(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths))


def decode_rle(counts: str | Sequence[int], size: Size) -> BoolArray:
    """A mask of COCO: lengths of alternating runs, background first, down the columns.

    Args:
        counts: The lengths, or their text (pycocotools' `rleToString`: 5 bits a letter, differences to the last but
            one from the third on).
        size: (width, height) in px.

    Raises:
        ValueError: The lengths do not fill the picture.
    """
    lengths = _from_letters(counts) if isinstance(counts, str) else list(map(int, counts))
    return np.ascontiguousarray(runs_to_flat(lengths, size[0] * size[1]).reshape(size).T)


def _from_letters(text: str) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def decode_brush(packed: Sequence[int], size: Size) -> BoolArray:
    """A brush mask of Label Studio: the RGBA values of a picture, packed in words of variable length.

    After a count of 32 bits, a word size of 5 bits and four sizes of 4 bits come blocks: a bit that says whether one
    value repeats, two bits that choose the size of the length, the length less one, and the value or values.

    Args:
        packed: Bytes.
        size: (width, height) in px.

    Raises:
        ValueError: It ends early.
    """
    bits = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ValueError("the brush mask ends early")
        place += count
        return int(bits[place - count : place], 2)

    total, width = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"a brush mask of {total} values for a picture of {size[0]}x{size[1]} px")
    parts: list[npt.NDArray[np.int64]] = []
    done = 0
    while done < total:
        repeats = take(1)
        count = take(lengths[take(2)]) + 1
        values = [take(width)] * count if repeats else [take(width) for _ in range(count)]
        parts.append(np.asarray(values, np.int64))
        done += count
    return np.concatenate(parts)[:total].reshape(size[1], size[0], 4)[..., 3] >= 128


def paste_runs(lengths: Sequence[int], box: tuple[int, int, int, int], size: Size) -> BoolArray:
    """A mask of CVAT: runs along the rows of a box (left, top, width, height), background first.

    Raises:
        ValueError: The box reaches out of the picture, or the runs do not fill it.
    """
    left, top, width, height = box
    if min(box) < 0 or left + width > size[0] or top + height > size[1]:
        raise ValueError(f"a mask that reaches out of its picture of {size[0]}x{size[1]} px")
    mask = np.zeros(size[::-1], bool)
    mask[top : top + height, left : left + width] = runs_to_flat(lengths, width * height).reshape(height, width)
    return mask
