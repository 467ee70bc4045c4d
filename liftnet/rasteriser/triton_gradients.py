"""The programs that Triton compiles for the way back: rows of gradients, and their sums for each triangle.

Each program writes, for every triangle in its tile, one row of ten numbers: the gradients of x, y, z of its three
corners and of its shade, summed over the tile's pixels. `gather` adds up the rows of a triangle in the order of the
tiles.
"""

from __future__ import annotations

import triton
import triton.language as tl

from liftnet.rasteriser.triton_programs import clip, coverage, depth_at, load_corners, pixels, to_edge, weights


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
def _closest(
    x: tl.tensor, y: tl.tensor, corners: tl.tensor, i0: tl.tensor, i1: tl.tensor, i2: tl.tensor
) -> tuple[tl.tensor, ...]:
    """Squared distance from the nearest edge, how far along it, the vector from there, and which edge it is."""
    x0, y0, x1, y1, x2, y2 = corners
    distance, share, ex, ey = to_edge(x, y, x0, y0, x1, y1, i0)
    other, other_share, other_ex, other_ey = to_edge(x, y, x1, y1, x2, y2, i1)
    second = other < distance
    distance, share = tl.where(second, other, distance), tl.where(second, other_share, share)
    ex, ey = tl.where(second, other_ex, ex), tl.where(second, other_ey, ey)
    other, other_share, other_ex, other_ey = to_edge(x, y, x2, y2, x0, y0, i2)
    third = other < distance
    distance, share = tl.where(third, other, distance), tl.where(third, other_share, share)
    ex, ey = tl.where(third, other_ex, ex), tl.where(third, other_ey, ey)
    second = second & ~third
    return distance, share, ex, ey, ~(second | third), second, third


@triton.jit
def _through_depth(
    barycentric: tl.tensor, corners: tl.tensor, slopes: tl.tensor, inverse_area: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Gradient with respect to the pixel's place, from the one with respect to clipped barycentric coordinates."""
    w0, w1, w2 = barycentric
    x0, y0, x1, y1, x2, y2 = corners
    g0, g1, g2 = slopes
    g0 = tl.where((w0 >= 0) & (w0 <= 1), g0, 0.0) * inverse_area
    g1 = tl.where((w1 >= 0) & (w1 <= 1), g1, 0.0) * inverse_area
    g2 = tl.where((w2 >= 0) & (w2 <= 1), g2, 0.0) * inverse_area
    hx = g0 * (y1 - y2) + g1 * (y2 - y0) + g2 * (y0 - y1)
    hy = g0 * (x2 - x1) + g1 * (x0 - x2) + g2 * (x1 - x0)
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
        entry = table + tl.load(triangle + k).to(tl.int64) * 16
        corners = load_corners(entry)
        distance, share, ex, ey, first, second, third = _closest(
            x, y, corners, tl.load(entry + 6), tl.load(entry + 7), tl.load(entry + 8)
        )
        inverse_area, shade, least = tl.load(entry + 12), tl.load(entry + 14), tl.load(entry + 15)
        w0, w1, w2 = weights(x, y, corners, inverse_area, tl.load(entry + 13))
        inside = (w0 > least) & (w1 > least) & (w2 > least)
        a0, a1, a2 = tl.load(entry + 9), tl.load(entry + 10), tl.load(entry + 11)
        c0, c1, c2 = clip(w0), clip(w1), clip(w2)
        z, rate = depth_at(c0, c1, c2, a0, a1, a2, PERSPECTIVE)
        seen = (inside | (distance < reach)) & (z <= far)
        covered, clear = coverage(distance, inside, inverse_sigma)
        weight = tl.where(seen, covered * tl.exp(tl.minimum((nearest - z) * depth_rate, 0.0)), 0.0)
        change = (on_gray * shade + on_depth * z - blended) * weight
        of_logit = tl.where(seen, of_through * covered, 0.0) + change * clear
        of_z = (on_depth * weight - change * depth_rate) * rate
        # the squared distance changes with the end points of the nearest edge by -2 (1 - share) e and -2 share e
        pull = tl.where(inside, -2.0, 2.0) * inverse_sigma * of_logit
        bx, by = pull * ex * share, pull * ey * share
        ax, ay = pull * ex - bx, pull * ey - by
        gx0, gy0 = tl.where(first, ax, tl.where(third, bx, 0.0)), tl.where(first, ay, tl.where(third, by, 0.0))
        gx1, gy1 = tl.where(second, ax, tl.where(first, bx, 0.0)), tl.where(second, ay, tl.where(first, by, 0.0))
        gx2, gy2 = tl.where(third, ax, tl.where(second, bx, 0.0)), tl.where(third, ay, tl.where(second, by, 0.0))
        if EXACT:
            if PERSPECTIVE:
                slopes = of_z * (1.0 - z * a0), of_z * (1.0 - z * a1), of_z * (1.0 - z * a2)
            else:
                slopes = of_z * (a0 - z), of_z * (a1 - z), of_z * (a2 - z)
            hx, hy = _through_depth((w0, w1, w2), corners, slopes, inverse_area)
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
