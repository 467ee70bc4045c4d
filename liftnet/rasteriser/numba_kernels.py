"""The soft rasteriser on CPUs: sixteen pixels at a time, triangle by triangle, tile by tile, tiles among threads.

Inside a tile every triangle visits only the pixels within its reach, in blocks of four by four, which waste fewer
places on small triangles than rows of sixteen; the loops over a block have no branches, so that the compiler turns
them into vector instructions. What a triangle needs is worked out once per tile in double precision: lines along its
edges with unit normals, which give distances, the inside and, times a constant, the barycentric coordinates (distance
from the opposite edge times its length, over twice the area).

Every tile is drawn in the order of its list, and the gradients of a triangle are added up in the order of the tiles,
so that it does not matter which thread draws which tile. All is one module because numba looks only at the file of a
kernel to know whether its compiled copy is still good.
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

from liftnet.core.types import Float32Array, Int32Array
from liftnet.rasteriser.softness import FLAT, Softness, TileLists

TILE = 32
_SIDE = 4  # of a block, px
_BLOCK = _SIDE * _SIDE
_BANDS = TILE // _SIDE  # rows of blocks in a tile
_WIDTH = (TILE + _SIDE) * _SIDE  # of a band; blocks may stick out of a tile, what they write there is not read
_LANES = np.uint64(_BLOCK)  # unsigned, so that no index can count from the end, which would keep loops from vectors
_W1, _W2, _W3, _W4, _W5 = (np.uint64(_WIDTH * channel) for channel in range(1, 6))
_B1, _B2, _B3, _B4, _B5, _B6, _B7, _B8, _B9 = (np.uint64(_BLOCK * k) for k in range(1, 10))
_TWO, _THREE = np.uint64(2), np.uint64(3)  # lane / 4 is its column in a block, lane modulo 4 its row
_F = np.float32
_ZERO, _HALF, _ONE, _THIRD = _F(0), _F(0.5), _F(1), _F(1 / 3)
_SLACK = 1e-2  # px, so that rounding loses no pixel
_STEEP = 1e-2  # a line bounds a row from the left or right only if its normal leans this much
# 2^f = sum c_k f^k for -1/2 <= f <= 1/2, fitted at Chebyshev nodes to 8e-8
_EXP = tuple(_F(c) for c in (1.00000007, 0.69314695, 0.24022122, 0.05550743, 0.00967546, 0.0013267))
_LOG2_E, _LOWEST = _F(1 / math.log(2)), _F(-126)

Real = Any  # a float32 of a kernel, of one pixel
Values = tuple[Any, ...]
_MATHS = {"contract", "nsz", "nnan", "reassoc", "arcp"}
_kernel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_MATHS)
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath=_MATHS, forceinline=True)


@_inlined
def _exp_minus(a: Real) -> Real:
    """exp(-a) of a >= 0, to 1e-5 where it is above 1e-35; as arithmetic, which vectors have."""
    power = max(-a * _LOG2_E, _LOWEST)
    whole = np.int32(power - _HALF)
    f = power - _F(whole)
    mantissa = _EXP[0] + f * (_EXP[1] + f * (_EXP[2] + f * (_EXP[3] + f * (_EXP[4] + f * _EXP[5]))))
    return mantissa * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@_inlined
def _held(value: Real) -> Real:
    return min(max(value, _ZERO), _ONE)


@_inlined
def _centre(index: int, size: int) -> Real:
    """Image coordinate of the centre of a column or row of pixels."""
    return _F(2 * index + 1 - size) / _F(size)


@_inlined
def _edge(ax: float, ay: float, bx: float, by: float, sign: float) -> Values:
    """Of the edge a-b: share of the way along it as factors of x, y, 1; its line likewise; its length; its direction.

    The line gives the distance, positive on the side of the triangle.
    """
    dx, dy = bx - ax, by - ay
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-10:  # a point: as an edge of next to no length
        dx, dy, length = 1e-10, 0.0, 1e-10
    over = 1.0 / length
    ux, uy = dx * over, dy * over
    nx, ny = -sign * uy, sign * ux
    along = _F(ux * over), _F(uy * over), _F(-(ux * ax + uy * ay) * over)
    return along, (_F(nx), _F(ny), _F(-nx * ax - ny * ay)), _F(length), (_F(ux), _F(uy))


@_inlined
def _prepare(corners: Float32Array, perspective: bool) -> Values:
    """Of a triangle: edges, weights by distance from them, weights besides, the inside's least distance, depths."""
    ax, ay = float(corners[0, 0]), float(corners[0, 1])
    bx, by = float(corners[1, 0]), float(corners[1, 1])
    cx, cy = float(corners[2, 0]), float(corners[2, 1])
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    sign = 1.0 if area > 0 else -1.0
    edges = _edge(ax, ay, bx, by, sign), _edge(bx, by, cx, cy, sign), _edge(cx, cy, ax, ay, sign)
    flat = abs(area) <= FLAT * max(edges[0][2], edges[1][2], edges[2][2])
    over = 0.0 if flat else 1.0 / abs(area)
    rates = _F(edges[1][2] * over), _F(edges[2][2] * over), _F(edges[0][2] * over)
    offset, least = _THIRD if flat else _ZERO, _F(1e30) if flat else _ZERO
    depths = corners[0, 2], corners[1, 2], corners[2, 2]
    if perspective:
        depths = _ONE / depths[0], _ONE / depths[1], _ONE / depths[2]
    return edges, rates, offset, least, depths


