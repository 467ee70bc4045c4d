"""Cutting rows into shards of a bounded size, and their names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt


def cut(sizes: npt.NDArray[np.int64], shard_mb: int) -> list[range]:
    """Cut rows of the given sizes (bytes) into consecutive ranges of about `shard_mb` MB; always at least one."""
    if not len(sizes):
        return [range(0)]
    before = np.cumsum(sizes) - sizes
    shards = before // (shard_mb * 1_000_000)
    starts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(sizes)]
    return [range(start, stop) for start, stop in pairwise(starts)]


def shard_files(folder: Path, name: str, parts: list[range]) -> Iterator[tuple[Path, range]]:
    """The file of each part, `<name>-00000-of-000NN.parquet`."""
    for number, rows in enumerate(parts):
        yield folder / f"{name}-{number:05d}-of-{len(parts):05d}.parquet", rows
