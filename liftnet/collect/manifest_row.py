"""A row of the manifest: what a row of a source list requested, its outcome, and one id for each artist and work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from liftnet.collect.fetch.journal import Fetched
from liftnet.collect.sources.records import SourceRecord
from liftnet.core.ids import Register, stable_id
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

    def to_row(self) -> dict[str, Any]:
        """As a row of MANIFEST."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = tuple(field.name for field in fields(ManifestRow))
_AS_ASKED = tuple(field.name for field in fields(SourceRecord) if field.name in COLUMNS)
_AS_FETCHED = tuple(
    field.name for field in fields(Fetched) if field.name in COLUMNS and field.name not in ("file", "fetched_at")
)


def identify(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Give the rows of a manifest their `artist_id` and `work_id`, and Wikidata ids that other rows know.

    An artist is the Wikidata id; without one, the only Wikidata id that other rows have under this very name; else the
    name. A work likewise, among the works of its artist. So an artist is one person whether a list gives the name
    alone or the name with the id, and a name that two Wikidata ids share decides nothing.

    Returns:
        The rows; those without an artist or a work keep None for the ids.

    Raises:
        LiftnetError: Two names have one id; names both.
    """
    artists = _only_ids((row.artist, row.artist_wikidata) for row in rows)
    rows = [replace(row, artist_wikidata=row.artist_wikidata or artists.get(row.artist)) for row in rows]
    works = _only_ids(((_artist(row), row.work), row.work_wikidata) for row in rows)
    ids = Register()
    return [_identified(row, row.work_wikidata or works.get((_artist(row), row.work)), ids) for row in rows]


def _identified(row: ManifestRow, work_wikidata: str | None, ids: Register) -> ManifestRow:
    artist, work = _artist(row), work_wikidata or row.work
    return replace(
        row,
        work_wikidata=work_wikidata,
        artist_id=ids.give(stable_id(artist), artist) if artist else None,
        work_id=ids.give(stable_id(artist, work), artist, work) if artist and work else None,
    )


def _artist(row: ManifestRow) -> str | None:
    return row.artist_wikidata or row.artist


def _only_ids(named: Iterable[tuple[Any, str | None]]) -> dict[Any, str]:
    """The Wikidata id of each name that stands with exactly one."""
    ids: dict[Any, set[str]] = {}
    for name, wikidata in named:
        if wikidata:
            ids.setdefault(name, set()).add(wikidata)
    return {name: next(iter(found)) for name, found in ids.items() if len(found) == 1 and name is not None}
