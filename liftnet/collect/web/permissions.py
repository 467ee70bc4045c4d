"""What a host and the owner of a file permit: robots.txt (RFC 9309), and reservations in the headers of a file.

robots.txt is asked for once a day and host, and kept beside the journals. Without it (404 and its like) everything is
allowed; where the server has a fault (5xx, 429) or cannot be reached, nothing is, as section 2.3.1.4 asks.
`Crawl-delay` and `Request-rate` are not part of the RFC, but widely written, and obeyed.

Of the headers, `X-Robots-Tag` is Google's; `noai` and `noimageai` were added by DeviantArt, `noml` by others.
`tdm-reservation` is the TDM Reservation Protocol of a W3C community group: 1 reserves the right to text and data
mining under article 4 of the EU's copyright directive of 2019.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from protego import Protego

from liftnet.collect.web.transport import AGENT, FetchError, origin_of
from liftnet.core.files import write_json
from liftnet.core.opening import read_text

LARGEST = 500 * 1024  # bytes that are read; RFC 9309, section 2.5
FRESH_S = 24 * 3600.0  # RFC 9309, section 2.4
FAULT_FRESH_S = 600.0
REFUSALS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"[A-Za-z*][^\s:;/]*")
_DAY = re.compile(r"\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*\s*,\s*(?=\d)", re.IGNORECASE)  # "Thu, 1 Jan": no comma
_LONGEST_HEADER = 4000  # characters of a header that are looked at and kept


@dataclass(frozen=True)
class Rules:
    """What one origin allows.

    Attributes:
        text: Its robots.txt; empty where it has none.
        fault: (status, reason) where it could not be read.
        http_status: Of the answer.
        until: When to ask again, in seconds since 1970.
    """

    text: str
    fault: tuple[str, str] | None
    http_status: int | None
    until: float

    @cached_property
    def parsed(self) -> Protego:
        """The rules as protego reads them."""
        return Protego.parse(self.text)

    def allow(self, url: str) -> bool:
        """Whether we may fetch a URL."""
        return self.parsed.can_fetch(url, AGENT)

    @property
    def delay_s(self) -> float:
        """Least time between two requests, in seconds."""
        rate = self.parsed.request_rate(AGENT)
        every = rate.seconds / rate.requests if rate and rate.requests > 0 else 0.0
        return max(self.parsed.crawl_delay(AGENT) or 0.0, every)


class RobotsCache:
    """The rules of every origin met, asked for when first needed. Safe to share between threads.

    Args:
        read: Fetches a robots.txt: its bytes, empty for one that is not there.
        folder: Where rules are kept from run to run; None keeps them in memory.
    """

    def __init__(self, read: Callable[[str], bytes], folder: Path | None = None) -> None:
        self._read, self._folder = read, folder
        self._known: dict[str, Rules] = {}
        self._asking: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def rules(self, url: str) -> Rules:
        """The rules for the origin of a URL.

        Raises:
            FetchError: The URL is of another scheme or names no host.
        """
        origin = origin_of(url)
        with self._lock:
            asking = self._asking.setdefault(origin, threading.Lock())
        with asking:  # one thread asks, those of the same origin wait for it
            rules = self._known.get(origin) or stored_rules(self._folder, origin)
            if rules is None or rules.until < time.time():
                rules = self._ask(origin)
                _store(self._folder, origin, rules)
            self._known[origin] = rules
            return rules

    def check(self, url: str, longest_delay_s: float) -> Rules:
        """The rules for a URL that may be fetched.

        Raises:
            FetchError: It may not: `robots_disallowed`, or the fault that kept robots.txt from being read.
        """
        rules = self.rules(url)
        if rules.fault is not None:
            raise FetchError(url, rules.fault[0], rules.fault[1], rules.http_status)
        if not rules.allow(url):
            raise FetchError(url, "robots_disallowed", f"the host's robots.txt does not allow it to {AGENT}")
        if rules.delay_s > longest_delay_s:
            reason = f"robots.txt asks for {rules.delay_s:g} s between requests, more than max_wait_s"
            raise FetchError(url, "robots_disallowed", reason)
        return rules

    def _ask(self, origin: str) -> Rules:
        now = time.time()
        try:
            text = self._read(f"{origin}/robots.txt").decode("utf-8-sig", "replace")
        except FetchError as error:
            status = error.http_status
            if status is not None and 400 <= status < 500 and status != 429:
                return Rules("", None, status, now + FRESH_S)
            code = error.status if status is None else "robots_disallowed"
            reason = f"robots.txt could not be read, so nothing is fetched: {error.reason}"
            return Rules("", (code, reason), status, now + FAULT_FRESH_S)
        return Rules(text, None, 200, now + FRESH_S)


def stored_rules(folder: Path | None, origin: str) -> Rules | None:
    """The rules kept from an earlier run, if they still hold."""
    if folder is None:
        return None
    try:
        kept: dict[str, Any] = json.loads(read_text(_file(folder, origin)))
        rules = Rules(str(kept["text"]), None, kept["http_status"], float(kept["until"]))
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged: it is asked for again
        return None
    return rules if time.time() < rules.until <= time.time() + FRESH_S else None


def _store(folder: Path | None, origin: str, rules: Rules) -> None:
    """Keep rules for a later run; a fault is not kept, it may have passed by then."""
    if folder is not None and rules.fault is None:
        kept = {"origin": origin, "text": rules.text, "http_status": rules.http_status, "until": rules.until}
        write_json(_file(folder, origin), kept)


def _file(folder: Path, origin: str) -> Path:
    return folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.json"


def reserved(headers: Mapping[str, str], robots_tags: Iterable[str]) -> tuple[str, str] | None:
    """The status and the header of a file whose owner does not want it used, None if nothing is said.

    Args:
        headers: Of the response; names in any case.
        robots_tags: Each `X-Robots-Tag` header by itself, since a name of a robot holds only in its own.
    """
    for tag in robots_tags:
        if any(directive in REFUSALS or _is_over(directive) for directive in directives(tag)):
            shown = "".join(character if character.isprintable() else "?" for character in tag[:200])
            return "opt_out_header", f"X-Robots-Tag: {shown}"
    if headers.get("tdm-reservation", "").strip() == "1":
        return "tdm_reserved", "tdm-reservation: 1"
    return None


def directives(tag: str) -> Iterator[str]:
    """The directives of one X-Robots-Tag header that hold for us, in lower case.

    A name before a colon addresses what follows it to one robot, up to the next name. A date after
    `unavailable_after:` may itself have colons and a comma.
    """
    ours = True
    for part in _DAY.sub(r"\1 ", tag[:_LONGEST_HEADER]).split(","):
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
