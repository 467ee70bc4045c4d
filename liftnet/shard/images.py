"""Which images the dataset holds, the list of all that were asked for as it is published, and the shards of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.core.log import progress
from liftnet.core.opening import read_bytes
from liftnet.data.codes import SPLITS, ImageStatus
from liftnet.data.licences import allowed, spdx
from liftnet.data.pictures import exif_tags
from liftnet.data.published_addresses import public_address, public_text
from liftnet.data.schemas import IMAGE, IMAGES, MANIFEST, PAIRS, read_batches
from liftnet.data.shards import cut, shard_files
from liftnet.shard.leakage import withheld_images
from liftnet.shard.settings import FileSettings, ShardSettings

WITH_EXIF, WITH_POSITION = b"liftnet.files_with_exif", b"liftnet.files_with_position"
_GPS = 0x8825  # EXIF 2.32: the tag that leads to the position
ADDRESSES = ("page_url", "image_url", "final_url", "mask_url", "license_url")
TEXTS = ("reason", "mask_reason")  # sentences that may name addresses


@dataclass(frozen=True)
class Refusal:
    """Why a stored image is not in the dataset.

    Attributes:
        status: One of `LEFT_OUT`, its status in collected.parquet and the reason of its pairs.
        reason: In plain words.
    """

    status: ImageStatus
    reason: str


def left_out_images(manifest: pa.Table, root: Path, settings: ShardSettings) -> dict[str, Refusal]:
    """The stored images that the dataset leaves out, by image_id.

    An image is left out if its licence does not fit the profile, if keeping it would let the splits leak, or if its
    file is gone though the images are to be written.

    Args:
        manifest: Rows of MANIFEST.
        root: Folder with images/, and with across/pairs.parquet where links between works were sought.
        settings: The licence profile, and whether images are written.
    """
    stored = manifest.filter(pc.equal(manifest.column("status"), "ok"))
    ids = stored.column("image_id").to_pylist()
    refused: dict[str, Refusal] = {}
    if settings.images:
        files = stored.column("file").to_pylist()
        lost = [image for image, name in zip(ids, files, strict=True) if not (root / "images" / name).is_file()]
        refused |= {image: Refusal(ImageStatus.MISSING_FILE, "its file is not in images/") for image in lost}
    across = root / "across" / "pairs.parquet"
    tied = withheld_images(manifest, across if across.is_file() else None)
    refused |= {image: Refusal(ImageStatus.WITHHELD, reason) for image, reason in tied.items()}
    reasons = licence_reasons(stored, settings.licences.profile, settings.licences.keep_unknown)
    return refused | {
        image: Refusal(ImageStatus.LICENCE_REJECTED, reason)
        for image, reason in zip(ids, reasons, strict=True)
        if reason
    }


def images_gone(files: Sequence[Path], manifest: pa.Table) -> list[str]:
    """The images that tables of pairs name and the manifest does not hold (any more), in ascending order.

    A list that got shorter, or an owner who took an image back, leaves tables of pairs of an earlier run behind.

    Raises:
        LiftnetError: A table is unreadable.
    """
    stored = manifest.filter(pc.equal(manifest.column("status"), "ok")).column("image_id").combine_chunks()
    gone: set[str] = set()
    for path in files:
        for batch in read_batches(path, PAIRS, ["image_a", "image_b"], 65536):
            for column in batch.columns:
                found = column.cast(pa.string()).unique()
                gone.update(found.filter(pc.invert(pc.is_in(found, value_set=stored))).to_pylist())
    return sorted(gone)


def licence_reasons(rows: pa.Table, profile: str, keep_unknown: bool) -> list[str]:
    """Why the licence of each row keeps it out of a profile; "" where it does not.

    Args:
        rows: With the columns license, license_url, license_spdx, work_rights and artist_died of MANIFEST.
        profile: One of `liftnet.data.licences.PROFILES`.
        keep_unknown: Whether the profile research keeps images of an unknown licence.
    """

    @cache
    def judged(licence: str | None, rights: str | None, died: int | None) -> str:
        return allowed(profile, licence, rights, died, keep_unknown)[1]

    columns = (rows.column(name).to_pylist() for name in ("work_rights", "artist_died"))
    return [judged(*row) for row in zip(identifiers(rows), *columns, strict=True)]


def identifiers(rows: pa.Table) -> list[str | None]:
    """The SPDX identifier of each row's licence: as the manifest has it, else read from its name and address."""
    understood = lru_cache(maxsize=None)(spdx)
    columns = (rows.column(name).to_pylist() for name in ("license_spdx", "license", "license_url"))
    return [known or understood(text, url) for known, text, url in zip(*columns, strict=True)]


