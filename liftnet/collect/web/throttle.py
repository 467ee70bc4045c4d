"""What holds requests to one host back: connections, time between requests, bytes a second, and rests it asks for."""

from __future__ import annotations

import math
import threading
import time
from contextlib import AbstractContextManager

from liftnet.collect.web.errors import FetchError
from liftnet.collect.web.host_lease import HostLease, Lease
from liftnet.collect.web.policies import MEGABIT, Policy

SILENCES = 10  # files in a row to which no connection could be made, after which a host is left alone
LONGEST_REST_S = 86_400.0  # a rest is kept from run to run; no header may close a host for years


class HostThrottle:
    """How many requests one host gets at a time, how fast, and how many bytes a second are taken from it.

    Args:
        policy: Its limits.
        turns: Kept for this host; of this process alone if not given.
    """

    def __init__(self, policy: Policy, turns: HostLease | None = None) -> None:
        self.policy = policy
        self._lease = turns or HostLease(policy.connections)
        self._delay_s, self._lock = policy.delay_s, threading.Lock()
        self._paid_until, self._began = 0.0, -math.inf
        self._silences, self._last_silence = 0, "connection_error"

    @property
    def delay_s(self) -> float:
        """Least time between the starts of two requests, in seconds."""
        return self._delay_s

    def slot(self, stop: threading.Event) -> AbstractContextManager[None]:
        """Hold one of the connections while a block runs."""
        return self._lease.slot(stop)

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

        return self._lease.change(take).next_at - self._delay_s - now

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
        self._lease.change(
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
