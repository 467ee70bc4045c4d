"""A web server of many hosts on this machine, each answer written byte by byte, so that every fault can be had.

Linux answers on all of 127.0.0.0/8: fifty hosts are 127.0.0.2 to 127.0.0.51, all on one port. What came and what went
out is counted here, at the server, where no client can tell it otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

HEAD_LIMIT = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on for 0 s: closing sends RST, not FIN


class Gone(ConnectionError):
    """The client has hung up."""


@dataclass
class Visit:
    """One request and what was sent for it.

    Attributes:
        host: The address asked, e.g. "127.0.0.7".
        path: With its query.
        headers: By name in lower case.
        number: The how-manieth request for this path of this host, from 1.
        began: Seconds of the monotonic clock when its head was there.
        ended: When the answer was out or the client gone; None while under way.
        sent: Bytes given to the socket.
    """

    host: str
    path: str
    headers: Mapping[str, str]
    number: int
    began: float
    ended: float | None = None
    sent: int = 0


class Exchange:
    """One request and the connection to answer on; what an answer is given."""

    def __init__(self, visit: Visit, writer: asyncio.StreamWriter, gone: asyncio.Event) -> None:
        self.visit, self.writer, self.gone = visit, writer, gone
        self.last = False

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            Gone: The client has hung up.
        """
        if self.gone.is_set():
            raise Gone
        self.writer.write(data)
        self.visit.sent += len(data)
        try:
            await self.writer.drain()
        except ConnectionError as error:
            raise Gone from error

    async def hold(self, seconds: float) -> None:
        """Send nothing for a while.

        Raises:
            Gone: The client has hung up meanwhile.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), seconds)
            raise Gone

    def close(self) -> None:
        """Hang up after this answer."""
        self.last = True

    def reset(self) -> None:
        """Break the connection so that the client is told of a fault, not of an end."""
        self.last = True
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()


Answer = Callable[[Exchange], Awaitable[None]]


class _Reader(asyncio.StreamReader):
    """A reader that says at once when the other side has hung up."""

    def __init__(self) -> None:
        super().__init__(limit=HEAD_LIMIT)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)
        self.gone.set()


@dataclass
class FaultServer:
    """Answers on many addresses of this machine while its `with` block runs.

    Attributes:
        hosts: Addresses of 127.0.0.0/8.
        answers: What to say, by (host, path without query). Any other path is a 404, also robots.txt.
        visits: Every request so far, in order of arrival.
        most: The most requests under way at a time, by host.
    """

    hosts: tuple[str, ...]
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    most: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _under_way: Counter[str] = field(default_factory=Counter)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __enter__(self) -> FaultServer:
        sockets = self._listen()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(sockets, ready), daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, path: str, answer: Answer, host: str | None = None) -> str:
        """Answer `path` of a host (the first one if not given) with `answer`; its URL."""
        host = host or self.hosts[0]
        self.answers[host, path] = answer
        return self.url(path, host)

    def url(self, path: str, host: str | None = None) -> str:
        """The URL of a path."""
        return f"http://{host or self.hosts[0]}:{self.port}{path}"

    def asked(self, path: str, host: str | None = None) -> list[Visit]:
        """The requests for one path."""
        host = host or self.hosts[0]
        return [visit for visit in self.visits if (visit.host, visit.path) == (host, path)]

    def forget(self) -> None:
        """Count visits anew, as if nobody had come yet."""
        self.visits.clear()
        self.most.clear()
        self._asked.clear()

    def files(self) -> list[Visit]:
        """All requests but those for robots.txt."""
        return [visit for visit in self.visits if visit.path != "/robots.txt"]

    def most_within(self, seconds: float) -> dict[str, int]:
        """The most requests that began within any stretch of `seconds`, by host."""
        begun: dict[str, list[float]] = {}
        for visit in self.visits:
            begun.setdefault(visit.host, []).append(visit.began)
        return {host: _densest(times, seconds) for host, times in begun.items()}

    def _listen(self) -> list[socket.socket]:
        """One port that is free on all addresses."""
        for _ in range(20):
            first = socket.create_server((self.hosts[0], 0), backlog=256)
            port = first.getsockname()[1]
            others: list[socket.socket] = []
            try:
                for host in self.hosts[1:]:
                    others.append(socket.create_server((host, port), backlog=256))
            except OSError:
                for one in (first, *others):
                    one.close()
                continue
            self.port = port
            return [first, *others]
        raise OSError("no port is free on all addresses")

    def _serve(self, sockets: Iterable[socket.socket], ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(), self._talk)

        servers = [
            self._loop.run_until_complete(self._loop.create_server(protocol, sock=one, backlog=256)) for one in sockets
        ]
        ready.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        host = writer.get_extra_info("sockname")[0]
        writer.transport.set_write_buffer_limits(high=0)  # `sent` counts what the system has taken
        ends = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with contextlib.suppress(*ends):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if await self._answer(host, head, writer, reader.gone):  # type: ignore[attr-defined]
                    break
        writer.close()

    async def _answer(self, host: str, head: bytes, writer: asyncio.StreamWriter, gone: asyncio.Event) -> bool:
        """Answer one request; whether the connection ends with it."""
        visit = self._arrived(host, head)
        exchange = Exchange(visit, writer, gone)
        self._under_way[host] += 1
        self.most[host] = max(self.most[host], self._under_way[host])
        try:
            await self.answers.get((host, visit.path.partition("?")[0]), _absent)(exchange)
        except Gone:
            exchange.close()
        finally:
            self._under_way[host] -= 1
            visit.ended = time.monotonic()
        return exchange.last

    def _arrived(self, host: str, head: bytes) -> Visit:
        first, *lines = head.decode("latin-1").split("\r\n")
        path = first.split(" ")[1]
        pairs = (line.partition(":")[::2] for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        self._asked[host, path] += 1
        visit = Visit(host, path, headers, self._asked[host, path], time.monotonic())
        self.visits.append(visit)
        return visit


async def _absent(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def _densest(times: list[float], seconds: float) -> int:
    """The most of sorted `times` within any stretch of `seconds`."""
    most = start = 0
    for end, last in enumerate(times):
        while times[start] <= last - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def addresses(count: int) -> tuple[str, ...]:
    """127.0.0.2 and the `count` - 1 after it."""
    return tuple(f"127.0.{(number + 2) // 256}.{(number + 2) % 256}" for number in range(count))


@contextlib.contextmanager
def serving(count: int = 1) -> Iterator[FaultServer]:
    """A server of `count` hosts while the block runs."""
    with FaultServer(addresses(count)) as server:
        yield server
