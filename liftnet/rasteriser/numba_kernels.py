"""The soft rasteriser on CPUs: tensors handed to the numba programs, tiles divided among threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from liftnet.rasteriser import numba_programs
from liftnet.rasteriser.softness import Softness
from liftnet.rasteriser.tiles import TileLists

TILE = numba_programs.TILE
Values = tuple[Any, ...]


def forward(
    triangles: Tensor, shades: Tensor, tiles: TileLists, count: int, image_size: int, softness: Softness
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw triangles; see `liftnet.rasteriser.soft_images.Kernels`."""
    gray, silhouette, depth = (torch.empty(count, image_size, image_size) for _ in range(3))
    kept = torch.empty(3, count, image_size, image_size)
    images = gray.numpy(), silhouette.numpy(), depth.numpy(), kept.numpy()
    given, lists, rule = _given(triangles, shades, tiles, softness)
    scene = np.float32(softness.background), np.float32(softness.background_depth), np.float32(softness.far)
    _divided(lambda first, last: numba_programs.forward(given, lists, first, last, rule, scene, images), tiles)
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
    _divided(
        lambda first, last: numba_programs.backward(given, lists, first, last, rule, exact, pixels, by_entry), tiles
    )
    numba_programs.add_up(tiles.triangle.numpy(), by_entry, totals.numpy())
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
