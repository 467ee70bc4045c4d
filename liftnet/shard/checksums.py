"""SHA-256 of every file of a dataset, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import re
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.opening import read_text, sha256_of

CHECKSUMS_FILE = "checksums.sha256"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def dataset_files(folder: Path) -> list[Path]:
    """Every file below a dataset, sorted; not what begins with a dot, where tools of hubs keep their notes."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def write_checksums(folder: Path) -> None:
    """Write `checksums.sha256` of all files below a dataset but itself."""
    names = [path for path in dataset_files(folder) if path != folder / CHECKSUMS_FILE]
    lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}" for path in names]
    write_text(folder / CHECKSUMS_FILE, "\n".join(lines) + "\n")


def sign_dataset(dataset: Path) -> None:
    """Write the checksums of a whole dataset anew: of its small dataset first, whose checksums are a file of it.

    Raises:
        LiftnetError: It has no checksums yet: then it was not written by `shard write`.
    """
    if not (dataset / CHECKSUMS_FILE).is_file():
        raise LiftnetError(dataset, f"has no {CHECKSUMS_FILE}", "Name the folder that `shard write` made")
    for folder in (dataset / "mini", dataset):
        if folder.is_dir():
            write_checksums(folder)


def read_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file by its path below the dataset.

    Raises:
        LiftnetError: There is no `checksums.sha256`, or a line of it is none.
    """
    path = folder / CHECKSUMS_FILE
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", "Download the dataset again") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise LiftnetError(path, f"line {number} is no checksum of a file below it", "Download the dataset again")
        found[match[2]] = match[1]
    return found
