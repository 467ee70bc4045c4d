"""robots.txt (RFC 9309): what a host lets robots fetch, and how often.

Asked for once a day and host, and kept beside the journals. Without it (404 and its like) everything is allowed; where
the server has a fault (5xx, 429) or cannot be reached, nothing is, as section 2.3.1.4 asks. `Crawl-delay` and
`Request-rate` are not part of the RFC, but widely written, and obeyed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from protego import Protego

from liftnet.collect.web.errors import FetchError
from liftnet.collect.web.transport import AGENT, origin_of
from liftnet.core.files import write_json

LARGEST = 500 * 1024  # bytes that are read; RFC 9309, section 2.5
FRESH_S = 24 * 3600.0  # RFC 9309, section 2.4
FAULT_FRESH_S = 600.0


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
        kept: dict[str, Any] = json.loads(_file(folder, origin).read_text(encoding="utf-8"))
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
