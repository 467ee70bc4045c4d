"""The interface of a MediaWiki (mediawiki.org/wiki/API), and what Wikidata knows of a category of Wikimedia Commons.

An item of a category either is what the category is about, or is an item for the category itself, which names its
topic (P301) or the topics it combines (P971): "Sculptures by Rodin" combines sculpture and Rodin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liftnet.collect.sources.catalogue_data import items, mapping, text
from liftnet.collect.sources.records import wikidata_id, year
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

LAG_S = 5  # mediawiki.org/wiki/Manual:Maxlag_parameter
TRIES = 20  # of one request while the wiki is busy
PARTS = 100  # answers of one batch; more have been seen for files with endless metadata
_BUSY = frozenset({"maxlag", "ratelimited"})
AT_A_TIME = 50  # ids in one wbgetentities
_INSTANCE, _CREATOR, _DIED, _TOPIC, _COMBINES = "P31", "P170", "P570", "P301", "P971"
_HUMAN = "Q5"


class MediaWiki:
    """Queries to one wiki, one after the other.

    Args:
        client: Asks for it.
        api: Address of its `api.php`.
        wait_s: Least wait when it is busy.
    """

    def __init__(self, client: Client, api: str, wait_s: float = LAG_S) -> None:
        self.client, self.api, self.wait_s = client, api, wait_s

    def ask(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """One answer; a busy wiki says so with status 200, and is asked again later.

        Raises:
            LiftnetError: It reports another error, stays busy, or answers with no object.
        """
        full = {"format": "json", "formatversion": 2, "maxlag": LAG_S, **parameters}
        for attempt in range(TRIES):
            answer = self.client.ask(self.api, full)
            error = mapping(mapping(answer).get("error"))
            if error.get("code") not in _BUSY:
                break
            self.client.pause(self.wait_s * (attempt + 1))
        if not isinstance(answer, dict) or error:
            said = text(error.get("info")) or "no object"
            raise LiftnetError(self.api, f"answers: {said}", "Check the names asked for, or wait and run again")
        return answer

    def batches(self, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The `query` of each batch of an `action=query`, merged from all its answers.

        A page may come without the properties asked for, which follow with a later answer of the same batch; a batch
        is whole at `batchcomplete` (mediawiki.org/wiki/API:Continue).

        Raises:
            LiftnetError: The wiki continues where it was already.
        """
        query: dict[str, Any] = {}
        onward: dict[str, Any] = {}
        parts = 0
        while True:
            answer = self.ask({"action": "query", **parameters, **onward})
            _merge(query, mapping(answer.get("query")))
            parts += 1
            following = mapping(answer.get("continue"))
            whole = answer.get("batchcomplete") not in (None, False)  # true, or "" in the older form
            if whole or not following or parts >= PARTS:
                yield query
                query, parts = {}, 0
            if not following:
                return
            if following == onward:
                raise LiftnetError(self.api, "continues where it was already", "Wait and run again")
            onward = following


def _merge(query: dict[str, Any], further: Mapping[str, Any]) -> None:
    """Add the pages and lists of a further answer: fields of a page come together, by its id or title."""
    for key, value in further.items():
        if key == "pages":
            for page in items(value):
                known = query.setdefault("pages", {})
                known.setdefault(_name(mapping(page)), {}).update(mapping(page))
        elif isinstance(value, list):
            query.setdefault(key, []).extend(value)


def _name(page: Mapping[str, Any]) -> str:
    return str(page.get("pageid") or page.get("title"))


@dataclass(frozen=True)
class Artist:
    """An artist as Wikidata knows him or her."""

    wikidata: str
    name: str
    died: int | None


@dataclass(frozen=True)
class Topic:
    """What a category is about, as far as it matters.

    Attributes:
        work: The work, if it is about one that somebody made.
        artist: Who made the work.
        person: The one person it is about otherwise: who made what it holds, or whom it shows.
    """

    work: str | None = None
    artist: Artist | None = None
    person: Artist | None = None


class Wikidata:
    """Items and what they say, each asked for once."""

    def __init__(self, wiki: MediaWiki) -> None:
        self.wiki = wiki
        self._entities: dict[str, dict[str, Any]] = {}

    def topics(self, ids: Iterable[str]) -> dict[str, Topic]:
        """The topic of each item, in at most three rounds of requests: items, their topics, the topics' creators."""
        wanted = sorted(set(ids))
        self._fetch(wanted)
        about = {number: [number, *self._linked(number, _TOPIC, _COMBINES)] for number in wanted}
        self._fetch(target for targets in about.values() for target in targets)
        self._fetch(creator for targets in about.values() for target in targets for creator in self._creators(target))
        return {number: self._topic(targets) for number, targets in about.items()}

    def _fetch(self, ids: Iterable[str]) -> None:
        missing = sorted({number for number in ids if number not in self._entities})
        for start in range(0, len(missing), AT_A_TIME):
            some = missing[start : start + AT_A_TIME]
            answer = self.wiki.ask(
                {"action": "wbgetentities", "ids": "|".join(some), "props": "claims|labels", "languages": "en|mul"}
            )
            found = {number: mapping(entity) for number, entity in mapping(answer.get("entities")).items()}
            redirected = {mapping(entity.get("redirects")).get("from"): entity for entity in found.values()}
            self._entities |= {number: found.get(number) or redirected.get(number, {}) for number in some}

    def _topic(self, targets: list[str]) -> Topic:
        """A work if one of the targets was made by somebody, else a person if exactly one of them is a human."""
        for target in targets:
            if creators := self._creators(target):
                artists = [artist for artist in map(self._artist, creators) if artist]
                return Topic(target, artists[0] if artists else None)
        humans = [
            artist
            for target in targets
            if _HUMAN in self._linked(target, _INSTANCE)
            if (artist := self._artist(target))
        ]
        return Topic(person=humans[0] if len(humans) == 1 else None)

    def _creators(self, number: str) -> list[str]:
        return [] if _HUMAN in self._linked(number, _INSTANCE) else self._linked(number, _CREATOR)

    def _artist(self, number: str) -> Artist | None:
        entity = self._entities.get(number, {})
        labels = mapping(entity.get("labels"))
        name = text(mapping(labels.get("en")).get("value")) or text(mapping(labels.get("mul")).get("value"))
        return Artist(number, name, next(self._years(number, _DIED), None)) if name else None

    def _linked(self, number: str, *properties: str) -> list[str]:
        """The items that a property of an item names, without those that are deprecated."""
        values = [value for name in properties for value in self._values(number, name)]
        return [linked for value in values if (linked := wikidata_id(mapping(value).get("id")))]

    def _years(self, number: str, name: str) -> Iterator[int]:
        for value in self._values(number, name):
            time = mapping(value).get("time")  # "+1917-11-17T00:00:00Z"
            if isinstance(time, str) and (found := year(time.lstrip("+").partition("-")[0])) is not None:
                yield found

    def _values(self, number: str, name: str) -> Iterator[Any]:
        for claim in items(mapping(self._entities.get(number, {}).get("claims")).get(name)):
            if mapping(claim).get("rank") != "deprecated":
                yield mapping(mapping(mapping(claim).get("mainsnak")).get("datavalue")).get("value")
