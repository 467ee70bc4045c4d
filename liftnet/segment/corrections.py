"""Masks that a person has corrected: which image each is of, whether it can be used, and a table that says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import pandas as pd

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.data.masks import read_mask
from liftnet.data.schemas import MANIFEST, read_table

COLUMNS = ["file", "image_id", "work_id", "split", "status", "reason", "coverage"]
ENDINGS = (".png", ".mask.png")
Row = dict[str, Any]


def read_corrections(folder: Path, rows: Sequence[Mapping[str, Any]], min_coverage: float) -> list[Row]:
    """Look at every PNG in `folder`: which stored image it is the mask of, and whether it can be used.

    A mask is named `<image_id>.png`, or `<name>.png` or `<name>.mask.png` where `<name>` is the name of the image's
    file as it was collected, without its suffix, and only one image has that name.

    Args:
        folder: Folder of the masks; folders in it are not read.
        rows: Rows of the manifest.
        min_coverage: With a smaller fraction of foreground pixels a mask is taken as empty.

    Returns:
        A row a file, in the order of the names, with the columns `COLUMNS`. The status is ok, unknown_image,
        ambiguous_name, twice, mask_wrong_size, decode_error or empty.

    Raises:
        LiftnetError: The folder does not exist or holds no PNG.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is no folder", "Name the folder that holds the corrected masks")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png" and path.is_file())
    if not files:
        raise LiftnetError(folder, "holds no .png", "Put the corrected masks there, named <image_id>.png")
    stored = {row["image_id"]: row for row in rows if row["status"] == "ok"}
    names: dict[str, set[str]] = defaultdict(set)
    for row in stored.values():
        names[image_name(row["image_url"])].add(row["image_id"])
    found, taken = [], set()
    for path in files:
        row = _checked(path, stored, names, min_coverage)
        if row["status"] == "ok" and row["image_id"] in taken:
            row |= {"status": "twice", "reason": "another file of the folder is the mask of the same image"}
        elif row["status"] == "ok":
            taken.add(row["image_id"])
        found.append(row)
    return found


def image_name(address: str) -> str:
    """The last part of a URL or path without its suffix: what a person knows an image by."""
    return PurePosixPath(unquote(urlparse(address).path) or address).stem


def _checked(
    path: Path, stored: Mapping[str, Mapping[str, Any]], names: Mapping[str, set[str]], min_coverage: float
) -> Row:
    """The row of one file."""
    result: Row = dict.fromkeys(COLUMNS) | {"file": path.name}
    stems = [path.name.removesuffix(ending) for ending in ENDINGS if path.name.lower().endswith(ending)]
    known = {image_id for stem in stems for image_id in ({stem} & stored.keys()) or names.get(stem, set())}
    if len(known) != 1:
        status, what = ("ambiguous_name", f"{len(known)} images") if known else ("unknown_image", "no stored image")
        return result | {"status": status, "reason": f"{what} of the manifest go by this name; use the image_id"}
    row = stored[known.pop()]
    result |= {name: row[name] for name in ("image_id", "work_id", "split")}
    try:
        mask = read_mask(path, (row["width"], row["height"]))
    except BadImageError as error:
        return result | {"status": error.status, "reason": error.reason}
    coverage = float(mask.mean())
    if coverage < max(min_coverage, 1e-12):
        reason = f"the foreground covers less than {min_coverage:.2%} of the image"
        return result | {"status": "empty", "reason": reason, "coverage": coverage}
    return result | {"status": "ok", "reason": "", "coverage": coverage}


def usable(rows: Iterable[Row], folder: Path) -> dict[str, Path]:
    """The files that can be used, by image_id; what cannot is named in the log."""
    good = {}
    for row in rows:
        if row["status"] == "ok":
            good[row["image_id"]] = folder / row["file"]
        else:
            get_logger("segment").warning("left out: %s: %s", folder / row["file"], row["reason"])
    return good


def report_corrections(root: Path, folder: Path, min_coverage: float, stem: Path) -> pd.DataFrame:
    """Check a folder of corrected masks and write `<stem>.{csv,md,tex}`, a row a file.

    Raises:
        LiftnetError: The manifest cannot be read, or the folder does not exist or holds no PNG.
    """
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    table = pd.DataFrame(read_corrections(folder, rows, min_coverage), columns=COLUMNS)
    write_tables(table, stem, "Corrected masks: a row a file, and why it cannot be used where it cannot")
    return table
