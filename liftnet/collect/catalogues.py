"""Options of `collect list`: one class of settings for each kind of source, by its name in `KINDS`.

The kinds themselves are in `liftnet/collect/sources/`; docs/sources.md has an example of each.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings

_DUMP = "instead of asking it: "


class ListSettings(Settings):
    """What holds for every kind."""

    limit: int | None = Field(default=None, ge=1, description="stop after this many images; for a first look")
    max_per_artist: int | None = Field(
        default=None, ge=1, description="images kept of one artist; the rest become rows with a reason"
    )
    max_per_work: int | None = Field(
        default=None, ge=1, description="images kept of one work; the rest become rows with a reason"
    )


class CatalogueSettings(ListSettings):
    """What holds for every kind that asks a server."""

    max_requests: int = Field(
        default=200_000, ge=1, description="requests to the catalogue, after which the list is given up"
    )


class CommonsSettings(CatalogueSettings):
    """Wikimedia Commons: the images of categories and the categories below them."""

    categories: list[str] = Field(
        default=[], description="categories to start from, e.g. 'Sculptures by Auguste Rodin in the Rodin Museum'"
    )
    depth: int = Field(default=3, ge=0, le=20, description="levels of categories below these")
    skip: list[str] = Field(default=[], description="categories with one of these words in their name are not entered")
    width: Literal[20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840] = Field(
        default=1280, description="width of the scaled images in px, one that Commons serves; smaller ones as they are"
    )
    artist: str = Field(default="", description="artist of every work whose own artist Wikidata does not name")
    wikidata: bool = Field(default=True, description="ask Wikidata what a category is about: an artist, a work, whose")
    lag_wait_s: float = Field(
        default=5.0, ge=0, le=600, description="least wait when Commons is busy (maxlag), in seconds"
    )
    api: str = Field(default="https://commons.wikimedia.org/w/api.php", description="address of the interface")
    wikidata_api: str = Field(default="https://www.wikidata.org/w/api.php", description="address of Wikidata's")


class MetSettings(CatalogueSettings):
    """The Metropolitan Museum of Art: its open-access images (CC0)."""

    classifications: list[str] = Field(
        default=["sculpture"], description="words of which an object's classification must hold one; none: any"
    )
    departments: list[int] = Field(default=[], description="numbers of departments; none: all")
    dump: str = Field(default="", description=_DUMP + "its MetObjects.csv, for the numbers of the objects")
    api: str = Field(
        default="https://collectionapi.metmuseum.org/public/collection/v1", description="address of the interface"
    )


class ClevelandSettings(CatalogueSettings):
    """The Cleveland Museum of Art: its open-access images (CC0)."""

    types: list[str] = Field(default=["Sculpture"], description="the museum's types of object")
    size: Literal["web", "print", "full"] = Field(
        default="print", description="size of the images: about 1,200 px, 3,400 px, or the TIFF"
    )
    page_size: int = Field(default=500, ge=1, le=1000, description="records asked for at a time")
    dump: str = Field(default="", description=_DUMP + "its data.json")
    api: str = Field(default="https://openaccess-api.clevelandart.org/api", description="address of the interface")


class ArticSettings(CatalogueSettings):
    """The Art Institute of Chicago: its images in the public domain (CC0)."""

    types: list[str] = Field(default=["Sculpture"], description="the museum's types of artwork")
    width: Literal[200, 400, 600, 843, 1686] = Field(
        default=843, description="width of the images in px; 843 is the one its servers keep ready"
    )
    dump: str = Field(default="", description=_DUMP + "the unpacked folder artic-api-data")
    api: str = Field(default="https://api.artic.edu/api/v1", description="address of the interface")


class SmithsonianSettings(CatalogueSettings):
    """The Smithsonian Institution: its open-access images (CC0)."""

    object_types: list[str] = Field(
        default=["sculpture"], description="words of which an object's types must hold one; none: any"
    )
    units: list[str] = Field(default=[], description="codes of its museums, e.g. SAAM HMSG; none: all")
    page_size: int = Field(default=500, ge=1, le=1000, description="records asked for at a time")
    dump: str = Field(default="", description=_DUMP + "a folder of its metadata, *.txt or *.txt.bz2")
    api: str = Field(default="https://api.si.edu/openaccess/api/v1.0", description="address of the interface")


class TableSettings(ListSettings):
    """A table of somebody else's, its columns renamed."""

    file: str = Field(default="", description="a CSV file in UTF-8")
    columns: list[str] = Field(
        default=[],
        description="ours=theirs for each column, e.g. artist=maker 'work={title} ({number})' url=picture",
    )
    constants: list[str] = Field(default=[], description="ours=value for columns that are the same in every row")
    none_of: list[str] = Field(
        default=[], description="theirs=word: rows whose cell holds that word are set aside, with that reason"
    )


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


KINDS: dict[str, type[ListSettings]] = {
    "commons": CommonsSettings,
    "met": MetSettings,
    "cleveland": ClevelandSettings,
    "artic": ArticSettings,
    "smithsonian": SmithsonianSettings,
    "table": TableSettings,
    "sculptures6k": Sculptures6kSettings,
    "name_that_sculpture": NameThatSculptureSettings,
    "shape_attributes": ShapeAttributesSettings,
    "tanks_and_temples": TanksAndTemplesSettings,
}


def options_of(entry: dict[str, Any]) -> ListSettings:
    """The options of one entry of `sources:` in config.yaml.

    Raises:
        LiftnetError: Its kind is unknown, or an option is, or has a value that is not allowed.
    """
    kind = entry.get("kind")
    if kind not in KINDS:
        raise LiftnetError(f"sources: kind {kind!r}", "is not known", f"Known are {', '.join(KINDS)}")
    try:
        return KINDS[kind](**{key: value for key, value in entry.items() if key not in ("name", "kind")})
    except ValidationError as error:
        first = error.errors()[0]
        key = f"sources: {entry.get('name', kind)}: {first['loc'][0] if first['loc'] else 'entry'}"
        known = ", ".join(KINDS[kind].model_fields)
        raise LiftnetError(key, f"{first['msg']} (given: {first.get('input')!r})", f"Options are {known}") from error
