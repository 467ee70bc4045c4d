"""What a run is at, from Snakemake's events: one live line on a terminal, else plain lines now and then."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from liftnet.core.log import SECONDS_BETWEEN_LINES, duration, get_logger
from liftnet.core.text import one_line

LOG = get_logger("run")
_NAMED = 3  # rules that a line names


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        done: Jobs that are done.
        total: Jobs that are known of; a checkpoint may add more.
        failed: Of each job that failed the rule and its logs.
    """

    clock: Callable[[], float] = time.monotonic
    done: int = 0
    total: int = 0
    failed: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self._running: dict[int, tuple[str, float]] = {}
        self._finished: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self.seen: list[str] = []

    def take(self, event: Mapping[str, Any]) -> None:
        """Count an event of Snakemake's."""
        kind = event.get("event")
        if kind == "run_info":
            self.total = int(event["stats"].get("total", 0))
        elif kind == "job_info":
            rule = str(event["rule_name"])
            self._running[event["jobid"]] = rule, self.clock()
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
            self._seconds[rule] += self.clock() - began

    def running(self) -> list[str]:
        """The rules at work, each with how many of its jobs are, are done, and how long one takes."""
        now, counts = Counter(rule for rule, _ in self._running.values()), []
        for rule, at_work in now.items():
            done = self._finished[rule]
            several = f" {done} done, {at_work} at work" if done or at_work > 1 else ""
            each = f", {duration(self._seconds[rule] / done)} each" if done else ""
            began = min(start for name, start in self._running.values() if name == rule)
            since = "" if done else f" for {duration(self.clock() - began)}"
            counts.append(f"{rule.replace('_', ' ')}{several}{each}{since}")
        return counts

    def line(self) -> str:
        """Where the run is, in a line."""
        at = self.running()
        named = "; ".join(at[:_NAMED]) + (f" and {len(at) - _NAMED} more" if len(at) > _NAMED else "")
        left = f"{self.done} of {self.total} jobs" if self.total else "planning"
        return f"{left}, {duration(self.clock() - self.began)}" + (f": {named}" if named else "")


def read_events(lines: IO[str]) -> Iterator[Mapping[str, Any]]:
    """The events of a file; what is none is passed over."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def tell_plainly(lines: IO[str], progress: Progress) -> None:
    """Follow the events to their end, with a line for each rule that begins, and at most one a minute besides."""
    last, named = progress.clock(), 0
    for event in read_events(lines):
        progress.take(event)
        is_new = len(progress.seen) > named
        if is_new or progress.clock() - last > SECONDS_BETWEEN_LINES:
            LOG.info("%s", progress.line())
            last, named = progress.clock(), len(progress.seen)


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
