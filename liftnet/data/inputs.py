"""Photographs that a person names on the command line: files and folders, and where their results go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liftnet.core.errors import LiftnetError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


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
        images = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
        return [(p, out / p.relative_to(given)) for p in images if results not in p.resolve().parents]
    if given.exists():
        return [(given, out / given.name)]
    raise LiftnetError(given, "does not exist", "Name an image or a folder of images")
