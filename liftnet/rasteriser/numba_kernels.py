"""The soft rasteriser on CPUs: eight pixels at a time, triangle by triangle, tile by tile.

Inside a tile every triangle visits only the pixels within its reach, row by row, in blocks of eight that the compiler
turns into vector instructions; so the inner loops have no branches. What a triangle needs is worked out once per tile
in double precision: lines through the edges with unit normals, which give distances, the inside and, times a constant
of the triangle, the barycentric coordinates (opposite edge's distance times its length, over twice the area).

Tiles are divided among threads; each is the work of one thread in the order of its list, and every triangle belongs to
one image, so that the results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from liftnet.rasteriser.softness import FLAT, Softness
from liftnet.rasteriser.tiles import TileLists

TILE = 32
_LANES = np.uint64(8)
_WIDTH = TILE + 8  # blocks may stick out of a tile; what they write there is not read
_W1, _W2, _W3, _W4, _W5 = (np.uint64(_WIDTH * k) for k in range(1, 6))
_S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8, _S9 = (np.uint64(8 * k) for k in range(1, 10))
_F = np.float32
_ZERO, _HALF, _ONE, _THIRD = _F(0), _F(0.5), _F(1), _F(1 / 3)
_MATHS = {"contract", "nsz", "nnan", "reassoc", "arcp"}
_njit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_MATHS)
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath=_MATHS, forceinline=True)
# 2^f = sum c_k f^k for -1/2 <= f <= 1/2, fitted at Chebyshev nodes to 8e-8
_EXP = tuple(_F(c) for c in (1.00000007, 0.69314695, 0.24022122, 0.05550743, 0.00967546, 0.0013267))
_LOG2_E = _F(1 / math.log(2))
_LOWEST = _F(-126)
_SLACK = _F(1e-2)  # px, so that rounding loses no pixel


@_inlined
def _exp_minus(a):  # type: ignore[no-untyped-def]
    """exp(-a) of a >= 0, in float32, to 1e-6; written so that it becomes vector instructions."""
    power = max(-a * _LOG2_E, _LOWEST)
    whole = np.int32(power - _HALF)
    f = power - _F(whole)
    mantissa = _EXP[0] + f * (_EXP[1] + f * (_EXP[2] + f * (_EXP[3] + f * (_EXP[4] + f * _EXP[5]))))
    return mantissa * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@_inlined
def _edge(ax, ay, bx, by, sign):  # type: ignore[no-untyped-def]
    """Edge a-b: share of the way along it and distance from its line as functions of x, y, 1; its length."""
    dx, dy = bx - ax, by - ay
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-10:  # a point: as an edge of next to no length
        dx, dy, length = 1e-10, 0.0, 1e-10
    tx, ty = dx / (length * length), dy / (length * length)
    nx, ny = -sign * dy / length, sign * dx / length
    along = _F(tx), _F(ty), _F(-tx * ax - ty * ay)
    return along, (_F(nx), _F(ny), _F(-nx * ax - ny * ay)), _F(length), (_F(dx / length), _F(dy / length))


@_inlined
def _prepare(t, perspective):  # type: ignore[no-untyped-def]
    """Edges of a triangle, the least distance from its lines that is inside, and what gives weights and depth."""
    ax, ay, bx, by, cx, cy = (
        np.float64(t[0, 0]),
        np.float64(t[0, 1]),
        np.float64(t[1, 0]),
        np.float64(t[1, 1]),
        np.float64(t[2, 0]),
        np.float64(t[2, 1]),
    )
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    sign = 1.0 if area > 0 else -1.0
    edges = (_edge(ax, ay, bx, by, sign), _edge(bx, by, cx, cy, sign), _edge(cx, cy, ax, ay, sign))
    longest = max(edges[0][2], edges[1][2], edges[2][2])
    flat = abs(area) <= FLAT * longest
    over = 0.0 if flat else 1.0 / abs(area)
    rates = (_F(edges[1][2] * over), _F(edges[2][2] * over), _F(edges[0][2] * over))
    offset = _THIRD if flat else _ZERO
    least = _F(1e30) if flat else _ZERO
    if perspective:
        depths = (_ONE / t[0, 2], _ONE / t[1, 2], _ONE / t[2, 2])
    else:
        depths = (t[0, 2], t[1, 2], t[2, 2])
    return edges, rates, offset, least, depths


@_inlined
def _place(edge, x, y):  # type: ignore[no-untyped-def]
    """Share along the edge of its point nearest to a pixel, distance from the line, distance beyond the ends."""
    along, normal, length, _ = edge
    share = along[0] * x + along[1] * y + along[2]
    return _held(share), normal[0] * x + normal[1] * y + normal[2], (share - _held(share)) * length


@_inlined
def _held(value):  # type: ignore[no-untyped-def]
    return min(max(value, _ZERO), _ONE)


@_inlined
def _centre(index, size):  # type: ignore[no-untyped-def]
    """Image coordinate of the centre of a column or row of pixels."""
    return _F(2 * index + 1 - size) / _F(size)


@_inlined
def _box(corners, reach, size):  # type: ignore[no-untyped-def]
    """First column and one past the last, first row and one past the last, of a triangle's grown box."""
    left, right = min(corners[0, 0], corners[1, 0], corners[2, 0]), max(corners[0, 0], corners[1, 0], corners[2, 0])
    up, down = min(corners[0, 1], corners[1, 1], corners[2, 1]), max(corners[0, 1], corners[1, 1], corners[2, 1])
    return (
        _first(left - reach, size),
        _last(right + reach, size) + 1,
        _first(up - reach, size),
        _last(down + reach, size) + 1,
    )


