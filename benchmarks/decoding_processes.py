"""What it costs to decode in processes that can be killed: a fetch of pictures from a server on this machine.

    python benchmarks/decoding_processes.py [--pictures 1000] [--threads 2]

The same pictures are fetched twice, each time into an empty folder: decoded in processes, as `collect fetch` does, and
in the threads of the job. CPU seconds are those of the job and of its processes, their start included.
"""

from __future__ import annotations

import argparse
import io
import logging
import resource
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from liftnet.collect import decoding, decoding_process
from liftnet.collect.fetch.fetch import fetch_jobs
from liftnet.collect.fetch.plan import plan
from liftnet.collect.settings import FetchSettings
from liftnet.collect.sources.lists import read_csv

SETTINGS = {
    "politeness": {"delay_s": 0.0, "per_host": 4},
    "permissions": {"robots": False, "allow_host": ["127.0.0.1"]},
}


class Quiet(SimpleHTTPRequestHandler):
    """A server that says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def photograph(seed: int) -> bytes:
    """A picture of 1600 x 1200 px, as museums serve them."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (60, 80, 3), np.uint8)
    pixels = Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    pixels.save(written, "JPEG", quality=90)
    return written.getvalue()


def cpu_seconds() -> float:
    """Of this process and of those that it has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def fetched(address: str, count: int, threads: int) -> tuple[float, float]:
    """Seconds by the clock and of CPU for a fetch of all pictures."""
    settings = FetchSettings.model_validate(SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(f"A,W{number},{address}/{number}.jpg\n" for number in range(count))
        (Path(folder) / "list.csv").write_text("artist,work,url\n" + rows)
        plan(read_csv(Path(folder) / "list.csv"), Path(folder) / "out", settings)
        wall, cpu = time.perf_counter(), cpu_seconds()
        counts = fetch_jobs(Path(folder) / "out", (), settings, threads)
        if counts != {"ok": count}:
            raise SystemExit(f"not all were fetched: {counts}")
        return time.perf_counter() - wall, cpu_seconds() - cpu


def in_threads(self: decoding.Decoders, about: dict[str, object], data: bytes, what: str) -> object:
    """`Decoders._ask` without a process."""
    answered, rest = decoding_process.answer(about, data)
    return dict(answered), rest


def main() -> None:
    """Print both, twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.pictures):
            (Path(folder) / f"{number}.jpg").write_bytes(photograph(number))
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            for name in ("processes", "threads") * 2:
                if name == "processes":
                    wall, cpu = fetched(address, options.pictures, options.threads)
                else:
                    with patch.object(decoding.Decoders, "_ask", in_threads):
                        wall, cpu = fetched(address, options.pictures, options.threads)
                print(f"{name}: {wall:.1f} s, {cpu:.1f} s of CPU", flush=True)
            server.shutdown()


if __name__ == "__main__":
    main()
