"""The public sets of sculptures that the paper combines, read from a local copy.

Sculptures 6k (Arandjelovic and Zisserman, ICCV 2011), Name that sculpture (the same, ICMR 2012), 3D shape attributes
(Fouhey, Gupta and Zisserman, CVPR 2016), Tanks and Temples (Knapitsch, Park, Zhou and Koltun, ACM ToG 2017). What is
known of each layout, and from where, is in docs/sources.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from liftnet.collect.catalogues.base import Catalogue, ListSettings
from liftnet.collect.sources.catalogue_data import csv_records
from liftnet.collect.sources.records import SourceRecord, wikidata_id, year
from liftnet.core.errors import LiftnetError
from liftnet.core.text import name, printable
from liftnet.data.locations import Location

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client


class SetSettings(ListSettings):
    """What holds for every public set that lies in a folder."""

    folder: str = Field(default="", description="folder of the unpacked set")
    license: str = Field(default="", description="the licence its page states; none is assumed")


class Sculptures6kSettings(SetSettings):
    """Sculptures 6k (Arandjelovic and Zisserman, ICCV 2011)."""


class NamedSetSettings(SetSettings):
    """A set in folders or with file names of works, and a table that says what they are."""

    works: str = Field(
        default="",
        description="CSV with the columns key, artist, work (and artist_wikidata, artist_died, work_wikidata); a key "
        "is a folder below the set's, or the part of a file's name before its number",
    )


class NameThatSculptureSettings(NamedSetSettings):
    """Name that sculpture (Arandjelovic and Zisserman, ICMR 2012)."""


class ShapeAttributesSettings(NamedSetSettings):
    """3D shape attributes (Fouhey, Gupta and Zisserman, CVPR 2016)."""


class TanksAndTemplesSettings(SetSettings):
    """Tanks and Temples (Knapitsch, Park, Zhou and Koltun, 2017)."""

    scenes: list[str] = Field(
        default=["Ignatius", "Family", "Francis", "Horse"], description="scenes to list; by default its sculptures"
    )


@dataclass(frozen=True)
class Identity:
    """Who made a work, and which.

    Attributes:
        artist: Name of the artist.
        work: Name of the work.
        wikidata: The artist's id.
        died: Year of the artist's death.
        work_wikidata: The work's id.
    """

    artist: str | None = None
    work: str | None = None
    wikidata: str | None = None
    died: int | None = None
    work_wikidata: str | None = None


_NUMBERED = re.compile(r"(.+?)_(\d+)")
_MOORE, _RODIN = Identity("Henry Moore", died=1986), Identity("Auguste Rodin", wikidata="Q30755", died=1917)
_MAKERS = {"Henry_Moore": _MOORE, "Auguste_Rodin": _RODIN, "Rodin": _RODIN}
_MASKS = "masks"


class LocalSet(Catalogue):
    """What all sets have in common: a folder, and images below it."""

    local = True
    expected = ""
    folder: Path

    def __init__(self, settings: SetSettings) -> None:
        if not settings.folder:
            raise LiftnetError("folder", "none is named", "Give --folder, where the set was unpacked")
        self.settings, self.folder = settings, Path(settings.folder)
        if not self.folder.is_dir():
            raise LiftnetError(self.folder, "is not a folder", f"Give the folder that holds {self.expected}")

    def images(self, folder: Path) -> list[Path]:
        """The images anywhere below a folder, by their path."""
        from liftnet.data.folders import pictures_below

        return pictures_below(folder)

    def row(self, path: Path, who: Identity, mask: Path | None = None) -> SourceRecord:
        """The row of an image."""
        problem = None
        if not (who.artist and who.work):
            problem = "bad_row", f"nothing says {'what the work' if who.artist else 'who the artist'} is"
        return SourceRecord(
            name(who.artist),
            name(who.work),
            self.place(path),
            self.place(mask) if mask else None,
            source=self.name,
            license=self.settings.license or None,
            problem=problem,
            source_id=printable(path.relative_to(self.folder).with_suffix("").as_posix()),
            artist_wikidata=who.wikidata,
            artist_died=who.died,
            work_wikidata=who.work_wikidata,
        )

    def place(self, path: Path) -> Location:
        """A file of the set, named from the set's folder."""
        return Location(printable(path.relative_to(self.folder).as_posix()), path)

    def unrecognised(self) -> LiftnetError:
        """What to say of a folder that is laid out in another way."""
        return LiftnetError(self.folder, "is not laid out as this set is", f"Expected was {self.expected}")


