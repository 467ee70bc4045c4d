"""Masks out of what annotation programs export: one a picture, of all its objects; what is left out is named."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.core.text import printable
from liftnet.core.types import BoolArray
from liftnet.data.folders import pictures_below
from liftnet.data.masks import write_mask
from liftnet.data.pictures import OpenPicture, Size, load, open_picture, times
from liftnet.segment.annotation_exports import BOX, DAMAGED, UNDERSTOOD, Annotated, Drawn, NoOutlineError, read_export

LOG = get_logger("segment")
TABLE = "annotations.csv"


@dataclass(frozen=True)
class Imported:
    """What became of a picture of an export, or of an object on it that was left out.

    Attributes:
        picture: Its name there.
        object: The number of the object from 1 on and its kind; empty for the picture.
        status: "ok", "partly" (some of its objects were left out), "no_outline", "unreadable_object", "unknown_image",
            "ambiguous_name", "mask_wrong_size", "mask_empty", "mask_full", "unreadable", or one of the reader of
            pictures.
        reason: In plain words; empty if ok.
    """

    picture: str
    object: str
    status: str
    reason: str


def import_masks(export: Path, images: Path, out: Path, boxes: bool = False) -> list[Imported]:
    """Write `<out>/<picture as it lies below images>.png` for each picture of an export, and the table of it all.

    Objects that are no outline, or cannot be read, are left out, and the others of their picture drawn. Where two
    pictures differ in their ending alone, their masks keep it (`x.jpg.png`).

    Args:
        export: A COCO, Label Studio or CVAT export.
        images: Folder of the pictures; they are found by as much of their path as there is.
        out: Folder of the masks and of `annotations.csv`.
        boxes: Whether upright boxes count as outlines.

    Raises:
        LiftnetError: The export is none that is known, or names no picture, or there is no folder of pictures.
    """
    if not images.is_dir():
        raise LiftnetError(images, "is not a folder", "Give the folder of the pictures that were annotated")
    annotated = read_export(export)
    if not annotated:
        raise LiftnetError(export, "names no picture with objects", UNDERSTOOD)
    pictures = _Pictures(images)
    rows = [row for name, what in annotated.items() for row in _import_one(name, what, pictures, out, boxes)]
    write_text(out / TABLE, pd.DataFrame(map(asdict, rows)).to_csv(index=False, lineterminator="\n"))
    return rows


class _Pictures:
    """The pictures below a folder, by the ends of their paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        below = [path.relative_to(folder) for path in pictures_below(folder)]
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in below:
            self._by_name[_composed(path.name)].append(path)
        self._stems = Counter(path.with_suffix("") for path in below)

    def find(self, name: str) -> list[Path]:
        """The pictures that a name may mean: those of its name whose folders agree longest."""
        parts = PurePosixPath(_composed(name)).parts
        found = self._by_name.get(parts[-1] if parts else "", [])
        if not found and parts:  # Label Studio puts eight letters and a hyphen before the names of uploaded files
            found = self._by_name.get(parts[-1].partition("-")[2], [])
        agreeing = [_agreeing(PurePosixPath(_composed(path.as_posix())).parts[:-1], parts[:-1]) for path in found]
        return [path for path, count in zip(found, agreeing, strict=True) if count == max(agreeing)]

    def mask_name(self, path: Path) -> Path:
        """The path of the mask of a picture, below the folder of masks."""
        return path.with_name(f"{path.stem if self._stems[path.with_suffix('')] == 1 else path.name}.png")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _agreeing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths have in common at their ends."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _import_one(name: str, what: Annotated, pictures: _Pictures, out: Path, boxes: bool) -> list[Imported]:
    """The row of a picture, and those of its objects that were left out."""

    def row(status: str, reason: str) -> Imported:
        return Imported(name, "", status, reason)

    if what.unread:
        return [row("unreadable", what.unread)]
    found = pictures.find(name)
    if len(found) != 1:
        shown = f"{len(found) or 'no'} pictures below {printable(pictures.folder)} bear its name"
        return [row("ambiguous_name" if found else "unknown_image", shown)]
    try:
        picture = open_picture(*load(pictures.folder / found[0]))
    except BadImageError as error:
        return [row(error.status, error.reason)]
    size = what.size or picture.shown_size
    if size not in (picture.shown_size, picture.size):
        shown = f"annotated at {times(size)} px, the picture as displayed has {times(picture.shown_size)}"
        return [row("mask_wrong_size", shown)]
    mask, left_out = _draw(name, what.objects, size, boxes)
    if not mask.any() or mask.all():
        drawn = len(what.objects) - len(left_out)
        reason = f"{'all' if mask.any() else 'nothing'} of it is marked by {drawn} of its {len(what.objects)} objects"
        return [row("mask_full" if mask.any() else "mask_empty", reason), *left_out]
    write_mask(out / pictures.mask_name(found[0]), _as_displayed(mask, picture))
    reason = f"{len(left_out)} of its {len(what.objects)} objects are left out" if left_out else ""
    return [row("partly" if left_out else "ok", reason), *left_out]


def _as_displayed(mask: BoolArray, picture: OpenPicture) -> BoolArray:
    """A mask that was drawn on the pixels as they are stored, turned as the picture is displayed."""
    stored = (mask.shape[1], mask.shape[0]) != picture.shown_size
    return picture.upright(mask) if stored else mask


def _draw(name: str, objects: Sequence[Drawn], size: Size, boxes: bool) -> tuple[BoolArray, list[Imported]]:
    """The union of the objects, and the rows of those that are left out."""
    mask, left_out = np.zeros(size[::-1], bool), []
    for number, one in enumerate(objects, 1):
        try:
            if one.is_box and not boxes:
                raise NoOutlineError(BOX)
            part = one.draw(size)
            if not part.any():
                raise ValueError("it covers no pixel of the picture")
            mask |= part
        except NoOutlineError as error:
            left_out.append(Imported(name, f"{number} ({one.kind})", "no_outline", str(error)))
        except DAMAGED as error:
            words = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            left_out.append(Imported(name, f"{number} ({one.kind})", "unreadable_object", f"{words:.200}"))
    return mask, left_out


def summarise(rows: Sequence[Imported]) -> Mapping[str, int]:
    """Name in the log what was left out; count pictures with a whole mask, a part, none, and objects left out."""
    for row in rows:
        if row.status not in ("ok", "partly"):
            what = f"object {row.object} of" if row.object else "no mask for"
            LOG.warning("%s %s: %s: %s", what, printable(row.picture), row.status, row.reason)
    statuses = Counter("object" if row.object else row.status for row in rows)
    whole, part, objects = statuses["ok"], statuses["partly"], statuses["object"]
    return {"whole": whole, "part": part, "none": statuses.total() - whole - part - objects, "objects": objects}
