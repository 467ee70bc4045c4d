"""Correcting masks: a sheet of those most likely wrong for a person to look at, and the check of what comes back."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

import cv2
import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import finished, write_text
from liftnet.core.log import get_logger, progress
from liftnet.core.tables import csv_text, write_tables
from liftnet.core.text import for_html
from liftnet.core.types import BoolArray, UInt8Array
from liftnet.core.walking import entries
from liftnet.data.drawing import shrunk
from liftnet.data.folders import has_picture_suffix
from liftnet.data.mask_names import image_stems
from liftnet.data.masks import read_mask, write_mask
from liftnet.data.pictures import read_image, write_image
from liftnet.data.schemas import MANIFEST, MASKS, read_table

COLUMNS = ["file", "image_id", "work_id", "split", "status", "reason", "coverage"]
Row = dict[str, Any]
LOG = get_logger("segment")
OVERLAY_SIDE, TILE, COLUMNS_ACROSS = 720, 200, 6
INK = (220, 38, 127)  # of outline and background tint: a colour that stone, bronze and rooms seldom have
FIELDS = ["rank", "image_id", "work", "split", "status", "confidence", "coverage", "address", "reason"]
STYLE = """body{font:14px system-ui,sans-serif;margin:1.5rem;color:#1e293b}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:1rem}
figure{margin:0}img{width:100%;height:260px;object-fit:contain;background:#f1f5f9}
figcaption{overflow-wrap:anywhere;font-size:12px}code{font-size:11px}"""


def read_corrections(folder: Path, rows: Sequence[Mapping[str, Any]], min_coverage: float) -> list[Row]:
    """Look at every picture in `folder`: which stored image it is the mask of, and whether it can be used.

    A mask is named `<image_id>.png`, or `<name>.png` or in any other way that `liftnet.data.mask_names` knows, where
    `<name>` is the name of the image's file as it was collected and only one image has that name.

    Args:
        folder: Folder of the masks; folders in it are not read.
        rows: Rows of the manifest.
        min_coverage: With a smaller fraction of foreground pixels a mask is taken as empty.

    Returns:
        A row a file, in the order of the names, with the columns `COLUMNS`. The status is ok, unknown_image,
        ambiguous_name, twice, mask_wrong_size, decode_error or empty.

    Raises:
        LiftnetError: The folder does not exist or holds no mask.
    """
    if not folder.is_dir():
        raise LiftnetError(folder, "is no folder", "Name the folder that holds the corrected masks")
    files = [path for path in entries(folder) if has_picture_suffix(path)]
    if not files:
        raise LiftnetError(folder, "holds no masks", "Put the corrected masks there, named <image_id>.png")
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
    name = PurePosixPath(unquote(urlparse(address).path) or address).stem
    return unicodedata.normalize("NFC", name)


def _checked(
    path: Path, stored: Mapping[str, Mapping[str, Any]], names: Mapping[str, set[str]], min_coverage: float
) -> Row:
    """The row of one file."""
    result: Row = dict.fromkeys(COLUMNS) | {"file": path.name}
    stems = image_stems(path.name)
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
            LOG.warning("left out: %s: %s", folder / row["file"], row["reason"])
    return good


def report_corrections(root: Path, folder: Path, min_coverage: float, stem: Path) -> pd.DataFrame:
    """Check a folder of corrected masks and write `<stem>.{csv,md,tex}`, a row a file.

    Raises:
        LiftnetError: The manifest cannot be read, or the folder does not exist or holds no mask.
    """
    rows = read_table(root / "manifest.parquet", MANIFEST).to_pylist()
    table = pd.DataFrame(read_corrections(folder, rows, min_coverage), columns=COLUMNS)
    write_tables(table, stem, "Corrected masks: a row a file, and why it cannot be used where it cannot")
    return table


def write_sheet(root: Path, masks: Path, out: Path, count: int, work: str | None = None) -> pd.DataFrame:
    """Write the masks of lowest confidence as sheet.html, sheet.png and sheet.csv, and as files to correct.

    Images without a mask come first. `overlays/<image_id>.jpg` shows what was taken for the background tinted;
    `masks/<image_id>.png` is the mask itself, all black where there is none: corrected with any painting program and
    put into a folder, it goes back into the training (`segment correct`, setting `corrections`).

    Args:
        root: Folder with manifest.parquet and images/.
        masks: Folder of the masks and of their tables (`segment predict`, `segment propose`).
        out: Folder of the sheet.
        count: Most images.
        work: Only the images of this work_id.

    Returns:
        What sheet.csv holds: rank (from 1), image_id, work, split, status, confidence, coverage, address, reason.

    Raises:
        LiftnetError: There is no table of masks, or the manifest cannot be read.
    """
    chosen = worst_masks(root, masks, work).head(count)
    tiles: list[UInt8Array] = []
    kept: list[Row] = []
    for row in progress(_records(chosen), "segment", "drawing masks"):
        try:
            image = read_image(root / "images" / row["file"])
            size = (image.shape[1], image.shape[0])
            found = row["status"] == "ok"
            mask = read_mask(masks / f"{row['image_id']}.png", size) if found else np.zeros(image.shape[:2], bool)
        except BadImageError as error:
            LOG.warning("not on the sheet: %s", error)
            continue
        picture = overlay(shrunk(image, OVERLAY_SIDE), mask)
        write_image(out / "overlays" / f"{row['image_id']}.jpg", picture, 88)
        write_mask(out / "masks" / f"{row['image_id']}.png", mask)
        kept.append(row | {"rank": len(kept) + 1})
        tiles.append(_tile(picture, f"{len(kept)}  {row['confidence']:.3f}"))
    table = pd.DataFrame(kept, columns=FIELDS)
    write_text(out / "sheet.csv", csv_text(table))
    write_text(out / "sheet.html", _page(table))
    if tiles:
        write_image(out / "sheet.png", _grid(tiles))
    return table


def worst_masks(root: Path, masks: Path, work: str | None = None) -> pd.DataFrame:
    """The images of all tables of masks in a folder, the least confident first and those without a mask before them.

    Raises:
        LiftnetError: There is no table of masks, or a file cannot be read.
    """
    tables = finished(masks, "*.parquet")
    if not tables:
        raise LiftnetError(masks, "holds no table of masks", "Run `segment predict` or `segment propose`")
    found = pd.concat([read_table(path, MASKS).to_pandas() for path in tables]).drop_duplicates("image_id")
    manifest = read_table(root / "manifest.parquet", MANIFEST).to_pandas()
    known = manifest.loc[manifest.status == "ok", ["image_id", "file", "work", "work_id", "split", "image_url"]]
    merged = found.merge(known.drop_duplicates("image_id"), on="image_id")
    if work is not None:
        merged = merged[merged.work_id == work]
    merged = merged[merged.status.isin(["ok", "no_foreground"])].rename(columns={"image_url": "address"})
    merged["confidence"] = merged.confidence.where(merged.status == "ok", 0.0)
    return merged.sort_values(["confidence", "image_id"], ignore_index=True)


def overlay(image: UInt8Array, mask: BoolArray) -> UInt8Array:
    """(h, w, 3) uint8: the image with what is off the mask darkened and tinted, and the outline drawn.

    Args:
        image: (h, w, 3) uint8, at the size to be drawn.
        mask: (H, W) bool, at any size of the same proportions.
    """
    height, width = image.shape[:2]
    small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
    tinted = image // 3 + (np.array(INK) // 4).astype(np.uint8)
    picture = np.ascontiguousarray(np.where(small[..., None] > 0, image, tinted)).astype(np.uint8)
    outlines, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, INK, max(1, max(height, width) // 300))
    return picture


def _tile(picture: UInt8Array, label: str) -> UInt8Array:
    """A square of side `TILE` with the picture in its middle and a label in its corner."""
    small = shrunk(picture, TILE)
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    top, left = (TILE - small.shape[0]) // 2, (TILE - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    tile[:18, : 9 * len(label) + 6] = 255
    cv2.putText(tile, label, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 41, 59), 1, cv2.LINE_AA)
    return tile


def _grid(tiles: Sequence[UInt8Array]) -> UInt8Array:
    across = min(COLUMNS_ACROSS, len(tiles))
    blank = np.full_like(tiles[0], 255)
    filled = [*tiles, *[blank] * (-len(tiles) % across)]
    return np.vstack([np.hstack(filled[start : start + across]) for start in range(0, len(filled), across)])


def _page(table: pd.DataFrame) -> str:
    """A page of the overlays; all that came from outside is escaped."""
    figures = "\n".join(_figure(row) for row in _records(table))
    text = (
        "The masks of lowest confidence first. Background is dark and tinted. To correct one, edit "
        "<code>masks/&lt;image_id&gt;.png</code> (white: sculpture, black: background; keep its size), put it into a "
        "folder of its own, check the folder with <code>segment correct</code> and train again with "
        "<code>segment.corrections</code> set to it."
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Masks to look at</title>'
        f"<style>{STYLE}</style><h1>Masks to look at: {len(table)}</h1><p>{text}</p>"
        f"<main>\n{figures}\n</main></html>\n"
    )


def _records(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _figure(row: Row) -> str:
    image_id = for_html(str(row["image_id"]))
    numbers = f"confidence {row['confidence']:.3f}, {row['coverage']:.0%} foreground"
    state = "" if row["status"] == "ok" else f"<br><b>{for_html(str(row['reason']))}</b>"
    return (
        f'<figure><img src="overlays/{image_id}.jpg" alt="" loading="lazy"><figcaption><b>{row["rank"]}</b> '
        f"{for_html(str(row['work']))}, {for_html(str(row['split']))}<br>{numbers}{state}<br><code>{image_id}</code> "
        f"{for_html(str(row['address']))}</figcaption></figure>"
    )
