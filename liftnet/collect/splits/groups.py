"""Groups that no split may divide, the split of each, and what has to be withheld."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from liftnet.collect.settings import SplitSettings
from liftnet.collect.splits.identities import same_artists, same_works
from liftnet.collect.splits.lists import WIKIDATA, Entry, SplitLists, highest, read_lists, write_lists
from liftnet.collect.splits.splits import divide_groups
from liftnet.core.components import Components
from liftnet.core.files import write_text
from liftnet.core.log import get_logger
from liftnet.data.codes import SPLITS, ImageStatus

Row = dict[str, Any]
Key = tuple[str, str, str, str]
HELD = (
    ImageStatus.OK,
    ImageStatus.DUP_EXACT,
    ImageStatus.DUP_NEAR,
)  # whose content is known, so that it can tie works together
LOG = get_logger("collect")


class WorkName(NamedTuple):
    """How a row names its artist and work. What is assigned is assigned to this, so that no row ever moves."""

    artist: str
    artist_wikidata: str | None
    work: str
    work_wikidata: str | None

    def entries(self) -> tuple[Entry, Entry]:
        """Its lines in the lists of artists and of works."""
        if self.artist_wikidata is None and WIKIDATA.fullmatch(self.artist):
            artist = Entry((), self.artist)
        else:
            artist = Entry((self.artist,), self.artist_wikidata)
        of_artist = (self.artist_wikidata,) if self.artist_wikidata else ()
        return artist, Entry((self.artist, self.work, *of_artist), self.work_wikidata)


@dataclass(frozen=True)
class WorkIds:
    """The ids that go with a naming, and the component of people and of objects that it belongs to."""

    artist_id: str
    work_id: str
    person: str
    object: str


def assign_splits(
    rows: Sequence[Row], ties: Iterable[tuple[int, int]], settings: SplitSettings, given: SplitLists, folder: Path
) -> None:
    """Give every row of an artist with an image its group and split, and withhold what ties two splits together.

    A group is what artists, works (by Wikidata id), like pictures and links tie together. What `given` lists, and
    after it what the lists of an earlier run in `folder` say, stays where it was. What is new goes where the same
    person is, else where the same object is, else where its group is; a group of which nothing is listed goes by a
    hash of its name. Where artists or objects then stand in several splits, the images on the lower side are withheld.

    Args:
        rows: Rows of MANIFEST with their ids and status; changed in place.
        ties: Numbers of rows whose pictures look alike.
        settings: Fractions, and artists named in it.
        given: Lists to obey.
        folder: Where the lists of this run are read and written.

    Raises:
        LiftnetError: A list in `folder` cannot be read, or it cannot be written.
    """
    before = read_lists(folder)
    named = _with_named(given, settings)
    known = _ids(rows, *_ties(rows, ties, [*given.links, *before.links]))
    groups = _groups(known.values())
    spellings = _spellings(rows)
    listed = {naming: _listed(naming, spellings, (named, before)) for naming in known}
    splits = _assign(known, groups, listed, settings, named)
    reasons = _withheld(known, splits)
    groups = _groups_left(known, groups, reasons)
    of_artist = _highest_of((ids.artist_id, splits[naming]) for naming, ids in known.items())
    for row in rows:
        naming, artist_id = _naming(row), row["artist_id"]
        row["group_id"] = groups.get(artist_id, artist_id)
        row["split"] = splits.get(naming, of_artist.get(artist_id))
        if row["status"] == "ok" and naming in reasons:
            row |= {"status": "withheld", "reason": reasons[naming], "image_id": None, "file": None}
    _tell(rows, groups, splits, {naming: _listed(naming, spellings, (before,)) for naming in known}, folder)
    _write(folder, splits, before)
    write_text(folder / "groups.csv", _group_table(rows, groups))


def _naming(row: Row) -> WorkName:
    return WorkName(row["artist"], row["artist_wikidata"], row["work"], row["work_wikidata"])


def _ids(rows: Iterable[Row], objects: Components, people: Components) -> dict[WorkName, WorkIds]:
    """The ids of every naming that has an image or a copy of one, in an order that does not depend on the rows'."""
    found = {_naming(row): (row["artist_id"], row["work_id"]) for row in rows if row["status"] in HELD}
    return {
        naming: WorkIds(artist, work, people.find(artist), objects.find(work))
        for naming, (artist, work) in sorted(found.items(), key=lambda item: [part or "" for part in item[0]])
    }


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
        LOG.warning(
            "links.csv: %d of %d links name an image or work that is not here", len(links) - len(known), len(links)
        )
    return known