@_inlined
def _bound(edge: Values, flat: bool, reach: Real, size: int) -> Values:
    """Where, px, a row enters and leaves the reach of an edge's line, each as factors of the row and 1."""
    nx, ny, rest = float(edge[1][0]), float(edge[1][1]), float(edge[1][2])
    if flat or abs(nx) < _STEEP:
        return (0.0, -1.0), (0.0, float(size))
    # nx x + ny y + rest = -reach, with x = (2 column + 1 - size) / size and y likewise
    slope = -ny / nx
    start = (size * (1.0 - (reach + rest) / nx) - 1.0 - slope * (size - 1.0)) * 0.5
    return ((slope, start), (0.0, float(size))) if nx > 0 else ((0.0, -1.0), (slope, start))


@_inlined
def _region(triangle: Values, corners: Float32Array, reach: Real, size: int, top: int, left: int) -> Values:
    """What a triangle reaches of a tile: first row and one past the last, columns likewise, bounds of each row."""
    edges, _, _, least, _ = triangle
    grown = size * 0.5 * reach + _SLACK
    half, middle = size * 0.5, (size - 1.0) * 0.5
    low, high = min(corners[0, 0], corners[1, 0], corners[2, 0]), max(corners[0, 0], corners[1, 0], corners[2, 0])
    up, down = min(corners[0, 1], corners[1, 1], corners[2, 1]), max(corners[0, 1], corners[1, 1], corners[2, 1])
    columns = (
        int(max(math.ceil(low * half + middle - grown) - left, 0.0)),
        int(min(math.floor(high * half + middle + grown) + 1.0 - left, min(TILE, size - left))),
    )
    rows = (
        int(max(math.ceil(up * half + middle - grown) - top, 0.0)),
        int(min(math.floor(down * half + middle + grown) + 1.0 - top, min(TILE, size - top))),
    )
    flat = least > _ZERO
    bounds = (
        _bound(edges[0], flat, reach, size),
        _bound(edges[1], flat, reach, size),
        _bound(edges[2], flat, reach, size),
    )
    return rows, columns, bounds


@_inlined
def _span(region: Values, band: int, top: int, left: int) -> tuple[int, int]:
    """The columns of a tile, first and one past the last, that a triangle reaches in the rows of a band."""
    rows, columns, ((l0, r0), (l1, r1), (l2, r2)) = region
    a, b = float(top + max(rows[0], band * _SIDE)), float(top + min(rows[1], band * _SIDE + _SIDE) - 1)
    start = max(
        min(l0[0] * a, l0[0] * b) + l0[1], min(l1[0] * a, l1[0] * b) + l1[1], min(l2[0] * a, l2[0] * b) + l2[1]
    )
    end = min(max(r0[0] * a, r0[0] * b) + r0[1], max(r1[0] * a, r1[0] * b) + r1[1], max(r2[0] * a, r2[0] * b) + r2[1])
    return (
        max(columns[0], math.ceil(start - _SLACK) - left),
        min(columns[1], math.floor(end + _SLACK) + 1 - left),
    )


