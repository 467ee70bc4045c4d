"""How near the CPU kernels of the rasteriser are to their floor. Writes rasteriser_floor.md.

    python benchmarks/rasteriser_floor.py

The kernels work on blocks of four by four pixels. Two things are counted in the scene, how many blocks
and how many of their pixels lie in a triangle's reach; what a block costs is measured where nothing else counts, on
triangles that cover the whole image. Blocks times that is the time spent on arithmetic, pixels in reach over sixteen
times that the floor: what the same arithmetic would take if no place of a block were wasted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numba
import pandas as pd
import torch
from measuring import machine, measured, one_thread, shown, write_report
from rasteriser_scene import SIDE, SIGMAS, VIEWS, projected
from torch import Tensor

from liftnet.rasteriser import Softness, TileLists, bin_triangles
from liftnet.rasteriser import numba_kernels as kernels

BLOCK, LAYERS = 4, 40  # side of a block, px


@numba.njit
def _count(corners, start, triangle, across, rule, size):
    """Blocks that the kernels visit, and pixels in them that a triangle reaches."""
    blocks, reached = 0, 0
    for tile in range(len(start) - 1):
        top, left = tile // across % across * kernels.TILE, tile % across * kernels.TILE
        for entry in range(start[tile], start[tile + 1]):
            given = corners[triangle[entry]]
            prepared = kernels._prepare(given, True)
            region = kernels._region(prepared, given, rule[5], size, top, left)
            for band in range(region[0][0] // BLOCK, (region[0][1] + BLOCK - 1) // BLOCK):
                begin, end = kernels._span(region, band, top, left)
                for block in range(begin, end, BLOCK):
                    blocks += 1
                    for lane in range(BLOCK * BLOCK):
                        x = kernels._centre(left + block + lane // BLOCK, size)
                        y = kernels._centre(top + band * BLOCK + lane % BLOCK, size)
                        reached += kernels._fragment(prepared, x, y, rule)[3]
    return blocks, reached


def counted(triangles: Tensor, tiles: TileLists, softness: Softness) -> tuple[int, int]:
    """Blocks, and pixels in reach."""
    (corners, _), lists, rule = kernels._given(triangles, triangles[:, 0, 0], tiles, softness)
    return _count(corners, *lists, rule, SIDE)


def whole_images() -> tuple[Tensor, Tensor, Tensor]:
    """Triangles that cover their whole image, one behind the other."""
    corners = torch.tensor([[-4.0, -2.0], [4.0, -2.0], [0.0, 6.0]])
    depths = torch.linspace(2, 3, LAYERS * VIEWS)[:, None, None].expand(-1, 3, 1)
    triangles = torch.cat([corners.expand(LAYERS * VIEWS, 3, 2), depths], 2).contiguous()
    return triangles, torch.rand(LAYERS * VIEWS), torch.arange(VIEWS).repeat(LAYERS)


def timed(triangles: Tensor, shades: Tensor, image: Tensor, softness: Softness) -> dict[str, float]:
    """CPU seconds of the kernels and what they visit."""
    tiles = bin_triangles(triangles, image, VIEWS, SIDE, softness.reach, kernels.TILE)

    def forward() -> tuple[Tensor, ...]:
        return kernels.forward(triangles, shades, tiles, VIEWS, SIDE, softness)

    gray, _, depth, kept = forward()
    ones = torch.ones_like(gray)

    def backward() -> object:
        return kernels.backward(triangles, shades, tiles, softness, (gray, depth, kept), (ones, ones, ones))

    backward()
    seconds: dict[str, Callable[[], object]] = {"forward": forward, "back": backward}
    blocks, reached = counted(triangles, tiles, softness)
    found = {name: measured(function, 9, enough=15)[1] for name, function in seconds.items()}
    return found | {"entries": len(tiles.triangle), "blocks": blocks, "pixels": reached}


def table() -> pd.DataFrame:
    """Where the time goes, of each pass and sigma."""
    best = timed(*whole_images(), Softness(SIGMAS[0]))
    rows = []
    triangles, shades, image = projected().triangles()
    for sigma in SIGMAS:
        found = timed(triangles.contiguous(), shades.contiguous(), image, Softness(sigma))
        for name in ("forward", "back"):
            block = best[name] / best["blocks"]
            rows.append(
                {
                    "pass": name,
                    "sigma": f"{sigma:g}",
                    "entries": int(found["entries"]),
                    "blocks, M": found["blocks"] / 1e6,
                    "pixels in reach, M": found["pixels"] / 1e6,
                    "places used, %": 100 * found["pixels"] / found["blocks"] / BLOCK**2,
                    "ns a block": 1e9 * block,
                    "CPU s": found[name],
                    "arithmetic, %": 100 * found["blocks"] * block / found[name],
                    "floor, CPU s": found["pixels"] / BLOCK**2 * block,
                }
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with one_thread():
        frame = table()
    formats = {"entries": ",d", "blocks, M": ".2f", "pixels in reach, M": ".1f", "places used, %": ".0f"}
    formats |= {"ns a block": ".1f", "CPU s": ".3f", "arithmetic, %": ".0f", "floor, CPU s": ".3f"}
    paragraphs = [
        "# The floor of the CPU kernels",
        f"`python benchmarks/rasteriser_floor.py`; one thread; {machine('torch', 'numba')}.",
        f"{VIEWS} views, {SIDE} px, 5,120 faces; the kernels alone. Of the sixteen places of a block only some"
        " lie in reach of the triangle. A block's time is that on triangles which cover whole images, where all places"
        " are used. Arithmetic: blocks times that, as a share of the time; the rest prepares triangles and finds the"
        " blocks. Floor: the same arithmetic with no place wasted and nothing else to do.",
        shown(frame, formats),
    ]
    write_report(arguments.out, paragraphs)


if __name__ == "__main__":
    main()
