"""A row of the manifest: what a row of a source list asked for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from liftnet.collect.fetch.fetched import Fetched
from liftnet.collect.sources.records import SourceRecord
from liftnet.data.licences import spdx


@dataclass(frozen=True)
class ManifestRow:
    """One row of the manifest: the columns of MANIFEST (`liftnet.data.schemas`), which says what they hold."""

    image_id: str | None = None
    artist: str | None = None
    artist_id: str | None = None
    artist_wikidata: str | None = None
    artist_died: int | None = None
    work: str | None = None
    work_id: str | None = None
    work_wikidata: str | None = None
    work_rights: str | None = None
    source: str | None = None
    source_id: str | None = None
    page_url: str | None = None
    image_url: str | None = None
    final_url: str | None = None
    status: str = ""
    reason: str | None = None
    http_status: int | None = None
    attempts: int | None = None
    fetched_at: datetime | None = None
    bytes: int | None = None
    mime: str | None = None
    sha256_raw: str | None = None
    sha256: str | None = None
    phash: str | None = None
    near_image: str | None = None
    near_distance: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    opt_out: str | None = None
    file: str | None = None
    width: int | None = None
    height: int | None = None
    exif_orientation: int | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None
    license: str | None = None
    license_spdx: str | None = None
    license_url: str | None = None
    attribution: str | None = None
    credit: str | None = None
    mask_url: str | None = None
    mask_status: str | None = None
    mask_reason: str | None = None
    split: str | None = None
    group_id: str | None = None

    @classmethod
    def of(cls, asked: SourceRecord, image: Fetched) -> ManifestRow:
        """The row of a record and its image, not yet compared with other rows: without `image_id` and `file`."""
        width, height = image.size or (None, None)
        return cls(
            **{name: getattr(asked, name) for name in _AS_ASKED},
            **{name: getattr(image, name) for name in _AS_FETCHED},
            image_url=asked.image.given,
            license_spdx=spdx(asked.license, asked.license_url),
            fetched_at=datetime.fromisoformat(image.fetched_at) if image.fetched_at else None,
            width=width,
            height=height,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ManifestRow:
        """From a row of MANIFEST."""
        return cls(**row)

    def to_row(self) -> dict[str, Any]:
        """As a row of MANIFEST."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(field.name for field in fields(ManifestRow))
_AS_ASKED = tuple(field.name for field in fields(SourceRecord) if field.name in COLUMNS)
_AS_FETCHED = tuple(
    field.name for field in fields(Fetched) if field.name in COLUMNS and field.name not in ("file", "fetched_at")
)
