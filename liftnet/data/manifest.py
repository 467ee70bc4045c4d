"""The stored images of a run, one record per image, from its manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from liftnet.core.files import finished
from liftnet.data.schemas import MANIFEST, open_table, read_rows, read_table
from liftnet.data.truth import truth_files


@dataclass(frozen=True)
class StoredImage:
    """What the manifest says of a stored image."""

    image_id: str
    image_url: str
    artist_id: str
    work_id: str
    split: str
    file: str
    width: int
    height: int


def stored_images(root: Path, ids: Collection[str] | None = None) -> dict[str, StoredImage]:
    """The stored images by id, in the order of the manifest.

    Args:
        root: Folder with manifest.parquet.
        ids: Only these images; all without.

    Raises:
        LiftnetError: The manifest is missing or unreadable.
    """
    path, columns = root / "manifest.parquet", [*StoredImage.__dataclass_fields__, "status"]
    if ids is None:
        table = read_table(path, MANIFEST).select(columns)
    else:
        table = read_rows(path, MANIFEST, columns, "image_id", ids)
    rows = table.to_pylist()
    return {row["image_id"]: StoredImage(**row) for row in rows if row.pop("status") == "ok"}


def tables_of_works(root: Path, folder: str) -> list[Path]:
    """The tables `<folder>/<work_id>.parquet` of the works that a run has images of, by name.

    Those of works that are no longer collected stay on the disk, and are not among them.

    Raises:
        LiftnetError: The manifest is missing or unreadable.
    """
    files = finished(root / folder, "*.parquet")
    if not files:
        return []
    with open_table(root / "manifest.parquet", MANIFEST) as file:
        rows = file.read(columns=["work_id", "status"])
    works = set(rows.filter(pc.equal(rows.column("status"), "ok")).column("work_id").to_pylist())
    return [path for path in files if path.stem in works]


def truths_of(images: Mapping[str, StoredImage], folder: Path) -> dict[str, Path]:
    """The truth files of those images that have one, by image id.

    Args:
        images: Of `stored_images`.
        folder: Holds truth.parquet: a museum, a rendered set, or what `depth sfm` wrote.

    Raises:
        LiftnetError: truth.parquet is missing or unreadable.
    """
    files = truth_files(folder)
    return {name: files[image.image_url] for name, image in images.items() if image.image_url in files}
