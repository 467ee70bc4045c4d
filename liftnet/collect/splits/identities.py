"""Who is who: one id for each artist and work, whatever list names them, by Wikidata id where there is one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from liftnet.collect.manifest_row import ManifestRow
from liftnet.core.ids import stable_id


def identify(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Give the rows of a manifest their `artist_id` and `work_id`, and Wikidata ids that other rows know.

    An artist is the Wikidata id; without one, the only Wikidata id that other rows have under this very name; else the
    name. A work likewise, among the works of its artist. So an artist is one person whether a list gives the name
    alone or the name with the id, and a name that two Wikidata ids share decides nothing.

    Returns:
        The rows; those without an artist or a work keep None for the ids.
    """
    artists = _only_ids((row.artist, row.artist_wikidata) for row in rows)
    rows = [replace(row, artist_wikidata=row.artist_wikidata or artists.get(row.artist)) for row in rows]
    works = _only_ids(((_artist(row), row.work), row.work_wikidata) for row in rows)
    return [_identified(row, row.work_wikidata or works.get((_artist(row), row.work))) for row in rows]


def _identified(row: ManifestRow, work_wikidata: str | None) -> ManifestRow:
    artist, work = _artist(row), work_wikidata or row.work
    return replace(
        row,
        work_wikidata=work_wikidata,
        artist_id=stable_id(artist) if artist else None,
        work_id=stable_id(artist, work) if artist and work else None,
    )


def same_artists(rows: Iterable[ManifestRow]) -> list[tuple[str, str]]:
    """Ties between artist ids that may be one person under two spellings.

    Names are compared without case, accents, punctuation and order of words ("Rodin, Auguste"). Two Wikidata ids
    under one name are two people; an artist known by that name alone may be either, and ties them.

    Args:
        rows: Rows of MANIFEST with their ids.
    """
    known: dict[str, dict[str, bool]] = {}  # spelling -> artist_id -> whether the name is all there is
    for row in rows:
        if row.artist and row.artist_id:
            known.setdefault(plain_name(row.artist), {})[row.artist_id] = row.artist_wikidata is None
    ties = []
    for artists in known.values():
        if any(artists.values()):
            first, *others = sorted(artists)
            ties += [(first, other) for other in others]
    return ties


def same_works(rows: Iterable[ManifestRow]) -> list[tuple[str, str]]:
    """Ties between work ids of different artists that have one Wikidata id."""
    first: dict[str, str] = {}
    ties = set()
    for row in rows:
        if row.work_wikidata and row.work_id:
            other = first.setdefault(row.work_wikidata, row.work_id)
            if other != row.work_id:
                ties.add((other, row.work_id))
    return sorted(ties)


def plain_name(name: str) -> str:
    """A name without case, accents, punctuation and order of words; the name itself where nothing would be left."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c if c.isalnum() else " " for c in letters if not unicodedata.combining(c))
    return " ".join(sorted(kept.split())) or name


def _artist(row: ManifestRow) -> str | None:
    return row.artist_wikidata or row.artist


def _only_ids(named: Iterable[tuple[Any, str | None]]) -> dict[Any, str]:
    """The Wikidata id of each name that stands with exactly one."""
    ids: dict[Any, set[str]] = {}
    for name, wikidata in named:
        if wikidata:
            ids.setdefault(name, set()).add(wikidata)
    return {name: next(iter(found)) for name, found in ids.items() if len(found) == 1 and name is not None}
