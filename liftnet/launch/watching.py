"""What a run is at, from Snakemake's events: one live line on a terminal, else plain lines now and then."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import IO, Any

from liftnet.core.log import SECONDS_BETWEEN_LINES, duration, get_logger
from liftnet.core.text import one_line

LOG = get_logger("run")
_NAMED = 3  # rules that a line names


class Progress:
    """How far a run is: one thread may count events while another reads the line.

    Args:
        clock: Seconds.

    Attributes:
        done: Jobs that are done.
        total: Jobs that are known of; a checkpoint may add more.
        seen: The rules that have begun, in their order.
        failed: Of each job that failed the rule and its logs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.done, self.total = 0, 0
        self.seen: list[str] = []
        self.failed: list[tuple[str, tuple[str, ...]]] = []
        self._clock, self._began, self._lock = clock, clock(), Lock()
        self._running: dict[int, tuple[str, float]] = {}
        self._finished: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def take(self, event: Mapping[str, Any]) -> None:
        """Count an event of Snakemake's."""
        with self._lock:
            self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("event")
        if kind == "run_info":
            self.total = int(event["stats"].get("total", 0))
        elif kind == "job_info":
            rule = str(event["rule_name"])
            self._running[event["jobid"]] = rule, self._clock()
            if rule not in self.seen:
                self.seen.append(rule)
        elif kind == "job_finished":
            self._end(event["job_id"], is_done=True)
        elif kind == "job_error":
            self._end(event["jobid"], is_done=False)
            self.failed.append((str(event["rule_name"]), tuple(event["log"] or ())))
        elif kind == "progress":
            self.done, self.total = int(event["done"]), int(event["total"])

    def _end(self, job: int, is_done: bool) -> None:
        rule, began = self._running.pop(job, ("", 0.0))
        if rule and is_done:
            self._finished[rule] += 1
            self._seconds[rule] += self._clock() - began

    def running(self) -> list[str]:
        """The rules at work, each with how many of its jobs are, are done, and how long one takes."""
        with self._lock:
            began: dict[str, list[float]] = defaultdict(list)
            for rule, start in self._running.values():
                began[rule].append(start)
            return [self._told(rule, starts) for rule, starts in began.items()]

    def _told(self, rule: str, starts: list[float]) -> str:
        done, name = self._finished[rule], rule.replace("_", " ")
        if done:
            return f"{name} {done} done, {len(starts)} at work, {duration(self._seconds[rule] / done)} each"
        several = f" 0 done, {len(starts)} at work" if len(starts) > 1 else ""
        return f"{name}{several} for {duration(self._clock() - min(starts))}"

    def line(self) -> str:
        """Where the run is, in a line."""
        at = self.running()
        named = "; ".join(at[:_NAMED]) + (f" and {len(at) - _NAMED} more" if len(at) > _NAMED else "")
        left = f"{self.done} of {self.total} jobs" if self.total else "planning"
        return f"{left}, {duration(self._clock() - self._began)}" + (f": {named}" if named else "")


def read_events(lines: IO[str]) -> Iterator[Mapping[str, Any]]:
    """The events of a file; what is none is passed over."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def tell_plainly(lines: IO[str], progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
    """Follow the events to their end, with a line for each rule that begins, and at most one a minute besides."""
    last, named = clock(), 0
    for event in read_events(lines):
        progress.take(event)
        if len(progress.seen) > named or clock() - last > SECONDS_BETWEEN_LINES:
            LOG.info("%s", progress.line())
            last, named = clock(), len(progress.seen)


def follow(lines: IO[str], progress: Progress) -> None:
    """Follow the events to their end without a word."""
    for event in read_events(lines):
        progress.take(event)


class LiveLine:
    """One line at the foot of a terminal that says where a run is; what is printed goes above it.

    Args:
        progress: Of the run.
    """

    def __init__(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text, self.progress = Text, progress
        self._live = Live(
            console=Console(stderr=True), get_renderable=self._line, refresh_per_second=2, transient=True
        )

    def _line(self) -> Any:
        return self._text(one_line(self.progress.line()), no_wrap=True, overflow="ellipsis", style="bold")

    def __enter__(self) -> LiveLine:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def print(self, line: str) -> None:
        """Print a line above it."""
        self._live.console.print(self._text(one_line(line)), soft_wrap=True)


def last_lines(lines: IO[str], kept: int = 60) -> tuple[str, ...]:
    """Read lines to their end; those that stood last."""
    return tuple(line.rstrip("\n") for line in deque(lines, maxlen=kept))


def open_pipe() -> tuple[IO[str], int]:
    """The file that events are read from, and the descriptor that they are written to."""
    reading, writing = os.pipe()
    return os.fdopen(reading, encoding="utf-8", errors="replace"), writing
