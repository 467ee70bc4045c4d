"""The images of a work: which they are, and reading them so that a bad one becomes a reason."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.types import UInt8Array
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.row_groups import read_rows
from liftnet.data.schemas import MANIFEST
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
    rows = read_rows(path, MANIFEST, ["image_id", "status", "file"], "work_id", [work]).to_pylist()
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


def load_pixels(image: WorkImage) -> UInt8Array | Problem:
    """The pixels (H, W, 3), or why they cannot be had."""
    try:
        return read_image(image.path)
    except BadImageError as error:
        return Problem(f"image_{error.status}", f"the image {image.image_id}: {error.reason}")


def image_size(image: WorkImage) -> tuple[int, int] | Problem:
    """(width, height) of an image that can be decoded, with a mask of its size where masks are used; else why not.

    Every image is decoded here, so that programs that accept damaged files never see one.
    """
    pixels = load_pixels(image)
    if isinstance(pixels, Problem):
        return pixels
    size = pixels.shape[1], pixels.shape[0]
    if image.mask is None:
        return size
    try:
        read_mask(image.mask, size)
    except BadImageError as error:
        status = error.status if error.status.startswith("mask_") else f"mask_{error.status}"
        return Problem(status, f"the mask of {image.image_id}: {error.reason}")
    return size


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
