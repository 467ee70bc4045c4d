"""Connections to public addresses only.

A source list is data from elsewhere: a URL in it, or a redirect of a server, may point into the local network (server
side request forgery). The guard resolves a name, refuses it unless **every** address is global, and connects to the
address it has checked, so that no second lookup can answer differently.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Collection
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from liftnet.collect.web.errors import FetchError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is global, also when it is an IPv4 address wrapped in IPv6."""
    ip = ipaddress.ip_address(address)
    if not ip.is_global or ip.is_multicast:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        return all(inner.is_global for inner in wrapped if inner is not None)
    return True


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

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return guard.connect(self)

            def request(self, *arguments: Any, **options: Any) -> None:
                super().request(*arguments, **options)
                guard.watch(self.sock)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return guard.connect(self)

            def request(self, *arguments: Any, **options: Any) -> None:
                super().request(*arguments, **options)
                guard.watch(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
