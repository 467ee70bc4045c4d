"""The interface of a MediaWiki (mediawiki.org/wiki/API): its errors, its continuations, its lag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from liftnet.collect.sources.fields import items, mapping, text
from liftnet.core.errors import LiftnetError

if TYPE_CHECKING:
    from liftnet.collect.sources.client import Client

LAG_S = 5  # mediawiki.org/wiki/Manual:Maxlag_parameter
TRIES = 20  # of one request while the wiki is busy
PARTS = 100  # answers of one batch; more have been seen for files with endless metadata
_BUSY = frozenset({"maxlag", "ratelimited"})


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
            told = text(error.get("info")) or "no object"
            raise LiftnetError(self.api, f"answers: {told}", "Check the names asked for, or wait and run again")
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
