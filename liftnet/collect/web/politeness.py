"""How politely a host is asked: its policy, its throttle, and its lease, which threads and processes share.

The policy is that of a table of known hosts and of the settings, whichever is stricter: `per_host` and `delay_s` only
ever make an entry stricter. Where a figure is an operator's own, `why` names the page; where an operator publishes
none, ours is cautious.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from liftnet.collect.settings import PolitenessSettings
from liftnet.collect.web.transport import FetchError
from liftnet.core.log import get_logger
from liftnet.core.opening import no_links

MEGABIT = 125_000  # bytes
SILENCES = 10  # files in a row to which no connection could be made, after which a host is left alone
LONGEST_REST_S = 86_400.0  # a rest is kept from run to run; no header may close a host for years
POLL_S = 0.05
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Policy:
    """What one host is asked at most.

    Attributes:
        connections: At a time.
        delay_s: Least time between the starts of two requests, in seconds.
        mbit_s: Most megabits a second over all connections; None for no limit.
        operator: Whose host it is: hosts of one operator are never fetched by two jobs.
        why: Where the figures come from.
    """

    connections: int
    delay_s: float
    mbit_s: float | None = None
    operator: str = ""
    why: str = ""


_WIKIMEDIA = "wikitech.wikimedia.org/wiki/Robot_policy"
_API_WIKIMEDIA = "mediawiki.org/wiki/API:Etiquette: requests in series"
_NO_FIGURE = "no published figure"
KNOWN = {
    "upload.wikimedia.org": Policy(2, 0.0, 25.0, "wikimedia", _WIKIMEDIA),
    "wikimedia.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "wikipedia.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "wikidata.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "metmuseum.org": Policy(1, 1.0, None, "met", "metmuseum/openaccess on GitHub, 60: refused after 30 quick ones"),
    "artic.edu": Policy(1, 1.0, None, "artic", "api.artic.edu/docs: 60 requests a minute, one thread"),
    "clevelandart.org": Policy(1, 1.0, None, "cleveland", _NO_FIGURE),
    "api.si.edu": Policy(1, 3.6, None, "smithsonian", "api.data.gov: 1,000 requests an hour"),
    "si.edu": Policy(1, 1.0, None, "smithsonian", _NO_FIGURE),
    "rijksmuseum.nl": Policy(1, 1.0, None, "rijksmuseum", _NO_FIGURE),
    "tate.org.uk": Policy(1, 1.0, None, "tate", _NO_FIGURE),
    "openverse.org": Policy(1, 3.0, None, "openverse", "api.openverse.org: 20 requests a minute"),
    "flickr.com": Policy(1, 1.0, None, "flickr", "flickr.com/services/developer/api: 3,600 requests an hour"),
    "staticflickr.com": Policy(2, 0.1, None, "flickr", _NO_FIGURE),
}


def policy_of(host: str, politeness: PolitenessSettings) -> Policy:
    """The policy for a host (or host:port): the known one and the settings, whichever is stricter."""
    known = known_policy(host)
    if known is None:
        return Policy(politeness.per_host, politeness.delay_s, operator=host.partition(":")[0], why="settings")
    return replace(
        known,
        connections=min(known.connections, politeness.per_host),
        delay_s=max(known.delay_s, politeness.delay_s),
    )


def known_policy(host: str) -> Policy | None:
    """The entry of the table for a host or the nearest domain above it."""
    name = host.partition(":")[0]
    while name:
        if name in KNOWN:
            return KNOWN[name]
        name = name.partition(".")[2]
    return None


class HostThrottle:
    """How many requests one host gets at a time, how fast, and how many bytes a second are taken from it.

    Args:
        policy: Its limits.
        lease: Of this host, kept as `lease`; of this process alone if not given.
    """

    def __init__(self, policy: Policy, lease: HostLease | None = None) -> None:
        self.policy = policy
        self.lease = lease or HostLease(policy.connections)
        self._delay_s, self._lock = policy.delay_s, threading.Lock()
        self._paid_until, self._began = 0.0, -math.inf
        self._silences, self._last_silence = 0, "connection_error"

    def slow_down(self, delay_s: float) -> None:
        """Raise the least time between two requests; it is never lowered."""
        with self._lock:
            self._delay_s = max(self._delay_s, delay_s)

    def turn(self, url: str, max_wait_s: float) -> float:
        """Seconds to wait before the next request.

        Raises:
            FetchError: The host has asked for a longer rest than `max_wait_s`.
        """
        now = time.time()
        latest = now + (self.policy.connections + 1) * self._delay_s  # if the clock was set back

        def take(turn: Lease) -> Lease:
            rest = turn.resting_until - now
            if max_wait_s < rest <= LONGEST_REST_S:
                reason = f"the host asked not to be contacted for another {rest:.0f} s; left for a later run"
                raise FetchError(url, f"http_{turn.refusal}", reason, turn.refusal)
            resting = turn.resting_until if rest <= LONGEST_REST_S else 0.0
            return turn._replace(next_at=max(now, min(turn.next_at, latest), resting) + self._delay_s)

        return self.lease.change(take).next_at - self._delay_s - now

    def begin(self) -> float:
        """Begin a request whose turn has come: 0.0, or the seconds to wait still as another one has just begun.

        Several turns may pass while all connections are in use; they are not made up for.
        """
        with self._lock:
            now = time.monotonic()
            wait = self._began + self._delay_s - now
            if wait <= 0:
                self._began = now
            return max(wait, 0.0)

    def rest(self, seconds: float, http_status: int) -> None:
        """Hold back every request to this host: a rate limit is a host's, not a file's."""
        until = time.time() + min(seconds, LONGEST_REST_S)
        self.lease.change(
            lambda turn: turn._replace(resting_until=max(turn.resting_until, until), refusal=http_status)
        )

    def pay(self, size: int) -> float:
        """Seconds to wait after `size` bytes, so that all connections together keep to the rate."""
        if self.policy.mbit_s is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._paid_until = max(now, self._paid_until) + size / (self.policy.mbit_s * MEGABIT)
            return self._paid_until - now

    def heard(self) -> None:
        """The host has answered, whatever it said."""
        self._silences = 0

    def silent(self, code: str) -> None:
        """No connection could be made for a file, which was given up with this status."""
        with self._lock:
            self._silences, self._last_silence = self._silences + 1, code

    def check_alive(self, url: str) -> None:
        """Leave a host alone that does not answer.

        Raises:
            FetchError: With the status of its last silence.
        """
        if self._silences >= SILENCES:
            reason = f"the host did not answer for {SILENCES} files in a row; left for a later run"
            raise FetchError(url, self._last_silence, reason)


class Lease(NamedTuple):
    """What a host may be asked next, in seconds since 1970.

    Attributes:
        next_at: Not before.
        resting_until: The host has asked to be left alone so long.
        refusal: The HTTP status with which it did.
    """

    next_at: float = 0.0
    resting_until: float = 0.0
    refusal: int = 429


class HostLease:
    """Whose turn it is at a host, for the threads of one process."""

    def __init__(self, connections: int) -> None:
        self._slots = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._turn = Lease()

    @contextmanager
    def slot(self, stop: threading.Event) -> Iterator[None]:
        """Hold one of the host's connections."""
        with self._slots:
            yield

    def change(self, step: Callable[[Lease], Lease]) -> Lease:
        """Replace the turn by what `step` makes of it; nobody else does so meanwhile. Returns the new one."""
        with self._lock:
            self._turn = step(self._turn)
            return self._turn