@_inlined
def _first(low, size):  # type: ignore[no-untyped-def]
    """The first pixel whose centre lies at `low` or beyond, by rounding maybe one before."""
    return int(math.ceil((max(low, _F(-2)) * size + size - _ONE) * _HALF - _SLACK))


@_inlined
def _last(high, size):  # type: ignore[no-untyped-def]
    """The last pixel whose centre lies at `high` or before, by rounding maybe one beyond."""
    return int(math.floor((min(high, _F(2)) * size + size - _ONE) * _HALF + _SLACK))


@_inlined
def _bounds(edge, y, reach):  # type: ignore[no-untyped-def]
    """Between which x a row lies within reach of the inner side of an edge's line."""
    slope, rest = edge[1][0], -reach - (edge[1][1] * y + edge[1][2])
    if abs(slope) < _F(1e-6):
        return _F(-2), _F(2) if rest < _F(1e-5) else _F(-2)
    bound = rest / slope
    return (bound, _F(2)) if slope > _ZERO else (_F(-2), bound)


@_inlined
def _span(triangle, y, reach, size, low, high):  # type: ignore[no-untyped-def]
    """The columns [low, high) of a row that lie within reach of the three lines of a triangle that is not flat."""
    edges, _, _, least, _ = triangle
    if least > _ZERO:
        return low, high
    left0, right0 = _bounds(edges[0], y, reach)
    left1, right1 = _bounds(edges[1], y, reach)
    left2, right2 = _bounds(edges[2], y, reach)
    left, right = max(left0, left1, left2), min(right0, right1, right2)
    return max(low, _first(left, size)), min(high, _last(right, size) + 1)


@_inlined
def _fragment(triangle, x, y, rule):  # type: ignore[no-untyped-def]
    """Coverage, its complement, depth, and what led to them, of a triangle at a pixel; coverage 0 where not seen."""
    edges, rates, offset, least, depths = triangle
    per_sigma, cut, far, _, perspective = rule
    places = (_place(edges[0], x, y), _place(edges[1], x, y), _place(edges[2], x, y))
    distances = (
        places[0][1] * places[0][1] + places[0][2] * places[0][2],
        places[1][1] * places[1][1] + places[1][2] * places[1][2],
        places[2][1] * places[2][1] + places[2][2] * places[2][2],
    )
    distance = min(distances[0], min(distances[1], distances[2]))
    inside = min(places[0][1], min(places[1][1], places[2][1])) > least
    weights = (
        places[1][1] * rates[0] + offset,
        places[2][1] * rates[1] + offset,
        places[0][1] * rates[2] + offset,
    )
    total = _held(weights[0]) + _held(weights[1]) + _held(weights[2])
    blend = _held(weights[0]) * depths[0] + _held(weights[1]) * depths[1] + _held(weights[2]) * depths[2]
    above = total if perspective else blend
    below = blend if perspective else total
    depth = above / below
    logit = (distance if inside else -distance) * per_sigma
    kept = (logit > -cut) & (depth <= far)
    less = _exp_minus(abs(logit))
    more = _ONE / (_ONE + less)
    less = less * more
    positive = logit > _ZERO
    cover = (more if positive else less) if kept else _ZERO
    through = (less if positive else more) if kept else _ONE
    return cover, through, depth, kept, inside, places, distances, weights, below