def _groups(known: Iterable[WorkIds]) -> dict[str, str]:
    """The group of each artist: the first artist id of all that are tied together."""
    tied = Components()
    first: dict[str, str] = {}
    for ids in known:
        for component in (f"person {ids.person}", f"object {ids.object}"):
            tied.tie(ids.artist_id, first.setdefault(component, ids.artist_id))
    return {artist_id: group for group, members in tied.members().items() for artist_id in members}


def _groups_left(
    known: Mapping[WorkName, WorkIds], groups: Mapping[str, str], reasons: Mapping[WorkName, str]
) -> dict[str, str]:
    """The groups of what is not withheld; through what is, a group would stand in two splits."""
    if not reasons:
        return dict(groups)
    left = _groups(ids for naming, ids in known.items() if naming not in reasons)
    return {artist_id: left.get(artist_id, artist_id) for artist_id in groups}


def _with_named(given: SplitLists, settings: SplitSettings) -> SplitLists:
    """The given lists, and the artists that the settings name."""
    named = SplitLists(links=given.links)
    for kind in ("artists", "works"):
        for entry, split in getattr(given, kind).entries.items():
            getattr(named, kind).add(entry, split)
    for split, names in (("val", settings.val_artists), ("test", settings.test_artists)):
        for name in names:
            named.artists.add(Entry((), name) if WIKIDATA.fullmatch(name) else Entry((name,)), split)
    return named


def _spellings(rows: Iterable[Row]) -> dict[str, list[str]]:
    """The names of each artist with a Wikidata id, in alphabetical order."""
    found = defaultdict[str, set[str]](set)
    for row in rows:
        if row["artist_wikidata"]:
            found[row["artist_wikidata"]].add(row["artist"])
    return {wikidata: sorted(names) for wikidata, names in found.items()}


def _listed(naming: WorkName, spellings: Mapping[str, list[str]], sources: Iterable[SplitLists]) -> str | None:
    """The split in which a work is listed, or else its artist, by the first of the sources that knows it."""
    artist, work = naming.entries()
    titles = [work.names, (naming.artist, naming.work)]
    titles += [(naming.artist_wikidata, naming.work)] if naming.artist_wikidata else []
    others = [(name,) for name in spellings.get(artist.wikidata or "", ())]
    for lists in sources:
        split = (
            lists.works.split(work.wikidata, *titles)
            or lists.artists.split(artist.wikidata, artist.names)
            or lists.artists.split(artist.wikidata, *others)
        )
        if split:
            return split
    return None


def _assign(
    known: Mapping[WorkName, WorkIds],
    groups: Mapping[str, str],
    listed: Mapping[WorkName, str | None],
    settings: SplitSettings,
    given: SplitLists,
) -> dict[WorkName, str]:
    """The split of each naming."""
    certain = [(ids, split) for naming, ids in known.items() if (split := listed[naming])]
    of_person = _highest_of((ids.person, split) for ids, split in certain)
    of_object = _highest_of((ids.object, split) for ids, split in certain)
    of_group = divide_groups(
        set(groups.values()),
        0.0 if given.holds("val") else settings.val_fraction,
        0.0 if given.holds("test") else settings.test_fraction,
        _highest_of((groups[ids.artist_id], split) for ids, split in certain),
    )
    return {
        naming: listed[naming]
        or of_person.get(ids.person)
        or of_object.get(ids.object)
        or of_group[groups[ids.artist_id]]
        for naming, ids in known.items()
    }


