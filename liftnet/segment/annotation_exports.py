"""What annotation programs export (COCO, Label Studio, CVAT): the pictures, and the objects drawn on each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np

from liftnet.core.documents import parse_json
from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import open_file
from liftnet.core.types import BoolArray
from liftnet.data.folders import has_picture_suffix
from liftnet.data.pictures import Size
from liftnet.segment.annotation_shapes import (
    decode_brush,
    decode_rle,
    ellipse_corners,
    fill_polygon,
    paste_runs,
    rectangle_corners,
    turned,
)

LOG = get_logger("segment")
UNDERSTOOD = "Give an export of COCO, Label Studio (JSON) or CVAT (XML for images)"
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
BOX = "a box says where an object is, and is not its outline; --boxes fills boxes"
Fields = Mapping[str, Any]
Draw = Callable[[Size], BoolArray]


class NoOutlineError(ValueError):
    """An object that is whole, but no outline."""


@dataclass(frozen=True)
class Drawn:
    """An object of a picture.

    Attributes:
        kind: As its program calls it: "polygon", "rectanglelabels".
        draw: Its (H, W) bool mask in a picture of a size; raises `NoOutlineError`, or one of `DAMAGED`.
        is_box: It is a rectangle that is not turned.
    """

    kind: str
    draw: Draw
    is_box: bool = False


@dataclass
class Annotated:
    """What an export says of one picture.

    Attributes:
        size: (width, height) in px of the picture that was annotated; None where it does not say.
        objects: What was drawn on it.
        unread: Why it cannot be used at all, if so.
    """

    size: Size | None
    objects: list[Drawn] = field(default_factory=list)
    unread: str | None = None


def read_export(path: Path) -> dict[str, Annotated]:
    """The objects of each picture of an export, by the picture's name there; pictures without any are left out.

    Raises:
        LiftnetError: It cannot be read, or is of no program that is known.
    """
    try:
        with open_file(path) as file:
            data = file.read()
        if data.startswith(b"PK\x03\x04"):
            raise LiftnetError(path, "is a ZIP archive", "Unpack it and give the .json or .xml in it")
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", UNDERSTOOD) from error
    try:
        found = _read(text)
    except (*DAMAGED, SyntaxError) as error:
        raise LiftnetError(path, f"cannot be understood ({type(error).__name__}: {error})", UNDERSTOOD) from error
    if found is None:
        raise LiftnetError(path, "is no export of a program that is known", UNDERSTOOD)
    return found


def _read(text: str) -> dict[str, Annotated] | None:
    if text.lstrip().startswith("<"):
        return _read_cvat(text)
    content = parse_json(text, finite=False)  # one number that is none costs its object, not the file
    if isinstance(content, dict) and "images" in content and "annotations" in content:
        return _read_coco(content)
    if isinstance(content, list) and content and all(isinstance(task, dict) for task in content):
        if any("annotations" in task or "completions" in task for task in content):
            return _read_label_studio(content)
        if any(isinstance(value, list) for task in content for value in task.values()):
            return _read_label_studio(list(map(_unflattened, content)))
    return None


def _size(width: Any, height: Any) -> Size | None:
    """A size in px; None if there is none."""
    try:
        size = int(float(width)), int(float(height))
    except DAMAGED:
        return None
    return size if min(size) > 0 else None


def _object(kind: str, read: Callable[[], Drawn]) -> Drawn:
    """An object; one that cannot be understood says so when it is to be drawn."""
    try:
        return read()
    except DAMAGED as error:
        return Drawn(kind, partial(_damaged, error))


def _damaged(error: Exception, size: Size) -> BoolArray:
    raise error


def _refuse(reason: str, size: Size) -> BoolArray:
    raise NoOutlineError(reason)


def _lost(found: dict[str, Annotated], name: str, reason: str) -> None:
    """Note that an export says something of a picture that it does not name."""
    found.setdefault(name, Annotated(None)).unread = reason


# COCO


def _read_coco(content: Fields) -> dict[str, Annotated]:
    """Every annotation counts, also that of a crowd (`iscrowd`): its runs outline the crowd."""
    names: dict[Any, str] = {}
    found: dict[str, Annotated] = {}
    for place, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not {"id", "file_name"} <= image.keys():
            _lost(found, f"images[{place}]", "it has no id, or no file_name")
            continue
        names[image["id"]] = name = _local_path(str(image["file_name"]))
        found.setdefault(name, Annotated(_size(image.get("width"), image.get("height"))))
    for annotation in content["annotations"]:
        number = annotation.get("image_id") if isinstance(annotation, dict) else None
        if number in names:
            found[names[number]].objects.append(_object("object", partial(_coco_object, annotation)))
        else:
            _lost(found, f"image_id {number!r:.40}", "an annotation of an image that the export does not list")
    return {name: one for name, one in found.items() if one.objects or one.unread}


def _coco_object(annotation: Fields) -> Drawn:
    shape = annotation.get("segmentation")
    if shape:
        return Drawn("runs" if isinstance(shape, dict) else "polygon", partial(_draw_coco, shape))
    if box := annotation.get("bbox"):
        return Drawn("box", lambda size: fill_polygon(rectangle_corners(*map(float, box)), size), is_box=True)
    kind = "keypoints" if annotation.get("keypoints") else "object"
    return Drawn(kind, partial(_refuse, f"{kind} without a segmentation: no outline"))


def _draw_coco(shape: Any, size: Size) -> BoolArray:
    if isinstance(shape, dict):
        if [int(side) for side in shape["size"]] != [size[1], size[0]]:
            raise ValueError(f"runs of a picture of {shape['size'][1]}x{shape['size'][0]} px")
        return decode_rle(shape["counts"], size)
    parts = shape if isinstance(shape[0], list) else [shape]
    return _union([fill_polygon(part, size) for part in parts])


def _union(masks: Sequence[BoolArray]) -> BoolArray:
    return np.asarray(np.logical_or.reduce(masks))


# Label Studio


def _unflattened(task: Fields) -> Fields:
    """A task of JSON_MIN, whose annotation stands beside the fields of its picture, as one of JSON."""
    results = [
        {"type": _kind_of(value), "value": value, **{key: value.get(key) for key in _SIZE}}
        for values in task.values()
        if isinstance(values, list)
        for value in values
        if isinstance(value, dict)
    ]
    data = {key: value for key, value in task.items() if isinstance(value, str)}
    return {"data": data, "annotations": [{**task, "result": results}]}


_SIZE = ("original_width", "original_height", "image_rotation")


def _kind_of(value: Fields) -> str:
    return next((key for key in value if key.endswith("labels")), "object without a label")


def _read_label_studio(tasks: Sequence[Fields]) -> dict[str, Annotated]:
    """Of several annotations of a picture one counts: see `_counting`."""
    by_picture: dict[str, list[Fields]] = defaultdict(list)
    found: dict[str, Annotated] = {}
    for task in tasks:
        drawn_on = _pictures_of(task)
        if len(drawn_on) == 1:
            by_picture[drawn_on[0]] += task.get("annotations") or task.get("completions") or []
        else:
            reason = f"a task of {len(drawn_on)} pictures, where there must be one: {', '.join(drawn_on)}"
            _lost(found, f"task {task.get('id')!r:.40}", reason)
    others = 0
    for name, by_people in by_picture.items():
        counting = _counting(by_people)
        others += sum(not _is_cancelled(one) for one in by_people) - (counting is not None)
        results = counting.get("result") or [] if counting is not None else []
        drawn = [result for result in results if result.get("type") not in _NOT_DRAWN and "value" in result]
        if drawn:
            sizes = [_size(*(result.get(key) for key in _SIZE[:2])) for result in drawn]
            objects = [_object(str(result.get("type")), partial(_label_studio_object, result)) for result in drawn]
            found[name] = Annotated(next(filter(None, sizes), None), objects)
    if others:
        LOG.info("of %d pictures %d further annotations do not count: %s", len(by_picture), others, _WHICH)
    return found


_WHICH = "the one marked as ground truth does, else the one changed last"
_NOT_DRAWN = ("choices", "textarea", "rating", "number", "taxonomy", "relation", "datetime", "pairwise", "ranker")


def _counting(annotations: Sequence[Fields]) -> Fields | None:
    """The annotation that counts: one marked as ground truth, else the one changed last; none that is cancelled."""

    def rank(place: int) -> tuple[bool, str, int]:
        one = annotations[place]
        return bool(one.get("ground_truth")), str(one.get("updated_at") or one.get("created_at") or ""), place

    left = [place for place, one in enumerate(annotations) if not _is_cancelled(one)]
    return annotations[max(left, key=rank)] if left else None


def _is_cancelled(annotation: Fields) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _pictures_of(task: Fields) -> list[str]:
    """The pictures of a task: those of its data that are named like one, else what looks like the name of a file."""
    texts = [value for value in (task.get("data") or {}).values() if isinstance(value, str)]
    names = list(dict.fromkeys(map(_local_path, texts)))
    likely = [name for name in names if has_picture_suffix(PurePosixPath(name))]
    return likely or [name for name in names if PurePosixPath(name).suffix][:1]


def _local_path(address: str) -> str:
    """The path in an address: that of an upload, of a local file of Label Studio (`?d=`), of a bucket, of Windows."""
    parts = urlparse(address.replace("\\", "/"))
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path) if parts.scheme else parts.path
    return path.lstrip("/")


def _label_studio_object(result: Fields) -> Drawn:
    """One region; coordinates in per cent of the sides. That it is hidden in the editor does not matter."""
    kind, value = str(result.get("type")), result["value"]
    if result.get("item_index"):
        return Drawn(kind, partial(_refuse, f"drawn on page {result['item_index']} of several"))
    draw: Draw = partial(_refuse, f"an object of the kind {kind} is no outline")
    is_box = False
    if result.get("image_rotation"):
        draw = partial(_refuse, f"drawn while the picture was turned by {result['image_rotation']} degrees")
    elif "points" in value:
        draw = partial(_draw_percent, value["points"])
        if value.get("closed") is False:
            draw = partial(_refuse, "a polygon that was not closed")
    elif value.get("format") == "rle":
        draw = partial(decode_brush, value["rle"])
    elif "radiusX" in value:
        draw = partial(_draw_ellipse, value)
    elif "width" in value and "height" in value:
        draw, is_box = partial(_draw_rectangle, value), not float(value.get("rotation") or 0) % 90
    return Drawn(kind, draw, is_box)


def _draw_percent(points: Any, size: Size) -> BoolArray:
    return fill_polygon(np.asarray(points, float) / 100 * size, size)


def _in_pixels(value: Fields, names: Sequence[str], size: Size) -> list[float]:
    """Values in per cent of width and height in turn."""
    return [float(value[name]) / 100 * size[number % 2] for number, name in enumerate(names)]


def _draw_ellipse(value: Fields, size: Size) -> BoolArray:
    x, y, across, down = _in_pixels(value, ("x", "y", "radiusX", "radiusY"), size)
    return fill_polygon(ellipse_corners((x, y), (across, down), float(value.get("rotation") or 0)), size)


def _draw_rectangle(value: Fields, size: Size) -> BoolArray:
    """A rectangle, turned about its first corner."""
    x, y, width, height = _in_pixels(value, ("x", "y", "width", "height"), size)
    corners = rectangle_corners(x, y, width, height)
    return fill_polygon(turned(corners, (x, y), float(value.get("rotation") or 0)), size)


# CVAT


def _read_cvat(text: str) -> dict[str, Annotated]:
    from lxml import etree

    root = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    if root.find("track") is not None:
        raise NoOutlineError("it is CVAT's export for video; export it as CVAT for images 1.1")
    found: dict[str, Annotated] = {}
    for image in root.iter("image"):
        objects = list(_cvat_objects(image))
        if objects:
            name = _local_path(str(image.get("name")))
            one = found.setdefault(name, Annotated(_size(image.get("width"), image.get("height"))))
            one.objects += objects
    return found


def _cvat_objects(image: Any) -> Iterator[Drawn]:
    for shape in image:
        if not isinstance(shape.tag, str) or shape.tag in ("tag", "attribute"):
            continue
        draw = _CVAT.get(shape.tag)
        if draw is None:
            yield Drawn(shape.tag, partial(_refuse, f"an object of the kind {shape.tag} is no outline"))
        else:
            yield _object(shape.tag, partial(_cvat_object, shape.tag, draw, dict(shape.attrib)))


def _cvat_object(kind: str, draw: Callable[[Fields, Size], BoolArray], shape: Fields) -> Drawn:
    is_box = kind == "box" and not float(shape.get("rotation", 0)) % 90
    return Drawn(kind, partial(draw, shape), is_box)


def _numbers(shape: Fields, *names: str) -> list[float]:
    return [float(shape[name]) for name in names]


def _cvat_polygon(shape: Fields, size: Size) -> BoolArray:
    return fill_polygon([pair.split(",") for pair in shape["points"].strip().strip(";").split(";")], size)


def _cvat_box(shape: Fields, size: Size) -> BoolArray:
    """A box, turned about its centre."""
    left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
    corners = rectangle_corners(left, top, right - left, bottom - top)
    return fill_polygon(turned(corners, corners.mean(axis=0), float(shape.get("rotation", 0))), size)


def _cvat_ellipse(shape: Fields, size: Size) -> BoolArray:
    x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
    return fill_polygon(ellipse_corners((x, y), (across, down), float(shape.get("rotation", 0))), size)


def _cvat_mask(shape: Fields, size: Size) -> BoolArray:
    left, top, width, height = map(int, _numbers(shape, "left", "top", "width", "height"))
    return paste_runs([int(part) for part in shape["rle"].split(",")], (left, top, width, height), size)


_CVAT: Mapping[str, Callable[[Fields, Size], BoolArray]] = {
    "polygon": _cvat_polygon,
    "box": _cvat_box,
    "ellipse": _cvat_ellipse,
    "mask": _cvat_mask,
}
