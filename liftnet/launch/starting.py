"""Starting Snakemake, telling where it is, and ending as it ends."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from liftnet.core.log import get_logger
from liftnet.core.text import one_line, printable
from liftnet.launch.snakemake_call import SnakemakeCall, environment
from liftnet.launch.watching import LiveLine, Progress, follow, last_lines, open_pipe, tell_plainly

LOG = get_logger("run")
Telling = Literal["live", "plain", "quiet"]


@dataclass(frozen=True)
class Ended:
    """How a run has ended.

    Attributes:
        status: Snakemake's exit status; 128 and the number of a signal that ended it.
        progress: How far it came.
        last: What was printed last, if it was not shown.
    """

    status: int
    progress: Progress
    last: tuple[str, ...] = ()


def telling(is_quiet: bool, is_verbose: bool) -> Telling:
    """How it is told where a run is: by one live line on a terminal, unless all that is printed is asked for."""
    return "quiet" if is_quiet else "live" if sys.stderr.isatty() and not is_verbose else "plain"


def run_alone(call: SnakemakeCall) -> int:
    """Leave all to Snakemake, as for a dry run; its exit status."""
    return _status(subprocess.call(call.command(), cwd=call.folder, env=environment(None)))


def run(call: SnakemakeCall, how: Telling) -> Ended:
    """Run a call to its end.

    Live, what is printed goes above a line that says where the run is; quiet, nothing is told but the end.
    """
    progress = Progress()
    events, writing = open_pipe()
    output = None if how == "plain" else subprocess.PIPE
    process = subprocess.Popen(
        call.command(),
        cwd=call.folder,
        env=environment(writing),
        pass_fds=(writing,),
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        process_group=0,
    )
    os.close(writing)
    tell = tell_plainly if how == "plain" else follow
    watching = threading.Thread(target=tell, args=(events, progress), daemon=True)
    watching.start()
    with _signals_passed_on(process):
        last = _shown(process, how, progress)
        status = _status(process.wait())
    watching.join(timeout=5)  # no longer: a job that was left running may hold the pipe
    return Ended(status, progress, last)


def tell_end(ended: Ended, results: Path) -> None:
    """Say what became of a run, and how to go on with it."""
    page = results / "report.html"
    if ended.status == 0:
        LOG.info("done%s", f": {printable(page.absolute())}" if page.is_file() else "")
        return
    for line in () if ended.progress.failed else ended.last:
        print(one_line(line), file=sys.stderr)
    for rule, logs in ended.progress.failed:
        LOG.error("%s failed%s", rule, f"; it says why in {', '.join(logs)}" if logs else "")
    if ended.progress.total:
        LOG.error("what is finished stays; go on with: liftnet resume %s", shlex.quote(printable(results)))


def _shown(process: subprocess.Popen[str], how: Telling, progress: Progress) -> tuple[str, ...]:
    """Show what is printed; what of it came last and was not shown."""
    if process.stdout is None:
        return ()
    if how == "quiet":
        return last_lines(process.stdout)
    with LiveLine(progress) as line:
        for text in process.stdout:
            line.print(text.rstrip("\n"))
    return ()


def _status(code: int) -> int:
    return 128 - code if code < 0 else code


@contextmanager
def _signals_passed_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave it to Snakemake how to end: it and its jobs, a group of processes, get once what this process gets.

    Were they in the group of this one, Ctrl-C on a terminal would reach them by itself, and a signal from elsewhere
    would not, or twice.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
