"""The programs that Triton compiles for a GPU: one program draws one tile, with its pixels in registers.

A program runs through the triangles of its tile. The state of each pixel stays in registers, so that nothing but the
lists and the triangles is read and nothing but the images is written. On the way back each program adds up, in
registers, what its pixels say about one triangle and writes it as one row; a second program adds up the rows of each
triangle in the order of the tiles. No atomics: the same input gives the same bits.

What they compute is written down plainly in `reference.py`. Numbers that all pixels share are worked out once by
`prepare`, in double precision, so that corners far outside the image do no harm: 32 a triangle. Of edge k, from corner
k to the next, as functions of x, y, 1 and from column 8 k on:

    0..2    share of the way along it
    3..5    distance from its line, positive inside
    6       its length
    7       what the distance from its line, times this, is as a barycentric coordinate: of corner k + 2

and of the triangle

    24..26  with perspective 1 / z of the corners, otherwise z
    27      shade
    28      what is added to the barycentric coordinates: 1/3 for a triangle seen edge-on, otherwise 0
    29      what all distances exceed inside: 0, and 1e30 for a triangle seen edge-on, which has no inside
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _prepare_edge(
    out: tl.tensor,
    mask: tl.tensor,
    ax: tl.tensor,
    ay: tl.tensor,
    bx: tl.tensor,
    by: tl.tensor,
    sign: tl.tensor,
    inverse_area: tl.tensor,
) -> None:
    """Columns 0 to 7 of an edge from a to b."""
    dx, dy = bx - ax, by - ay
    short = dx * dx + dy * dy < 1e-20  # a point: as an edge of next to no length
    dx, dy = tl.where(short, 1e-10, dx), tl.where(short, 0.0, dy)
    length = tl.sqrt(dx * dx + dy * dy)
    tx, ty = dx / (length * length), dy / (length * length)
    nx, ny = -sign * dy / length, sign * dx / length
    tl.store(out, tx.to(tl.float32), mask=mask)
    tl.store(out + 1, ty.to(tl.float32), mask=mask)
    tl.store(out + 2, (-tx * ax - ty * ay).to(tl.float32), mask=mask)
    tl.store(out + 3, nx.to(tl.float32), mask=mask)
    tl.store(out + 4, ny.to(tl.float32), mask=mask)
    tl.store(out + 5, (-nx * ax - ny * ay).to(tl.float32), mask=mask)
    tl.store(out + 6, length.to(tl.float32), mask=mask)
    tl.store(out + 7, (length * inverse_area).to(tl.float32), mask=mask)


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
    """The 32 numbers of each triangle."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = index < count
    corner = triangles + index * 9
    x0 = tl.load(corner, mask=mask, other=0.0).to(tl.float64)
    y0 = tl.load(corner + 1, mask=mask, other=0.0).to(tl.float64)
    x1 = tl.load(corner + 3, mask=mask, other=0.0).to(tl.float64)
    y1 = tl.load(corner + 4, mask=mask, other=0.0).to(tl.float64)
    x2 = tl.load(corner + 6, mask=mask, other=0.0).to(tl.float64)
    y2 = tl.load(corner + 7, mask=mask, other=0.0).to(tl.float64)
    longest = tl.maximum((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0), (x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1))
    longest = tl.sqrt(tl.maximum(longest, (x0 - x2) * (x0 - x2) + (y0 - y2) * (y0 - y2)))
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    edge_on = tl.abs(area) <= flat * longest
    inverse_area = tl.where(edge_on, 0.0, 1.0 / tl.where(edge_on, 1.0, tl.abs(area)))
    sign = tl.where(area > 0, 1.0, -1.0)
    out = table + index * 32
    _prepare_edge(out, mask, x0, y0, x1, y1, sign, inverse_area)
    _prepare_edge(out + 8, mask, x1, y1, x2, y2, sign, inverse_area)
    _prepare_edge(out + 16, mask, x2, y2, x0, y0, sign, inverse_area)
    for k in tl.static_range(3):
        z = tl.load(corner + 3 * k + 2, mask=mask, other=1.0)
        tl.store(out + 24 + k, 1.0 / z if PERSPECTIVE else z, mask=mask)
    tl.store(out + 27, tl.load(shades + index, mask=mask, other=0.0), mask=mask)
    tl.store(out + 28, tl.where(edge_on, 1.0 / 3.0, 0.0), mask=mask)
    tl.store(out + 29, tl.where(edge_on, 1e30, 0.0), mask=mask)


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
def clip(value: tl.tensor) -> tl.tensor:
    """The nearest number in [0, 1]."""
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def to_edge(edge: tl.tensor, x: tl.tensor, y: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Where pixels lie beside an edge.

    Returns:
        How far along the edge the nearest of its points lies, the distance from its line, and the distance by which
        the pixel lies beyond its ends.
    """
    along = tl.load(edge) * x + (tl.load(edge + 1) * y + tl.load(edge + 2))
    aside = tl.load(edge + 3) * x + (tl.load(edge + 4) * y + tl.load(edge + 5))
    share = clip(along)
    return share, aside, (along - share) * tl.load(edge + 6)


@triton.jit
def weights(
    entry: tl.tensor, aside0: tl.tensor, aside1: tl.tensor, aside2: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Barycentric coordinates from the distances from the edges' lines, and what lies inside."""
    offset, least = tl.load(entry + 28), tl.load(entry + 29)
    w0 = aside1 * tl.load(entry + 15) + offset
    w1 = aside2 * tl.load(entry + 23) + offset
    w2 = aside0 * tl.load(entry + 7) + offset
    return w0, w1, w2, (aside0 > least) & (aside1 > least) & (aside2 > least)


@triton.jit
def depth_at(
    entry: tl.tensor, c0: tl.tensor, c1: tl.tensor, c2: tl.tensor, PERSPECTIVE: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """Depth at clipped barycentric coordinates, and the factor by which it changes with them."""
    total = c0 + c1 + c2
    blend = c0 * tl.load(entry + 24) + c1 * tl.load(entry + 25) + c2 * tl.load(entry + 26)
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
def fragment(
    entry: tl.tensor,
    distance: tl.tensor,
    aside0: tl.tensor,
    aside1: tl.tensor,
    aside2: tl.tensor,
    inverse_sigma: tl.tensor,
    reach: tl.tensor,
    far: tl.tensor,
    PERSPECTIVE: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """What a triangle is at the pixels, on both ways: the core of `forward` and of the gradients.

    Args:
        entry: Its 32 numbers.
        distance: Squared, from the nearest of its edges.
        aside0: Distance from the line of its first edge.
        aside1: Of its second.
        aside2: Of its third.
        inverse_sigma: 1 / sigma.
        reach: Squared distance up to which it is seen beyond its edges.
        far: Depth up to which it is seen.
        PERSPECTIVE: Whether the inverse of depth is linear in the image.

    Returns:
        Barycentric coordinates, which pixels lie inside, depth, the factor by which it changes with the coordinates'
        clipped values, where it is seen, coverage, and one minus coverage.
    """
    w0, w1, w2, inside = weights(entry, aside0, aside1, aside2)
    z, rate = depth_at(entry, clip(w0), clip(w1), clip(w2), PERSPECTIVE)
    seen = (inside | (distance < reach)) & (z <= far)
    covered, clear = coverage(distance, inside, inverse_sigma)
    return w0, w1, w2, inside, z, rate, seen, covered, clear


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
        entry = table + tl.load(triangle + k).to(tl.int64) * 32
        _, aside0, beyond0 = to_edge(entry, x, y)
        _, aside1, beyond1 = to_edge(entry + 8, x, y)
        _, aside2, beyond2 = to_edge(entry + 16, x, y)
        distance = tl.minimum(aside0 * aside0 + beyond0 * beyond0, aside1 * aside1 + beyond1 * beyond1)
        distance = tl.minimum(distance, aside2 * aside2 + beyond2 * beyond2)
        _, _, _, _, z, _, seen, covered, clear = fragment(
            entry, distance, aside0, aside1, aside2, inverse_sigma, reach, far, PERSPECTIVE
        )
        through *= tl.where(seen, clear, 1.0)
        closer = seen & (z < nearest)
        fade = tl.exp(-tl.abs(z - nearest) * depth_rate)
        scale = tl.where(closer, fade, 1.0)
        weight = tl.where(seen, covered * tl.where(closer, 1.0, fade), 0.0)
        nearest = tl.where(closer, z, nearest)
        total = total * scale + weight
        gray_sum = gray_sum * scale + weight * tl.load(entry + 27)
        depth_sum = depth_sum * scale + weight * z
    tl.store(gray + place, gray_sum / total, mask=mask)
    tl.store(silhouette + place, 1.0 - through, mask=mask)
    tl.store(depth + place, depth_sum / total, mask=mask)
    tl.store(through_out + place, through, mask=mask)
    tl.store(nearest_out + place, nearest, mask=mask)
    tl.store(total_out + place, total, mask=mask)
