"""What the owner of a file says, in the headers sent with it, about its use by machines.

`X-Robots-Tag` is Google's header; `noai` and `noimageai` were added by DeviantArt, `noml` by others.
`tdm-reservation` is the TDM Reservation Protocol of a W3C community group: 1 reserves the right to text and data
mining under article 4 of the EU's copyright directive of 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from liftnet.collect.web.transport import AGENT

REFUSALS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"[A-Za-z*][^\s:;/]*")
_DAY = re.compile(r"\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*\s*,\s*(?=\d)", re.IGNORECASE)  # "Thu, 1 Jan": no comma
_LONGEST = 4000  # characters of a header that are looked at and kept


def reserved(headers: Mapping[str, str], robots_tags: Iterable[str]) -> tuple[str, str] | None:
    """The status and the header of a file whose owner does not want it used, None if nothing is said.

    Args:
        headers: Of the response; names in any case.
        robots_tags: Each `X-Robots-Tag` header by itself, since a name of a robot holds only in its own.
    """
    for tag in robots_tags:
        if any(directive in REFUSALS or _is_over(directive) for directive in directives(tag)):
            return "opt_out_header", f"X-Robots-Tag: {_shown(tag)}"
    if headers.get("tdm-reservation", "").strip() == "1":
        return "tdm_reserved", "tdm-reservation: 1"
    return None


def directives(tag: str) -> Iterator[str]:
    """The directives of one X-Robots-Tag header that hold for us, in lower case.

    A name before a colon addresses what follows it to one robot, up to the next name. A date after
    `unavailable_after:` may itself have colons and a comma.
    """
    ours = True
    for part in _DAY.sub(r"\1 ", tag[:_LONGEST]).split(","):
        name, colon, value = (text.strip() for text in part.partition(":"))
        if not colon:
            name = part.strip()
        elif name.lower() in _WITH_VALUE:
            name = f"{name}:{value}"
        elif _AGENT.fullmatch(name):
            ours = name.lower() in ("*", AGENT)
            name = value
        if ours and name:
            yield name.lower()


def _is_over(directive: str) -> bool:
    """Whether `unavailable_after` names a day that has passed."""
    name, _, value = directive.partition(":")
    if name != "unavailable_after":
        return False
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value.strip().upper())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < datetime.now(UTC)
    return False


def _shown(tag: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in tag[:200])