class SharedHostLease(HostLease):
    """The same for all processes that use one folder; the turn outlasts them.

    Jobs have hosts of their own, but a redirect may lead two of them to the same third one. Locks on the files (flock)
    end with the process that holds them, however it ends.

    Args:
        connections: To the host at a time, over all processes.
        folder: Of the lock files.
        host: Names the host.
    """

    def __init__(self, connections: int, folder: Path, host: str) -> None:
        super().__init__(connections)
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(host.encode()).hexdigest()[:16]
        self._turn_file = folder / f"{name}.turn"
        self._slot_files = [folder / f"{name}.slot{number}" for number in range(connections)]

    @contextmanager
    def slot(self, stop: threading.Event) -> Iterator[None]:
        """Hold one of the host's connections; given up without one when `stop` is set."""
        with self._slots:
            held = self._lock_one(stop)
            try:
                yield
            finally:
                if held is not None:
                    os.close(held)

    def change(self, step: Callable[[Lease], Lease]) -> Lease:
        """Replace the turn by what `step` makes of it; nobody else does so meanwhile. Returns the new one."""
        with self._lock:
            descriptor = no_links(self._turn_file, os.O_RDWR | os.O_CREAT)
            try:
                _lock(descriptor, fcntl.LOCK_EX)
                turn = step(_read(descriptor))
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{turn.next_at:.6f} {turn.resting_until:.6f} {turn.refusal}".encode(), 0)
                return turn
            finally:
                os.close(descriptor)

    def _lock_one(self, stop: threading.Event) -> int | None:
        """The descriptor of a locked slot file; None where nobody can lock, or when it is time to stop."""
        while not stop.is_set():
            for path in self._slot_files:
                descriptor = no_links(path, os.O_RDWR | os.O_CREAT)
                try:
                    if not _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                        os.close(descriptor)
                        return None
                    return descriptor
                except BlockingIOError:
                    os.close(descriptor)
            stop.wait(POLL_S)
        return None


def _lock(descriptor: int, how: int) -> bool:
    """Whether the file system knows locks; without them each process goes by itself.

    Raises:
        BlockingIOError: Another holds it.
    """
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        get_logger("collect").debug("the file system has no locks; hosts are shared within a process only")
        return False
    return True


def _read(descriptor: int) -> Lease:
    try:
        next_at, resting_until, refusal = os.pread(descriptor, 100, 0).decode().split()
        return Lease(float(next_at), float(resting_until), int(refusal))
    except ValueError:  # new, or torn by a kill
        return Lease()


def run_by_host(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    host_of: Callable[[Item], str],
    workers_of: Callable[[str], int],
    threads: int,
    stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield `work(item)` as each gets done; each host has a few workers, so that a slow one holds up no other.

    Args:
        items: What to work on; within a host they are begun in this order.
        work: Called in a thread. Its first exception ends the run and is raised here.
        host_of: The host of an item.
        workers_of: How many items of a host may be worked on at a time.
        threads: How many over all hosts.
        stop: Called when the run ends, early or not, to cut short what is under way.
    """
    waiting: dict[str, deque[Item]] = {}
    for item in items:
        waiting.setdefault(host_of(item), deque()).append(item)
    done: queue.SimpleQueue[tuple[list[Result], BaseException | None]] = queue.SimpleQueue()
    ending = threading.Event()

    def worker(own: deque[Item]) -> None:
        try:
            while not ending.is_set():
                try:
                    item = own.popleft()
                except IndexError:
                    return
                done.put(([work(item)], None))
        except BaseException as error:
            done.put(([], error))

    # the first worker of every host before the second of any
    workers = [[own] * min(workers_of(host), len(own)) for host, own in waiting.items()]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            for own in itertools.chain.from_iterable(itertools.zip_longest(*workers)):
                if own is not None:
                    pool.submit(worker, own)
            for _ in items:
                results, error = done.get()
                if error is not None:
                    raise error
                yield from results
        finally:
            ending.set()
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
