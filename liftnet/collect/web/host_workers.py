"""Work in parallel over hosts: each host has a few workers of its own, so that a slow one holds up no other."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_by_host(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    host_of: Callable[[Item], str],
    workers_of: Callable[[str], int],
    threads: int,
    stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield `work(item)` as each gets done.

    Args:
        items: What to work on; within a host they are begun in this order.
        work: Called in a thread. Its first exception ends the run and is raised here.
        host_of: The host of an item.
        workers_of: How many items of a host may be worked on at a time.
        threads: How many over all hosts.
        stop: Called when the run ends, early or not, to cut short what is under way.
    """
    waiting: dict[str, deque[Item]] = {}
    for item in items:
        waiting.setdefault(host_of(item), deque()).append(item)
    done: queue.SimpleQueue[tuple[list[Result], BaseException | None]] = queue.SimpleQueue()
    ending = threading.Event()

    def worker(own: deque[Item]) -> None:
        try:
            while not ending.is_set():
                try:
                    item = own.popleft()
                except IndexError:
                    return
                done.put(([work(item)], None))
        except BaseException as error:
            done.put(([], error))

    # the first worker of every host before the second of any
    workers = [[own] * min(workers_of(host), len(own)) for host, own in waiting.items()]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            for own in itertools.chain.from_iterable(itertools.zip_longest(*workers)):
                if own is not None:
                    pool.submit(worker, own)
            for _ in items:
                results, error = done.get()
                if error is not None:
                    raise error
                yield from results
        finally:
            ending.set()
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
