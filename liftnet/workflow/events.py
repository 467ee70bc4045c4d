"""What Snakemake's log tells of its jobs, handed to who started it (`liftnet run`), a line of JSON an event."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

DESCRIPTOR = "LIFTNET_EVENTS"
"""The variable with the number of the open file that events are written to; empty where none are asked for."""

_FIELDS = {  # of an event of Snakemake's log (snakemake-interface-logger-plugins): what is told of it
    "run_info": ("stats",),
    "job_info": ("jobid", "rule_name"),
    "job_started": ("jobs",),
    "job_finished": ("job_id",),
    "job_error": ("jobid", "rule_name", "log"),
    "progress": ("done", "total"),
}
_OF_ONE_JOB = ("job_started", "job_finished", "progress")
_CHATTER = (  # lines without an event of their own
    "Select jobs to execute...",
    "Updating checkpoint dependencies.",
    "DAG of jobs will be updated after completion.",
)


def is_started_by_us() -> bool:
    """Whether `liftnet run` started this process, which has told the user of his photographs already."""
    return DESCRIPTOR in os.environ


def attach(logger: logging.Logger) -> None:
    """Hand on what is logged from now on, if somebody asked for it; jobs do not inherit that.

    What he tells himself is printed no more; Snakemake's own file of its log keeps it.
    """
    descriptor = os.environ.pop(DESCRIPTOR, "")
    if not descriptor.isdigit():
        return
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(_is_told_by_nobody_else)
    logger.addHandler(EventHandler(int(descriptor)))


def _is_told_by_nobody_else(record: logging.LogRecord) -> bool:
    if str(getattr(record, "event", "")) in _OF_ONE_JOB:
        return False
    return record.getMessage() not in _CHATTER


class EventHandler(logging.Handler):
    """Writes the events of a log to an open file.

    Args:
        descriptor: Of the file.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of an event; whoever read them may be gone, which stops no job."""
        line = event_line(record)
        try:
            while line:
                line = line[os.write(self.descriptor, line) :]
        except OSError:
            logging.getLogger().debug("nobody reads the events any more")


def event_line(record: logging.LogRecord) -> bytes:
    """The line of an event; empty for other lines of the log."""
    kind = str(getattr(record, "event", ""))
    if kind not in _FIELDS:
        return b""
    told: dict[str, Any] = {name: getattr(record, name, None) for name in _FIELDS[kind]}
    return json.dumps({"event": kind, **told}, default=str).encode() + b"\n"
