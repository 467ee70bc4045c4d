"""Where torch computes, and in which numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Literal

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger

if TYPE_CHECKING:
    import torch
    from torch import nn

Device = Literal["auto", "cpu", "cuda"]
LOG = get_logger("devices")
Precision = Literal["float32", "bfloat16"]


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Hold torch to one thread: what is computed is spread over workers, and sums do not depend on how many."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_device(name: str = "auto") -> torch.device:
    """The torch device of a setting `device`.

    Args:
        name: "auto" (a GPU if there is one), or a device as torch names it: "cpu", "cuda", "cuda:1", ...

    Raises:
        LiftnetError: A GPU is asked for and there is none, or torch knows no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LiftnetError(f"device {name!r}", "is not a device that torch knows", "Use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise LiftnetError(f"device: {name}", "no GPU can be used by this torch", "Set device to auto or cpu")
    return device


@cache
def warn_of_slow_precision(precision: Precision, device_type: str) -> None:
    """Say once that a processor without instructions for bfloat16 is about to compute in it: 8 to 18 times slower."""
    import torch

    if precision != "bfloat16" or device_type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    LOG.warning("this processor has no bfloat16 and only imitates it, many times slower: set precision to float32")


def channels_last(network: nn.Module) -> None:
    """Keep the channels of a pixel, or of a voxel, together in memory in all weights: convolutions are then faster."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in network.parameters():
        if weight.ndim in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.ndim])
