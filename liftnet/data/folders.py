"""The one walker of folders of pictures, and the pictures that a person names, with the places of their results."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import open_file
from liftnet.core.text import printable
from liftnet.core.walking import walk
from liftnet.data.mask_folders import mask_folders
from liftnet.data.mask_names import masks_beside
from liftnet.data.picture_formats import SUFFIXES, sniff

LOG = get_logger("data")
LONGEST_NAME = 160  # bytes of the stem of a result: endings and names of half-written files need the rest of 255
SHOWN = 5  # names of a kind that are left out


def has_picture_suffix(path: PurePath) -> bool:
    """Whether the name of a file ends as one of a picture that is read."""
    return path.suffix.lower() in SUFFIXES


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in the order of their paths; see `walk`."""
    return walk(folder).files


def pictures_below(folder: Path) -> list[Path]:
    """The files below a folder whose names end as those of pictures, in their order; see `walk`.

    Links to nothing, and pipes, are among them: reading one says so.
    """
    return [path for path in walk(folder).files if has_picture_suffix(path)]


@dataclass(frozen=True)
class InputImage:
    """A photograph and the place of its results.

    Attributes:
        image: Its file; where a folder cannot be read the folder, so that reading it says why.
        stem: Path of its results without their endings.
    """

    image: Path
    stem: Path

    def result(self, ending: str) -> Path:
        """The path of the result `<stem>.<ending>`; a stem too long for a file system is cut and told by a hash."""
        name = os.fsencode(self.stem.name)
        if len(name) > LONGEST_NAME:
            short = name[: LONGEST_NAME - 10].decode("utf-8", "ignore")
            name = os.fsencode(f"{short}~{hashlib.sha256(name).hexdigest()[:8]}")
        return self.stem.with_name(f"{os.fsdecode(name)}.{ending}")


def find_images(inputs: Sequence[Path], out: Path) -> list[InputImage]:
    """The images named, and all images in the folders named, which are mirrored below `out`.

    Two images of one stem in a folder (`a.jpg`, `a.png`) keep their suffix in the names of their results. What lies
    in `out` itself is no input, so that a folder of results may lie in the folder of the photographs. Masks beside
    photographs are none. What is left out of a folder is named and counted in the log.

    Args:
        inputs: Images and folders.
        out: Where results go.

    Returns:
        The images, those of a folder in the order of their paths.

    Raises:
        LiftnetError: An input does not exist, two inputs have the same results, the results would lie among the
            photographs, or there is no image at all.
    """
    found: dict[Path, Path] = {}  # result path with suffix -> image
    for given in inputs:
        for image, place in _images_of(given, out):
            if found.setdefault(place, image) != image:
                reason = f"would have the same results in {out} as {found[place]}"
                raise LiftnetError(image, reason, "Predict them into two folders, or name the folder above both")
    if not found:
        raise LiftnetError(", ".join(map(str, inputs)), "holds no images", f"Known are {', '.join(SUFFIXES)}")
    stems = Counter(path.with_suffix("") for path in found)
    return [
        InputImage(image, path.with_suffix("") if stems[path.with_suffix("")] == 1 else path)
        for path, image in found.items()
    ]


def _images_of(given: Path, out: Path) -> list[tuple[Path, Path]]:
    """The images of one input, each with the place of its results."""
    if given.is_dir():
        results = out.resolve()
        if given.resolve() == results:
            reason = "is also the folder of the photographs, where results would be taken for photographs next time"
            raise LiftnetError(out, reason, "Name another folder for the results; one inside is fine")
        found = walk(given)
        files = [path for path in found.files if results not in path.resolve().parents]
        pictures = [path for path in files if has_picture_suffix(path)]
        masks = masks_among(pictures)
        tell_left_out(given, sorted({*files} - {*pictures}), "no pictures by their names")
        tell_left_out(given, sorted(masks), "masks of other pictures")
        images = [path for path in pictures if path not in masks]
        return [(path, out / path.relative_to(given)) for path in (*images, *found.unreadable)]
    if given.exists():
        return [(given, out / given.name)]
    if given.is_symlink():
        raise LiftnetError(given, f"is a link to {os.readlink(given)}, which does not exist", "Mend the link")
    raise LiftnetError(given, "does not exist", "Name an image or a folder of images")


def masks_among(pictures: Iterable[Path]) -> set[Path]:
    """Those pictures that are masks of others: `x_mask.png` beside `x.jpg`, and all in folders of masks."""
    inside: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        inside[path.parent].append(path)
    folders = mask_folders(path for members in inside.values() for path in members)
    masks: set[Path] = set()
    for folder, members in inside.items():
        in_masks = folder in folders or not folders.isdisjoint(folder.parents)
        masks.update(members if in_masks else masks_beside(members))
    return masks


def tell_left_out(folder: Path, paths: Sequence[Path], why: str) -> None:
    """Name and count in the log what is left out of a folder, a line for each ending."""
    by_ending: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_ending[path.suffix.lower() or "no ending"].append(path)
    for ending, members in sorted(by_ending.items()):
        names = ", ".join(printable(path.relative_to(folder)) for path in members[:SHOWN])
        more = ", ..." if len(members) > SHOWN else ""
        kind = what_it_is(members[0])
        told = f"; {kind}" if kind else ""
        LOG.warning(
            "%s: left out %d files (%s), %s: %s%s%s", printable(folder), len(members), ending, why, names, more, told
        )


def what_it_is(path: Path) -> str:
    """What a file is by its first bytes, where its name is not that of a picture that is read; nothing if unknown."""
    if has_picture_suffix(path) or not path.is_file():
        return ""
    try:
        with open_file(path) as file:
            known = sniff(file.read(512), path)
    except OSError:
        return ""
    except BadImageError as error:
        return f"{error.reason}. {error.remedy}" if error.status == "unsupported_format" else ""
    return f"by its content it is a {known.name} picture; name it *{known.suffixes[0]}"
