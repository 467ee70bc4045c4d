"""One thread a worker, parallel over items."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from liftnet.core.log import progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = TypeVar("Given", covariant=True)
_AHEAD = 4  # results kept ready for each worker: enough to keep all busy, few enough to bound the memory


class Items(Protocol[Given]):
    """A known number of items, which may come from a file one by one."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Given]: ...


def default_workers() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_threads(
    function: Callable[[Item], Result], items: Items[Item], workers: int, stage: str, doing: str
) -> Iterator[Result]:
    """Yield `function(item)` in the order of `items`, computed by `workers` threads, with progress.

    For work that leaves the interpreter (OpenCV, numba with nogil, GEMM). BLAS is held to one thread while it runs, so
    that results and speed do not depend on how many workers share the machine. The workers run only a little ahead of
    whoever takes the results, so long work needs no more memory than short work.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        if workers <= 1:
            yield from progress((function(item) for item in items), stage, doing, len(items))
            return
        with ThreadPoolExecutor(workers) as pool:
            yield from progress(_in_order(pool, function, items, _AHEAD * workers), stage, doing, len(items))


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Items[Item], ahead: int
) -> Iterator[Result]:
    """The results in order, never more than `ahead` of them computed or under way."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
