"""Wikimedia Commons: the images of categories, walked breadth first.

Interface: commons.wikimedia.org/w/api.php (mediawiki.org/wiki/API:Categorymembers, API:Imageinfo). A category's item
in Wikidata says whether it is about an artist or a work; without one, a category that has no further ones below it is
taken for a work. Images are asked for at one of the widths Commons keeps ready, as its operators ask
(wikitech.wikimedia.org/wiki/Robot_policy).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from liftnet.collect.catalogues.base import Catalogue, CatalogueSettings
from liftnet.collect.sources.catalogue_data import address, items, mapping, text, without_html
from liftnet.collect.sources.mediawiki import Artist, MediaWiki, Topic, Wikidata
from liftnet.collect.sources.records import SourceRecord, size, wikidata_id
from liftnet.core.errors import LiftnetError
from liftnet.data.locations import Location

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

PREFIX = "Category:"
SCALED_AT_A_TIME = 50  # iiurlwidth gives no more scaled images in one answer
_FILES = {
    "generator": "categorymembers",
    "gcmtype": "file",
    "gcmlimit": SCALED_AT_A_TIME,
    "prop": "imageinfo",
    "iiprop": "url|size|mime|mediatype|extmetadata",
    "iiextmetadatalanguage": "en",
}


@dataclass(frozen=True)
class Category:
    """A category and what is known of it.

    Attributes:
        title: With its prefix.
        depth: Steps from where the walk began.
        artist: Whose works it holds.
        work: Its name and item, if it is of one work.
        leaf: Whether no categories are below it.
    """

    title: str
    depth: int = 0
    artist: Artist | None = None
    work: tuple[str, str | None] | None = None
    leaf: bool = False


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


class Commons(Catalogue):
    """The images of some categories and of those below them."""

    name = "commons"
    settings_type = CommonsSettings
    example = "--categories 'Sculptures by Auguste Rodin' --politeness.contact you@example.org"

    def __init__(self, settings: CommonsSettings) -> None:
        if not settings.categories:
            raise LiftnetError("categories", "none is named", "For example --categories 'Statues by Michelangelo'")
        self.settings = settings

    def rows(self, client: Client) -> Iterator[SourceRecord]:
        """A row an image, each once, in the first category it is met in.

        Raises:
            LiftnetError: There is no contact to tell the operators, or the wiki does not answer.
        """
        if not client.contact:
            remedy = "Give --politeness.contact, your mail address or page: the operators of Commons ask for one"
            raise LiftnetError("contact", "is empty", remedy)
        wiki = MediaWiki(client, self.settings.api, self.settings.lag_wait_s)
        seen: set[str] = set()
        for category in self._walk(wiki, client):
            for page in self._files(wiki, category):
                title = text(page.get("title")) or ""
                if title in seen:
                    client.skip("the file stands in several categories; listed once")
                    continue
                seen.add(title)
                yield self._row(page, category)

    def _walk(self, wiki: MediaWiki, client: Client) -> Iterator[Category]:
        """The categories, nearest first; one that is met again, as categories run in circles, is not entered."""
        wikidata = Wikidata(MediaWiki(client, self.settings.wikidata_api, self.settings.lag_wait_s))
        queue = deque(Category(_with_prefix(title)) for title in dict.fromkeys(self.settings.categories))
        visited = {category.title for category in queue}
        while queue:
            level = [queue.popleft() for _ in range(len(queue))]
            found = [(category, *self._look_into(wiki, category)) for category in level]
            numbers = [number for _, number, _ in found if number] if self.settings.wikidata else []
            topics = wikidata.topics(numbers)
            for category, number, below in found:
                known = _with_topic(category, topics.get(number or "", Topic()), leaf=not below)
                yield known
                for title in below:
                    if title in visited:
                        continue
                    visited.add(title)
                    if known.depth >= self.settings.depth:
                        client.skip("the category is deeper than `depth`")
                    elif any(word.lower() in title.lower() for word in self.settings.skip):
                        client.skip("the category has a word of `skip` in its name")
                    else:
                        queue.append(Category(title, known.depth + 1, known.artist, known.work))

    def _look_into(self, wiki: MediaWiki, category: Category) -> tuple[str | None, list[str]]:
        """A category's item in Wikidata, and the categories below it."""
        asked = {
            "titles": category.title,
            "prop": "pageprops|categoryinfo",
            "ppprop": "wikibase_item",
            "list": "categorymembers",
            "cmtitle": category.title,
            "cmtype": "subcat",
            "cmprop": "title",
            "cmlimit": 500,
        }
        number, below = None, []
        for query in wiki.batches(asked):
            for page in mapping(query.get("pages")).values():
                # a category may hold files without having a page
                if page.get("missing") and not page.get("categoryinfo") and category.depth == 0:
                    raise LiftnetError(category.title, "is no category of Wikimedia Commons", "Check its spelling")
                number = wikidata_id(mapping(page.get("pageprops")).get("wikibase_item")) or number
            below += [
                title
                for member in items(query.get("categorymembers"))
                if (title := text(mapping(member).get("title")))
            ]
        return number, below

    def _files(self, wiki: MediaWiki, category: Category) -> Iterator[dict[str, Any]]:
        asked = {**_FILES, "gcmtitle": category.title, "iiurlwidth": self.settings.width}
        for query in wiki.batches(asked):
            yield from mapping(query.get("pages")).values()

    def _row(self, page: dict[str, Any], category: Category) -> SourceRecord:
        infos = items(page.get("imageinfo"))
        info = mapping(infos[0]) if infos else {}
        about = {key: mapping(value).get("value") for key, value in mapping(info.get("extmetadata")).items()}
        title = text(page.get("title")) or ""
        url, width = self._image(info)
        work = category.work or ((_plain(category.title), None) if category.leaf else None)
        artist = category.artist or (Artist("", self.settings.artist, None) if self.settings.artist else None)
        return SourceRecord(
            artist.name if artist else None,
            work[0] if work else None,
            Location(url or title),
            source="commons",
            page_url=address(info.get("descriptionurl")),
            license=without_html(about.get("LicenseShortName")) or without_html(about.get("UsageTerms")),
            license_url=address(about.get("LicenseUrl")),
            attribution=without_html(about.get("Attribution")) or without_html(about.get("Artist")),
            problem=_problem(info, url, artist, work),
            source_id=text(page.get("pageid")),
            credit=without_html(about.get("Credit")),
            artist_wikidata=(artist.wikidata or None) if artist else None,
            artist_died=artist.died if artist else None,
            work_wikidata=work[1] if work else None,
            work_rights=_panorama(about.get("Categories")),
            expected_bytes=_expected_bytes(info, width),
        )

    def _image(self, info: dict[str, Any]) -> tuple[str | None, int | None]:
        """Address and width of the scaled image, or of the original where that is no wider."""
        width = info.get("width")
        scaled = address(info.get("thumburl"))
        if isinstance(width, int) and width > self.settings.width and scaled:
            return scaled, self.settings.width
        return address(info.get("url")), width if isinstance(width, int) else None


