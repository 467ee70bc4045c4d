"""Masks out of what annotation programs export (COCO, Label Studio, CVAT): one a picture, of all its objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import cv2
import numpy as np
import numpy.typing as npt

from liftnet.core.documents import parse_json
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.text import printable
from liftnet.core.types import BoolArray
from liftnet.data.folders import pictures_below
from liftnet.data.masks import write_mask
from liftnet.data.pictures import picture_size

LOG = get_logger("segment")
Points = npt.NDArray[np.float64]
_UNDERSTOOD = "Give an export of COCO, Label Studio (JSON) or CVAT (XML 1.1)"


@dataclass
class Annotated:
    """What an export says of one picture.

    Attributes:
        size: (width, height) in px of the picture that was annotated.
        polygons: (N, 2) x, y in px.
        masks: (H, W) bool.
        problems: What could not be read of it.
    """

    size: tuple[int, int]
    polygons: list[Points] = field(default_factory=list)
    masks: list[BoolArray] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def mask(self) -> BoolArray:
        """(H, W) bool: the union of all objects."""
        canvas = np.zeros(self.size[::-1], np.uint8)
        for polygon in self.polygons:  # each by itself: where two overlap nothing is cut out
            cv2.fillPoly(canvas, [np.rint(polygon).astype(np.int32)], 1)
        mask = canvas.astype(bool)
        for part in self.masks:
            mask |= part
        return mask


def import_masks(export: Path, images: Path, out: Path) -> list[tuple[str, str, str]]:
    """Write `<out>/<picture as it lies below images>.png` for each picture of an export.

    Args:
        export: A COCO, Label Studio or CVAT export.
        images: Folder of the pictures; they are found by path, else by name.
        out: Folder of the masks.

    Returns:
        Of each picture of the export its name there, a status ("ok", "unknown_image", "ambiguous_name",
        "mask_wrong_size", "mask_empty", "mask_full", "unreadable" or one of the reader of pictures), and the reason.

    Raises:
        LiftnetError: The export is none that is known, or names no picture.
    """
    annotated = read_export(export)
    if not annotated:
        raise LiftnetError(export, "names no picture with objects", _UNDERSTOOD)
    pictures = pictures_below(images)
    names: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        names[path.name].append(path)
    return [_import_one(name, what, images, names, out) for name, what in annotated.items()]


def _import_one(
    name: str, what: Annotated, images: Path, names: Mapping[str, Sequence[Path]], out: Path
) -> tuple[str, str, str]:
    found = [images / name] if (images / name).is_file() else list(names.get(PurePosixPath(name).name, ()))
    if not found:  # Label Studio puts eight letters and a hyphen before the names of uploaded files
        found = list(names.get(PurePosixPath(name).name.partition("-")[2], ()))
    if len(found) != 1:
        status = "ambiguous_name" if found else "unknown_image"
        return name, status, f"{len(found) or 'no'} pictures below {printable(images)} bear its name"
    try:
        size = picture_size(found[0])
    except BadImageError as error:
        return name, error.status, error.reason
    if size != what.size:
        reason = f"annotated at {what.size[0]}x{what.size[1]} px, the picture as displayed has {size[0]}x{size[1]}"
        return name, "mask_wrong_size", reason
    mask = what.mask()
    if what.problems or mask.all() or not mask.any():
        status = "unreadable" if what.problems else "mask_full" if mask.any() else "mask_empty"
        reason = what.problems[0] if what.problems else f"{'all' if mask.any() else 'nothing'} of it is marked"
        return name, status, reason
    path = found[0].relative_to(images)
    write_mask(out / path.with_name(f"{path.stem}.png"), mask)
    return name, "ok", ""


def read_export(path: Path) -> dict[str, Annotated]:
    """The objects of each picture of an export.

    Raises:
        LiftnetError: It cannot be read, or is of no program that is known.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", _UNDERSTOOD) from error
    try:
        if text.lstrip().startswith("<"):
            return _read_cvat(text)
        content = parse_json(text)
        if isinstance(content, dict) and "images" in content and "annotations" in content:
            return _read_coco(content)
        if isinstance(content, list) and content and isinstance(content[0], dict) and "annotations" in content[0]:
            return _read_label_studio(content)
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, StopIteration) as error:
        raise LiftnetError(path, f"cannot be understood ({type(error).__name__}: {error})", _UNDERSTOOD) from error
    raise LiftnetError(path, "is no export of a program that is known", _UNDERSTOOD)


def _read_coco(content: Mapping[str, Any]) -> dict[str, Annotated]:
    pictures = {image["id"]: image for image in content["images"]}
    found: dict[str, Annotated] = {}
    for annotation in content["annotations"]:
        image = pictures[annotation["image_id"]]
        size = int(image["width"]), int(image["height"])
        one = found.setdefault(str(image["file_name"]), Annotated(size))
        shape = annotation.get("segmentation")
        if isinstance(shape, dict):
            one.masks.append(decode_rle(shape["counts"], (shape["size"][1], shape["size"][0])))
        elif shape:
            one.polygons += [np.reshape(np.asarray(part, float), (-1, 2)) for part in shape]
        else:
            one.problems.append("an object has a box only, no outline")
    return found


