"""Which mask belongs to which picture, by their names as people and programs write them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TypeVar

from liftnet.core.text import printable
from liftnet.data.picture_formats import SUFFIXES

MASK_FOLDERS = ("masks", "mask")
IMAGE_FOLDERS = ("images", "image")
_PERHAPS_MASKS = re.compile(
    r"(.*[ _-])?masks?([ _-].*)?|segmentations?(class|object)?|segs?|silhouettes?|mattes?|foregrounds?|labels?"
    r"|annotations?|gt|ground[ _-]?truth"
)
_PERHAPS_IMAGES = re.compile(
    r"photo(graph)?s?|pictures?|imgs?|rgb|colou?rs?|jpe?gs?|jpegimages|frames?|inputs?|originals?"
)
ENDINGS = ("_mask", "-mask", ".mask", " mask")
Place = TypeVar("Place", bound=PurePath)


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks where pictures are beside it."""
    return name.lower() in MASK_FOLDERS


def is_image_folder(name: str) -> bool:
    """Whether a folder of this name only holds the pictures of the folder above, beside their masks."""
    return name.lower() in IMAGE_FOLDERS


def may_hold_masks(name: str) -> bool:
    """Whether a folder of this name may hold masks, if what lies in it and beside it agrees."""
    return _PERHAPS_MASKS.fullmatch(name.lower()) is not None


def may_hold_images(name: str) -> bool:
    """Whether a folder of this name, where a folder of masks is beside it, only holds the pictures of those."""
    return is_image_folder(name) or _PERHAPS_IMAGES.fullmatch(name.lower()) is not None


def stem_of(name: str) -> str:
    """The name of a picture without its ending, in composed letters."""
    return _split(name)[1]


def _split(name: str) -> tuple[str, str]:
    """A name in composed letters (NFC), and without the ending of a picture that is read."""
    whole = unicodedata.normalize("NFC", name)
    stem, dot, ending = whole.rpartition(".")
    if dot and stem and f".{ending.lower()}" in SUFFIXES:
        return f"{stem}.{ending.lower()}", stem
    return whole, whole


def mask_keys(image: str) -> list[str]:
    """The stems that a mask of a picture may have, the most telling first: `x.jpg`, `x`, `x_mask`, ..."""
    whole, stem = _split(image)
    ended = [f"{base}{ending}" for base in (whole, stem) for ending in ENDINGS]
    return list(dict.fromkeys([whole, stem, *ended, f"mask_{stem}"]))


def image_stems(mask: str) -> list[str]:
    """The stems that the picture of a mask may have by its name: the reverse of `mask_keys`."""
    stem = _split(mask)[1]
    bases = [stem, *(stem.removesuffix(ending) for ending in ENDINGS), stem.removeprefix("mask_")]
    return list(dict.fromkeys(_split(base)[1] for base in bases))


class MaskIndex:
    """The masks of a folder by their names.

    Args:
        masks: Their paths.
    """

    def __init__(self, masks: Iterable[PurePath]) -> None:
        self._by_key: dict[str, PurePath] = {}
        order = sorted(masks, key=lambda path: (path.suffix.lower() != ".png", path.name))
        for path in order:
            stem = _split(path.name)[1]
            self._by_key.setdefault(_split(stem)[0], path)

    def find(self, image: str) -> PurePath | None:
        """The mask of the picture of a name; None if there is none."""
        return next((self._by_key[key] for key in mask_keys(image) if key in self._by_key), None)

    def nearest(self, image: str) -> PurePath | None:
        """The mask whose name is most like that of a picture; None where none is alike."""
        stems = {_base(key): path for key, path in self._by_key.items()}
        return _nearest(_base(_split(image)[1]), stems)


def nearest_picture(mask: str, pictures: Sequence[Place]) -> Place | None:
    """The picture whose name is most like that of a mask; None where none is alike."""
    return _nearest(_base(_split(mask)[1]), {_base(_split(path.name)[1]): path for path in pictures})


def _base(stem: str) -> str:
    """A stem without what marks it as a mask, in lower case."""
    low = _split(stem.lower())[1]
    for ending in ENDINGS:
        low = low.removesuffix(ending)
    return _split(low.removeprefix("mask_"))[1]


def _nearest(stem: str, known: dict[str, Place]) -> Place | None:
    alike = [stem] if stem in known else difflib.get_close_matches(stem, known, 1, 0.7)
    return known[alike[0]] if alike else None


def masks_beside(pictures: Sequence[Place]) -> set[Place]:
    """Of the pictures of one folder those that are masks of others by their names: `x_mask.png` beside `x.jpg`."""
    marked = [path for path in pictures if _base(_split(path.name)[1]) != _split(path.name.lower())[1]]
    marked = [path for path in marked if any(ending in path.name.lower() for ending in (*ENDINGS, "mask_"))]
    index = MaskIndex(marked)
    others = [path for path in pictures if path not in set(marked)]
    found = defaultdict(list)
    for path in others:
        if (mask := index.find(path.name)) is not None:
            found[mask].append(path)
    return {path for path in marked if path in found}


def near_miss(image: PurePath | str, index: MaskIndex) -> str:
    """Words that name the mask whose name is nearest, or nothing."""
    near = index.nearest(PurePath(image).name)
    return f"; the nearest name is {printable(near.name)}" if near is not None else ""
