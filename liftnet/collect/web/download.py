"""The downloader: one polite, bounded, suspicious HTTP client for the whole stage.

Everything a server says is checked: its address, its redirects, how much it sends, how long it takes, and whether what
it sent is as long as it said. What the bytes are is found out by `liftnet.collect.normalise`.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import logging
import os
import random
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
from requests import exceptions as faults
from urllib3 import exceptions as wire

from liftnet.collect.settings import QuerySettings
from liftnet.collect.web.permissions import LARGEST, RobotsCache, reserved
from liftnet.collect.web.politeness import HostThrottle, SharedHostLease, policy_of
from liftnet.collect.web.transport import (
    FetchError,
    GuardedAdapter,
    SsrfGuard,
    Watchdog,
    announced_length,
    etag_of,
    host_of,
    in_plain_words,
    last_modified_of,
    origin_of,
    retry_after,
    user_agent,
)
from liftnet.core.documents import DocumentError, parse_json

WORTH = 1_000_000  # bytes from which asking for the rest is better than asking again
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
CHUNK = 1 << 16
_TELLING = {
    401: "the server wants a login",
    403: "the server refuses it",
    404: "the server does not have it",
    410: "the server has removed it",
    429: "the server says there were too many requests",
}


class Stopped(Exception):
    """The run ends; a download under way is given up and leaves no row behind."""


@dataclass(frozen=True)
class Response:
    """A file as it came.

    Attributes:
        data: Its bytes; empty if it has not changed.
        final_url: Where the last redirect led; None for a local file.
        http_status: 200, 206 for a file that came in parts, 304 for one not changed; None for a local file.
        attempts: How often it was asked for.
        etag: Its version, as the server calls it.
        last_modified: When it changed, as the server says it.
        opt_out: What its owner says against its use, where the settings do not honour that.
    """

    data: bytes = field(repr=False)
    final_url: str | None = None
    http_status: int | None = None
    attempts: int = 1
    etag: str | None = None
    last_modified: str | None = None
    opt_out: str | None = None

    @property
    def not_modified(self) -> bool:
        """Whether the server says that the file is still the one asked about."""
        return self.http_status == 304

    def __repr__(self) -> str:
        return f"Response({len(self.data):,} bytes from {self.final_url or 'disk'})"


@dataclass
class Exchange:
    """What is asked for, and what has come of it so far.

    Attributes:
        conditions: Headers that ask only for a file that has changed.
        headers: Further headers.
        max_bytes: More is refused, or cut off with `cut`.
        robots: Whether robots.txt is obeyed; an interface for programs is not a page for robots.
        reservations: Whether headers against use are read; robots.txt and an interface's answers are not what is used.
        cut: Take the first `max_bytes` of a longer file; its compression is undone.
        partial: What broke off, to be continued.
        home: The one scheme and host that `headers` are for, as they may hold a key; empty for whoever answers.
        holder: Keeps the place among the connections once the file is there.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    max_bytes: int = 0
    robots: bool = True
    reservations: bool = True
    cut: bool = False
    partial: PartialDownload | None = None
    home: str = ""
    holder: ExitStack | None = None

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers of a request for `url`: for the rest of what broke off there, else for what has changed."""
        if self.home and origin_of(url) != self.home:
            return {}
        if self.partial is not None and self.partial.url == url:
            return self.headers | self.partial.headers()
        return self.headers | self.conditions


@dataclass
class PartialDownload:
    """The part of a large file that came before the connection broke, so that only the rest is asked for.

    RFC 9110, sections 13.1.5 (If-Range) and 14: the rest is taken only of the very same version, which a strong ETag
    names; anything else the server answers starts the file from its beginning.

    Attributes:
        url: Which answered, after redirects.
        etag: Its version; strong.
        parts: The bytes, in order.
        size: Their number.
        total: Of the whole file, if it was announced.
    """

    url: str
    etag: str
    parts: list[bytes] = field(repr=False)
    size: int
    total: int | None

    def headers(self) -> dict[str, str]:
        """Ask for the rest, if it is still of the same version."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag}

    def goes_on(self, response: requests.Response) -> bool:
        """Whether a 206 is the rest of this very file."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if match is None or etag_of(response) != self.etag:
            return False
        first, last, total = (int(number) for number in match.groups())
        return first == self.size and last == total - 1 and self.total in (total, None)


def kept(url: str, response: requests.Response, parts: list[bytes], total: int | None) -> PartialDownload | None:
    """What broke off, if it can be continued and is worth it."""
    size, etag = sum(map(len, parts)), etag_of(response)
    if size < WORTH or etag is None or etag.startswith("W/"):
        return None
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    return PartialDownload(url, etag, parts, size, total)


class _Session(requests.Session):
    """Leaves redirects to us: requests would read them even with allow_redirects=False, and fail on a bad one."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """None."""
        return iter(())


class Downloader:
    """Fetches files over HTTP. One for a process; safe to share between threads.

    Args:
        settings: Politeness and permissions.
        max_bytes: Of a file; larger ones are given up.
        allowed: Further hosts (or host:port) that may have a private address.
        folder: Where the rules of robots.txt and the turns of the hosts are kept, for later runs and other processes;
            None keeps them in memory.
    """

    def __init__(
        self,
        settings: QuerySettings,
        max_bytes: int = 50_000_000,
        allowed: tuple[str, ...] = (),
        folder: Path | None = None,
    ) -> None:
        self.politeness, self.permissions, self.max_bytes = settings.politeness, settings.permissions, max_bytes
        self.folder = folder
        self.guard = SsrfGuard((*self.permissions.allow_host, *allowed))
        self.robots = RobotsCache(self._read_robots, folder and folder / "robots")
        self.stop = threading.Event()
        self._throttles: dict[str, HostThrottle] = {}
        self._connections = threading.BoundedSemaphore(self.politeness.connections)
        self._lock = threading.Lock()
        self._jitter = random.Random()  # of its own in each process, or all would come back together
        self.session = _Session()
        # no proxies and no passwords from the environment; only the certificates of the institution, if it has its own
        self.session.trust_env = False
        self.session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        self.session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.session.headers.clear()
        # identity: the length of a compressed body could not be compared with Content-Length, nor its growth bounded
        self.session.headers.update({"User-Agent": user_agent(self.politeness.contact), "Accept-Encoding": "identity"})
        self.session.headers["Accept"] = "image/*"
        # its warnings repeat what a server has sent, which does not belong into our log
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
        adapter = GuardedAdapter(self.guard, self.politeness.connections)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def fetch(
        self,
        url: str,
        etag: str | None = None,
        last_modified: str | None = None,
        holder: contextlib.ExitStack | None = None,
    ) -> Response:
        """Fetch one URL, with retries.

        Args:
            url: http or https.
            etag: The version that is there already; the server sends the file only if it has another.
            last_modified: The same by date.
            holder: Keeps the file's place among `connections` until it is closed: what has come and waits to be
                decoded takes memory too.

        Raises:
            FetchError: It could not be had; `status` and `reason` say why.
            Stopped: The run ends.
        """
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        given = {name: value for name, value in conditions.items() if value}
        return self._persist(
            url, Exchange(given, max_bytes=self.max_bytes, robots=self.permissions.robots, holder=holder)
        )

    def fetch_json(self, url: str, headers: Mapping[str, str] | None = None, max_bytes: int = 32_000_000) -> Any:
        """Ask an interface for programs; its terms of use hold, robots.txt is for pages.

        A `Retry-After` that comes with the answer is obeyed before the host is asked again.

        Raises:
            FetchError: As for `fetch`, and `bad_json`.
            Stopped: The run ends.
        """
        sent = {"Accept": "application/json"} | dict(headers or {})
        received = self._persist(
            url, Exchange(headers=sent, max_bytes=max_bytes, robots=False, reservations=False, home=origin_of(url))
        )
        try:
            return parse_json(received.data)
        except DocumentError as error:
            reason = f"the answer is not JSON ({error})"
            raise FetchError(url, "bad_json", reason, received.http_status) from error

    def give_up(self) -> None:
        """Cut short what is under way, in whatever thread."""
        self.stop.set()
        for watchdog in list(self.guard.watchdogs):
            watchdog.cut()

    def close(self) -> None:
        """Give up what is under way and close all connections."""
        self.give_up()
        self.session.close()

    def throttle(self, url: str) -> HostThrottle:
        """The throttle of a URL's host.

        Raises:
            FetchError: The URL is of another scheme or names no host.
        """
        host = host_of(url)
        with self._lock:
            if host not in self._throttles:
                policy = policy_of(host, self.politeness)
                folder = self.folder and self.folder / "hosts"
                lease = SharedHostLease(policy.connections, folder, host) if folder else None
                self._throttles[host] = HostThrottle(policy, lease)
            return self._throttles[host]

    def _persist(self, url: str, exchange: Exchange) -> Response:
        attempts = 0
        while True:
            attempts += 1
            try:
                return replace(self._attempt(url, exchange), attempts=attempts)
            except FetchError as error:
                error.attempts = attempts
                if not error.passing or attempts > self.politeness.retries:
                    if error.unreachable:
                        self.throttle(error.what).silent(error.status)
                    raise
                if (error.wait_s or 0) > self.politeness.max_wait_s:
                    raise
                backoff = self.politeness.backoff_s * 2 ** (attempts - 1) * self._jitter.uniform(0.5, 1.5)
                self._sleep(min(max(backoff, error.wait_s or 0), self.politeness.max_wait_s))

    def _read_robots(self, url: str) -> bytes:
        headers = {"Accept": "text/plain, */*;q=0.1"}
        return self._persist(
            url, Exchange(headers=headers, max_bytes=LARGEST, robots=False, reservations=False, cut=True)
        ).data

    def _attempt(self, url: str, exchange: Exchange) -> Response:
        for _ in range(self.politeness.max_redirects + 1):
            throttle = self.throttle(url)
            throttle.check_alive(url)
            if exchange.robots:
                throttle.slow_down(self.robots.check(url, self.politeness.max_wait_s).delay_s)
            with throttle.lease.slot(self.stop), contextlib.ExitStack() as place:
                self._take_turn(url, throttle, place)
                answer = self._hop(url, throttle, exchange)
                if isinstance(answer, Response) and exchange.holder is not None:
                    exchange.holder.enter_context(place.pop_all())
            if isinstance(answer, Response):
                return answer
            url = answer
        raise FetchError(url, "too_many_redirects", f"more than {self.politeness.max_redirects} redirects")

    def _take_turn(self, url: str, throttle: HostThrottle, place: contextlib.ExitStack) -> None:
        """Wait for the host's next turn, then for a free connection, and again if turns have passed meanwhile."""
        self._sleep(throttle.turn(url, self.politeness.max_wait_s))
        while True:
            self._connections.acquire()
            if (wait := throttle.begin()) <= 0:
                place.callback(self._connections.release)
                return
            self._connections.release()
            self._sleep(wait)

    def _hop(self, url: str, throttle: HostThrottle, exchange: Exchange) -> Response | str:
        """One request: the file, or where it has moved to."""
        with Watchdog(self.guard, self.politeness.total_s) as watchdog:
            try:
                with self._request(url, exchange) as response:
                    throttle.heard()
                    if (target := self.session.get_redirect_target(response)) is not None:
                        return _absolute(url, target)
                    received = self._answer(url, response, throttle, exchange)
                    if watchdog.expired:  # a cut connection looks like an end where no length was announced
                        raise TimeoutError
                    return received
            except (faults.RequestException, wire.HTTPError, OSError, ValueError) as error:
                if self.stop.is_set():
                    raise Stopped from error
                if watchdog.expired:
                    reason = f"not complete after {self.politeness.total_s:g} s"
                    raise FetchError(url, "timeout_total", reason, passing=True) from error
                raise in_plain_words(url, error) from error

    def _request(self, url: str, exchange: Exchange) -> requests.Response:
        try:
            return self.session.get(
                url,
                headers=exchange.headers_for(url),
                stream=True,
                allow_redirects=False,
                timeout=self.politeness.timeout_s,
            )
        except faults.RequestException:
            raise
        except ValueError as error:  # requests looks at where a redirect leads even if it is not to follow it
            raise FetchError(url, "bad_url", f"it, or its redirect, is not a URL ({error})") from error

    def _answer(self, url: str, response: requests.Response, throttle: HostThrottle, exchange: Exchange) -> Response:
        """The file, once its status and headers are what they should be."""
        parts = _continued(url, response, exchange)
        status = response.status_code
        if status != 200 and parts is None and not (status == 304 and exchange.conditions):
            raise self._refusal(url, response, throttle)
        received = Response(
            b"",
            url,
            status,
            etag=etag_of(response),
            last_modified=last_modified_of(response),
            opt_out=self._reservation(url, response) if exchange.reservations else None,
        )
        if status == 304:
            return received
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "") and not exchange.cut:
            reason = f"the server sent it compressed ({encoding}) though asked not to"
            raise FetchError(url, "not_image", reason, status)
        if not exchange.robots and (wait_s := retry_after(response)) is not None:
            throttle.rest(wait_s, status)  # MediaWiki's maxlag comes with status 200
        return replace(received, data=self._body(url, response, throttle, exchange, parts or []))

    def _refusal(self, url: str, response: requests.Response, throttle: HostThrottle) -> FetchError:
        status = response.status_code
        wait_s = retry_after(response)
        if wait_s is not None and status in PASSING:
            throttle.rest(wait_s, status)
        telling = _TELLING.get(status, "the server has a fault" if status >= 500 else "the server did not send it")
        asked = f", and to wait {wait_s:.0f} s" if wait_s else ""
        reason = f"{telling} (HTTP {status}{asked})"
        return FetchError(url, f"http_{status}", reason, status, status in PASSING or status in (206, 416), wait_s)

    def _reservation(self, url: str, response: requests.Response) -> str | None:
        """What the owner says against using the file, if the settings do not honour it."""
        said = reserved(response.headers, response.raw.headers.getlist("X-Robots-Tag"))
        if said is None:
            return None
        status, header = said
        if self.permissions.opt_out_headers if status == "opt_out_header" else self.permissions.tdm_reservation:
            reason = f"its owner does not want it used by machines ({header})"
            raise FetchError(url, status, reason, response.status_code, opt_out=header)
        return header

    def _body(
        self, url: str, response: requests.Response, throttle: HostThrottle, exchange: Exchange, parts: list[bytes]
    ) -> bytes:
        limit, status = exchange.max_bytes, response.status_code
        size = sum(map(len, parts))
        announced = announced_length(response)
        total = None if announced is None else size + announced
        if total is not None and total > limit and not exchange.cut:
            reason = f"announced as {total:,} bytes, more than max_bytes = {limit:,}"
            raise FetchError(url, "too_large", reason, status)
        try:
            while chunk := response.raw.read(CHUNK, decode_content=exchange.cut):
                size += len(chunk)
                if size > limit and exchange.cut:
                    break
                if size > limit:
                    raise FetchError(url, "too_large", f"longer than max_bytes = {limit:,}", status)
                parts.append(chunk)
                self._sleep(throttle.pay(len(chunk)))
            if total is not None and size != total and not exchange.cut:
                reason = f"{size:,} bytes came, {total:,} were announced"
                raise FetchError(url, "truncated", reason, status, passing=True)
        except (wire.HTTPError, OSError, ValueError):
            exchange.partial = kept(url, response, parts, total)
            raise
        return b"".join(parts)[:limit]

    def _sleep(self, seconds: float) -> None:
        if self.stop.is_set() or (seconds > 0 and self.stop.wait(seconds)):
            raise Stopped


def _absolute(url: str, target: str) -> str:
    """Where a redirect leads.

    Raises:
        FetchError: Nowhere (`bad_url`).
    """
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise FetchError(url, "bad_url", f"its redirect leads to what is not a URL ({error})") from error


def _continued(url: str, response: requests.Response, exchange: Exchange) -> list[bytes] | None:
    """The bytes that a 206 continues; None if the file starts again. What cannot be continued is forgotten."""
    partial, exchange.partial = exchange.partial, None
    if partial is None or partial.url != url or response.status_code != 206 or not partial.goes_on(response):
        return None
    return partial.parts
