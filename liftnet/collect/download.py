"""The downloader: one polite, bounded, suspicious HTTP client for the whole stage.

Everything a server says is checked: its address, its redirects, how much it sends, how long it takes, and whether what
it sent is as long as it said. What the bytes are is found out by `liftnet.collect.picture`.
"""

from __future__ import annotations

import http.cookiejar
import os
import random
import threading
import time
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests import exceptions as faults
from urllib3 import exceptions as wire

from liftnet import __version__
from liftnet.collect.errors import FetchError
from liftnet.collect.guard import Guard, GuardedAdapter, Watchdog
from liftnet.collect.settings import CollectSettings

PROJECT = "https://github.com/liftnet/liftnet"
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
class Received:
    """A file as it came.

    Attributes:
        data: Its bytes.
        final_url: Where the last redirect led; None for a local file.
        http_status: 200; None for a local file.
        attempts: How often it was asked for.
    """

    data: bytes = field(repr=False)
    final_url: str | None = None
    http_status: int | None = None
    attempts: int = 1

    def __repr__(self) -> str:
        return f"Received({len(self.data):,} bytes from {self.final_url or 'disk'})"


class HostGate:
    """How many requests one host gets at a time, and how fast."""

    def __init__(self, limit: int, delay_s: float) -> None:
        self.slots = threading.BoundedSemaphore(limit)
        self._delay_s, self._lock = delay_s, threading.Lock()
        self._next = self._resting_until = 0.0
        self._refusal = 429

    def turn(self, url: str, max_wait_s: float) -> float:
        """Seconds to wait before the next request.

        Raises:
            FetchError: The host has asked for a longer rest than `max_wait_s`.
        """
        with self._lock:
            now = time.monotonic()
            rest = self._resting_until - now
            if rest > max_wait_s:
                reason = f"the host asked not to be contacted for another {rest:.0f} s"
                raise FetchError(url, f"http_{self._refusal}", reason, self._refusal)
            start = max(now, self._next, self._resting_until)
            self._next = start + self._delay_s
            return start - now

    def rest(self, seconds: float, http_status: int) -> None:
        """Hold back every request to this host: a rate limit is a host's, not a file's."""
        with self._lock:
            self._resting_until = max(self._resting_until, time.monotonic() + seconds)
            self._refusal = http_status


