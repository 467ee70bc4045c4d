"""Groups that no split may divide, the split of each, and what has to be withheld."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liftnet.collect.identities import same_artists, same_works
from liftnet.collect.lists import SPLITS, WIKIDATA, Entry, Lists, Names, highest, read_lists, write_lists
from liftnet.collect.settings import CollectSettings
from liftnet.collect.splits import assign_splits
from liftnet.io.components import Components
from liftnet.io.files import write_text
from liftnet.io.log import get_logger

Row = dict[str, Any]
HELD = ("ok", "dup_exact", "dup_near")  # whose content is known, so that it can tie works together
LOGGER = get_logger("collect")


@dataclass
class Work:
    """A work, as far as its split goes.

    Attributes:
        names: (artist, title) in every spelling.
        wikidata: Its Wikidata id.
    """

    artist_id: str
    work_id: str
    names: Counter[Names] = field(default_factory=Counter)
    wikidata: str | None = None


@dataclass
class Artist:
    """An artist, as far as the split goes."""

    artist_id: str
    names: Counter[Names] = field(default_factory=Counter)
    wikidata: str | None = None
    works: dict[str, Work] = field(default_factory=dict)


def give_splits(
    rows: Sequence[Row], ties: Iterable[tuple[int, int]], settings: CollectSettings, given: Lists, folder: Path
) -> None:
    """Give every row of an artist with an image its group and split, and withhold what ties two splits together.

    A group is what artists, works (by Wikidata id), like pictures and links tie together. What `given` lists, and
    after it what the lists of an earlier run in `folder` say, stays where it was; of the rest each group goes to the
    split of those of it that are listed, and a group of which nothing is goes by a hash of its name. Where works or
    artists of different splits are found to be one, the images on the lower side are withheld.

    Args:
        rows: Rows of MANIFEST with their ids and status; changed in place.
        ties: Numbers of rows whose pictures look alike.
        settings: Shares, and artists named in it.
        given: Lists to obey.
        folder: Where the lists of this run are read and written.
    """
    before = read_lists(folder)
    artists = _artists(rows)
    objects, people = _ties(rows, ties, [*given.links, *before.links])
    works = {work.work_id: work for artist in artists.values() for work in artist.works.values()}
    groups = _groups(artists, objects, people)
    fixed = _listed(artists, (_with_named(given, settings), before))
    splits = _assign(artists, groups, fixed, settings, given)
    reasons = _withheld(works, splits, objects, people)
    of_artist = {artist_id: highest(splits[work] for work in artist.works) for artist_id, artist in artists.items()}
    for row in rows:
        artist_id, work_id = row["artist_id"], row["work_id"]
        row["group_id"] = groups.get(artist_id, artist_id)
        row["split"] = splits.get(work_id, of_artist.get(artist_id))
        if row["status"] == "ok" and work_id in reasons:
            row |= {"status": "withheld", "reason": reasons[work_id], "image_id": None, "file": None}
    _write(folder, artists, of_artist, splits, groups, rows, before)


def _artists(rows: Sequence[Row]) -> dict[str, Artist]:
    """The artists that have an image, with their works that have one."""
    artists: dict[str, Artist] = {}
    for row in rows:
        if row["status"] == "ok":
            artist = artists.setdefault(row["artist_id"], Artist(row["artist_id"], wikidata=row["artist_wikidata"]))
            work = artist.works.setdefault(
                row["work_id"], Work(row["artist_id"], row["work_id"], wikidata=row["work_wikidata"])
            )
            artist.names[(row["artist"],)] += 1
            work.names[row["artist"], row["work"]] += 1
    return artists


def _ties(
    rows: Sequence[Row], ties: Iterable[tuple[int, int]], links: Sequence[tuple[str, str]]
) -> tuple[Components, Components]:
    """Works that are one object, by work id, and artists that are one person, by artist id."""
    held = [row for row in rows if row["status"] in HELD and row["work_id"]]
    objects, people = Components(), Components()
    for a, b in ties:
        objects.tie(rows[a]["work_id"], rows[b]["work_id"])
    for one, other in (*same_works(held), *_resolved(held, links)):
        objects.tie(one, other)
    for one, other in same_artists(held):
        people.tie(one, other)
    return objects, people


def _resolved(rows: Iterable[Row], links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Links between images, works or Wikidata ids of works as links between work ids."""
    if not links:
        return []
    works: dict[str, str] = {}
    for row in rows:
        for name in (row["sha256"] and row["sha256"][:16], row["work_id"], row["work_wikidata"]):
            if name:
                works.setdefault(name, row["work_id"])
    known = [(works[a], works[b]) for a, b in links if a in works and b in works]
    if len(known) < len(links):
        LOGGER.warning(
            "links.csv: %d of %d links name an image or work that is not here", len(links) - len(known), len(links)
        )
    return known


def _groups(artists: Mapping[str, Artist], objects: Components, people: Components) -> dict[str, str]:
    """The group of each artist: the first artist id of all that are tied together."""
    tied = Components()
    first: dict[str, str] = {}
    for artist in artists.values():
        tied.tie(artist.artist_id, first.setdefault(f"person {people.find(artist.artist_id)}", artist.artist_id))
        for work in artist.works:
            tied.tie(artist.artist_id, first.setdefault(f"object {objects.find(work)}", artist.artist_id))
    return {artist_id: tied.find(artist_id) for artist_id in artists}


