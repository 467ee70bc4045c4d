"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from liftnet.core.documents import read_json_file
from liftnet.core.errors import LiftnetError
from liftnet.core.opening import open_file
from liftnet.core.text import for_json

_REMEDIES = {
    errno.ENOSPC: ("the disk is full", "Free some space, or move the outputs with `--config results=DIR`"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or move the outputs with `--config results=DIR`"),
    errno.EACCES: ("no permission to write", "Change the folder's permissions or write somewhere else"),
    errno.EPERM: ("no permission to write", "Change the folder's permissions or write somewhere else"),
    errno.EROFS: ("the file system is read-only", "Write somewhere else with `--config results=DIR`"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "Remove the file or write somewhere else"),
    errno.EMLINK: ("the file has a second name elsewhere (a hard link)", "Put a copy of the file in its place"),
    errno.ELOOP: ("a link stands where a file of our own is needed", "Remove the link"),
    errno.EEXIST: ("a file stands where a folder is needed", "Remove the file or write somewhere else"),
}


def writing_error(path: Path, error: OSError) -> LiftnetError:
    """An `OSError` met while writing `path`, in plain words."""
    reason, remedy = _REMEDIES.get(error.errno or 0, (error.strerror or str(error), "Check the folder"))
    return LiftnetError(path, f"cannot be written: {reason}", remedy)


def own_path(root: Path, name: str) -> Path | None:
    """The path of a file below the folder of a run; None where the name, or a link on the way, leads out of it."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        return None
    above = [root.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
    return None if any(folder.is_symlink() for folder in above) else root / name


def own_entries(root: Path, folder: str, pattern: str = "*") -> list[Path]:
    """What a folder below that of a run holds, to be removed; nothing where a link leads to the folder."""
    place = own_path(root, f"{folder}/*")
    return sorted(place.parent.glob(pattern)) if place is not None else []


def finished(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder, in the order of their paths, without those that are still being written.

    What `atomic_path` has not yet renamed is hidden, and a pattern of `Path.glob` matches hidden names.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def remove(path: Path) -> None:
    """Remove a file, a folder with all that is in it, or a link, but not what the link leads to; if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is synced and renamed to it when the block ends without an error.

    A killed or failed writer leaves `path` as it was. The temporary name keeps the suffix, since many writers choose
    their format by it.

    Raises:
        LiftnetError: The folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open_file(temporary) as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, FileNotFoundError | UnicodeError):
            raise
        raise writing_error(path, error) from error
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(path, for_json(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file that a stage has written; NaN is a number in it.

    Raises:
        LiftnetError: The file is missing, is not JSON, or is far longer or deeper nested than any stage writes it.
    """
    again = "Delete it and run its stage again"
    return read_json_file(path, again, "Run the stage that writes it", finite=False)
