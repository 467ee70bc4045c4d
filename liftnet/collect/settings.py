"""Settings of the stage `collect`, in the groups that its commands need whole."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from liftnet.core.settings import Settings, UserPath


class PolitenessSettings(Settings):
    """How servers are asked. It changes nothing in the files, so no change of it runs a job again."""

    contact: str = Field(
        default="",
        pattern=r"^[\x20-\x7e]*$",
        description="your mail address or page, told to every server in the User-Agent",
    )
    timeout_s: float = Field(default=20.0, gt=0, le=600, description="longest silence of a server, in seconds")
    total_s: float = Field(
        default=120.0, gt=0, le=3600, description="longest time for one attempt at one file, in seconds"
    )
    retries: int = Field(
        default=3, ge=0, le=10, description="further attempts after a passing fault (429, 5xx, time-out)"
    )
    backoff_s: float = Field(
        default=1.0, ge=0, le=60, description="seconds before the first retry; doubled for each further one"
    )
    max_wait_s: float = Field(
        default=60.0, ge=0, le=3600, description="a server that asks for a longer wait, in seconds, is given up"
    )
    max_redirects: int = Field(default=5, ge=0, le=20, description="redirects followed for one URL")
    per_host: int = Field(default=2, ge=1, le=16, description="connections to one host at a time")
    delay_s: float = Field(
        default=0.1, ge=0, le=60, description="least time between two requests to one host, in seconds"
    )
    connections: int = Field(default=16, ge=1, le=256, description="downloads at a time over all hosts")
    dead_days: float = Field(
        default=30.0, ge=0, le=3650, description="days in which a dead link (404, 410) is not asked for again"
    )
    refresh: bool = Field(default=False, description="ask for stored files again; unchanged ones are not sent again")


class PermissionSettings(Settings):
    """Which files may be fetched."""

    robots: bool = Field(default=True, description="obey robots.txt: what it forbids, and how often it lets ask")
    opt_out_headers: bool = Field(
        default=True,
        description="leave files whose server sends X-Robots-Tag: noai, noimageai, noml, noindex or noimageindex",
    )
    tdm_reservation: bool = Field(default=True, description="leave files whose server sends tdm-reservation: 1")
    allow_folder: list[str] = Field(
        default=[],
        description="folders that files of a list may lie in, besides the list's own; / for all, if you trust it",
    )
    allow_host: list[str] = Field(default=[], description="hosts (or host:port) that may have a private address")


class PictureSettings(Settings):
    """The limits of images as received, and their size as stored."""

    max_side: int = Field(
        default=1600, ge=64, le=2048, description="longest side of a stored image in px; larger are shrunk"
    )
    min_side: int = Field(default=64, ge=1, description="images with a shorter side below this many px are set aside")
    max_bytes: int = Field(default=50_000_000, ge=1000, description="larger files are given up while they stream in")
    max_pixels: int = Field(
        default=89_000_000, ge=10_000, le=178_000_000, description="images of more pixels are not decoded"
    )
    decode_s: float = Field(
        default=60.0, ge=1, le=3600, description="CPU seconds that decoding an image may take; by the clock ten times"
    )


class DuplicateSettings(Settings):
    """Which pictures are copies of each other, or so alike that their works share a split."""

    near_duplicate_max_bits: int = Field(
        default=6,
        ge=0,
        le=16,
        description="pictures whose 64-bit hashes differ in at most this many bits tie their works into one split; "
        "the copies among them are dropped",
    )
    near_duplicate_min_correlation: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="least correlation of the fine detail at which such a picture counts as a copy",
    )
    near_image_max_bits: int = Field(
        default=12, ge=0, le=20, description="pictures up to this many bits apart are noted in the manifest"
    )


class SplitSettings(Settings):
    """Division of the artists into train, val and test."""

    lists: UserPath = Field(
        default="", description="folder of lists of artists and works by split to obey (docs/splits.md); empty: none"
    )
    val_fraction: float = Field(
        default=0.25, ge=0, lt=1, description="fraction of the artists held out for validation"
    )
    test_fraction: float = Field(default=0.2, ge=0, lt=1, description="fraction of the artists held out for testing")
    val_artists: list[str] = Field(
        default=[], description="names of the validation artists; none: chosen by val_fraction"
    )
    test_artists: list[str] = Field(default=[], description="names of the test artists; none: chosen by test_fraction")

    @model_validator(mode="after")
    def _fractions_leave_a_train_split(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction together must be below 1")
        both = set(self.val_artists) & set(self.test_artists)
        if both:
            raise ValueError(f"{sorted(both)[0]!r} stands in both val_artists and test_artists")
        return self


class QuerySettings(Settings):
    """What every command needs that asks servers."""

    politeness: PolitenessSettings = Field(PolitenessSettings(), description="how servers are asked")
    permissions: PermissionSettings = Field(PermissionSettings(), description="which files may be fetched")


class FetchSettings(QuerySettings):
    """What `collect plan` and `collect fetch` need."""

    pictures: PictureSettings = Field(PictureSettings(), description="limits of images, and how they are stored")


class ManifestSettings(Settings):
    """What `collect manifest` needs."""

    pictures: PictureSettings = Field(PictureSettings(), description="limits of images, and how they are stored")
    duplicates: DuplicateSettings = Field(DuplicateSettings(), description="copies of one picture")
    splits: SplitSettings = Field(SplitSettings(), description="division of the artists into train, val and test")


class CollectSettings(ManifestSettings, FetchSettings):
    """What is fetched, how politely, how it is stored, and how artists are divided into splits."""
