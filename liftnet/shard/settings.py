"""Settings of the shard stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from liftnet.core.settings import Settings


class PublicationSettings(Settings):
    """What the dataset is called and who answers for it."""

    name: str = Field("liftnet-sculptures", pattern=r"^[A-Za-z0-9][\w.-]*$", description="name of the dataset")
    release: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$", description="version of the dataset, MAJOR.MINOR.PATCH")
    creator: str = Field("", description="who publishes the dataset, for its card")
    contact: str = Field("", description="mail address or page for questions and removals, for its card")
    url: str = Field("", pattern=r"^(https?://\S+)?$", description="page of the dataset, for its card")


class LicenceSettings(Settings):
    """Which licences the images may have."""

    profile: Literal["pd-only", "open", "research"] = Field(
        "research",
        description="which licences images may have: public domain (pd-only), also BY and BY-SA (open), or all that "
        "permit research, NC and ND included",
    )
    keep_unknown: bool = Field(
        True, description="with the profile research, keep images whose licence is unknown; the card counts them"
    )


class FileSettings(Settings):
    """How the tables are cut into files."""

    shard_mb: int = Field(128, ge=64, le=256, description="max. size of a shard, MB, before compression")
    rows_per_group: int = Field(1024, ge=512, le=1024, description="pairs in a row group, the unit of random reading")
    images_per_group: int = Field(100, ge=10, le=1000, description="images in a row group of the images-* shards")


class TrackSettings(Settings):
    """How the correspondences of a work are joined over its images."""

    merge_px: float = Field(
        1.0, ge=0, le=16, description="keypoints of one image that are nearer than this are one, px"
    )
    tolerance: float = Field(
        1.0,
        ge=0,
        le=100,
        description="how far keypoints of a track may be from the model of their pair, as a multiple of its threshold",
    )
    min_linked: int = Field(
        8, ge=1, description="min. tracks that two images share to be offered as a pair that only tracks link"
    )


class ShardSettings(Settings):
    """What the dataset holds, what it is called and how it is cut into files."""

    publication: PublicationSettings = Field(PublicationSettings(), description="name and publisher")
    licences: LicenceSettings = Field(LicenceSettings(), description="of the images")
    tracks: TrackSettings = Field(TrackSettings(), description="correspondences joined over images")
    files: FileSettings = Field(FileSettings(), description="sizes of shards and row groups")
    images: bool = Field(
        True, description="also write images-* shards with the JPEG bytes, to share the dataset whole"
    )
    mini_mb: int = Field(90, ge=0, le=95, description="max. size of the small dataset in mini/, MB; 0: none")
