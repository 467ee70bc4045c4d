"""`shard export`: works of a dataset as the input of COLMAP, hloc or kapture, a folder a work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS
from liftnet.data.dataset import image_bytes
from liftnet.shard.exports.colmap import write_colmap
from liftnet.shard.exports.exported import Writer, exported_works
from liftnet.shard.exports.hloc import load_h5py, write_hloc
from liftnet.shard.exports.kapture import write_kapture

LOG = get_logger("shard")
FORMATS: dict[str, tuple[Writer, str]] = {  # how a work is written, and the folder of its images
    "colmap": (write_colmap, "images"),
    "hloc": (write_hloc, "images"),
    "kapture": (write_kapture, "sensors/records_data"),
}


@dataclass(frozen=True)
class Wanted:
    """What is exported.

    Attributes:
        form: One of `FORMATS`.
        splits: The splits whose works are.
        works: Only these works; all if there are none.
        linked: Also the pairs that only tracks link.
    """

    form: str
    splits: Sequence[str] = SPLITS
    works: Sequence[str] = ()
    linked: bool = False


def export_dataset(dataset: Path, out: Path, wanted: Wanted) -> list[str]:
    """Write each work into the folder `out/<work_id>`, with its images where the dataset holds them.

    Keypoints are the places of tracks, each once. Intrinsics are what EXIF gives, else what COLMAP would begin with.

    Args:
        dataset: A dataset with tracks.
        out: The folder.
        wanted: Which works, and for which program.

    Returns:
        The works that were written.

    Raises:
        LiftnetError: The dataset has no tracks, is damaged, or has no such work; a package is missing; `out` cannot be
            written.
    """
    write, folder = FORMATS[wanted.form]
    if wanted.form == "hloc":
        load_h5py()  # before anything is written
    with_images = any(dataset.glob("images-*.parquet"))
    written: list[str] = []
    files: dict[str, Path] = {}
    linked = guessed = 0
    for work in exported_works(dataset, wanted.splits, wanted.works, wanted.linked):
        write(work, out / work.work_id)
        written.append(work.work_id)
        files |= {image.image_id: out / work.work_id / folder / image.name for image in work.images}
        linked += sum(not pair.verified for pair in work.pairs)
        guessed += sum(image.focal is None for image in work.images)
    if with_images:
        _write_images(dataset, files)
    else:
        LOG.info("the dataset holds no images: put them into the folder %s of each work", folder)
    if linked:
        LOG.warning("%d pairs that only tracks link are among the others: nothing marks them there", linked)
    if guessed:
        LOG.info("%d focal lengths are not known: 1.2 times the longer side, as COLMAP guesses", guessed)
    LOG.info("wrote %d works for %s to %s", len(written), wanted.form, out)
    return written


def _write_images(dataset: Path, files: Mapping[str, Path]) -> None:
    """Write the images of a dataset that are asked for, by their ids."""
    found = set()
    for image, data in image_bytes(dataset, files):
        write_bytes(files[image], data)
        found.add(image)
    if missing := files.keys() - found:
        raise LiftnetError(dataset, f"has no image {min(missing)!r}", "`shard verify` says what else it lacks")
