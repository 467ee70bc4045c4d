"""Overlapping patches of maps: the sliding window of DR-KFS, section 3.1."""

from __future__ import annotations

from torch import Tensor

from liftnet.models.patch_descriptors import PATCH

STRIDE = 16  # px


def cut_patches(maps: Tensor, stride: int = STRIDE) -> Tensor:
    """Cut maps into patches of 32 x 32 px, 16 px apart or as given.

    Args:
        maps: (N, S, S), S at least 32; what does not fill a patch at the right and lower border is left out.
        stride: Distance of patches, px.

    Returns:
        (N, R, C, 32, 32), a view of `maps`: row and column of the patch, then its pixels. 15 x 15 patches at 256 px.
    """
    if maps.ndim != 3 or min(maps.shape[1:]) < PATCH:
        raise ValueError(f"patches need maps (N, S, S) of at least {PATCH} px, not {tuple(maps.shape)}")
    return maps.unfold(1, PATCH, stride).unfold(2, PATCH, stride)


def patch_weights(patches: Tensor) -> Tensor:
    """w_i of equation 2: the mean of each patch, (N, R, C) of (N, R, C, 32, 32)."""
    return patches.mean((-2, -1))
