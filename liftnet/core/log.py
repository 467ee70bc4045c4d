"""Logging and progress: a bar on a terminal, a line a minute in a log file."""

from __future__ import annotations

import copy
import logging
import numbers
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TypeVar

from liftnet.core.programs import find_program
from liftnet.core.text import Lines, lines, one_line

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 60.0
SECONDS_TO_ESTIMATE, ITEMS_TO_ESTIMATE = 5.0, 3  # after which it is said how long work of minutes is going to take
CHATTY = [
    "PIL",
    "faiss",
    "matplotlib",
    "numba",
    "urllib3",
    "trimesh",
    "timm",
    "fontTools",
    "httpx",
    "onnx_ir",
    "onnxscript",
]


def get_logger(stage: str) -> logging.Logger:
    """The logger of a stage; the stage's name opens each of its lines."""
    return logging.getLogger(stage)


class LineFormatter(logging.Formatter):
    """Lines as `time stage: message`, in which nothing from outside moves the cursor or passes for a line of its own.

    Texts and paths among the arguments stay within their line, unless they are `Lines` of our own; numbers that are
    not whole have five digits where the message asks for no other form.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; a message of several lines, such as a traceback, is indented below its first."""
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(map(_shown, record.args or ()))
        return lines(super().format(record))


class _Rounded(float):
    """A number that is written with five digits where nothing else is said."""

    def __str__(self) -> str:
        return f"{self:.5g}" if abs(self) < 1e5 else f"{self:,.0f}"


def _shown(argument: object) -> object:
    if isinstance(argument, numbers.Real) and not isinstance(argument, numbers.Integral):
        return _Rounded(argument)
    return one_line(argument) if isinstance(argument, str | PurePath) and not isinstance(argument, Lines) else argument


def set_up_logging(verbose: bool = False, quiet: bool = False) -> None:
    """Send log lines to stderr, as `time stage: message`; warnings of libraries pass, their chatter does not.

    Args:
        verbose: Details too.
        quiet: Warnings and errors alone, and no bars.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def copied_to(path: Path | None) -> Iterator[None]:
    """Write what is printed inside to a file too: by this process, its libraries and the programs it starts.

    A program of its own (tee) copies it, so that the file has everything up to a crash, and Ctrl-C does not end it
    before the last line. An exception that nobody has caught is printed and ends the program with exit status 1.

    Args:
        path: The file, replaced if it exists; its folder is made. None copies nothing.
    """
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():  # tee would write into what it leads to
        path.unlink()
    _flush()
    kept = os.dup(1), os.dup(2)
    copying = subprocess.Popen([find_program("tee") or "/usr/bin/tee", "-i", str(path)], stdin=subprocess.PIPE)
    assert copying.stdin is not None
    for descriptor in (1, 2):
        os.dup2(copying.stdin.fileno(), descriptor)
    copying.stdin.close()
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
    finally:
        _flush()
        for own, descriptor in zip(kept, (1, 2), strict=True):
            os.dup2(own, descriptor)
            os.close(own)
        with suppress(subprocess.TimeoutExpired):  # a program that was left running still holds the pipe
            copying.wait(timeout=10)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def progress(items: Iterable[Item], stage: str, doing: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, telling how far it is: a bar on a terminal, else at most a line a minute with the time left.

    Args:
        items: What is worked through.
        stage: The logger's name.
        doing: What is done, as in "rendering views".
        total: Number of items where `len(items)` is not available.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if _has_bar(stage):
        from rich.progress import track

        yield from track(items, description=f"{stage}: {doing}", total=total)
        return
    meter = LineMeter(stage, doing, total)
    for item in items:
        yield item
        meter.advance()


def _has_bar(stage: str) -> bool:
    """Whether somebody sees a bar, and has not asked for quiet."""
    return sys.stderr.isatty() and get_logger(stage).isEnabledFor(logging.INFO)


@contextmanager
def meter(stage: str, doing: str, total: int) -> Iterator[Callable[[str], None]]:
    """Progress of a loop without a list of items: yields a function to call after each, with a text to append.

    A bar on a terminal, else at most a line a minute with the time left.
    """
    if not _has_bar(stage):
        yield LineMeter(stage, doing, total).advance
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(f"{stage}: {doing}", total=total)
        yield lambda extra: bar.update(task, advance=1, description=f"{stage}: {doing}{extra}")


class LineMeter:
    """At most one progress line a minute, for logs; the first after some seconds if minutes are left, else after one.

    So short work stays silent. What is left is reckoned without the first item, which loads and compiles for all.
    """

    def __init__(self, stage: str, doing: str, total: int | None) -> None:
        self.logger, self.doing, self.total = get_logger(stage), doing, total
        self.done, self.start = 0, time.monotonic()
        self.last = self.first = self.start

    def advance(self, extra: str = "") -> None:
        """Count one item as done and print a line if a minute has passed. `extra` is appended to the line."""
        self.done += 1
        now = time.monotonic()
        self.first = now if self.done == 1 else self.first
        spent = now - self.start
        each = (now - self.first) / (self.done - 1) if self.done > 1 else spent
        left = each * (self.total - self.done) if self.total else 0.0
        is_known = self.done >= ITEMS_TO_ESTIMATE and spent >= SECONDS_TO_ESTIMATE and left >= SECONDS_BETWEEN_LINES
        is_estimate = is_known and self.last == self.start
        if now - self.last < SECONDS_BETWEEN_LINES and not is_estimate:
            return
        self.last = now
        of, still = (f" of {self.total}", f", about {duration(left)} left") if self.total else ("", "")
        self.logger.info("%s: %d%s after %s%s%s", self.doing, self.done, of, duration(spent), still, extra)


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
