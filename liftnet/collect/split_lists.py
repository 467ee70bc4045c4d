"""The lists of artists and works of each split: plain text files that a run writes, reads back, or is given."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_text
from liftnet.core.opening import only_files
from liftnet.data.codes import SPLITS, split_in

WIKIDATA = re.compile(r"Q[1-9]\d*")
NO_ID = "-"
Names = tuple[str, ...]


def highest(splits: Iterable[str]) -> str | None:
    """The highest of some splits; None of none."""
    return max(splits, key=SPLITS.index, default=None)


@dataclass(frozen=True)
class Entry:
    """A line of a list.

    Attributes:
        names: (artist,), or of a work (artist, title) or (artist, title, Wikidata id of the artist), where the artist
            may stand by his Wikidata id; empty where the id of the artist or work is all there is.
        wikidata: The Wikidata id of the artist or work, if known.
    """

    names: Names
    wikidata: str | None = None

    def line(self) -> str:
        """As it is written: fields divided by tabs."""
        cells = [*self.names[:2], self.wikidata or NO_ID, *self.names[2:]] if self.names else [self.wikidata or NO_ID]
        return "\t".join(cells).removesuffix(f"\t{NO_ID}")


@dataclass
class SplitList:
    """The artists, or the works, of the three splits."""

    entries: dict[Entry, str] = field(default_factory=dict)
    _by_names: dict[Names, list[Entry]] = field(default_factory=dict)
    _by_id: dict[str, list[Entry]] = field(default_factory=dict)

    def add(self, entry: Entry, split: str) -> None:
        """Put an entry into a split."""
        if entry not in self.entries:
            self._by_names.setdefault(entry.names, []).append(entry)
            self._by_id.setdefault(entry.wikidata or "", []).append(entry)
        self.entries[entry] = split

    def split(self, wikidata: str | None, *spellings: Names) -> str | None:
        """The split of an artist or work of this Wikidata id and these names; None if it is not listed.

        Asked are, until one answers: for each spelling the line of exactly this name and id, then those of the name,
        unless they have another id; at last those of the id. Of several lines the highest split counts.
        """
        for names in spellings:
            exact = Entry(names, wikidata)
            if exact in self.entries:
                return self.entries[exact]
            found = [entry for entry in self._by_names.get(names, []) if wikidata is None or entry.wikidata is None]
            if names and found:
                return highest(self.entries[entry] for entry in found)
        return highest(self.entries[entry] for entry in self._by_id.get(wikidata or " ", []))


@dataclass
class SplitLists:
    """The lists of a folder.

    Attributes:
        artists: From {train,val,test}_artists.txt.
        works: From {train,val,test}_works.txt.
        links: Pairs of images or works known to show one object, from links.csv.
    """

    artists: SplitList = field(default_factory=SplitList)
    works: SplitList = field(default_factory=SplitList)
    links: list[tuple[str, str]] = field(default_factory=list)

    def holds(self, split: str) -> bool:
        """Whether any artist or work is listed for a split."""
        return split in self.artists.entries.values() or split in self.works.entries.values()


def read_lists(folder: Path) -> SplitLists:
    """Read the lists of a folder; files that are not there list nothing.

    Raises:
        LiftnetError: A file is not UTF-8 or not as described in docs/splits.md, its name begins
            with no split, or one name stands in two splits.
    """
    lists = SplitLists()
    for kind, fields in (("artists", 1), ("works", 2)):
        found: SplitList = getattr(lists, kind)
        for path in sorted(folder.glob(f"*_{kind}.txt"), reverse=True):
            split = split_in(path, path.name.removesuffix(f"_{kind}.txt"))
            for number, line in enumerate(_lines(path), 1):
                entry = _entry(line, fields, path, number)
                other = found.entries.get(entry, split)
                if other != split:
                    raise LiftnetError(path, f"{line!r} stands in {other} too", "Leave it in one of the lists")
                found.add(entry, split)
    lists.links = _read_links(folder / "links.csv")
    return lists


def read_given(folder: str) -> SplitLists:
    """Read the lists that the setting `splits.lists` names; none for an empty one.

    Raises:
        LiftnetError: The folder does not exist or holds no list, or as for `read_lists`.
    """
    if not folder:
        return SplitLists()
    if not Path(folder).is_dir():
        raise LiftnetError(folder, "is not a folder", "Name the folder of the lists in `collect.splits.lists`")
    lists = read_lists(Path(folder))
    if not (lists.artists.entries or lists.works.entries or lists.links):
        remedy = "Put train_artists.txt, val_artists.txt and test_artists.txt there, one artist a line"
        raise LiftnetError(folder, "holds no list of artists or works, and no links.csv", remedy)
    return lists


def write_lists(folder: Path, kind: str, entries: Mapping[Entry, str]) -> None:
    """Write the three lists of `kind` ("artists" or "works"), sorted."""
    for split in SPLITS:
        lines = sorted(entry.line() for entry, own in entries.items() if own == split)
        write_text(folder / f"{split}_{kind}.txt", "".join(f"{line}\n" for line in lines))


def _lines(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", opener=only_files) as file:
            text = file.read()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read as UTF-8 text ({error})", "Mend or delete it") from error
    return [line for line in text.splitlines() if line.strip()]


def _entry(line: str, fields: int, path: Path, number: int) -> Entry:
    """Read a line: the Wikidata id alone, the names alone, or the names and the Wikidata id."""
    cells = [unicodedata.normalize("NFC", " ".join(cell.split())) for cell in line.split("\t")]
    names, ids = tuple(cells[:fields]), cells[fields:]
    if len(cells) == 1 and WIKIDATA.fullmatch(cells[0]):
        return Entry((), cells[0])
    if len(names) == fields and all(names) and len(ids) <= fields and all(map(_is_id, ids)):
        own, of_artist = (None if cell == NO_ID else cell for cell in (*ids, NO_ID, NO_ID)[:2])
        return Entry((*names, of_artist) if of_artist else names, own)
    form = "an artist's name" if fields == 1 else "an artist and a title, divided by a tab,"
    remedy = f"Write {form} and, if known, after a tab the Wikidata id; or that id alone"
    raise LiftnetError(path, f"line {number} is not understood: {line[:80]!r}", remedy)


def _is_id(cell: str) -> bool:
    return cell == NO_ID or WIKIDATA.fullmatch(cell) is not None


def _read_links(path: Path) -> list[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="", opener=only_files) as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LiftnetError(path, f"cannot be read as CSV in UTF-8 ({error})", "Mend or delete it") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if header[:2] != ["a", "b"]:
        raise LiftnetError(path, "does not begin with the columns a,b", "Each row ties two image ids or works")
    links = [(row[0].strip(), row[1].strip()) for row in rows[1:] if len(row) >= 2]
    return [(a, b) for a, b in links if a and b]
