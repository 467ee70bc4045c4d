"""A folder that is replaced as a whole: readers see the old files or the new ones, never a mixture."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.files import writing_error

OF_A_DATASET = frozenset(
    {"README.md", "croissant.json", "ATTRIBUTION.csv", "ATTRIBUTION.html", "checksums.sha256", "splits", "mini"}
)  # its files and folders beside *.parquet


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that takes its name when the block ends without an error.

    A failed or killed writer leaves the old folder: between the two renames it is set aside under a hidden name, from
    which the next call brings it back. Leftovers of killed runs are removed.

    Raises:
        LiftnetError: `folder` holds files that no dataset has, or nothing can be written there.
    """
    folder = Path(folder).absolute()
    _check_only_dataset_files(folder)
    staging = folder.with_name(f".{folder.name}.part-{uuid.uuid4().hex[:8]}")
    aside = folder.with_name(f".{folder.name}.old-{uuid.uuid4().hex[:8]}")
    try:
        _tidy_up(folder)
        staging.mkdir(parents=True)
        yield staging
        _sync(staging)
        if folder.exists():
            os.rename(folder, aside)
        try:
            os.rename(staging, folder)
        except OSError:
            if aside.exists():
                os.rename(aside, folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise writing_error(folder, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_only_dataset_files(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise LiftnetError(folder, "is a file, not a folder", "Name another folder for the dataset")
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    foreign = sorted(n for n in names if not (n.endswith(".parquet") or n in OF_A_DATASET or n.startswith(".")))
    if foreign:
        raise LiftnetError(
            folder,
            f"holds {foreign[0]!r}, which is no file of a dataset, and would be replaced as a whole",
            "Name a folder that holds nothing but a dataset",
        )


def _tidy_up(folder: Path) -> None:
    for aside in sorted(folder.parent.glob(f".{folder.name}.old-*")):
        if folder.exists():
            shutil.rmtree(aside)
        else:
            os.rename(aside, folder)
    for part in folder.parent.glob(f".{folder.name}.part-*"):
        shutil.rmtree(part)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as written:
                os.fsync(written.fileno())