@_inlined
def _place(edge: Values, x: Real, y: Real) -> Values:
    """Share along the edge of its point nearest to a pixel, distance from the line, distance beyond the ends."""
    along, line, length, _ = edge
    share = along[0] * x + along[1] * y + along[2]
    return _held(share), line[0] * x + line[1] * y + line[2], (share - _held(share)) * length


@_inlined
def _fragment(triangle: Values, x: Real, y: Real, rule: Values) -> Values:
    """Coverage, its complement, depth, and what led to them, of a triangle at a pixel; coverage 0 where not seen."""
    edges, rates, offset, least, depths = triangle
    per_sigma, cut, far, _, perspective, _ = rule
    places = _place(edges[0], x, y), _place(edges[1], x, y), _place(edges[2], x, y)
    (_, line0, beyond0), (_, line1, beyond1), (_, line2, beyond2) = places
    distances = line0 * line0 + beyond0 * beyond0, line1 * line1 + beyond1 * beyond1, line2 * line2 + beyond2 * beyond2
    distance = min(distances[0], min(distances[1], distances[2]))
    inside = min(line0, min(line1, line2)) > least
    weights = line1 * rates[0] + offset, line2 * rates[1] + offset, line0 * rates[2] + offset
    w0, w1, w2 = _held(weights[0]), _held(weights[1]), _held(weights[2])
    total, blend = w0 + w1 + w2, w0 * depths[0] + w1 * depths[1] + w2 * depths[2]
    below = blend if perspective else total
    depth = (total if perspective else blend) / below
    logit = (distance if inside else -distance) * per_sigma
    kept = (logit > -cut) & (depth <= far)
    less = _exp_minus(abs(logit))
    more = _ONE / (_ONE + less)
    less = less * more
    positive = logit > _ZERO
    cover = (more if positive else less) if kept else _ZERO
    through = (less if positive else more) if kept else _ONE
    return cover, through, depth, kept, inside, places, distances, weights, below


@_inlined
def _blend(pixels: Float32Array, at: Any, fragment: Values, shade: Real, rate: Real) -> None:
    """Add a fragment to what is known of its pixel: light let through, least depth, sums of weights and of values."""
    cover, through, depth, kept, _, _, _, _, _ = fragment
    nearest = pixels[at + _W1]
    seen = depth if kept else nearest
    fade = _exp_minus(abs(seen - nearest) * rate)
    closer = seen < nearest
    scale, weight = fade if closer else _ONE, cover if closer else cover * fade
    pixels[at] *= through
    pixels[at + _W1] = min(nearest, seen)
    pixels[at + _W2] = pixels[at + _W2] * scale + weight
    pixels[at + _W3] = pixels[at + _W3] * scale + weight * shade
    pixels[at + _W4] = pixels[at + _W4] * scale + weight * depth


@_inlined
def _place_of(row: int, channels: int) -> int:
    """Where the first pixel of a row of a tile lies: the four pixels of a column of a band lie side by side."""
    return row // _SIDE * channels * _WIDTH + row % _SIDE


@_inlined
def _clear(pixels: Float32Array, scene: Values) -> None:
    """A tile in which only the background is seen."""
    background, background_depth, far = scene
    for band in range(_BANDS):
        base = band * 5 * _WIDTH
        pixels[base : base + _WIDTH] = _ONE
        pixels[base + _WIDTH : base + 2 * _WIDTH] = background_depth
        pixels[base + 2 * _WIDTH : base + 3 * _WIDTH] = _ONE
        pixels[base + 3 * _WIDTH : base + 4 * _WIDTH] = background
        pixels[base + 4 * _WIDTH : base + 5 * _WIDTH] = far