def collected_rows(manifest: pa.Table, refused: Mapping[str, Refusal]) -> pa.Table:
    """The manifest as it is published: every row asked for, in its order.

    Images that are left out have the status and the reason of that; licences are read where `collect` had not done so;
    addresses lose local folders, names of users, fragments and what only their server knows.
    """
    ids = manifest.column("image_id").to_pylist()
    found = [refused.get(image) if image else None for image in ids]
    columns = {name: manifest.column(name) for name in MANIFEST.names}
    for name, given in (("status", [r and r.status for r in found]), ("reason", [r and r.reason for r in found])):
        columns[name] = pc.coalesce(pa.array(given, pa.string()), columns[name].combine_chunks())
    columns["license_spdx"] = pa.array(identifiers(manifest), pa.string())
    columns |= {name: _published(columns[name], public_address) for name in ADDRESSES}
    columns |= {name: _published(columns[name], public_text) for name in TEXTS}
    return pa.table([columns[name] for name in MANIFEST.names], schema=MANIFEST)


def stored_rows(collected: pa.Table) -> pa.Table:
    """The rows of the images that the dataset holds, sorted by image_id."""
    return collected.filter(pc.equal(collected.column("status"), "ok")).sort_by("image_id")


def _published(values: pa.ChunkedArray, shown: Callable[[str], str]) -> pa.Array:
    """The values of a column of addresses or sentences as they are published."""
    return pa.array([None if value is None else shown(value) for value in values.to_pylist()], pa.string())


def in_works(rows: pa.Table, works: set[str]) -> pa.Table:
    """The rows of some works."""
    wanted = pa.array(sorted(works), pa.string())
    return rows.filter(pc.is_in(rows.column("work_id").cast(pa.string()), value_set=wanted))


def hub_features() -> dict[str, Any]:
    """The columns in the words of Hugging Face `datasets`, which then decodes the pictures by itself."""
    values = {field.name: {"dtype": _hub_type(field.type), "_type": "Value"} for field in MANIFEST}
    return {**values, IMAGE.name: {"_type": "Image"}}


def _hub_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}, tz={kind.tz}]"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


SCHEMA = IMAGES.with_metadata(
    {**IMAGES.metadata, b"huggingface": json.dumps({"info": {"features": hub_features()}}, sort_keys=True).encode()}
)


def write_image_shards(folder: Path, images: Path, rows: pa.Table, settings: FileSettings) -> None:
    """Write `images-<split>-*.parquet`.

    Args:
        folder: The dataset.
        images: The folder of the stored files.
        rows: Rows of MANIFEST whose files are all there, sorted by image_id.
        settings: How the shards are cut.
    """
    for split in SPLITS:
        chosen = rows.filter(pc.equal(rows.column("split"), split))
        files = [images / name for name in chosen.column("file").to_pylist()]
        sizes = np.array([path.stat().st_size for path in files], dtype=np.int64)
        for path, part in shard_files(folder, f"images-{split}", cut(sizes, settings.shard_mb)):
            _write_shard(path, chosen.slice(part.start, len(part)), files[part.start : part.stop], settings)


def _write_shard(path: Path, rows: pa.Table, files: list[Path], settings: FileSettings) -> None:
    # a JPEG does not get smaller; all else does
    compression = dict.fromkeys([*MANIFEST.names, "image.path"], "zstd") | {"image.bytes": "none"}
    size, counts = settings.images_per_group, np.zeros(2, dtype=int)
    with pq.ParquetWriter(path, SCHEMA, compression=compression, use_dictionary=["artist_id", "work_id"]) as writer:
        for start in progress(range(0, len(files), size), "shard", f"writing {path.name}"):
            group = files[start : start + size]
            contents = [read_bytes(file) for file in group]
            counts += np.sum([_exif_and_position(data) for data in contents], axis=0)
            pictures = [{"bytes": data, "path": file.name} for data, file in zip(contents, group, strict=True)]
            columns = [*rows.slice(start, size).select(MANIFEST.names).columns, pa.array(pictures, IMAGE.type)]
            writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=size)
        writer.add_key_value_metadata({WITH_EXIF: str(counts[0]), WITH_POSITION: str(counts[1])})


def _exif_and_position(data: bytes) -> tuple[bool, bool]:
    """Whether a stored file carries EXIF, and whether that says where it was taken."""
    tags = exif_tags(data)  # what cannot be read tells nobody anything; `shard verify` names such files
    return bool(tags), _GPS in tags
