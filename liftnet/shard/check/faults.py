"""What a check finds: faults, each with its file, its row and its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from liftnet.core.errors import LiftnetError

MOST_SHOWN = 100  # faults of one check that the report names; it counts the others


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        file: Path below the dataset.
        row: Which row, e.g. "pair 01ab-23cd"; "" if it is about the whole file.
        reason: What is wrong, in plain words.
    """

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f', {self.row}' if self.row else ''}: {self.reason}"


@dataclass
class Report:
    """The checks made, in their order.

    Attributes:
        checked: What each check looked at, e.g. "checksums" to "34 files".
        faults: What each check found.
    """

    checked: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, check: str, looked_at: str, faults: Iterable[Fault]) -> None:
        """Note what a check looked at and found."""
        self.checked[check] = looked_at
        self.faults[check] = list(faults)

    @property
    def count(self) -> int:
        """Number of faults."""
        return sum(map(len, self.faults.values()))

    def lines(self) -> Iterator[str]:
        """The report, a line a check and a line a fault."""
        for check, looked_at in self.checked.items():
            faults = self.faults[check]
            yield f"{check}: {looked_at}, {f'{len(faults)} faults' if faults else 'ok'}"
            yield from (f"  {fault}" for fault in faults[:MOST_SHOWN])
            if len(faults) > MOST_SHOWN:
                yield f"  ... and {len(faults) - MOST_SHOWN} more"


@contextmanager
def told_as_fault(found: list[Fault], file: str, row: str = "") -> Iterator[None]:
    """Turn the errors of reading a damaged file into a fault."""
    try:
        yield
    except LiftnetError as error:
        found.append(Fault(file, row, error.reason))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        found.append(Fault(file, row, f"cannot be read: {' '.join(str(error).split())[:200]}"))
