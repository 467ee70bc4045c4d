"""The images of a work: which they are, and reading them so that a bad one becomes a reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from liftnet.io.errors import BadImageError, LiftnetError
from liftnet.io.images import BoolArray, UInt8Array, read_image, read_mask
from liftnet.io.parallel import map_threads
from liftnet.io.schemas import MANIFEST, read_table
from liftnet.match.features import Problem, WorkImage


def work_images(root: Path, work: str, masked: bool) -> list[WorkImage]:
    """The usable images of a work according to `manifest.parquet`, by ascending image id.

    Args:
        root: Folder of the manifest, `images/` and `masks/`.
        work: The work_id.
        masked: Whether the predicted masks will be used.

    Raises:
        LiftnetError: The manifest cannot be read or knows no such work.
    """
    path = root / "manifest.parquet"
    table = read_table(path, MANIFEST).select(["image_id", "work_id", "status", "file"])
    rows = table.filter(pc.field("work_id") == work).to_pylist()
    if not rows:
        raise LiftnetError(work, f"is not the work_id of any row of {path}", "See its column work_id, or works.tsv")
    files = {row["image_id"]: row["file"] for row in rows if row["status"] == "ok" and row["image_id"]}
    return [
        WorkImage(
            image_id,
            root / "images" / (files[image_id] or f"{image_id}.jpg"),
            root / "masks" / f"{image_id}.png" if masked else None,
        )
        for image_id in sorted(files)
    ]


def load_image(image: WorkImage) -> tuple[UInt8Array, BoolArray | None] | Problem:
    """The pixels (H, W, 3) and, where masks are used, the mask (H, W); or why they cannot be had."""
    try:
        pixels = read_image(image.path)
    except BadImageError as error:
        return Problem(f"image_{error.code}", f"the image {image.image_id} {error.reason}")
    if image.mask is None:
        return pixels, None
    try:
        return pixels, read_mask(image.mask, (pixels.shape[1], pixels.shape[0]))
    except BadImageError as error:
        code = error.code if error.code.startswith("mask_") else f"mask_{error.code}"
        return Problem(code, f"the mask of {image.image_id} {error.reason}")


def image_sizes(images: Sequence[WorkImage], threads: int) -> tuple[dict[str, tuple[int, int]], dict[str, Problem]]:
    """Decode every image (and mask), so that programs that accept damaged files never see one.

    Returns:
        sizes: (width, height) of each image that can be decoded.
        problems: Why each of the others cannot.
    """
    sizes: dict[str, tuple[int, int]] = {}
    problems: dict[str, Problem] = {}
    checked = map_threads(_size, images, threads, "match", "checking images")
    for image, found in zip(images, checked, strict=True):
        if isinstance(found, Problem):
            problems[image.image_id] = found
        else:
            sizes[image.image_id] = found
    return sizes, problems


def link_image(image: WorkImage, folder: Path) -> Path:
    """Put the stored file into `folder` under the image's id, as a link where the file system has links.

    Every name is unique and plain, so programs that key their files by the stem of a name cannot mix images up.
    """
    target = folder / f"{image.image_id}{image.path.suffix.lower() or '.jpg'}"
    source = image.path.resolve()
    try:
        target.symlink_to(source)
    except OSError:
        target.write_bytes(source.read_bytes())
    return target


def _size(image: WorkImage) -> tuple[int, int] | Problem:
    loaded = load_image(image)
    if isinstance(loaded, Problem):
        return loaded
    return loaded[0].shape[1], loaded[0].shape[0]
