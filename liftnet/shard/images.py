"""Image shards: the manifest's columns and the JPEG bytes, one row an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from liftnet.io.dataset import SPLITS
from liftnet.io.log import progress
from liftnet.io.schemas import MANIFEST
from liftnet.io.sharding.cut import cut, shard_files
from liftnet.shard.settings import ShardSettings

IMAGE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # as Hugging Face's Image
SCHEMA = pa.schema([*MANIFEST, IMAGE], metadata={**MANIFEST.metadata, b"liftnet.table": b"images"})


def write_image_shards(folder: Path, root: Path, manifest: pa.Table, settings: ShardSettings) -> list[str]:
    """Write `images-<split>-*.parquet` of all stored images, sorted by image_id.

    Returns:
        The ids of images whose file is not there; they are left out.
    """
    stored = manifest.filter(pc.equal(manifest.column("status"), "ok")).sort_by("image_id")
    paths = [root / "images" / name for name in stored.column("file").to_pylist()]
    there = np.array([path.is_file() for path in paths], dtype=bool)
    for split in SPLITS:
        chosen = there & (stored.column("split").to_numpy(zero_copy_only=False) == split)
        rows = stored.filter(pa.array(chosen, pa.bool_()))
        files = [path for path, wanted in zip(paths, chosen, strict=True) if wanted]
        sizes = np.array([path.stat().st_size for path in files], dtype=np.int64)
        for path, part in shard_files(folder, f"images-{split}", cut(sizes, settings.shard_mb)):
            _write_shard(path, rows.slice(part.start, len(part)), files[part.start : part.stop], settings)
    return [image for image, found in zip(stored.column("image_id").to_pylist(), there, strict=True) if not found]


def _write_shard(path: Path, rows: pa.Table, files: list[Path], settings: ShardSettings) -> None:
    # a JPEG does not get smaller; all else does
    compression = dict.fromkeys([*MANIFEST.names, "image.path"], "zstd") | {"image.bytes": "none"}
    size = settings.images_per_group
    with pq.ParquetWriter(path, SCHEMA, compression=compression, use_dictionary=["artist_id", "work_id"]) as writer:
        for start in progress(range(0, len(files), size), "shard", f"writing {path.name}"):
            pictures = [{"bytes": file.read_bytes(), "path": file.name} for file in files[start : start + size]]
            columns = [*rows.slice(start, size).select(MANIFEST.names).columns, pa.array(pictures, IMAGE.type)]
            writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=size)
