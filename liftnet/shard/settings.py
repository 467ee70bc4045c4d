"""Settings of the shard stage."""

from __future__ import annotations

from pydantic import Field

from liftnet.io.settings import Settings


class ShardSettings(Settings):
    """How the dataset is cut into files."""

    images: bool = Field(
        True, description="also write images-* shards with the JPEG bytes, to share the dataset whole"
    )
    shard_mb: int = Field(128, ge=64, le=256, description="largest size of a shard, MB, before compression")
    rows_per_group: int = Field(1024, ge=512, le=1024, description="pairs in a row group, the unit of random reading")
    images_per_group: int = Field(100, ge=10, le=1000, description="images in a row group of the images-* shards")
