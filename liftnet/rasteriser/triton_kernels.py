"""The rasteriser on a GPU: launches of the programs in `triton_programs` and `triton_gradients`.

Without a GPU the same programs run under Triton's interpreter, slowly, where TRITON_INTERPRET=1 is set before this
module is imported.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.rasteriser.softness import FLAT, Softness, TileLists

try:
    import triton
except ImportError as error:
    raise LiftnetError(
        "backend triton", "the package triton is not installed", 'Install triton, or use backend="numba" on a CPU'
    ) from error

from liftnet.rasteriser import triton_gradients, triton_programs

TILE = 8  # px; 64 pixels for one warp: no barriers, and half the arithmetic of 16 px where triangles are small
COLUMNS = 10  # of a row of gradients: x, y, z of three corners, shade
OPTIONS = {"num_warps": 1, "enable_fp_fusion": True}


def forward(
    triangles: Tensor, shades: Tensor, tiles: TileLists, count: int, image_size: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw triangles; see `liftnet.rasteriser.soft_images.Kernels`."""
    _check_device(triangles)
    gray, silhouette, depth = (triangles.new_empty(count, image_size, image_size) for _ in range(3))
    kept = triangles.new_empty(3, count, image_size, image_size)
    with torch.cuda.device_of(triangles):
        _draw(triangles, shades, tiles, softness, (gray, silhouette, depth, *kept))
    return gray, silhouette, depth, kept


def _draw(triangles: Tensor, shades: Tensor, tiles: TileLists, softness: Softness, images: tuple[Tensor, ...]) -> None:
    """Fill gray, silhouette, depth and the three images kept for `backward`."""
    triton_programs.forward[(len(tiles.start) - 1,)](
        _table(triangles, shades, softness),
        tiles.start,
        tiles.triangle,
        *images,
        tiles.across,
        images[0].shape[-1],
        1 / softness.sigma,
        softness.reach**2,
        softness.depth_rate,
        softness.far,
        softness.background_depth,
        softness.background,
        TILE=tiles.size,
        PERSPECTIVE=softness.perspective,
        **OPTIONS,
    )


def backward(
    triangles: Tensor,
    shades: Tensor,
    tiles: TileLists,
    softness: Softness,
    images: tuple[Tensor, Tensor, Tensor],
    gradients: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Gradients of triangles and shades; see `liftnet.rasteriser.soft_images.Kernels`."""
    rows = triangles.new_empty(len(tiles.triangle), COLUMNS)
    sums = triangles.new_empty(len(triangles), COLUMNS)
    with torch.cuda.device_of(triangles):
        _write_rows(triangles, shades, tiles, softness, (*images[:2], *images[2], *gradients), rows)
        owner, order = torch.sort(tiles.triangle, stable=True)
        start = torch.searchsorted(owner, torch.arange(len(triangles) + 1, device=owner.device, dtype=owner.dtype))
        if len(triangles):
            triton_gradients.gather[(len(triangles),)](rows, order, start, sums, BLOCK=16, **OPTIONS)
    return sums[:, :9].reshape(-1, 3, 3), sums[:, 9]


def _write_rows(
    triangles: Tensor, shades: Tensor, tiles: TileLists, softness: Softness, images: tuple[Tensor, ...], rows: Tensor
) -> None:
    """Fill the gradients (E, 10) of every entry, given gray, depth, what was kept of pixels, and three gradients."""
    triton_gradients.backward[(len(tiles.start) - 1,)](
        _table(triangles, shades, softness),
        tiles.start,
        tiles.triangle,
        *images,
        rows,
        tiles.across,
        images[0].shape[-1],
        1 / softness.sigma,
        softness.reach**2,
        softness.depth_rate,
        softness.far,
        TILE=tiles.size,
        PERSPECTIVE=softness.perspective,
        EXACT=softness.gradient == "exact",
        **OPTIONS,
    )


def _table(triangles: Tensor, shades: Tensor, softness: Softness) -> Tensor:
    """The numbers (T, 32) of every triangle that its pixels share."""
    table = triangles.new_empty(len(triangles), 32)
    if len(triangles):
        triton_programs.prepare[(triton.cdiv(len(triangles), 32),)](
            triangles, shades, table, len(triangles), FLAT, PERSPECTIVE=softness.perspective, BLOCK=32, **OPTIONS
        )
    return table


def _check_device(triangles: Tensor) -> None:
    compiled = isinstance(triton_programs.forward, triton.runtime.JITFunction)
    if compiled and not triangles.is_cuda:
        raise LiftnetError(
            "backend triton",
            f"the triangles are on the device {triangles.device}",
            'Move them to a CUDA device, or use backend="numba"',
        )