def _with_topic(category: Category, topic: Topic, leaf: bool) -> Category:
    """A category once Wikidata was asked; what it does not say is as in the category above.

    "Sculptures by Rodin" and "Statues of Rodin" are both about Rodin; only their names tell which he made.
    """
    work = (_plain(category.title), topic.work) if topic.work else category.work
    artist = topic.artist or (topic.person if " by " in category.title else None)
    return replace(category, artist=artist or category.artist, work=work, leaf=leaf)


def _problem(
    info: dict[str, Any], url: str | None, artist: Artist | None, work: tuple[str, str | None] | None
) -> tuple[str, str] | None:
    """Why a file is not fetched."""
    if not info:
        return "set_aside", "Wikimedia Commons tells nothing of the file"
    if info.get("mediatype") != "BITMAP":
        return "unsupported_format", f"a file of the type {text(info.get('mediatype')) or 'unknown'} is no photograph"
    if url is None:
        return "set_aside", "Wikimedia Commons gives no address of the image"
    if artist is None:
        return "bad_row", "nobody says who the artist is: neither Wikidata nor the option artist"
    if work is None:
        return "set_aside", "the file stands in a category of several works, not in one of a work"
    return None


def _expected_bytes(info: dict[str, Any], width: int | None) -> int | None:
    """Size of the original, or of the scaled image if a pixel takes as many bytes in both."""
    whole, full = size(info.get("size")), info.get("width")
    if whole is None or width is None or not isinstance(full, int) or full <= 0:
        return whole
    return max(1, round(whole * (min(width, full) / full) ** 2))


def _panorama(categories: Any) -> str | None:
    """The template under which a photograph of a protected work in public may be kept, by its category."""
    names: Sequence[str] = categories.split("|") if isinstance(categories, str) else ()
    return next((text(name) for name in names if name.startswith("FoP-")), None)


def _with_prefix(title: str) -> str:
    plain = title.replace("_", " ").strip()
    return plain if plain.startswith(PREFIX) else PREFIX + plain


def _plain(title: str) -> str:
    return title.removeprefix(PREFIX)
