"""What a URL names, why it could not be fetched, and connections to public addresses only.

A source list is data from elsewhere: a URL in it, or a redirect of a server, may point into the local network (server
side request forgery). The guard resolves a name, refuses it unless **every** address is global, and connects to the
address it has checked, so that no second lookup can answer differently.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import requests
import urllib3
from requests import exceptions as faults
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as wire
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from liftnet import __version__
from liftnet.collect.web.addresses import is_public
from liftnet.core.errors import LiftnetError

PROJECT = "https://github.com/liftnet/liftnet"
AGENT = "liftnet"  # the name that robots.txt and X-Robots-Tag may address
_PORTS = {"http": 80, "https": 443}
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f:.]+")  # a name, or an IPv6 address


class FetchError(LiftnetError):
    """A file that could not be fetched; becomes a row of the manifest and never stops a run.

    Args:
        what: The URL or path.
        status: Of its row, e.g. `http_404`, `timeout_total`, `ssrf_blocked`.
        reason: The status in plain words.
        http_status: Status of the last response, if there was one.
        passing: Whether another attempt may succeed.
        wait_s: Wait the server asked for (Retry-After).
        unreachable: Whether no connection could be made at all.
        opt_out: The header by which the owner of the file reserves it, if that is why.
    """

    def __init__(
        self,
        what: object,
        status: str,
        reason: str,
        http_status: int | None = None,
        passing: bool = False,
        wait_s: float | None = None,
        opt_out: str | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(what, reason)
        self.status, self.http_status, self.passing, self.wait_s = status, http_status, passing, wait_s
        self.opt_out, self.unreachable = opt_out, unreachable
        self.attempts = 0


def user_agent(contact: str) -> str:
    """Who we are, so that the owner of a site can ask or complain."""
    return f"{AGENT}/{__version__} ({contact or '+' + PROJECT}) python-requests/{requests.__version__}"


def host_of(url: str) -> str:
    """Host of a http or https URL in lower case, with its port unless it is the scheme's own.

    Raises:
        FetchError: It is of another scheme (`unsupported_scheme`) or names no host (`bad_url`).
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FetchError(url, "bad_url", f"not a URL ({error})") from error
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise FetchError(url, "unsupported_scheme", f"only http and https are fetched, not {scheme or 'this'}")
    if (host := unquote(host or "").rstrip(".")) == "":  # as it is asked for: %75 is the letter u to every client
        raise FetchError(url, "bad_url", "names no host")
    try:  # as it is looked up, so that all spellings are one host
        host = (host if host.isascii() else host.encode("idna").decode()).lower().rstrip(".")
    except UnicodeError as error:
        raise FetchError(url, "bad_url", f"not the name of a host ({error})") from error
    if not _HOST.fullmatch(host):
        raise FetchError(url, "bad_url", "its host has characters that no name of a host has")
    host = f"[{host}]" if ":" in host else host
    return host if port is None or port == _PORTS[scheme] else f"{host}:{port}"


def origin_of(url: str) -> str:
    """Scheme and host of a URL: what one robots.txt speaks for.

    Raises:
        FetchError: As for `host_of`.
    """
    return f"{urlsplit(url).scheme.lower()}://{host_of(url)}"


def retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait; it may be a number or a date."""
    header = response.headers.get("Retry-After")
    if not header:
        return None
    try:
        return urllib3.Retry().parse_retry_after(header)
    except (wire.InvalidHeader, ValueError, OverflowError):
        return None


def announced_length(response: requests.Response) -> int | None:
    """The length of the body as the server announces it, if that is a number."""
    header = response.headers.get("Content-Length", "")
    return int(header) if header.isascii() and header.isdigit() and len(header) < 19 else None


def etag_of(response: requests.Response) -> str | None:
    """The version of the file as the server calls it, if it is well formed; RFC 9110, section 8.8.3."""
    value = response.headers.get("ETag", "").strip()
    return value if _ETAG.fullmatch(value) else None


def last_modified_of(response: requests.Response) -> str | None:
    """When the server says that the file has changed, if it is a date."""
    value = response.headers.get("Last-Modified", "").strip()
    try:
        parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return value if value.isascii() and value.isprintable() and len(value) < 64 else None


def in_plain_words(url: str, error: Exception) -> FetchError:
    """A fault of the transport as status and reason."""
    chain = _causes(error)
    last = " ".join(str(chain[-1]).split())
    if any(isinstance(cause, wire.NameResolutionError) for cause in chain):
        return FetchError(url, "dns_error", "the host's name has no address", passing=True)
    if any(isinstance(cause, faults.SSLError | wire.SSLError) for cause in chain):
        return FetchError(url, "tls_error", f"no trusted encrypted connection ({last})")
    if any(isinstance(cause, wire.NewConnectionError) for cause in chain):  # a kind of ConnectTimeoutError, before it
        reason = f"the connection failed ({last})"
        return FetchError(url, "connection_error", reason, passing=True, unreachable=True)
    if any(isinstance(cause, wire.ConnectTimeoutError | faults.ConnectTimeout) for cause in chain):
        return FetchError(url, "timeout_connect", "the host does not answer", passing=True, unreachable=True)
    if any(isinstance(cause, wire.ReadTimeoutError | faults.ReadTimeout | TimeoutError) for cause in chain):
        return FetchError(url, "timeout_read", "the server fell silent", passing=True)
    if isinstance(error, faults.InvalidURL | faults.InvalidSchema | faults.MissingSchema | UnicodeError):
        return FetchError(url, "bad_url", f"not a URL that can be fetched ({error})")
    if isinstance(error, wire.ProtocolError):  # bare, so from reading the body; requests wraps what comes before
        return FetchError(url, "truncated", f"the connection ended early ({last})", passing=True)
    if isinstance(error, ValueError) and not isinstance(error, faults.RequestException):
        return FetchError(url, "truncated", f"the answer is malformed ({last})", passing=True)
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


class Watchdog:
    """Cuts the connection of the present thread when an attempt takes too long, however slowly bytes drip in.

    A time-out of a socket starts anew with every byte, so it bounds silence, not the whole transfer.
    """

    def __init__(self, guard: SsrfGuard, seconds: float) -> None:
        self.guard, self.expired = guard, False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self.guard.present.watchdog = self
        self.guard.watchdogs.add(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.guard.watchdogs.discard(self)
        self.guard.present.watchdog = None

    def watch(self, connected: socket.socket | None) -> None:
        """Name the socket to cut."""
        self._socket = connected
        if self.expired:
            self.cut()

    def cut(self) -> None:
        """End the attempt: whoever reads from its socket is told that the connection is gone."""
        self.expired = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may be closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Present(threading.local):
    """What belongs to the present thread."""

    watchdog: Watchdog | None = None


class SsrfGuard:
    """Resolves, checks and connects.

    Args:
        allowed: Hosts, or host:port, whose addresses are not checked.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self.allowed = frozenset(host.lower() for host in allowed)
        self.present = Present()
        self.watchdogs: set[Watchdog] = set()

    def addresses(self, host: str, port: int) -> list[str]:
        """The checked addresses of `host`.

        Raises:
            FetchError: One of them is not global (`ssrf_blocked`).
            OSError: The name has no address.
        """
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if host.lower() in self.allowed or f"{host}:{port}".lower() in self.allowed:
            return found
        for address in found:
            if not is_public(address):
                raise FetchError(
                    host, "ssrf_blocked", f"{host} has the address {address}, which is not public (see allow_host)"
                )
        return found

    def watch(self, connected: socket.socket | None) -> None:
        """Tell the watchdog of the present thread which socket it guards."""
        if self.present.watchdog is not None:
            self.present.watchdog.watch(connected)

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """Open the socket of an urllib3 connection, to a checked address."""
        host = connection.host.strip("[]")
        try:
            addresses = self.addresses(host, connection.port)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(host, connection, error) from error  # type: ignore[arg-type]
        problem: OSError | None = None
        for address in dict.fromkeys(addresses):
            if self.present.watchdog is not None and self.present.watchdog.expired:
                break  # a name may have a hundred addresses, and none of them answers
            try:
                return create_connection(
                    (address, connection.port),
                    connection.timeout,
                    source_address=connection.source_address,
                    socket_options=connection.socket_options,
                )
            except OSError as error:
                problem = error
        if isinstance(problem, TimeoutError):
            raise ConnectTimeoutError(connection, f"no answer from {host}") from problem
        raise NewConnectionError(connection, f"cannot connect to {host}: {problem}") from problem


class GuardedAdapter(HTTPAdapter):
    """A transport of `requests` whose every connection, redirects included, goes through a `SsrfGuard`."""

    def __init__(self, guard: SsrfGuard, connections: int) -> None:
        self.guard = guard
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Build the pools on guarded connections."""
        super().init_poolmanager(*arguments, **options)
        guard = self.guard

        def guarded(kind: type[HTTPConnection]) -> Any:
            class Guarded(kind):  # type: ignore[misc, valid-type]
                def _new_conn(self) -> socket.socket:
                    return guard.connect(self)

                def request(self, *arguments: Any, **options: Any) -> None:
                    super().request(*arguments, **options)
                    guard.watch(self.sock)

            return Guarded

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = guarded(HTTPConnection)

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = guarded(HTTPSConnection)

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
