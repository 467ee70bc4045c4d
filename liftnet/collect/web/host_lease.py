"""Whose turn it is at a host: shared by the threads of a process, or through files by all processes of a run.

Jobs have hosts of their own, but a redirect may lead two of them to the same third one. The files lie beside the
journals; locks on them (flock) end with the process that holds them, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from liftnet.core.log import get_logger

POLL_S = 0.05
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


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
    """For the threads of one process."""

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
    """For all processes that use the same folder; the turn outlasts them.

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
            descriptor = os.open(self._turn_file, os.O_RDWR | os.O_CREAT, 0o644)
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
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
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