@_njit
def _forward(triangles, shades, start, triangle, first, last, across, rule, scene, images):  # type: ignore[no-untyped-def]
    """Draw tiles first to last: gray, silhouette, depth, and what is kept for the way back."""
    gray, silhouette, depth_image, kept_images = images
    reach, background, background_depth, far = scene
    size = gray.shape[1]
    rate, perspective = rule[3], rule[4]
    pixels = np.empty(TILE * 5 * _WIDTH, np.float32)
    for tile in range(first, last):
        image, top, left = tile // (across * across), (tile // across) % across * TILE, tile % across * TILE
        for row in range(TILE):
            base = row * 5 * _WIDTH
            for column in range(_WIDTH):
                pixels[base + column] = _ONE
                pixels[base + _WIDTH + column] = background_depth
                pixels[base + 2 * _WIDTH + column] = _ONE
                pixels[base + 3 * _WIDTH + column] = background
                pixels[base + 4 * _WIDTH + column] = far
        for entry in range(start[tile], start[tile + 1]):
            index = triangle[entry]
            corners, shade = triangles[index], shades[index]
            prepared = _prepare(corners, perspective)
            low, high, upper, lower = _box(corners, reach, size)
            low, high = max(low - left, 0), min(high - left, TILE)
            for row in range(max(upper - top, 0), min(lower - top, TILE)):
                y = _centre(top + row, size)
                begin, end = _span(prepared, y, reach, size, low + left, high + left)
                for block in range(begin - left, end - left, 8):
                    base = np.uint64(row * 5 * _WIDTH + block)
                    for lane in range(_LANES):
                        x = _centre(left + block + np.int64(lane), size)
                        cover, through, depth, kept, _, _, _, _, _ = _fragment(prepared, x, y, rule)
                        at = base + lane
                        nearest = pixels[at + _W1]
                        seen = depth if kept else nearest
                        fade = _exp_minus(abs(seen - nearest) * rate)
                        closer = seen < nearest
                        scale = fade if closer else _ONE
                        weight = cover if closer else cover * fade
                        pixels[at] *= through
                        pixels[at + _W1] = min(nearest, seen)
                        pixels[at + _W2] = pixels[at + _W2] * scale + weight
                        pixels[at + _W3] = pixels[at + _W3] * scale + weight * shade
                        pixels[at + _W4] = pixels[at + _W4] * scale + weight * depth
        for row in range(min(TILE, size - top)):
            base = row * 5 * _WIDTH
            for column in range(min(TILE, size - left)):
                at, i, j = base + column, top + row, left + column
                total = pixels[at + 2 * _WIDTH]
                gray[image, i, j] = pixels[at + 3 * _WIDTH] / total
                silhouette[image, i, j] = _ONE - pixels[at]
                depth_image[image, i, j] = pixels[at + 4 * _WIDTH] / total
                kept_images[0, image, i, j] = pixels[at]
                kept_images[1, image, i, j] = pixels[at + _WIDTH]
                kept_images[2, image, i, j] = total


@_inlined
def _pull(edge, place, force):  # type: ignore[no-untyped-def]
    """What moves the end and the start of an edge, both in x and y, that a force holds by its nearest point."""
    share, line, beyond = place
    x = force * (line * edge[1][0] + beyond * edge[3][0])
    y = force * (line * edge[1][1] + beyond * edge[3][1])
    return share * x, share * y, x - share * x, y - share * y


@_inlined
def _through_depth(triangle, fragment, gradient, perspective):  # type: ignore[no-untyped-def]
    """A gradient of the depth at a pixel as gradients of the depths of the corners and of the place of the pixel."""
    edges, rates, _, _, depths = triangle
    _, _, depth, _, _, _, _, weights, below = fragment
    gradient = gradient / below
    x, y = _ZERO, _ZERO
    scaled = gradient * depth if perspective else gradient
    by_weight = _by_weight(weights[0], depths[0], depth, gradient, perspective) * rates[0]
    x, y = by_weight * edges[1][1][0], by_weight * edges[1][1][1]
    by_weight = _by_weight(weights[1], depths[1], depth, gradient, perspective) * rates[1]
    x, y = x + by_weight * edges[2][1][0], y + by_weight * edges[2][1][1]
    by_weight = _by_weight(weights[2], depths[2], depth, gradient, perspective) * rates[2]
    x, y = x + by_weight * edges[0][1][0], y + by_weight * edges[0][1][1]
    return _held(weights[0]) * scaled, _held(weights[1]) * scaled, _held(weights[2]) * scaled, x, y


