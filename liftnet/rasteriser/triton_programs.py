"""The programs that Triton compiles for a GPU: one program draws one tile, with its pixels in registers.

A program runs through the triangles of its tile. The state of each pixel stays in registers, so that nothing but the
lists and the triangles is read and nothing but the images is written. On the way back each program adds up, in
registers, what its pixels say about one triangle and writes it as one row; a second program adds up the rows of each
triangle in the order of the tiles. No atomics: the same input gives the same bits.

A pixel's arithmetic is that of `reference.py`, in float32. Numbers that all pixels share are computed once by
`prepare`, 16 a triangle:

    0..5    x, y of the three corners
    6..8    1 / squared length of the edges from corner 0, 1, 2; 0 for an edge without length
    9..11   with perspective 1 / z of the corners, otherwise z
    12      1 / (twice the area), 0 for a triangle seen edge-on
    13      1/3 for a triangle seen edge-on, otherwise 0: what is added to its barycentric coordinates
    14      shade
    15      what all barycentric coordinates exceed inside: 0, and 1 for a triangle seen edge-on, which has no inside
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _inverse(value: tl.tensor) -> tl.tensor:
    """1 / value, and 0 for 0."""
    zero = value == 0.0
    return tl.where(zero, 0.0, 1.0 / tl.where(zero, 1.0, value))


@triton.jit
def prepare(
    triangles: tl.tensor,
    shades: tl.tensor,
    table: tl.tensor,
    count: tl.tensor,
    flat: tl.tensor,
    PERSPECTIVE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """The 16 numbers of each triangle."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = index < count
    corner = triangles + index * 9
    x0 = tl.load(corner, mask=mask, other=0.0)
    y0 = tl.load(corner + 1, mask=mask, other=0.0)
    x1 = tl.load(corner + 3, mask=mask, other=0.0)
    y1 = tl.load(corner + 4, mask=mask, other=0.0)
    x2 = tl.load(corner + 6, mask=mask, other=0.0)
    y2 = tl.load(corner + 7, mask=mask, other=0.0)
    length0 = (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)
    length1 = (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1)
    length2 = (x0 - x2) * (x0 - x2) + (y0 - y2) * (y0 - y2)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    edge_on = tl.abs(area) <= flat * tl.sqrt(tl.maximum(tl.maximum(length0, length1), length2))
    out = table + index * 16
    tl.store(out, x0, mask=mask)
    tl.store(out + 1, y0, mask=mask)
    tl.store(out + 2, x1, mask=mask)
    tl.store(out + 3, y1, mask=mask)
    tl.store(out + 4, x2, mask=mask)
    tl.store(out + 5, y2, mask=mask)
    tl.store(out + 6, _inverse(length0), mask=mask)
    tl.store(out + 7, _inverse(length1), mask=mask)
    tl.store(out + 8, _inverse(length2), mask=mask)
    for k in tl.static_range(3):
        z = tl.load(corner + 3 * k + 2, mask=mask, other=1.0)
        tl.store(out + 9 + k, 1.0 / z if PERSPECTIVE else z, mask=mask)
    tl.store(out + 12, tl.where(edge_on, 0.0, _inverse(area)), mask=mask)
    tl.store(out + 13, tl.where(edge_on, 1.0 / 3.0, 0.0), mask=mask)
    tl.store(out + 14, tl.load(shades + index, mask=mask, other=0.0), mask=mask)
    tl.store(out + 15, tl.where(edge_on, 1.0, 0.0), mask=mask)


