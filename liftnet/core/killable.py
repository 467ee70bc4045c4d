"""Work that libraries may never end, in processes that are killed when it takes too long.

A thread cannot be stopped while a library decodes; a process can. Each does one thing after the other, so its start is
paid once. What comes back from it is read as JSON and bytes and never unpickled: a process that a hostile file has
taken over can answer with something wrong, and do no more.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, Self

_HEAD = struct.Struct("<II")  # bytes of the JSON and of what follows it
_MOST = 1 << 31
_WALL = 10  # times the CPU time: of a machine that others use too, or of a library that waits for nothing
_START_S = 300.0  # in which a process must be there, its libraries loaded
CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[3]); from liftnet.core.killable import serve; serve()"
Answer = tuple[Mapping[str, Any], bytes]
Answering = Callable[[Mapping[str, Any], bytes], Answer]


class TookTooLongError(Exception):
    """The work was not done within its time, and its process was killed."""


class DiedError(Exception):
    """The process of the work ended by itself: a fault of a library, or too little memory."""


class Killables:
    """Processes that call one function, each of them one call at a time; any thread may call.

    Args:
        target: The function, "module:name", from (JSON, bytes) to (JSON, bytes).
        count: Processes at most; one is started when it is needed.
        cpu_s: CPU seconds that a call may take, whatever else the machine does. Ten times that by the clock.
    """

    def __init__(self, target: str, count: int, cpu_s: float) -> None:
        self._target, self._cpu_s = target, cpu_s
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)
        self._count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, about: Mapping[str, Any], data: bytes = b"") -> Answer:
        """What the function answers.

        Raises:
            TookTooLongError: It took longer; the next call gets a new process.
            DiedError: Its process ended.
        """
        child = self._free.get()
        try:
            child = child or _Child(self._target)
            return child.call(about, data, self._cpu_s)
        except BaseException:
            if child is not None:
                child.kill()
                child = None
            raise
        finally:
            self._free.put(child)

    def close(self) -> None:
        """End the processes; none may be in a call."""
        for _ in range(self._count):
            with contextlib.suppress(queue.Empty):
                child = self._free.get_nowait()
                if child is not None:
                    child.kill()


class _Child:
    """One process, seen from here."""

    def __init__(self, target: str) -> None:
        self._end, theirs = socket.socketpair()
        paths = json.dumps([path for path in sys.path if path])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", CHILD, str(theirs.fileno()), target, paths],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt is for this process; that one ends when nobody asks
            )
        try:
            _receive(self._end, time.monotonic() + _START_S)
        except (TimeoutError, OSError, ValueError) as error:
            self.kill()
            raise DiedError(f"a process for it cannot be started ({error})") from error

    def call(self, about: Mapping[str, Any], data: bytes, cpu_s: float) -> Answer:
        until = time.monotonic() + _WALL * cpu_s
        try:
            _send(self._end, {"cpu_s": cpu_s, "about": about}, data, until)
            return _receive(self._end, until)
        except TimeoutError as error:
            raise TookTooLongError(f"it took more than {_WALL * cpu_s:g} s") from error
        except (OSError, ValueError) as error:
            return self._say_how_it_ended(cpu_s, error)

    def _say_how_it_ended(self, cpu_s: float, error: Exception) -> Answer:
        self._process.kill()
        status = self._process.wait()
        if status == -24:  # SIGXCPU; the number is the same on all systems that have it
            raise TookTooLongError(f"it took more than {cpu_s:g} s of CPU time") from error
        raise DiedError(f"its process ended ({f'signal {-status}' if status < 0 else f'status {status}'})") from error

    def kill(self) -> None:
        self._end.close()
        self._process.kill()
        self._process.wait()


def _send(end: socket.socket, about: Mapping[str, Any], data: bytes, until: float = math.inf) -> None:
    text = json.dumps(about).encode()
    for part in (_HEAD.pack(len(text), len(data)) + text, data):
        end.settimeout(_left(until))
        end.sendall(part)


def _receive(end: socket.socket, until: float = math.inf) -> Answer:
    text, data = _HEAD.unpack(_exactly(end, _HEAD.size, until))
    if text + data > _MOST:
        raise ValueError("an answer without a bound")
    about = json.loads(_exactly(end, text, until))
    if not isinstance(about, dict):
        raise ValueError("an answer that is none")
    return about, _exactly(end, data, until)


def _exactly(end: socket.socket, count: int, until: float) -> bytes:
    parts = []
    while count:
        end.settimeout(_left(until))
        part = end.recv(min(count, 1 << 20))
        if not part:
            raise ConnectionError("it has ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _left(until: float) -> float | None:
    if math.isinf(until):
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def serve() -> None:
    """The other end: answer calls until nobody asks any more. Files can no longer be written, nor cores dumped."""
    with socket.socket(fileno=int(sys.argv[1])) as end:
        module, _, name = sys.argv[2].partition(":")
        answer: Answering = getattr(import_module(module), name)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _send(end, {}, b"")
        while True:
            try:
                asked, data = _receive(end)
            except ConnectionError:
                return
            _limit_cpu(asked["cpu_s"])
            _send(end, *answer(asked["about"], data))
            _limit_cpu(math.inf)


def _limit_cpu(seconds: float) -> None:
    """From now on, to the next whole second; beyond, the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    end = resource.RLIM_INFINITY if math.isinf(seconds) else math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))