@_inlined
def _by_weight(weight, given, depth, gradient, perspective):  # type: ignore[no-untyped-def]
    """The gradient of one barycentric coordinate; none where it is clipped."""
    change = _ONE - depth * given if perspective else given - depth
    return change * gradient if (weight >= _ZERO) & (weight <= _ONE) else _ZERO


@_inlined
def _gather(images, gradients, image, top, left, pixels):  # type: ignore[no-untyped-def]
    """Lay out what the way back needs of each pixel of a tile; zeros where it sticks out of the image."""
    gray, depth, kept = images
    by_gray, by_silhouette, by_depth = gradients
    size = gray.shape[1]
    pixels[:] = _ZERO
    for row in range(min(TILE, size - top)):
        for column in range(min(TILE, size - left)):
            at, i, j = row * 6 * _WIDTH + column, top + row, left + column
            total = kept[2, image, i, j]
            pixels[at] = by_gray[image, i, j] / total
            pixels[at + _WIDTH] = by_depth[image, i, j] / total
            pixels[at + 2 * _WIDTH] = by_silhouette[image, i, j] * kept[0, image, i, j]
            pixels[at + 3 * _WIDTH] = gray[image, i, j]
            pixels[at + 4 * _WIDTH] = depth[image, i, j]
            pixels[at + 5 * _WIDTH] = kept[1, image, i, j]


@_njit
def _backward(triangles, shades, start, triangle, first, last, across, rule, scene, images, gradients, rows):  # type: ignore[no-untyped-def]
    """Of every entry of tiles first to last, the gradients of its triangle's nine coordinates and of its shade."""
    reach, exact = scene
    size = images[0].shape[1]
    per_sigma, rate, perspective = rule[0], rule[3], rule[4]
    pixels, sums = np.empty(TILE * 6 * _WIDTH, np.float32), np.empty(80, np.float32)
    for tile in range(first, last):
        image, top, left = tile // (across * across), (tile // across) % across * TILE, tile % across * TILE
        if start[tile] < start[tile + 1]:
            _gather(images, gradients, image, top, left, pixels)
        for entry in range(start[tile], start[tile + 1]):
            index = triangle[entry]
            corners, shade = triangles[index], shades[index]
            prepared = _prepare(corners, perspective)
            edges = prepared[0]
            low, high, upper, lower = _box(corners, reach, size)
            low, high = max(low - left, 0), min(high - left, TILE)
            sums[:] = _ZERO
            for row in range(max(upper - top, 0), min(lower - top, TILE)):
                y = _centre(top + row, size)
                begin, end = _span(prepared, y, reach, size, low + left, high + left)
                for block in range(begin - left, end - left, 8):
                    base = np.uint64(row * 6 * _WIDTH + block)
                    for lane in range(_LANES):
                        x = _centre(left + block + np.int64(lane), size)
                        fragment = _fragment(prepared, x, y, rule)
                        cover, through, depth, _, inside, places, distances, weights, _ = fragment
                        at = base + lane
                        by_gray, by_depth = pixels[at], pixels[at + _W1]
                        fade = _exp_minus(max(depth - pixels[at + _W5], _ZERO) * rate)
                        weight = cover * fade
                        change = weight * (
                            by_gray * (shade - pixels[at + _W3]) + by_depth * (depth - pixels[at + _W4])
                        )
                        force = (pixels[at + _W2] * cover + change * through) * per_sigma
                        force = -force - force if inside else force + force
                        first_edge = (distances[0] <= distances[1]) & (distances[0] <= distances[2])
                        second_edge = distances[1] <= distances[2]
                        force0 = force if first_edge else _ZERO
                        force1 = _ZERO if first_edge else (force if second_edge else _ZERO)
                        force2 = _ZERO if first_edge else (_ZERO if second_edge else force)
                        to0, to1, to2 = (
                            _pull(edges[0], places[0], force0),
                            _pull(edges[1], places[1], force1),
                            _pull(edges[2], places[2], force2),
                        )
                        z0, z1, z2, px, py = _through_depth(
                            prepared, fragment, by_depth * weight - change * rate, perspective
                        )
                        px, py = px * exact, py * exact
                        sums[lane] += to0[2] + to2[0] - weights[0] * px
                        sums[lane + _S1] += to0[3] + to2[1] - weights[0] * py
                        sums[lane + _S2] += z0
                        sums[lane + _S3] += to1[2] + to0[0] - weights[1] * px
                        sums[lane + _S4] += to1[3] + to0[1] - weights[1] * py
                        sums[lane + _S5] += z1
                        sums[lane + _S6] += to2[2] + to1[0] - weights[2] * px
                        sums[lane + _S7] += to2[3] + to1[1] - weights[2] * py
                        sums[lane + _S8] += z2
                        sums[lane + _S9] += by_gray * weight
            for k in range(10):
                total = _ZERO
                for lane in range(8):
                    total += sums[8 * k + lane]
                rows[entry, k] = total
            if perspective:
                for k in range(3):
                    rows[entry, 3 * k + 2] *= prepared[4][k] * prepared[4][k]


