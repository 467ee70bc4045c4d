"""A function of many independent images, a few at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def chunked(function: Callable[[Tensor, slice], Tensor], images: Tensor, size: int) -> Tensor:
    """Values of images that depend on one image each.

    Where a gradient is wanted, each part's is computed with its values, and only it is kept: the memory of a backward
    pass through one part, and no work twice. The result can be differentiated once.

    Args:
        function: From some of the images and their place to a value for each.
        images: (N, ...).
        size: Images at a time.

    Returns:
        (N,), differentiable in `images`.
    """
    if size < 1:
        raise ValueError(f"at least one image at a time, not {size}")
    places = [slice(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    if torch.is_grad_enabled() and images.requires_grad:
        return _Chunked.apply(images, function, places)
    return torch.cat([function(images[at], at) for at in places]) if places else images.new_zeros(0)


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, function: Callable[[Tensor, slice], Tensor], places: list[slice]) -> Tensor:
        values, gradients = [], []
        for at in places:
            with torch.enable_grad():
                part = images[at].detach().requires_grad_()
                value = function(part, at)
                (gradient,) = torch.autograd.grad(value.sum(), part)
            values.append(value.detach())
            gradients.append(gradient)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradient.view(-1, *[1] * (gradients.ndim - 1)) * gradients, None, None