@triton.jit
def pixels(across: tl.tensor, size: tl.tensor, TILE: tl.constexpr) -> tuple[tl.tensor, ...]:
    """Of the pixels of this program's tile: x, y, place in the images, and which lie inside the image."""
    tile = tl.program_id(0)
    inside = tile % (across * across)
    pixel = tl.arange(0, TILE * TILE)
    column = (inside % across) * TILE + pixel % TILE
    row = (inside // across) * TILE + pixel // TILE
    image = (tile // (across * across)).to(tl.int64)
    x = (2 * column + 1 - size).to(tl.float32) / size
    y = (2 * row + 1 - size).to(tl.float32) / size
    return x, y, (image * size + row) * size + column, (column < size) & (row < size)


@triton.jit
def load_corners(entry: tl.tensor) -> tuple[tl.tensor, ...]:
    """The three corners: x, y, x, y, x, y."""
    x0, y0 = tl.load(entry), tl.load(entry + 1)
    x1, y1 = tl.load(entry + 2), tl.load(entry + 3)
    x2, y2 = tl.load(entry + 4), tl.load(entry + 5)
    return x0, y0, x1, y1, x2, y2


@triton.jit
def to_edge(
    x: tl.tensor, y: tl.tensor, ax: tl.tensor, ay: tl.tensor, bx: tl.tensor, by: tl.tensor, inverse: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Squared distance from the edge a b, how far along it the nearest point lies, and the vector from there."""
    dx, dy = bx - ax, by - ay
    share = ((x - ax) * dx + (y - ay) * dy) * inverse
    share = tl.minimum(tl.maximum(share, 0.0), 1.0)
    ex, ey = x - ax - share * dx, y - ay - share * dy
    return ex * ex + ey * ey, share, ex, ey


@triton.jit
def weights(
    x: tl.tensor, y: tl.tensor, corners: tl.tensor, inverse_area: tl.tensor, offset: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Barycentric coordinates."""
    x0, y0, x1, y1, x2, y2 = corners
    w0 = ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) * inverse_area + offset
    w1 = ((x0 - x2) * (y - y2) - (y0 - y2) * (x - x2)) * inverse_area + offset
    w2 = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) * inverse_area + offset
    return w0, w1, w2


@triton.jit
def clip(value: tl.tensor) -> tl.tensor:
    """The nearest number in [0, 1]."""
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def depth_at(
    c0: tl.tensor,
    c1: tl.tensor,
    c2: tl.tensor,
    a0: tl.tensor,
    a1: tl.tensor,
    a2: tl.tensor,
    PERSPECTIVE: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Depth at clipped barycentric coordinates, and the factor by which it changes with them."""
    total = c0 + c1 + c2
    blend = c0 * a0 + c1 * a1 + c2 * a2
    if PERSPECTIVE:
        rate = 1.0 / blend
        depth = total * rate
    else:
        rate = 1.0 / total
        depth = blend * rate
    return depth, rate


@triton.jit
def coverage(distance: tl.tensor, inside: tl.tensor, inverse_sigma: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Sigmoid of the signed squared distance, and one minus it, each exact where it is small."""
    tail = tl.exp(-distance * inverse_sigma)
    less = 1.0 / (1.0 + tail)
    more = tail * less
    return tl.where(inside, less, more), tl.where(inside, more, less)


@triton.jit
def forward(
    table: tl.tensor,
    start: tl.tensor,
    triangle: tl.tensor,
    gray: tl.tensor,
    silhouette: tl.tensor,
    depth: tl.tensor,
    through_out: tl.tensor,
    nearest_out: tl.tensor,
    total_out: tl.tensor,
    across: tl.tensor,
    size: tl.tensor,
    inverse_sigma: tl.tensor,
    reach: tl.tensor,
    depth_rate: tl.tensor,
    far: tl.tensor,
    background_depth: tl.tensor,
    background: tl.tensor,
    TILE: tl.constexpr,
    PERSPECTIVE: tl.constexpr,
) -> None:
    """Images of one tile, and what `backward` needs of its pixels; `reach` is squared."""
    x, y, place, mask = pixels(across, size, TILE)
    through = tl.full((TILE * TILE,), 1.0, tl.float32)
    total, nearest = through, through * background_depth
    gray_sum, depth_sum = through * background, through * far
    for k in range(tl.load(start + tl.program_id(0)), tl.load(start + tl.program_id(0) + 1)):
        entry = table + tl.load(triangle + k).to(tl.int64) * 16
        x0, y0, x1, y1, x2, y2 = load_corners(entry)
        d0, _, _, _ = to_edge(x, y, x0, y0, x1, y1, tl.load(entry + 6))
        d1, _, _, _ = to_edge(x, y, x1, y1, x2, y2, tl.load(entry + 7))
        d2, _, _, _ = to_edge(x, y, x2, y2, x0, y0, tl.load(entry + 8))
        distance = tl.minimum(tl.minimum(d0, d1), d2)
        w0, w1, w2 = weights(x, y, (x0, y0, x1, y1, x2, y2), tl.load(entry + 12), tl.load(entry + 13))
        least = tl.load(entry + 15)
        inside = (w0 > least) & (w1 > least) & (w2 > least)
        a0, a1, a2 = tl.load(entry + 9), tl.load(entry + 10), tl.load(entry + 11)
        z, _ = depth_at(clip(w0), clip(w1), clip(w2), a0, a1, a2, PERSPECTIVE)
        seen = (inside | (distance < reach)) & (z <= far)
        covered, clear = coverage(distance, inside, inverse_sigma)
        through *= tl.where(seen, clear, 1.0)
        closer = seen & (z < nearest)
        fade = tl.exp(-tl.abs(z - nearest) * depth_rate)
        scale = tl.where(closer, fade, 1.0)
        weight = tl.where(seen, covered * tl.where(closer, 1.0, fade), 0.0)
        nearest = tl.where(closer, z, nearest)
        total = total * scale + weight
        gray_sum = gray_sum * scale + weight * tl.load(entry + 14)
        depth_sum = depth_sum * scale + weight * z
    tl.store(gray + place, gray_sum / total, mask=mask)
    tl.store(silhouette + place, 1.0 - through, mask=mask)
    tl.store(depth + place, depth_sum / total, mask=mask)
    tl.store(through_out + place, through, mask=mask)
    tl.store(nearest_out + place, nearest, mask=mask)
    tl.store(total_out + place, total, mask=mask)
