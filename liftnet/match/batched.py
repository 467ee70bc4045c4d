"""Exact nearest-neighbour matching of many pairs on a graphics card: half precision to discard, exact for the rest.

A half-precision product of 8-bit descriptors, summed in single precision, is wrong by one rounding at most. So the
nearest two distances are known within a bound, and a descriptor that cannot pass the ratio test even at the bound's
best is out: most of them. The few that are left are compared again in single precision, where products of 8-bit
descriptors are exact, and so are their partners in the other direction. The result equals
`liftnet.match.descriptors.match_with_ratios` to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.types import UInt8Array
from liftnet.data.features import Floats

Indices = npt.NDArray[np.int64]
Found = tuple[Indices, Floats]

_SCALE = 16.0  # descriptors are divided by it: sums of 128 products then stay below the largest half, 65504
_ROUNDING = 2.0**-11 * 1.001  # relative error of a half; with a margin for the bound's own arithmetic
_BYTES_AT_ONCE = 2**30  # of products of a batch


def match_pairs_with_ratios(
    pairs: Iterable[tuple[UInt8Array, UInt8Array]],
    ratio: float = 0.8,
    mutual: bool = True,
    device: str | torch.device = "cuda",
    bytes_at_once: int = _BYTES_AT_ONCE,
) -> Iterator[Found]:
    """Match pairs of descriptor sets in batches.

    Args:
        pairs: Descriptors (N, D) and (M, D) uint8 of each pair, D at most 128; N and M may differ and be 0.
        ratio: See `match_descriptors`.
        mutual: Likewise.
        device: Where to compute.
        bytes_at_once: Memory for the products of a batch; bounds what is used in all to a few times as much.

    Yields:
        For each pair, in order, (K, 2) int64 matches and (K,) float32 distance ratios, as `match_with_ratios` gives.

    Raises:
        ValueError: Descriptors are not uint8, of more than 128 numbers or of different length, or `ratio` is out of
            range.
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must lie in (0, 1], not {ratio}")
    with _full_precision():
        for batch in _batches(pairs, bytes_at_once):
            yield from _match_batch(batch, ratio, mutual, torch.device(device))


def _batches(
    pairs: Iterable[tuple[UInt8Array, UInt8Array]], bytes_at_once: int
) -> Iterator[list[tuple[UInt8Array, UInt8Array]]]:
    """Consecutive pairs whose products, padded to the largest, fit into the memory; at least one pair."""
    batch: list[tuple[UInt8Array, UInt8Array]] = []
    rows = columns = 0
    for a, b in pairs:
        _check(a, b)
        rows, columns = max(rows, len(a)), max(columns, len(b))
        if batch and 2 * (len(batch) + 1) * rows * columns > bytes_at_once:
            yield batch
            batch, rows, columns = [], len(a), len(b)
        batch.append((a, b))
    if batch:
        yield batch


def _match_batch(
    batch: list[tuple[UInt8Array, UInt8Array]], ratio: float, mutual: bool, device: torch.device
) -> Iterator[Found]:
    a, b = (_padded([pair[side] for pair in batch], device) for side in (0, 1))
    candidates = _may_pass(a, b, [len(pair[1]) for pair in batch], ratio)
    for k, pair in enumerate(batch):
        n, m = len(pair[0]), len(pair[1])
        yield _exact_matches(a[k, :n].float(), b[k, :m].float(), candidates[k, :n], ratio, mutual)