def _withheld(known: Mapping[WorkName, WorkIds], splits: Mapping[WorkName, str]) -> dict[WorkName, str]:
    """Why namings are withheld: those below the highest split of their person, or of their object."""
    people, objects = defaultdict[str, list[WorkName]](list), defaultdict[str, list[WorkName]](list)
    for naming, ids in known.items():
        people[ids.person].append(naming)
        objects[ids.object].append(naming)
    reasons: dict[WorkName, str] = {}
    for members, what in (
        *((members, "its artist is, or may be, the same as that of") for members in people.values()),
        *((members, "shows the same object as") for members in objects.values()),
    ):
        top = max(members, key=lambda naming: SPLITS.index(splits[naming]))
        reason = f"{what} {top.work} by {top.artist}, which is in {splits[top]}"
        reasons |= {naming: reason for naming in members if splits[naming] != splits[top]}
    return reasons


def _tell(
    rows: Iterable[Row],
    groups: Mapping[str, str],
    splits: Mapping[WorkName, str],
    earlier: Mapping[WorkName, str | None],
    folder: Path,
) -> None:
    """Say what was kept of an earlier run, what the given lists have moved, tied together and withheld."""
    kept = [naming for naming, split in earlier.items() if split]
    moved = [naming for naming in kept if splits[naming] != earlier[naming]]
    if kept:
        LOG.info("%d works stay in the splits of an earlier run; remove %s to divide anew", len(kept), folder)
    if moved:
        first = f"{moved[0].work} by {moved[0].artist}, which was in {earlier[moved[0]]}"
        LOG.warning("the given lists have moved %d works to another split, the first: %s", len(moved), first)
    sizes = Counter(groups.values())
    several = [group for group, size in sizes.items() if size > 1]
    if several:
        largest = max(sizes.values())
        LOG.info("%d groups tie several artists together, the largest %d; see groups.csv", len(several), largest)
    withheld = [row for row in rows if row["status"] == "withheld"]
    if withheld:
        LOG.warning("%d images are withheld, the first: %s", len(withheld), withheld[0]["reason"])


def _highest_of(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The highest split that stands with each key."""
    found: dict[str, str] = {}
    for key, split in items:
        found[key] = highest((found.get(key, split), split)) or split
    return found


def _write(folder: Path, splits: Mapping[WorkName, str], before: SplitLists) -> None:
    """Write the lists; what earlier runs have listed stays listed, also if it has no image now."""
    lines = [(*naming.entries(), split) for naming, split in splits.items()]
    artists: dict[Entry, str] = {}
    for artist, _, split in lines:
        artists[artist] = highest((artists.get(artist, split), split)) or split
    write_lists(folder, "artists", before.artists.entries | artists)
    write_lists(folder, "works", before.works.entries | {work: split for _, work, split in lines})


def _group_table(rows: Sequence[Row], groups: Mapping[str, str]) -> str:
    """groups.csv: a row for each artist and split, with the counts of works and images."""
    works, counts, names = defaultdict[Key, set[str]](set), Counter[tuple[Key, str]](), dict[Key, str]()
    for row in rows:
        if row["status"] in ("ok", "withheld"):
            key = groups[row["artist_id"]], row["split"], row["artist_id"], row["artist_wikidata"] or ""
            works[key].add(row["work_id"])
            counts[key, row["status"]] += 1
            names[key] = min(names.get(key, row["artist"]), row["artist"])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    header = ["group_id", "split", "artist_id", "artist_wikidata", "artist", "n_works", "n_images", "n_withheld"]
    writer.writerow(header)
    for key in sorted(works):
        writer.writerow([*key, names[key], len(works[key]), counts[key, "ok"], counts[key, "withheld"]])
    return table.getvalue()
