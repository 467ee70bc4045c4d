"""The programs that Triton compiles for the way back: rows of gradients, and their sums for each triangle.

Each program writes, for every triangle in its tile, one row of ten numbers: the gradients of x, y, z of its three
corners and of its shade, summed over the tile's pixels. `gather` adds up the rows of a triangle in the order of the
tiles.
"""

from __future__ import annotations

import triton
import triton.language as tl

from liftnet.rasteriser.triton_programs import clip, fragment, pixels, to_edge


@triton.jit
def _add_pixels(
    v0: tl.tensor,
    v1: tl.tensor,
    v2: tl.tensor,
    v3: tl.tensor,
    v4: tl.tensor,
    v5: tl.tensor,
    v6: tl.tensor,
    v7: tl.tensor,
) -> tl.tensor:
    """Sums over the pixels of eight values, in one reduction: (8,), in their order."""
    even = tl.join(tl.join(v0, v4), tl.join(v2, v6))
    odd = tl.join(tl.join(v1, v5), tl.join(v3, v7))
    return tl.reshape(tl.sum(tl.join(even, odd), 0), (8,))


@triton.jit
def _beside(edge: tl.tensor, x: tl.tensor, y: tl.tensor) -> tuple[tl.tensor, ...]:
    """Squared distance from an edge, share of the way along it, vector from there, distance from its line."""
    share, aside, beyond = to_edge(edge, x, y)
    ahead = beyond * tl.load(edge + 6)
    ex = aside * tl.load(edge + 3) + ahead * tl.load(edge)
    ey = aside * tl.load(edge + 4) + ahead * tl.load(edge + 1)
    return aside * aside + beyond * beyond, share, ex, ey, aside


@triton.jit
def _closer(
    distance: tl.tensor, share: tl.tensor, ex: tl.tensor, ey: tl.tensor, other: tl.tensor
) -> tuple[tl.tensor, ...]:
    """The nearer of two edges, and where it is the other one."""
    closer = other[0] < distance
    distance, share = tl.where(closer, other[0], distance), tl.where(closer, other[1], share)
    return distance, share, tl.where(closer, other[2], ex), tl.where(closer, other[3], ey), closer