def _may_pass(a: Tensor, b: Tensor, lengths: list[int], ratio: float) -> Tensor:
    """Whether each descriptor of a may pass the ratio test, by half-precision products and their error bound.

    Args:
        a: (P, N, D) uint8.
        b: (P, M, D) uint8.
        lengths: How many of the M are real.
        ratio: Of the test.

    Returns:
        (P, N) bool; False only where the test fails for certain.
    """
    real = torch.arange(b.shape[1], device=b.device) < torch.tensor(lengths, device=b.device)[:, None]
    if ratio == 1 or b.shape[1] < 2:
        return real.any(dim=1, keepdim=True).expand(a.shape[:2])
    products = _half_products(a, b)
    largest = products.amax(dim=2).float() * _SCALE**2
    norms_a, norms_b = _squared_norms(a), _squared_norms(b).masked_fill(~real, torch.inf)
    nearness = products.float().mul_(2 * _SCALE**2).sub_(norms_b[:, None])
    first, second = nearness.topk(2, dim=2).values.unbind(dim=2)
    error = 2 * largest * _ROUNDING + 1  # of 2 a.b; the 1 covers single-precision rounding of whole numbers
    nearest = (norms_a - first - error).clamp(min=0)
    return nearest < ratio**2 * (norms_a - second + error) * (1 + 1e-6)


def _half_products(a: Tensor, b: Tensor) -> Tensor:
    """(P, N, M) half: inner products divided by the square of the scale, each rounded once."""
    scaled = (a.half() / _SCALE, (b.half() / _SCALE).transpose(1, 2))
    if a.device.type == "cpu":  # where half products are slow and may be summed in half precision
        return torch.bmm(scaled[0].float(), scaled[1].float()).half()
    return torch.bmm(*scaled)


def _exact_matches(a: Tensor, b: Tensor, candidates: Tensor, ratio: float, mutual: bool) -> Found:
    """Matches of the candidate rows of a (N, D) among b (M, D), whole numbers in single precision."""
    rows = candidates.nonzero()[:, 0]
    if not len(rows) or not len(b):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    norms_a, norms_b = _squared_norms(a), _squared_norms(b)
    nearness = 2 * (a[rows] @ b.T) - norms_b
    nearest = nearness.argmax(dim=1)  # the first of equal ones
    first = norms_a[rows].double() - nearness.gather(1, nearest[:, None])[:, 0].double()
    second = torch.full_like(first, torch.inf)
    if len(b) > 1:
        second = norms_a[rows].double() - nearness.scatter_(1, nearest[:, None], -torch.inf).amax(dim=1).double()
    keep = torch.ones_like(rows, dtype=torch.bool)
    if ratio < 1:
        keep = (first.sqrt() < ratio * second.sqrt()) & second.isfinite()
    rows, nearest, first, second = rows[keep], nearest[keep], first[keep], second[keep]
    if mutual and len(rows):
        keep = (2 * (b[nearest] @ a.T) - norms_a).argmax(dim=1) == rows
        rows, nearest, first, second = rows[keep], nearest[keep], first[keep], second[keep]
    squared = torch.where(second.isfinite() & (second > 0), first / second, torch.ones_like(first))
    ratios = squared.clamp(0, 1).sqrt().float()
    return torch.stack([rows, nearest], dim=1).cpu().numpy(), ratios.cpu().numpy()


def _squared_norms(descriptors: Tensor) -> Tensor:
    """(...,) single-precision squared norms of (..., D) whole numbers, exact."""
    values = descriptors.float()
    return (values * values).sum(dim=-1)


def _padded(arrays: list[UInt8Array], device: torch.device) -> Tensor:
    """(P, N, D) uint8, the arrays padded with zeros to the longest."""
    width = max(array.shape[1] for array in arrays)
    out = np.zeros((len(arrays), max(len(array) for array in arrays), width), np.uint8)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array), : array.shape[1]] = array
    return torch.from_numpy(out).to(device, non_blocking=True)


def _check(a: UInt8Array, b: UInt8Array) -> None:
    for array in (a, b):
        if array.ndim != 2 or array.dtype != np.uint8 or array.shape[1] > 128:
            raise ValueError(f"descriptors must be uint8 (N, at most 128), not {array.dtype} {array.shape}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"descriptors have {a.shape[1]} and {b.shape[1]} numbers; they must have the same")


@contextmanager
def _full_precision() -> Iterator[None]:
    """Sums in single precision: no TF32, no half-precision accumulation."""
    matmul, before = torch.backends.cuda.matmul, torch.get_float32_matmul_precision()
    reduced = matmul.allow_fp16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        matmul.allow_fp16_reduced_precision_reduction = reduced