class Downloader:
    """Fetches files over HTTP. One for a process; safe to share between threads.

    Args:
        settings: Limits and politeness.
        allowed: Further hosts (or host:port) that may have a private address.
    """

    def __init__(self, settings: CollectSettings, allowed: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.guard = Guard((*settings.allow_host, *allowed))
        self.stop = threading.Event()
        self._gates: dict[str, HostGate] = {}
        self._lock = threading.Lock()
        self._jitter = random.Random(0)
        self.session = requests.Session()
        # no proxies and no passwords from the environment; only the certificates of the institution, if it has its own
        self.session.trust_env = False
        self.session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True
        self.session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        self.session.headers.clear()
        # identity: the length of a compressed body could not be compared with Content-Length, nor its growth bounded
        self.session.headers.update({"User-Agent": user_agent(settings.contact), "Accept-Encoding": "identity"})
        self.session.headers["Accept"] = "image/*"
        adapter = GuardedAdapter(self.guard, settings.connections)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def fetch(self, url: str) -> Received:
        """Fetch one URL, with retries.

        Raises:
            FetchError: It could not be had; `code` and `reason` say why.
            Stopped: The run ends.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                return replace(self._attempt(url), attempts=attempts)
            except FetchError as error:
                error.attempts = attempts
                if not error.passing or attempts > self.settings.retries:
                    raise
                if (error.wait_s or 0) > self.settings.max_wait_s:
                    raise
                backoff = self.settings.backoff_s * 2 ** (attempts - 1) * self._jitter.uniform(0.5, 1.5)
                self._sleep(min(max(backoff, error.wait_s or 0), self.settings.max_wait_s))

    def give_up(self) -> None:
        """Cut short what is under way, in whatever thread."""
        self.stop.set()
        for watchdog in list(self.guard.watchdogs):
            watchdog.cut()

    def close(self) -> None:
        """Give up what is under way and close all connections."""
        self.give_up()
        self.session.close()

    def _attempt(self, url: str) -> Received:
        for _ in range(self.settings.max_redirects + 1):
            gate = self._gate(url)
            with gate.slots:
                self._sleep(gate.turn(url, self.settings.max_wait_s))
                answer = self._hop(url, gate)
            if isinstance(answer, Received):
                return answer
            url = answer
        raise FetchError(url, "too_many_redirects", f"more than {self.settings.max_redirects} redirects")

    def _hop(self, url: str, gate: HostGate) -> Received | str:
        """One request: the file, or where it has moved to."""
        with Watchdog(self.guard, self.settings.total_s) as watchdog:
            try:
                with self.session.get(
                    url, stream=True, allow_redirects=False, timeout=self.settings.timeout_s
                ) as response:
                    if (target := self.session.get_redirect_target(response)) is not None:
                        return urljoin(url, target)
                    self._check_status(url, response, gate)
                    data = self._body(url, response)
                    if watchdog.expired:  # a cut connection looks like an end where no length was announced
                        raise TimeoutError
                    return Received(data, url, response.status_code)
            except (faults.RequestException, wire.HTTPError, OSError, UnicodeError) as error:
                if self.stop.is_set():
                    raise Stopped from error
                if watchdog.expired:
                    reason = f"not complete after {self.settings.total_s:g} s"
                    raise FetchError(url, "timeout_total", reason, passing=True) from error
                raise _in_plain_words(url, error) from error

    def _check_status(self, url: str, response: requests.Response, gate: HostGate) -> None:
        status = response.status_code
        if status == 200:
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in ("identity", ""):
                reason = f"the server sent it compressed ({encoding}) though asked not to"
                raise FetchError(url, "not_image", reason, status)
            return
        wait_s = _retry_after(response)
        if wait_s is not None and status in PASSING:
            gate.rest(wait_s, status)
        telling = _TELLING.get(status, "the server has a fault" if status >= 500 else "the server did not send it")
        asked = f", and to wait {wait_s:.0f} s" if wait_s else ""
        raise FetchError(url, f"http_{status}", f"{telling} (HTTP {status}{asked})", status, status in PASSING, wait_s)

    def _body(self, url: str, response: requests.Response) -> bytes:
        limit = self.settings.max_bytes
        announced = response.headers.get("Content-Length", "")
        parts: list[bytes] = []
        size = 0
        if announced.isdigit() and int(announced) > limit:
            reason = f"announced as {int(announced):,} bytes, more than max_bytes = {limit:,}"
            raise FetchError(url, "too_large", reason, response.status_code)
        while chunk := response.raw.read(CHUNK, decode_content=False):
            size += len(chunk)
            if size > limit:
                reason = f"longer than max_bytes = {limit:,}"
                raise FetchError(url, "too_large", reason, response.status_code)
            parts.append(chunk)
        if announced.isdigit() and size != int(announced):
            reason = f"{size:,} bytes came, {int(announced):,} were announced"
            raise FetchError(url, "truncated", reason, response.status_code, passing=True)
        return b"".join(parts)

    def _gate(self, url: str) -> HostGate:
        host = host_of(url)
        with self._lock:
            return self._gates.setdefault(host, HostGate(self.settings.per_host, self.settings.delay_s))

    def _sleep(self, seconds: float) -> None:
        if self.stop.is_set() or (seconds > 0 and self.stop.wait(seconds)):
            raise Stopped


def user_agent(contact: str) -> str:
    """Who we are, so that the owner of a site can ask or complain."""
    return f"liftnet/{__version__} ({contact or '+' + PROJECT}) python-requests/{requests.__version__}"


def host_of(url: str) -> str:
    """Host and port of a http or https URL, in lower case.

    Raises:
        FetchError: It is of another scheme (`unsupported_scheme`) or names no host (`bad_url`).
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FetchError(url, "bad_url", f"not a URL ({error})") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise FetchError(url, "unsupported_scheme", f"only http and https are fetched, not {parts.scheme or 'this'}")
    if not host:
        raise FetchError(url, "bad_url", "names no host")
    return host if port is None else f"{host}:{port}"


def _retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait; it may be a number or a date."""
    header = response.headers.get("Retry-After")
    if not header:
        return None
    try:
        return urllib3.Retry().parse_retry_after(header)
    except wire.InvalidHeader:
        return None


def _in_plain_words(url: str, error: Exception) -> FetchError:
    """A fault of the transport as status and reason."""
    chain = _causes(error)
    last = " ".join(str(chain[-1]).split())
    if any(isinstance(cause, wire.NameResolutionError) for cause in chain):
        return FetchError(url, "dns_error", "the host's name has no address", passing=True)
    if any(isinstance(cause, faults.SSLError | wire.SSLError) for cause in chain):
        return FetchError(url, "tls_error", f"no trusted encrypted connection ({last})")
    if any(isinstance(cause, wire.NewConnectionError) for cause in chain):  # a kind of ConnectTimeoutError, before it
        return FetchError(url, "connection_error", f"the connection failed ({last})", passing=True)
    if any(isinstance(cause, wire.ConnectTimeoutError | faults.ConnectTimeout) for cause in chain):
        return FetchError(url, "timeout_connect", "the host does not answer", passing=True)
    if any(isinstance(cause, wire.ReadTimeoutError | faults.ReadTimeout | TimeoutError) for cause in chain):
        return FetchError(url, "timeout_read", "the server fell silent", passing=True)
    if isinstance(error, wire.ProtocolError):  # bare, so from reading the body; requests wraps what comes before
        return FetchError(url, "truncated", f"the connection ended early ({last})", passing=True)
    if isinstance(error, faults.InvalidURL | faults.InvalidSchema | faults.MissingSchema | UnicodeError):
        return FetchError(url, "bad_url", f"not a URL that can be fetched ({error})")
    return FetchError(url, "connection_error", f"the connection failed ({last})", passing=True)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, from the outside in."""
    chain = [error]
    while len(chain) < 12:
        last = chain[-1]
        inner = getattr(last, "reason", None) or last.__cause__ or last.__context__
        if not isinstance(inner, BaseException):
            inner = next((part for part in last.args if isinstance(part, BaseException)), None)
        if inner is None or inner in chain:
            break
        chain.append(inner)
    return chain