@triton.jit
def _through_depth(
    entry: tl.tensor, w0: tl.tensor, w1: tl.tensor, w2: tl.tensor, g0: tl.tensor, g1: tl.tensor, g2: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Gradient with respect to the pixel's place, from the one with respect to clipped barycentric coordinates."""
    g0 = tl.where((w0 >= 0) & (w0 <= 1), g0, 0.0) * tl.load(entry + 15)
    g1 = tl.where((w1 >= 0) & (w1 <= 1), g1, 0.0) * tl.load(entry + 23)
    g2 = tl.where((w2 >= 0) & (w2 <= 1), g2, 0.0) * tl.load(entry + 7)
    hx = g0 * tl.load(entry + 11) + g1 * tl.load(entry + 19) + g2 * tl.load(entry + 3)
    hy = g0 * tl.load(entry + 12) + g1 * tl.load(entry + 20) + g2 * tl.load(entry + 4)
    return hx, hy


@triton.jit
def backward(
    table: tl.tensor,
    start: tl.tensor,
    triangle: tl.tensor,
    gray: tl.tensor,
    depth: tl.tensor,
    through_in: tl.tensor,
    nearest_in: tl.tensor,
    total_in: tl.tensor,
    of_gray: tl.tensor,
    of_silhouette: tl.tensor,
    of_depth: tl.tensor,
    rows: tl.tensor,
    across: tl.tensor,
    size: tl.tensor,
    inverse_sigma: tl.tensor,
    reach: tl.tensor,
    depth_rate: tl.tensor,
    far: tl.tensor,
    TILE: tl.constexpr,
    PERSPECTIVE: tl.constexpr,
    EXACT: tl.constexpr,
) -> None:
    """Rows (entries, 10) of one tile; `reach` is squared."""
    x, y, place, mask = pixels(across, size, TILE)
    nearest = tl.load(nearest_in + place, mask=mask, other=0.0)
    total = tl.load(total_in + place, mask=mask, other=1.0)
    of_through = tl.load(of_silhouette + place, mask=mask, other=0.0) * tl.load(
        through_in + place, mask=mask, other=0.0
    )
    on_gray = tl.load(of_gray + place, mask=mask, other=0.0) / total
    on_depth = tl.load(of_depth + place, mask=mask, other=0.0) / total
    blended = on_gray * tl.load(gray + place, mask=mask, other=0.0)
    blended += on_depth * tl.load(depth + place, mask=mask, other=0.0)
    for k in range(tl.load(start + tl.program_id(0)), tl.load(start + tl.program_id(0) + 1)):
        entry = table + tl.load(triangle + k).to(tl.int64) * 32
        distance, share, ex, ey, aside0 = _beside(entry, x, y)
        other = _beside(entry + 8, x, y)
        distance, share, ex, ey, second = _closer(distance, share, ex, ey, other)
        aside1 = other[4]
        other = _beside(entry + 16, x, y)
        distance, share, ex, ey, third = _closer(distance, share, ex, ey, other)
        second = second & ~third
        first = ~(second | third)
        w0, w1, w2, inside, z, rate, seen, covered, clear = fragment(
            entry, distance, aside0, aside1, other[4], inverse_sigma, reach, far, PERSPECTIVE
        )
        c0, c1, c2 = clip(w0), clip(w1), clip(w2)
        a0, a1, a2 = tl.load(entry + 24), tl.load(entry + 25), tl.load(entry + 26)
        weight = tl.where(seen, covered * tl.exp(tl.minimum((nearest - z) * depth_rate, 0.0)), 0.0)
        change = (on_gray * tl.load(entry + 27) + on_depth * z - blended) * weight
        of_logit = tl.where(seen, of_through * covered, 0.0) + change * clear
        of_z = (on_depth * weight - change * depth_rate) * rate
        # the squared distance changes by -2 (1 - share) e with the first end point of the nearest edge, by -2 share e
        # with its second
        pull = tl.where(inside, -2.0, 2.0) * inverse_sigma * of_logit
        px, py, rest = pull * ex, pull * ey, 1.0 - share
        p0 = tl.where(first, rest, tl.where(third, share, 0.0))
        p1 = tl.where(second, rest, tl.where(first, share, 0.0))
        p2 = tl.where(third, rest, tl.where(second, share, 0.0))
        gx0, gx1, gx2, gy0, gy1, gy2 = p0 * px, p1 * px, p2 * px, p0 * py, p1 * py, p2 * py
        if EXACT:
            if PERSPECTIVE:
                g0, g1, g2 = 1.0 - z * a0, 1.0 - z * a1, 1.0 - z * a2
            else:
                g0, g1, g2 = a0 - z, a1 - z, a2 - z
            hx, hy = _through_depth(entry, w0, w1, w2, of_z * g0, of_z * g1, of_z * g2)
            # moving corner j by v changes the barycentric coordinates as moving the pixel by -w_j v does
            gx0, gy0 = gx0 - w0 * hx, gy0 - w0 * hy
            gx1, gy1 = gx1 - w1 * hx, gy1 - w1 * hy
            gx2, gy2 = gx2 - w2 * hx, gy2 - w2 * hy
        if PERSPECTIVE:
            of_z = of_z * z
            gz0, gz1, gz2 = of_z * c0 * (a0 * a0), of_z * c1 * (a1 * a1), of_z * c2 * (a2 * a2)
        else:
            gz0, gz1, gz2 = of_z * c0, of_z * c1, of_z * c2
        row = rows + k * 10
        tl.store(row + tl.arange(0, 8), _add_pixels(gx0, gy0, gz0, gx1, gy1, gz1, gx2, gy2))
        tl.store(row + 8 + tl.arange(0, 2), tl.sum(tl.join(gz2, on_gray * weight), 0))


@triton.jit
def gather(rows: tl.tensor, order: tl.tensor, start: tl.tensor, sums: tl.tensor, BLOCK: tl.constexpr) -> None:
    """Add up the rows of one triangle, `rows[order[start[t] : start[t + 1]]]`, into `sums[t]`."""
    triangle = tl.program_id(0)
    column = tl.arange(0, 16)
    total = tl.zeros((BLOCK, 16), tl.float32)
    last = tl.load(start + triangle + 1)
    for k in range(tl.load(start + triangle), last, BLOCK):
        index = k + tl.arange(0, BLOCK)
        row = tl.load(order + index, mask=index < last, other=0)
        total += tl.load(
            rows + row[:, None] * 10 + column[None, :],
            mask=(index < last)[:, None] & (column < 10)[None, :],
            other=0.0,
        )
    tl.store(sums + triangle.to(tl.int64) * 10 + column, tl.sum(total, 0), mask=column < 10)