@_njit
def _add_up(triangle, rows, totals):  # type: ignore[no-untyped-def]
    """Add the rows of all entries of each triangle, in order."""
    for entry in range(len(triangle)):
        for k in range(10):
            totals[triangle[entry], k] += rows[entry, k]


def backward(
    triangles: Tensor,
    shades: Tensor,
    tiles: TileLists,
    softness: Softness,
    images: tuple[Tensor, Tensor, Tensor],
    gradients: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Gradients of triangles and shades; see `liftnet.rasteriser.function.Kernels`."""
    rows, totals = torch.empty(len(tiles.triangle), 10), torch.zeros(len(triangles), 10)
    lists = tiles.start.numpy(), tiles.triangle.numpy()
    pictures, slopes = (tuple(tensor.numpy() for tensor in tensors) for tensors in (images, gradients))
    scene, rule = (_F(softness.reach), _F(softness.gradient == "exact")), _rule(softness)

    def collect(first: int, last: int) -> None:
        _backward(
            triangles.numpy(),
            shades.numpy(),
            *lists,
            first,
            last,
            tiles.across,
            rule,
            scene,
            pictures,
            slopes,
            rows.numpy(),
        )

    _divided(collect, tiles)
    _add_up(tiles.triangle.numpy(), rows.numpy(), totals.numpy())
    return totals[:, :9].view(-1, 3, 3), totals[:, 9]


def forward(
    triangles: Tensor, shades: Tensor, tiles: TileLists, count: int, image_size: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw triangles; see `liftnet.rasteriser.function.Kernels`."""
    gray, silhouette, depth = (torch.empty(count, image_size, image_size) for _ in range(3))
    kept = torch.empty(3, count, image_size, image_size)
    images = gray.numpy(), silhouette.numpy(), depth.numpy(), kept.numpy()
    lists = tiles.start.numpy(), tiles.triangle.numpy()
    scene = (_F(softness.reach), _F(softness.background), _F(softness.background_depth), _F(softness.far))
    rule = _rule(softness)

    def draw(first: int, last: int) -> None:
        _forward(triangles.numpy(), shades.numpy(), *lists, first, last, tiles.across, rule, scene, images)

    _divided(draw, tiles)
    return gray, silhouette, depth, kept


def _rule(softness: Softness) -> tuple[Any, ...]:
    return (
        _F(1 / softness.sigma),
        _F(softness.cut),
        _F(softness.far),
        _F(softness.depth_rate),
        softness.perspective,
    )


def _divided(work: Callable[[int, int], object], tiles: TileLists) -> None:
    """Do tiles on as many threads as torch uses, in ranges of about equal numbers of entries."""
    count, threads = len(tiles.start) - 1, torch.get_num_threads()
    if threads == 1 or count == 1:
        work(0, count)
        return
    load = tiles.start + torch.arange(len(tiles.start))  # a tile without entries costs about as much as an entry
    share = torch.arange(1, 4 * threads) * int(load[-1]) // (4 * threads)
    cuts = [0, *torch.searchsorted(load, share).tolist(), count]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, cuts[:-1], cuts[1:]))