@_inlined
def _store(pixels: Float32Array, images: Values, image: int, top: int, left: int) -> None:
    """Write a tile into the images."""
    gray, silhouette, depth, kept = images
    size = gray.shape[1]
    for row in range(min(TILE, size - top)):
        base, i = _place_of(row, 5), top + row
        for column in range(min(TILE, size - left)):
            at, j = base + column * _SIDE, left + column
            total = pixels[at + 2 * _WIDTH]
            over = _ONE / total
            gray[image, i, j] = pixels[at + 3 * _WIDTH] * over
            silhouette[image, i, j] = _ONE - pixels[at]
            depth[image, i, j] = pixels[at + 4 * _WIDTH] * over
            kept[0, image, i, j] = pixels[at]
            kept[1, image, i, j] = pixels[at + _WIDTH]
            kept[2, image, i, j] = total


@_kernel
def _draw(given: Values, lists: Values, first: int, last: int, rule: Values, scene: Values, images: Values) -> None:
    """Draw tiles first to last: gray, silhouette, depth, and what is kept for the way back."""
    (triangles, shades), (start, triangle, across) = given, lists
    _, _, _, rate, perspective, reach = rule
    size = images[0].shape[1]
    pixels = np.empty(_BANDS * 5 * _WIDTH, np.float32)
    for tile in range(first, last):
        image, top, left = tile // (across * across), tile // across % across * TILE, tile % across * TILE
        _clear(pixels, scene)
        for entry in range(start[tile], start[tile + 1]):
            corners, shade = triangles[triangle[entry]], shades[triangle[entry]]
            prepared = _prepare(corners, perspective)
            region = _region(prepared, corners, reach, size, top, left)
            for band in range(region[0][0] // _SIDE, (region[0][1] + _SIDE - 1) // _SIDE):
                begin, end = _span(region, band, top, left)
                for block in range(begin, end, _SIDE):
                    base = np.uint64(band * 5 * _WIDTH + block * _SIDE)
                    for lane in range(_LANES):
                        x = _centre(left + block + np.int64(lane >> _TWO), size)
                        y = _centre(top + band * _SIDE + np.int64(lane & _THREE), size)
                        _blend(pixels, base + lane, _fragment(prepared, x, y, rule), shade, rate)
        _store(pixels, images, image, top, left)


@_inlined
def _gather(images: Values, gradients: Values, image: int, top: int, left: int, pixels: Float32Array) -> None:
    """Lay out what the way back needs of each pixel of a tile; zeros where it sticks out of the image."""
    gray, depth, kept = images
    by_gray, by_silhouette, by_depth = gradients
    size = gray.shape[1]
    pixels[:] = _ZERO
    for row in range(min(TILE, size - top)):
        base, i = _place_of(row, 6), top + row
        for column in range(min(TILE, size - left)):
            at, j = base + column * _SIDE, left + column
            over = _ONE / kept[2, image, i, j]
            pixels[at] = by_gray[image, i, j] * over
            pixels[at + _WIDTH] = by_depth[image, i, j] * over
            pixels[at + 2 * _WIDTH] = by_silhouette[image, i, j] * kept[0, image, i, j]
            pixels[at + 3 * _WIDTH] = gray[image, i, j]
            pixels[at + 4 * _WIDTH] = depth[image, i, j]
            pixels[at + 5 * _WIDTH] = kept[1, image, i, j]


@_inlined
def _pull(edge: Values, place: Values, force: Real) -> Values:
    """What moves the end and the start of an edge, in x and y, when a force pulls at its nearest point."""
    share, line, beyond = place
    x = force * (line * edge[1][0] + beyond * edge[3][0])
    y = force * (line * edge[1][1] + beyond * edge[3][1])
    return (share * x, share * y), (x - share * x, y - share * y)


@_inlined
def _by_weight(weight: Real, given: Real, depth: Real, gradient: Real, perspective: bool) -> Real:
    """The gradient of a barycentric coordinate; none where it is clipped."""
    change = _ONE - depth * given if perspective else given - depth
    return change * gradient if (weight >= _ZERO) & (weight <= _ONE) else _ZERO


@_inlined
def _through_depth(triangle: Values, fragment: Values, gradient: Real, perspective: bool) -> Values:
    """A gradient of the depth at a pixel as gradients of the depths of the corners and of the place of the pixel."""
    edges, rates, _, _, depths = triangle
    _, _, depth, _, _, _, _, weights, below = fragment
    gradient = gradient / below
    b0 = _by_weight(weights[0], depths[0], depth, gradient, perspective) * rates[0]
    b1 = _by_weight(weights[1], depths[1], depth, gradient, perspective) * rates[1]
    b2 = _by_weight(weights[2], depths[2], depth, gradient, perspective) * rates[2]
    x = b0 * edges[1][1][0] + b1 * edges[2][1][0] + b2 * edges[0][1][0]
    y = b0 * edges[1][1][1] + b1 * edges[2][1][1] + b2 * edges[0][1][1]
    scaled = gradient * depth if perspective else gradient
    return (_held(weights[0]) * scaled, _held(weights[1]) * scaled, _held(weights[2]) * scaled), (x, y)


@_inlined
def _collect(
    pixels: Float32Array, at: Any, triangle: Values, fragment: Values, shade: Real, rule: Values, exact: Real
) -> Values:
    """The gradients that a pixel gives the nine coordinates of a triangle, depths or their inverses, and its shade."""
    per_sigma, _, _, rate, perspective, _ = rule
    edges = triangle[0]
    cover, through, depth, _, inside, places, (d0, d1, d2), (w0, w1, w2), _ = fragment
    by_gray, by_depth = pixels[at], pixels[at + _W1]
    weight = cover * _exp_minus(max(depth - pixels[at + _W5], _ZERO) * rate)
    change = weight * (by_gray * (shade - pixels[at + _W3]) + by_depth * (depth - pixels[at + _W4]))
    force = (pixels[at + _W2] * cover + change * through) * per_sigma
    force = -force - force if inside else force + force
    edge0, edge1 = (d0 <= d1) & (d0 <= d2), d1 <= d2
    (b0x, b0y), (a0x, a0y) = _pull(edges[0], places[0], force if edge0 else _ZERO)
    (b1x, b1y), (a1x, a1y) = _pull(edges[1], places[1], _ZERO if edge0 else (force if edge1 else _ZERO))
    (b2x, b2y), (a2x, a2y) = _pull(edges[2], places[2], _ZERO if edge0 else (_ZERO if edge1 else force))
    (z0, z1, z2), (x, y) = _through_depth(triangle, fragment, by_depth * weight - change * rate, perspective)
    x, y = x * exact, y * exact
    return (
        (a0x + b2x - w0 * x, a0y + b2y - w0 * y, z0),
        (a1x + b0x - w1 * x, a1y + b0y - w1 * y, z1),
        (a2x + b1x - w2 * x, a2y + b1y - w2 * y, z2),
        by_gray * weight,
    )


@_inlined
def _add_lanes(sums: Float32Array, triangle: Values, perspective: bool, row: Float32Array) -> None:
    """Add up the lanes; depths in perspective entered by their inverses."""
    for k in range(10):
        total = _ZERO
        for lane in range(_BLOCK):
            total += sums[_BLOCK * k + lane]
        row[k] = total
    if perspective:
        for k in range(3):
            row[3 * k + 2] *= triangle[4][k] * triangle[4][k]


@_kernel
def _differentiate(
    given: Values, lists: Values, first: int, last: int, rule: Values, exact: Real, images: Values, rows: Float32Array
) -> None:
    """Of every entry of tiles first to last, the gradients of its triangle's nine coordinates and of its shade."""
    (triangles, shades), (start, triangle, across), (pictures, gradients) = given, lists, images
    perspective, reach = rule[4], rule[5]
    size = pictures[0].shape[1]
    pixels, sums = np.empty(_BANDS * 6 * _WIDTH, np.float32), np.empty(10 * _BLOCK, np.float32)
    for tile in range(first, last):
        image, top, left = tile // (across * across), tile // across % across * TILE, tile % across * TILE
        if start[tile] == start[tile + 1]:
            continue
        _gather(pictures, gradients, image, top, left, pixels)
        for entry in range(start[tile], start[tile + 1]):
            corners, shade = triangles[triangle[entry]], shades[triangle[entry]]
            prepared = _prepare(corners, perspective)
            region = _region(prepared, corners, reach, size, top, left)
            sums[:] = _ZERO
            for band in range(region[0][0] // _SIDE, (region[0][1] + _SIDE - 1) // _SIDE):
                begin, end = _span(region, band, top, left)
                for block in range(begin, end, _SIDE):
                    base = np.uint64(band * 6 * _WIDTH + block * _SIDE)
                    for lane in range(_LANES):
                        x = _centre(left + block + np.int64(lane >> _TWO), size)
                        y = _centre(top + band * _SIDE + np.int64(lane & _THREE), size)
                        fragment = _fragment(prepared, x, y, rule)
                        a, b, c, s = _collect(pixels, base + lane, prepared, fragment, shade, rule, exact)
                        sums[lane] += a[0]
                        sums[lane + _B1] += a[1]
                        sums[lane + _B2] += a[2]
                        sums[lane + _B3] += b[0]
                        sums[lane + _B4] += b[1]
                        sums[lane + _B5] += b[2]
                        sums[lane + _B6] += c[0]
                        sums[lane + _B7] += c[1]
                        sums[lane + _B8] += c[2]
                        sums[lane + _B9] += s
            _add_lanes(sums, prepared, perspective, rows[entry])


@_kernel
def _add_up(triangle: Int32Array, rows: Float32Array, totals: Float32Array) -> None:
    """Add the rows of all entries of each triangle, in order."""
    for entry in range(len(triangle)):
        for k in range(10):
            totals[triangle[entry], k] += rows[entry, k]


def forward(
    triangles: Tensor, shades: Tensor, tiles: TileLists, count: int, image_size: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw triangles; see `liftnet.rasteriser.soft_images.Kernels`."""
    gray, silhouette, depth = (torch.empty(count, image_size, image_size) for _ in range(3))
    kept = torch.empty(3, count, image_size, image_size)
    images = gray.numpy(), silhouette.numpy(), depth.numpy(), kept.numpy()
    given, lists, rule = _given(triangles, shades, tiles, softness)
    scene = np.float32(softness.background), np.float32(softness.background_depth), np.float32(softness.far)
    _divided(lambda first, last: _draw(given, lists, first, last, rule, scene, images), tiles)
    return gray, silhouette, depth, kept


def backward(
    triangles: Tensor,
    shades: Tensor,
    tiles: TileLists,
    softness: Softness,
    images: tuple[Tensor, Tensor, Tensor],
    gradients: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Gradients of triangles and shades; see `liftnet.rasteriser.soft_images.Kernels`."""
    rows, totals = torch.empty(len(tiles.triangle), 10), torch.zeros(len(triangles), 10)
    by_entry = rows.numpy()
    given, lists, rule = _given(triangles, shades, tiles, softness)
    exact = np.float32(softness.gradient == "exact")
    pixels = tuple(image.numpy() for image in images), tuple(gradient.numpy() for gradient in gradients)
    _divided(lambda first, last: _differentiate(given, lists, first, last, rule, exact, pixels, by_entry), tiles)
    _add_up(tiles.triangle.numpy(), by_entry, totals.numpy())
    return totals[:, :9].reshape(-1, 3, 3), totals[:, 9]


def _given(triangles: Tensor, shades: Tensor, tiles: TileLists, softness: Softness) -> tuple[Values, Values, Values]:
    """Triangles, lists and the rule of softness as the kernels take them."""
    rule = (
        np.float32(1 / softness.sigma),
        np.float32(softness.cut),
        np.float32(softness.far),
        np.float32(softness.depth_rate),
        softness.perspective,
        np.float32(softness.reach),
    )
    return (triangles.numpy(), shades.numpy()), (tiles.start.numpy(), tiles.triangle.numpy(), tiles.across), rule


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
