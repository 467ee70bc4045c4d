"""Groups that no split may divide, the split of each, and what has to be withheld."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from liftnet.collect.manifest_row import ManifestRow
from liftnet.collect.settings import SplitSettings
from liftnet.collect.split_lists import WIKIDATA, Entry, SplitLists, highest, write_lists
from liftnet.core.files import write_text
from liftnet.core.ids import Components, stable_fraction
from liftnet.core.log import get_logger
from liftnet.core.text import for_csv
from liftnet.data.codes import SPLITS, ImageStatus

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
    """The ids that go with a name, and the component of people and of objects that it belongs to."""

    artist_id: str
    work_id: str
    person: str
    object: str


def assign_splits(
    rows: Sequence[ManifestRow],
    ties: Iterable[tuple[int, int]],
    settings: SplitSettings,
    given: SplitLists,
    before: SplitLists,
) -> tuple[list[ManifestRow], dict[WorkName, str]]:
    """Give every row of an artist with an image its group and split, and withhold what ties two splits together.

    A group is what artists, works (by Wikidata id), like pictures and links tie together. What `given` lists, and
    after it what the lists of an earlier run say, stays where it was. What is new goes where the same person is, else
    where the same object is, else where its group is; a group of which nothing is listed goes by a hash of its name.
    Where artists or objects then stand in several splits, the images on the lower side are withheld.

    Args:
        rows: The manifest with ids and status.
        ties: Numbers of rows whose pictures look alike.
        settings: Fractions, and artists named in it.
        given: Lists to obey.
        before: Lists of an earlier run.

    Returns:
        The rows, and the split of every work that has an image or a copy of one.
    """
    named = _with_named(given, settings)
    known = _ids(rows, *_ties(rows, ties, [*given.links, *before.links]))
    groups = _groups(known.values())
    spellings = _spellings(rows)
    listed = {name: _listed(name, spellings, (named, before)) for name in known}
    splits = _assign(known, groups, listed, settings, named)
    reasons = _withheld(known, splits)
    groups = _groups_left(known, groups, reasons)
    of_artist = _highest_of((ids.artist_id, splits[name]) for name, ids in known.items())
    found = []
    for row in rows:
        name, artist_id = _name(row), row.artist_id or ""
        split = splits.get(name, of_artist.get(artist_id))
        row = replace(row, group_id=groups.get(artist_id, row.artist_id), split=split)
        if row.status == "ok" and name in reasons:
            row = replace(row, status="withheld", reason=reasons[name], image_id=None, file=None)
        found.append(row)
    _tell(found, groups, splits, {name: _listed(name, spellings, (before,)) for name in known})
    return found, splits


def write_splits(
    folder: Path, rows: Sequence[ManifestRow], splits: Mapping[WorkName, str], before: SplitLists
) -> None:
    """Write the lists and groups.csv; what earlier runs have listed stays listed, also if it has no image now."""
    lines = [(*name.entries(), split) for name, split in splits.items()]
    artists: dict[Entry, str] = {}
    for artist, _, split in lines:
        artists[artist] = highest((artists.get(artist, split), split)) or split
    write_lists(folder, "artists", before.artists.entries | artists)
    write_lists(folder, "works", before.works.entries | {work: split for _, work, split in lines})
    write_text(folder / "groups.csv", _group_table(rows))


def divide_groups(
    group_ids: Collection[str], val_fraction: float, test_fraction: float, fixed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give each group a split that depends on the ids alone, not on their order.

    Groups are sorted by a hash in [0, 1): those below `test_fraction` are for testing, the next `val_fraction` for
    validation. With three groups or more, neither is left empty (unless its fraction is 0): the group of the smallest
    hash tests, the next validates. One group at least always trains.

    Args:
        group_ids: Every group that has an image.
        val_fraction: Expected fraction of validation groups among those that are not fixed.
        test_fraction: Expected fraction of test groups among those that are not fixed.
        fixed: Splits that are settled. Groups of it without an image are ignored.

    Returns:
        Split ("train", "val" or "test") by group id.
    """
    fixed = fixed or {}
    splits = {group: fixed[group] for group in group_ids if group in fixed}
    settled = set(splits.values())
    hashed = sorted((stable_fraction(group, "split"), group) for group in set(group_ids) - set(splits))
    enough = len(splits) + len(hashed) >= 3
    least_test = int(enough and test_fraction > 0 and "test" not in settled)
    least_val = int(enough and val_fraction > 0 and "val" not in settled)
    fractions = [fraction for fraction, _ in hashed]
    below_test = sum(fraction < test_fraction for fraction in fractions)
    below_val = sum(fraction < test_fraction + val_fraction for fraction in fractions)
    last = len(hashed) if "train" in settled else max(len(hashed) - 1, 0)  # one group is left to train
    end_test = min(max(below_test, least_test), max(last - least_val, 0))
    end_val = min(max(below_val, end_test + least_val), last)
    for position, (_, group) in enumerate(hashed):
        splits[group] = "test" if position < end_test else "val" if position < end_val else "train"
    return splits


def _name(row: ManifestRow) -> WorkName:
    return WorkName(row.artist or "", row.artist_wikidata, row.work or "", row.work_wikidata)


def _ids(rows: Iterable[ManifestRow], objects: Components, people: Components) -> dict[WorkName, WorkIds]:
    """The ids of every name that has an image or a copy of one, in an order that does not depend on the rows'."""
    found = {_name(row): (row.artist_id or "", row.work_id or "") for row in rows if row.status in HELD}
    return {
        name: WorkIds(artist, work, people.find(artist), objects.find(work))
        for name, (artist, work) in sorted(found.items(), key=lambda item: [part or "" for part in item[0]])
    }


