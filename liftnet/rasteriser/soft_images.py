"""Soft images of triangles as one differentiable function, whatever computes it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from liftnet.rasteriser import reference
from liftnet.rasteriser.softness import Softness, TileLists, bin_triangles

Backend = Literal["reference", "numba", "triton"]
FARTHEST = 1e6  # image coordinates: beyond, float32 loses the edges that cross the image
DEEPEST = 1e15  # its square is still finite
_KERNELS = {"numba": "liftnet.rasteriser.numba_kernels", "triton": "liftnet.rasteriser.triton_kernels"}


class SoftImages(NamedTuple):
    """Soft images of the same triangles, each (..., N, S, S).

    Attributes:
        gray: Shades blended by coverage and depth, as SoftRas' colours. What lies nearest has its full shade as far as
            its coverage reaches (1.23 px beyond the edge at sigma 1e-5 and 256 px), because the background hardly
            competes; so an outline that moves has next to no gradient here. `shaded` has it.
        silhouette: Probability that any triangle covers the pixel.
        depth: Expected depth, with the weights of `gray`; `far` where nothing is seen.
    """

    gray: Tensor
    silhouette: Tensor
    depth: Tensor

    @property
    def coverage(self) -> Tensor:
        """The silhouette without the edges that triangles share.

        At such an edge one triangle covers a pixel by D and the other by 1 - D, so the silhouette is 1 - D (1 - D),
        down to 3/4, and shows how a surface is divided. Three quarters and more are therefore all covered here. At an
        outline it goes from 0 to 1 as before, up to half a pixel farther out at sigma 1e-5 and 256 px.
        """
        return (self.silhouette / 0.75).clamp(max=1)

    @property
    def shaded(self) -> Tensor:
        """Gray before black, fading out at outlines as `coverage` does."""
        return self.gray * self.coverage


def rasterise(
    triangles: Tensor,
    shades: Tensor,
    image: Tensor,
    count: int,
    image_size: int,
    softness: Softness,
    backend: Backend | None = None,
) -> SoftImages:
    """Draw triangles into images; differentiable.

    Args:
        triangles: (T, 3, 3) x right and y down in [-1, 1] where visible, and z, positive (see `render.clip_near`).
        shades: (T,) gray values.
        image: (T,) int64, the image each triangle belongs to.
        count: Number of images N.
        image_size: Side S of the images, px; the centre of pixel i lies at (2 i + 1 - S) / S.
        softness: Softness of edges and depth.
        backend: What computes it; by default numba on a CPU and Triton on a GPU.

    Returns:
        Images (N, S, S), without limit on the number of triangles at a pixel.

    Raises:
        ValueError: Tensors of other shapes, coordinates that are not finite, depths that are not positive though the
            inverse of depth is linear, or a backend that does not exist.
    """
    _check(triangles, shades, image, count, image_size)
    _check_depths(triangles, softness)
    name = backend or ("triton" if triangles.is_cuda else "numba")
    if name == "reference":
        return SoftImages(*reference.rasterise(triangles, shades, image, count, image_size, softness))
    if name not in _KERNELS:
        raise ValueError(f'backend must be "reference", "numba" or "triton", not {backend!r}')
    kernels = import_module(_KERNELS[name])
    return SoftImages(*_Rasterise.apply(triangles, shades, image, count, image_size, softness, kernels))


class Kernels(Protocol):
    """A fast backend: a module with these names.

    What it keeps of every pixel: the share of light that all triangles let through (1 - silhouette), the least depth,
    the background's included, and the sum of the weights relative to that depth. `images` are gray, depth and kept;
    `gradients` are of gray, silhouette and depth, (N, S, S) each.
    """

    TILE: int

    def forward(
        self, triangles: Tensor, shades: Tensor, tiles: TileLists, count: int, image_size: int, softness: Softness
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gray, silhouette, depth (N, S, S), and what `backward` needs of every pixel (3, N, S, S)."""

    def backward(
        self,
        triangles: Tensor,
        shades: Tensor,
        tiles: TileLists,
        softness: Softness,
        images: tuple[Tensor, Tensor, Tensor],
        gradients: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Gradients of triangles (T, 3, 3) and shades (T,) from those of gray, silhouette and depth."""


class _Rasterise(torch.autograd.Function):
    """Hands float32 triangles to kernels and keeps what they need for the way back.

    Kept are the triangles and shades (40 bytes a triangle), the lists of the tiles (4 bytes an entry, 8 a tile), and
    for every pixel gray, depth and three numbers more (20 bytes).
    """

    @staticmethod
    def forward(
        ctx: Any,
        triangles: Tensor,
        shades: Tensor,
        image: Tensor,
        count: int,
        image_size: int,
        softness: Softness,
        kernels: Kernels,
    ) -> tuple[Tensor, Tensor, Tensor]:
        triangles, shades = (tensor.detach().float().contiguous() for tensor in (triangles, shades))
        tiles = bin_triangles(triangles, image, count, image_size, softness.reach, kernels.TILE)
        gray, silhouette, depth, kept = kernels.forward(triangles, shades, tiles, count, image_size, softness)
        ctx.save_for_backward(triangles, shades, tiles.start, tiles.triangle, gray, depth, kept)
        ctx.rest = tiles.across, tiles.size, softness, kernels
        return gray, silhouette, depth

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        triangles, shades, start, triangle, gray, depth, kept = ctx.saved_tensors
        across, size, softness, kernels = ctx.rest
        tiles = TileLists(start, triangle, across, size)
        of_gray, of_silhouette, of_depth = (gradient.contiguous() for gradient in gradients)
        of_triangles, of_shades = kernels.backward(
            triangles, shades, tiles, softness, (gray, depth, kept), (of_gray, of_silhouette, of_depth)
        )
        return of_triangles, of_shades, None, None, None, None, None


def _check(triangles: Tensor, shades: Tensor, image: Tensor, count: int, image_size: int) -> None:
    if triangles.ndim != 3 or triangles.shape[1:] != (3, 3):
        raise ValueError(f"triangles must be (T, 3, 3), not {tuple(triangles.shape)}")
    for name, tensor in (("shades", shades), ("image", image)):
        if tensor.shape != triangles.shape[:1]:
            raise ValueError(f"{name} must be ({len(triangles)},) as there are triangles, not {tuple(tensor.shape)}")
    if image.dtype != torch.int64:
        raise ValueError(f"image must be int64, not {image.dtype}")
    if count < 1 or image_size < 1:
        raise ValueError(f"there must be images and pixels, not {count} images of {image_size} px")


def _check_depths(triangles: Tensor, softness: Softness) -> None:
    """Kernels compute in float32 and count pixels in integers: numbers that these cannot hold overrun memory."""
    given = triangles.detach().float()
    finite = torch.isfinite(given).all()
    positive = (given[..., 2] > 0).all() if softness.perspective else finite
    if not bool(finite & positive):
        raise ValueError("triangles need finite coordinates and, in perspective, positive depths; see `clip_near`")
    if len(given) and float(given[..., :2].abs().max()) > FARTHEST:
        raise ValueError(f"triangles reach more than {FARTHEST:g} images to the side; see `clip_sides`")
    if len(given) and float(given[..., 2].abs().max()) > DEEPEST:
        raise ValueError(f"triangles lie deeper than {DEEPEST:g}")
