"""The one walker of folders of pictures, and the pictures that a person names, with the places of their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.data.picture_formats import SUFFIXES

LOG = get_logger("data")


def has_picture_suffix(path: PurePath) -> bool:
    """Whether the name of a file ends as one of a picture that is read."""
    return path.suffix.lower() in SUFFIXES


def files_below(folder: Path) -> list[Path]:
    """All files below a folder, in the order of their paths.

    Hidden files and folders are skipped, links are followed, and a link that leads back up is not entered again.
    """
    return sorted(_walk(folder))


def pictures_below(folder: Path) -> list[Path]:
    """The files below a folder whose names end as those of pictures, in their order; see `files_below`."""
    return [path for path in files_below(folder) if has_picture_suffix(path) and path.is_file()]


def _walk(folder: Path) -> Iterator[Path]:
    hidden = 0
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(root) in seen:  # a link back up
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        hidden += sum(entry.startswith(".") for entry in (*folders, *names))
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        yield from (Path(root) / name for name in names if not name.startswith("."))
    if hidden:
        LOG.info("%s: %d hidden files or folders skipped", folder, hidden)


@dataclass(frozen=True)
class InputImage:
    """A photograph and the place of its results.

    Attributes:
        image: Its file.
        stem: Path of its results without their endings.
    """

    image: Path
    stem: Path

    def result(self, ending: str) -> Path:
        """The path of the result `<stem>.<ending>`."""
        return self.stem.with_name(f"{self.stem.name}.{ending}")


def find_images(inputs: Sequence[Path], out: Path) -> list[InputImage]:
    """The images named, and all images in the folders named, which are mirrored below `out`.

    Two images of one stem in a folder (`a.jpg`, `a.png`) keep their suffix in the names of their results. What lies
    in `out` itself is no input, so that a folder of results may lie in the folder of the photographs.

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
        images = [path for path in pictures_below(given) if results not in path.resolve().parents]
        return [(path, out / path.relative_to(given)) for path in images]
    if given.exists():
        return [(given, out / given.name)]
    raise LiftnetError(given, "does not exist", "Name an image or a folder of images")