def _with_named(given: Lists, settings: CollectSettings) -> Lists:
    """The given lists, and the artists that the settings name."""
    named = Lists(links=given.links)
    for kind in ("artists", "works"):
        for entry, split in getattr(given, kind).entries.items():
            getattr(named, kind).add(entry, split)
    for split, names in (("val", settings.val_artists), ("test", settings.test_artists)):
        for name in names:
            named.artists.add(Entry((), name) if WIKIDATA.fullmatch(name) else Entry((name,)), split)
    return named


def _listed(artists: Mapping[str, Artist], sources: Sequence[Lists]) -> dict[str, str]:
    """The split of each work that is listed, or whose artist is; the first source that knows it counts."""
    found: dict[str, str] = {}
    for lists in reversed(sources):
        for artist in artists.values():
            own = lists.artists.split(artist.names, artist.wikidata)
            for work in artist.works.values():
                names = [*work.names, *((artist.wikidata, title) for _, title in work.names if artist.wikidata)]
                split = lists.works.split(names, work.wikidata) or own
                if split is not None:
                    found[work.work_id] = split
    return found


def _assign(
    artists: Mapping[str, Artist],
    groups: Mapping[str, str],
    listed: Mapping[str, str],
    settings: CollectSettings,
    given: Lists,
) -> dict[str, str]:
    """The split of each work."""
    fixed: dict[str, str] = {}
    for artist in artists.values():
        group = groups[artist.artist_id]
        own = highest(listed[work] for work in artist.works if work in listed)
        known = highest(split for split in (fixed.get(group), own) if split)
        if known:
            fixed[group] = known
    named_val = bool(settings.val_artists) or given.holds("val")
    named_test = bool(settings.test_artists) or given.holds("test")
    of_group = assign_splits(
        set(groups.values()),
        0.0 if named_val else settings.val_share,
        0.0 if named_test else settings.test_share,
        fixed,
    )
    splits = {}
    for artist in artists.values():
        own = highest(listed[work] for work in artist.works if work in listed)
        for work in artist.works:
            splits[work] = listed.get(work) or own or of_group[groups[artist.artist_id]]
    return splits


def _withheld(
    works: Mapping[str, Work], splits: Mapping[str, str], objects: Components, people: Components
) -> dict[str, str]:
    """Why works are withheld: those below the highest split of an object, or of a person."""
    reasons: dict[str, str] = {}
    for tied, key, what in (
        (people, lambda work: work.artist_id, "its artist is the same as, or may be, that of"),
        (objects, lambda work: work.work_id, "shows the same object as"),
    ):
        together: dict[str, list[str]] = {}
        for work_id in sorted(works):
            together.setdefault(tied.find(key(works[work_id])), []).append(work_id)
        for members in together.values():
            top = max(members, key=lambda work: SPLITS.index(splits[work]))
            artist, title = _usual(works[top].names)
            reason = f"{what} {title} by {artist}, which is in {splits[top]}"
            reasons |= {work: reason for work in members if splits[work] != splits[top]}
    return reasons


def _write(
    folder: Path,
    artists: Mapping[str, Artist],
    of_artist: Mapping[str, str | None],
    splits: Mapping[str, str],
    groups: Mapping[str, str],
    rows: Sequence[Row],
    before: Lists,
) -> None:
    """Write the lists and groups.csv; what is listed of earlier runs and has no image now stays listed."""
    now_artists, now_works, gone = Lists().artists, Lists().works, set()
    for artist in artists.values():
        now_artists.add(Entry(_usual(artist.names), artist.wikidata), of_artist[artist.artist_id] or "train")
        gone |= set(before.artists.find(artist.names, artist.wikidata))
        for work in artist.works.values():
            now_works.add(Entry(_usual(work.names), work.wikidata), splits[work.work_id])
            gone |= set(before.works.find(work.names, work.wikidata))
    for kind, now, old in (("artists", now_artists, before.artists), ("works", now_works, before.works)):
        kept = {entry: split for entry, split in old.entries.items() if entry not in gone}
        write_lists(folder, kind, kept | now.entries)
    write_text(folder / "groups.csv", _group_table(artists, of_artist, groups, rows))


def _group_table(
    artists: Mapping[str, Artist], of_artist: Mapping[str, str | None], groups: Mapping[str, str], rows: Sequence[Row]
) -> str:
    counts = Counter((row["artist_id"], row["status"]) for row in rows)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        ["group_id", "split", "artist_id", "artist", "artist_wikidata", "n_works", "n_images", "n_withheld"]
    )
    for artist_id in sorted(artists, key=lambda artist_id: (groups[artist_id], artist_id)):
        artist = artists[artist_id]
        writer.writerow(
            [
                groups[artist_id],
                of_artist[artist_id],
                artist_id,
                _usual(artist.names)[0],
                artist.wikidata or "",
                len(artist.works),
                counts[artist_id, "ok"],
                counts[artist_id, "withheld"],
            ]
        )
    return table.getvalue()


def _usual(names: Counter[Names]) -> Names:
    """The most frequent spelling; of equally frequent ones the first in alphabetical order."""
    return min(names, key=lambda name: (-names[name], name))