def decode_rle(counts: str | Sequence[int], size: tuple[int, int]) -> BoolArray:
    """A mask of COCO: lengths of alternating runs, background first, down the columns.

    Args:
        counts: The lengths, or their text (pycocotools' `rleToString`: 5 bits a letter, differences to the last but
            one from the third on).
        size: (width, height) in px.

    Raises:
        ValueError: The lengths do not fill the picture.
    """
    lengths = _from_letters(counts) if isinstance(counts, str) else list(map(int, counts))
    if sum(lengths) != size[0] * size[1] or min(lengths, default=0) < 0:
        raise ValueError(f"runs of {sum(lengths)} px in a picture of {size[0]}x{size[1]} px")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(flat.reshape(size).T)


def _from_letters(text: str) -> list[int]:
    lengths: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def _read_label_studio(tasks: Sequence[Mapping[str, Any]]) -> dict[str, Annotated]:
    found: dict[str, Annotated] = {}
    for task in tasks:
        address = next(str(value) for key, value in task["data"].items() if isinstance(value, str) and "." in value)
        for annotation in task["annotations"]:
            for result in annotation.get("result", ()):
                if "original_width" not in result:
                    continue
                size = int(result["original_width"]), int(result["original_height"])
                one = found.setdefault(_name_in(address), Annotated(size))
                value = result["value"]
                if "points" in value:  # in per cent
                    one.polygons.append(np.asarray(value["points"], float) / 100 * size)
                elif value.get("format") == "rle":
                    one.masks.append(decode_brush(value["rle"], size))
                elif result.get("type") != "choices":
                    one.problems.append(f"an object of the kind {result.get('type')} is no outline")
    return found


def _name_in(address: str) -> str:
    """The path in an address of Label Studio: that of an upload, or of a local file (`?d=`)."""
    parts = urlparse(address)
    local = parse_qs(parts.query).get("d")
    return PurePosixPath(local[0] if local else unquote(parts.path)).name


def decode_brush(packed: Sequence[int], size: tuple[int, int]) -> BoolArray:
    """A brush mask of Label Studio: the RGBA values of a picture, packed in words of variable length.

    After a count of 32 bits, a word size of 5 bits and four sizes of 4 bits come blocks: a bit that says whether one
    value repeats, two bits that choose the size of the length, the length less one, and the value or values.

    Args:
        packed: Bytes.
        size: (width, height) in px.

    Raises:
        ValueError: It ends early.
    """
    bits = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ValueError("the brush mask ends early")
        place += count
        return int(bits[place - count : place], 2)

    total, width = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"a brush mask of {total} values for a picture of {size[0]}x{size[1]} px")
    parts: list[npt.NDArray[np.int64]] = []
    done = 0
    while done < total:
        repeats = take(1)
        count = take(lengths[take(2)]) + 1
        values = [take(width)] * count if repeats else [take(width) for _ in range(count)]
        parts.append(np.asarray(values, np.int64))
        done += count
    return np.concatenate(parts)[:total].reshape(size[1], size[0], 4)[..., 3] >= 128


def _read_cvat(text: str) -> dict[str, Annotated]:
    from lxml import etree

    root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    found: dict[str, Annotated] = {}
    for image in root.iter("image"):
        size = int(image.get("width")), int(image.get("height"))
        one = Annotated(size)
        for shape in image.iter("polygon", "mask", "box", "polyline", "points", "ellipse"):
            if shape.tag == "polygon":
                pairs = [pair.split(",") for pair in shape.get("points").split(";")]
                one.polygons.append(np.asarray(pairs, float))
            elif shape.tag == "mask":
                one.masks.append(_cvat_mask(shape, size))
            else:
                one.problems.append(f"an object of the kind {shape.tag} is no outline")
        if one.polygons or one.masks or one.problems:
            found[str(image.get("name"))] = one
    return found


def _cvat_mask(shape: Any, size: tuple[int, int]) -> BoolArray:
    """A mask of CVAT: runs along the rows of a box, background first."""
    left, top, width, height = (int(shape.get(name)) for name in ("left", "top", "width", "height"))
    lengths = [int(part) for part in shape.get("rle").split(",")]
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
    mask = np.zeros(size[::-1], bool)
    if left < 0 or top < 0 or left + width > size[0] or top + height > size[1]:
        raise ValueError("a mask reaches out of its picture")
    mask[top : top + height, left : left + width] = inside
    return mask


def summarise(rows: Iterable[tuple[str, str, str]]) -> int:
    """Name in the log what has no mask; return how many have one."""
    good = 0
    for name, status, reason in rows:
        good += status == "ok"
        if status != "ok":
            LOG.warning("no mask for %s: %s: %s", printable(name), status, reason)
    return good