class Sculptures6k(LocalSet):
    """Works of Henry Moore and Auguste Rodin; a file is named by the search it was found with."""

    name = "sculptures6k"
    settings_type = Sculptures6kSettings
    example = "--folder sculptures6k"
    expected = "train/ and test/ with files such as Henry_Moore_Arch_Leg_0000.jpg and Rodin_Thinker_0001.jpg"

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row an image; its mask is `masks/<train or test>/<name>.png`, if there is one."""
        paths = [path for part in ("train", "test") for path in self.images(self.folder / part)]
        if not any(_prefix(path) for path in paths):
            raise self.unrecognised()
        for path in paths:
            prefix = _prefix(path) or ""
            maker = next((maker for maker in _MAKERS if prefix.startswith(f"{maker}_")), None)
            mask = self.folder / _MASKS / path.parent.name / f"{path.stem}.png"
            who = replace(_MAKERS[maker], work=prefix[len(maker) + 1 :].replace("_", " ")) if maker else Identity()
            yield self.row(path, who, mask if mask.is_file() else None)


class NamedSet(LocalSet):
    """A set in folders of artists and works, or of works whose artists a table names."""

    expected = "<artist>/<work>/<image>.jpg; or any folders or names of files, with --works a table of what they are"

    def __init__(self, settings: NamedSetSettings) -> None:
        super().__init__(settings)
        self.works = _read_works(Path(settings.works)) if settings.works else {}

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row an image."""
        paths = self.images(self.folder)
        if not paths or not (self.works or any(len(path.relative_to(self.folder).parts) == 3 for path in paths)):
            raise self.unrecognised()
        if self.works and not any(self._named(path) for path in paths):
            raise LiftnetError(self.folder, "has no folder and no file that --works names", "Check its column key")
        for path in paths:
            yield self.row(path, self._named(path) or self._foldered(path))

    def _named(self, path: Path) -> Identity | None:
        """What the table says of a file: by the nearest folder above it that it names, else by the file's name."""
        relative = path.relative_to(self.folder)
        keys = [parent.as_posix() for parent in relative.parents if parent.name]
        return next((self.works[key] for key in [_prefix(path) or "", *keys] if key in self.works), None)

    def _foldered(self, path: Path) -> Identity:
        parts = path.relative_to(self.folder).parts
        if self.works or len(parts) != 3:
            return Identity()
        return Identity(parts[0].replace("_", " "), parts[1].replace("_", " "))


class NameThatSculpture(NamedSet):
    """Works of some 500 sculptors, found on Flickr."""

    name = "name_that_sculpture"
    settings_type = NameThatSculptureSettings
    example = "--folder nts --works nts.csv"


class ShapeAttributes(NamedSet):
    """2,197 works of 242 artists."""

    name = "shape_attributes"
    settings_type = ShapeAttributesSettings
    example = "--folder sculptures --works works.csv"


class TanksAndTemples(LocalSet):
    """Frames of videos around an object or through a place; a folder a scene."""

    name = "tanks_and_temples"
    settings_type = TanksAndTemplesSettings
    example = "--folder tanks --scenes Ignatius Horse"
    expected = "<scene>/*.jpg or <scene>/images/*.jpg, as its archives of images unpack"

    def __init__(self, settings: TanksAndTemplesSettings) -> None:
        super().__init__(settings)
        self.scenes = settings.scenes

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row an image. The sculptors are not named by the set, so each scene has an artist of its own."""
        found = 0
        for scene in self.scenes:
            for folder in (self.folder / scene / "images", self.folder / scene, self.folder / "image_sets" / scene):
                paths = [path for path in self.images(folder) if path.parent == folder] if folder.is_dir() else []
                if paths:
                    break
            else:
                client.skip(f"the scene {scene} is not there")
                continue
            found += len(paths)
            yield from (self.row(path, Identity(f"Unknown ({scene})", scene)) for path in paths)
        if not found:
            raise self.unrecognised()


def _prefix(path: Path) -> str | None:
    """The part of a file's name before its number."""
    match = _NUMBERED.fullmatch(path.stem)
    return match[1] if match else None


def _read_works(path: Path) -> Mapping[str, Identity]:
    rows = csv_records(path, ("key", "artist", "work"))
    return {
        row["key"].strip().strip("/"): Identity(
            row["artist"],
            row["work"],
            wikidata_id(row.get("artist_wikidata")),
            year(row.get("artist_died")),
            wikidata_id(row.get("work_wikidata")),
        )
        for row in rows
    }
