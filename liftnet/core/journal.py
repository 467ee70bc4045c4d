"""Results of a long run one by one in a file, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from liftnet.core.files import writing_error
from liftnet.core.log import get_logger
from liftnet.core.opening import no_links, read_text


def append_entry(journal: Path, entry: Mapping[str, Any]) -> None:
    """Add a result, as a line of JSON.

    Raises:
        LiftnetError: The file cannot be written.
    """
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with open(journal, "a", encoding="utf-8", opener=no_links) as file:
            file.write("\n" + json.dumps(entry))  # a line that a kill cut off stays a line of its own
    except OSError as error:
        raise writing_error(journal, error) from error


def read_entries(journal: Path, stage: str) -> Iterator[dict[str, Any]]:
    """The results so far; a line that was cut off by a kill is passed over, with a word in the stage's log."""
    if not journal.exists():
        return
    for line in read_text(journal, errors="replace").split("\n"):
        if not line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            yield entry
        else:
            get_logger(stage).info("%s: a line that is not whole is passed over", journal)
