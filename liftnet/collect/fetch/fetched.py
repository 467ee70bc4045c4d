"""What became of a file that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Fetched:
    """What became of one file: the columns of FETCHED (`liftnet.data.schemas`), which says what they hold.

    Attributes:
        request: Id of the request; empty for a row of a source list that could not be asked for.
        size: (width, height) of the stored image in px; `shown_size` that as received, orientation applied.
    """

    status: str
    reason: str = ""
    request: str = ""
    asked: str | None = None
    fetched_at: str | None = None
    checked_at: str | None = None
    final_url: str | None = None
    http_status: int | None = None
    attempts: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    opt_out: str | None = None
    bytes: int | None = None
    mime: str | None = None
    file: str | None = None
    raw_file: str | None = None
    stored_bytes: int | None = None
    sha256_raw: str | None = None
    sha256: str | None = None
    phash: str | None = None
    phashes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    shown_size: tuple[int, int] | None = None
    exif_orientation: int | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the file is there."""
        return self.status == "ok"

    @property
    def image_id(self) -> str:
        """The id of a stored image."""
        return (self.sha256 or "")[:16]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Fetched:
        """From a row of FETCHED, or an entry of a journal, which has more keys and lacks those without a value."""
        known = {field.name: row[field.name] for field in fields(cls) if row.get(field.name) is not None}
        for name in ("phashes", "size", "shown_size"):
            if name in known:
                known[name] = tuple(known[name])
        return cls(**known)

    def to_row(self) -> dict[str, Any]:
        """As a row of FETCHED."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
