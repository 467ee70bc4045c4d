"""Image shards: the manifest's columns and the JPEG bytes, one row an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from liftnet.core.log import progress
from liftnet.data.codes import SPLITS
from liftnet.data.pictures import exif_tags
from liftnet.data.schemas import IMAGE, IMAGES, MANIFEST
from liftnet.data.shards.write import cut, shard_files
from liftnet.shard.selection import split_mask
from liftnet.shard.settings import FileSettings

WITH_EXIF, WITH_POSITION = b"liftnet.files_with_exif", b"liftnet.files_with_position"
_GPS = 0x8825  # EXIF 2.32: the tag that leads to the position


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
        chosen = rows.filter(pa.array(split_mask(rows, split), pa.bool_()))
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
            contents = [file.read_bytes() for file in group]
            counts += np.sum([_exif_and_position(data) for data in contents], axis=0)
            pictures = [{"bytes": data, "path": file.name} for data, file in zip(contents, group, strict=True)]
            columns = [*rows.slice(start, size).select(MANIFEST.names).columns, pa.array(pictures, IMAGE.type)]
            writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=size)
        writer.add_key_value_metadata({WITH_EXIF: str(counts[0]), WITH_POSITION: str(counts[1])})


def _exif_and_position(data: bytes) -> tuple[bool, bool]:
    """Whether a stored file carries EXIF, and whether that says where it was taken."""
    tags = exif_tags(data)  # what cannot be read tells nobody anything; `shard verify` names such files
    return bool(tags), _GPS in tags