def _ties(
    rows: Sequence[ManifestRow], ties: Iterable[tuple[int, int]], links: Sequence[tuple[str, str]]
) -> tuple[Components, Components]:
    """Works that are one object, by work id, and artists that are one person, by artist id."""
    held = [row for row in rows if row.status in HELD and row.work_id]
    objects, people = Components(), Components()
    for a, b in ties:
        objects.tie(rows[a].work_id or "", rows[b].work_id or "")
    for one, other in (*same_works(held), *_resolved(held, links)):
        objects.tie(one, other)
    for one, other in same_artists(held):
        people.tie(one, other)
    return objects, people


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


def _resolved(rows: Iterable[ManifestRow], links: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Links between images, works or Wikidata ids of works as links between work ids."""
    if not links:
        return []
    works: dict[str, str] = {}
    for row in rows:
        for name in (row.sha256 and row.sha256[:16], row.work_id, row.work_wikidata):
            if name and row.work_id:
                works.setdefault(name, row.work_id)
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
    left = _groups(ids for name, ids in known.items() if name not in reasons)
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


def _spellings(rows: Iterable[ManifestRow]) -> dict[str, list[str]]:
    """The names of each artist with a Wikidata id, in alphabetical order."""
    found = defaultdict[str, set[str]](set)
    for row in rows:
        if row.artist_wikidata and row.artist:
            found[row.artist_wikidata].add(row.artist)
    return {wikidata: sorted(names) for wikidata, names in found.items()}


def _listed(name: WorkName, spellings: Mapping[str, list[str]], sources: Iterable[SplitLists]) -> str | None:
    """The split in which a work is listed, or else its artist, by the first of the sources that knows it."""
    artist, work = name.entries()
    titles = [work.names, (name.artist, name.work)]
    titles += [(name.artist_wikidata, name.work)] if name.artist_wikidata else []
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
    """The split of each name."""
    certain = [(ids, split) for name, ids in known.items() if (split := listed[name])]
    of_person = _highest_of((ids.person, split) for ids, split in certain)
    of_object = _highest_of((ids.object, split) for ids, split in certain)
    of_group = divide_groups(
        set(groups.values()),
        0.0 if given.holds("val") else settings.val_fraction,
        0.0 if given.holds("test") else settings.test_fraction,
        _highest_of((groups[ids.artist_id], split) for ids, split in certain),
    )
    return {
        name: listed[name] or of_person.get(ids.person) or of_object.get(ids.object) or of_group[groups[ids.artist_id]]
        for name, ids in known.items()
    }


def _withheld(known: Mapping[WorkName, WorkIds], splits: Mapping[WorkName, str]) -> dict[WorkName, str]:
    """Why namings are withheld: those below the highest split of their person, or of their object."""
    people, objects = defaultdict[str, list[WorkName]](list), defaultdict[str, list[WorkName]](list)
    for name, ids in known.items():
        people[ids.person].append(name)
        objects[ids.object].append(name)
    reasons: dict[WorkName, str] = {}
    for members, what in (
        *((members, "its artist is, or may be, the same as that of") for members in people.values()),
        *((members, "shows the same object as") for members in objects.values()),
    ):
        top = max(members, key=lambda name: SPLITS.index(splits[name]))
        reason = f"{what} {top.work} by {top.artist}, which is in {splits[top]}"
        reasons |= {name: reason for name in members if splits[name] != splits[top]}
    return reasons


def _tell(
    rows: Iterable[ManifestRow],
    groups: Mapping[str, str],
    splits: Mapping[WorkName, str],
    earlier: Mapping[WorkName, str | None],
) -> None:
    """Say what was kept of an earlier run, what the given lists have moved, tied together and withheld."""
    kept = [name for name, split in earlier.items() if split]
    moved = [name for name in kept if splits[name] != earlier[name]]
    if kept:
        LOG.info("%d works stay in the splits of an earlier run; remove splits/ to divide again", len(kept))
    if moved:
        first = f"{moved[0].work} by {moved[0].artist}, which was in {earlier[moved[0]]}"
        LOG.warning("the given lists have moved %d works to another split, the first: %s", len(moved), first)
    sizes = Counter(groups.values())
    several = [group for group, size in sizes.items() if size > 1]
    if several:
        largest = max(sizes.values())
        LOG.info("%d groups tie several artists together, the largest %d; see groups.csv", len(several), largest)
    withheld = [row for row in rows if row.status == "withheld"]
    if withheld:
        LOG.warning("%d images are withheld, the first: %s", len(withheld), withheld[0].reason)


def _highest_of(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The highest split that stands with each key."""
    found: dict[str, str] = {}
    for key, split in items:
        found[key] = highest((found.get(key, split), split)) or split
    return found


def _group_table(rows: Sequence[ManifestRow]) -> str:
    """groups.csv: a row for each artist and split, with the counts of works and images."""
    works, counts, names = defaultdict[Key, set[str]](set), Counter[tuple[Key, str]](), dict[Key, str]()
    for row in rows:
        if row.status in ("ok", "withheld"):
            name = _name(row)
            key = row.group_id or "", row.split or "", row.artist_id or "", row.artist_wikidata or ""
            works[key].add(row.work_id or "")
            counts[key, row.status] += 1
            names[key] = min(names.get(key, name.artist), name.artist)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    header = ["group_id", "split", "artist_id", "artist_wikidata", "artist", "n_works", "n_images", "n_withheld"]
    writer.writerow(header)
    for key in sorted(works):
        writer.writerow([*key, for_csv(names[key]), len(works[key]), counts[key, "ok"], counts[key, "withheld"]])
    return table.getvalue()
