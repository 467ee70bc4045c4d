"""What holds requests to one host back: connections, time between requests, bytes a second, and rests it asks for."""

from __future__ import annotations

import threading
import time

from liftnet.collect.errors import FetchError
from liftnet.collect.policies import MEGABIT, Policy

SILENCES = 10  # files in a row without any answer, after which a host is left alone for the rest of a run


class HostGate:
    """How many requests one host gets at a time, how fast, and how many bytes a second are taken from it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.slots = threading.BoundedSemaphore(policy.connections)
        self._delay_s, self._lock = policy.delay_s, threading.Lock()
        self._next = self._resting_until = self._paid_until = 0.0
        self._refusal = 429
        self._silences, self._last_silence = 0, "connection_error"

    @property
    def delay_s(self) -> float:
        """Least time between the starts of two requests, in seconds."""
        return self._delay_s

    def slow_down(self, delay_s: float) -> None:
        """Raise the least time between two requests; it is never lowered."""
        with self._lock:
            self._delay_s = max(self._delay_s, delay_s)

    def turn(self, url: str, max_wait_s: float) -> float:
        """Seconds to wait before the next request.

        Raises:
            FetchError: The host has asked for a longer rest than `max_wait_s`.
        """
        with self._lock:
            now = time.monotonic()
            rest = self._resting_until - now
            if rest > max_wait_s:
                reason = f"the host asked not to be contacted for another {rest:.0f} s; left for a later run"
                raise FetchError(url, f"http_{self._refusal}", reason, self._refusal)
            start = max(now, self._next, self._resting_until)
            self._next = start + self._delay_s
            return start - now

    def rest(self, seconds: float, http_status: int) -> None:
        """Hold back every request to this host: a rate limit is a host's, not a file's."""
        with self._lock:
            self._resting_until = max(self._resting_until, time.monotonic() + seconds)
            self._refusal = http_status

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
        """A file was given up without an answer, with this status."""
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
