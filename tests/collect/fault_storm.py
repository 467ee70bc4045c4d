"""Thousands of URLs over fifty hosts, 5 % of each fault, and a run that is killed again and again.

What must become of every URL is decided here before anybody asks for it; `check` compares the outputs of a run with
that, and the server's own record with what was promised to its hosts.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from collect_settings import collect_settings
from fault_answers import page
from fault_catalogue import ELSEWHERE, FAULTS, GOOD, INSIDE
from fault_server import FaultServer
from PIL import Image

from liftnet.collect.settings import CollectSettings

ROOT = Path(__file__).resolve().parents[2]
SHARE = 20  # one URL in so many has a fault of each group
GROUPS: dict[str, tuple[str, ...]] = {
    "drip": ("drip", "drip_no_length", "drip_chunks"),
    "stalled": ("stalled", "silent"),
    "length": ("truncated", "understated", "cut_chunks", "bad_chunk"),
    "reset": ("reset_in_body", "reset"),
    "type": ("html_as_jpg", "json", "zeros", "empty"),
    "refused": ("401", "403", "404", "410"),
    "server fault": ("429", "500", "503"),
    "passes": ("503_twice", "429_retry_0", "429_retry_past", "503_retry_word", "truncated_once"),
    "redirect for ever": ("loop", "chain_10"),
    "redirect inside": tuple(f"to_{name}" for name in INSIDE),
    "redirect off the web": tuple(f"to_{name}" for name in ELSEWHERE),
    "endless": ("ten_gb", "ten_gb_announced", "ten_gb_chunked"),
    "bomb": ("pixel_bomb", "jpeg_bomb", "zip_bomb", "gzip_bomb"),
    "robots.txt": ("robots",),
    "opt-out": ("noai", "tdm"),
    "copy": ("copy",),
}
RESTING, CLOSED = "wants an hour of rest", "robots.txt fails"  # hosts of their own, 1 % of the URLs each
RESERVED = {"noai": ("opt_out_header", {"X-Robots-Tag": "noai"}), "tdm": ("tdm_reserved", {"tdm-reservation": "1"})}
ROBOTS = b"User-agent: *\nDisallow: /private/\n"
RUN = """
import json, sys
from pathlib import Path
from liftnet.collect.collect import collect
from liftnet.collect.settings import CollectSettings
from liftnet.collect.sources.lists import read_csv
settings = CollectSettings.model_validate(json.loads(sys.argv[3]))
collect(read_csv(Path(sys.argv[1])), Path(sys.argv[2]), settings, 2)
"""


@dataclass(frozen=True)
class Planned:
    """One URL, and what must become of it.

    Attributes:
        group: The group of faults; "good" for none.
        status: What the manifest must say.
        image: The bytes to be stored, if it is the first URL of a good image.
    """

    url: str
    group: str
    status: str
    image: bytes | None = None


@dataclass
class Storm:
    """A server with its answers, and all its URLs in the order of the list."""

    server: FaultServer
    urls: list[Planned] = field(default_factory=list)
    per_host: int = 2
    delay_s: float = 0.02

    def settings(self) -> CollectSettings:
        """Settings that reach the server and do not wait long."""
        return collect_settings(
            allow_host=[host for host in self.server.hosts if host != "127.0.0.1"],
            backoff_s=0.02,
            connections=100,
            delay_s=self.delay_s,
            max_bytes=1_000_000,
            max_redirects=4,
            max_wait_s=5.0,
            min_side=32,
            per_host=self.per_host,
            retries=2,
            timeout_s=0.8,
            total_s=1.5,
        )

    def images(self) -> dict[str, bytes]:
        """The good images by the name they must be stored under."""
        good = (planned.image for planned in self.urls if planned.image is not None)
        return {f"{hashlib.sha256(image).hexdigest()[:16]}.jpg": image for image in good}

    def write_list(self, path: Path) -> None:
        """The list of sources, twenty artists of two works each."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["artist", "work", "url"])
            writer.writerows(
                [f"Artist {number % 20}", f"Work {number % 2}", planned.url]
                for number, planned in enumerate(self.urls)
            )

    def command(self, listed: Path, out: Path) -> list[str]:
        """The run as a process of its own."""
        return [sys.executable, "-c", RUN, str(listed), str(out), self.settings().model_dump_json()]


def small_images(seed: int) -> Iterator[bytes]:
    """Different JPEG files of about 2 kB."""
    chance = np.random.default_rng(seed)
    while True:
        noise = chance.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=75)
        yield buffer.getvalue()


def make_storm(server: FaultServer, count: int, seed: int = 0) -> Storm:
    """Give the server answers for `count` URLs spread over its hosts; 127.0.0.1 is nobody's."""
    images = small_images(seed)
    names = {group: itertools.cycle(kinds) for group, kinds in GROUPS.items()}
    groups = [group for group in GROUPS for _ in range(count // SHARE)]
    groups += [group for group in (RESTING, CLOSED) for _ in range(count // 100)]
    first = ["good"] * 10  # an image is there before its copy, which is the only one
    rest = groups + ["good"] * (count - len(groups) - len(first))
    hosts = [host for host in server.hosts if host != "127.0.0.1"]
    special = {RESTING: hosts.pop(), CLOSED: hosts.pop()}
    storm = Storm(server)
    first_copies: list[bytes] = []
    bodies: dict[str, Any] = {}
    for number, group in enumerate(first + random.Random(seed).sample(rest, len(rest))):
        host = special.get(group, hosts[number % len(hosts)])
        kind = next(names[group]) if group in names else "plain"
        storm.urls.append(_planned(server, host, number, group, kind, images, first_copies, bodies))
    for host in hosts:
        server.add("/robots.txt", page(headers={"Content-Type": "text/plain"}, body=ROBOTS), host)
    server.add("/robots.txt", page("500 Internal Server Error"), special[CLOSED])
    server.add("/secret.jpg", page(body=next(images)), "127.0.0.1")
    return storm


def _planned(
    server: FaultServer,
    host: str,
    number: int,
    group: str,
    kind: str,
    images: Iterator[bytes],
    first_copies: list[bytes],
    bodies: dict[str, Any],
) -> Planned:
    """One URL and its answer."""
    path = f"/{number}.jpg"
    if group == RESTING:
        return Planned(server.add(path, FAULTS["503_long"].make(b""), host), group, "http_503")
    if kind == "copy":
        return Planned(server.add(path, page(body=first_copies.pop()), host), group, "dup_exact")
    image = next(images)
    if kind == "robots" or group == CLOSED:
        return Planned(server.add(f"/private{path}", page(body=image), host), group, "robots_disallowed")
    if kind in RESERVED:
        status, headers = RESERVED[kind]
        return Planned(server.add(path, page(headers=headers, body=image), host), group, status)
    if kind in GOOD:
        first_copies.append(image)
        return Planned(server.add(path, GOOD[kind](image), host), group, "ok", image)
    fault = FAULTS[kind]
    if kind == "loop":
        answer = page("302 Found", {"Location": path})
    elif group == "bomb":  # made once: they are large
        if kind not in bodies:
            bodies[kind] = fault.make(image)
        answer = bodies[kind]
    else:
        answer = fault.make(image)
    return Planned(server.add(path, answer, host), group, fault.status)


def progress(out: Path) -> int:
    """How many lines the journals below `out` have."""
    return sum(path.read_bytes().count(b"\n") for path in out.rglob("*.jsonl"))


def run_and_kill(storm: Storm, listed: Path, out: Path, kills: int, seed: int = 0) -> list[int]:
    """Run to the end, killed `kills` times at random moments; the journals' lines at each kill.

    Raises:
        AssertionError: A run ended before it could be killed, or failed.
    """
    chance = random.Random(seed)
    command, killed = storm.command(listed, out), []
    for _ in range(kills):
        process = subprocess.Popen(command, cwd=ROOT)
        enough = progress(out) + chance.uniform(0, 1.6) * len(storm.urls) / (kills + 2)
        while progress(out) < enough and process.poll() is None:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.3))
        assert process.poll() is None, f"it ended by itself ({process.returncode})"
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.append(progress(out))
    subprocess.run(command, cwd=ROOT, check=True, timeout=500)
    return killed


def check(storm: Storm, rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Every URL has its row and status, every good image is stored once, byte for byte, and hosts were respected."""
    assert [row["image_url"] for row in rows] == [planned.url for planned in storm.urls]
    wrong = [
        (planned.group, planned.url, planned.status, row["status"], row["reason"])
        for planned, row in zip(storm.urls, rows, strict=True)
        if row["status"] != planned.status
    ]
    assert not wrong, f"{len(wrong)} of {len(rows)}: {wrong[:5]}"
    assert Counter(row["status"] for row in rows) == Counter(planned.status for planned in storm.urls)
    files = {path.name: path.read_bytes() for path in (out / "images").iterdir() if not path.name.startswith(".")}
    assert files == storm.images()
    assert {row["file"] for row in rows if row["file"]} == set(files)
    check_manners(storm)


def check_manners(storm: Storm) -> None:
    """What the server saw: no forbidden path, few at a time, not too often."""
    server = storm.server
    paths = {visit.path for visit in server.visits}
    assert not any(path.startswith("/private") or "secret" in path for path in paths)
    assert max(server.most.values()) <= storm.per_host
    allowed = 1 / storm.delay_s + storm.per_host + 1
    assert max(server.most_within(1.0).values()) <= 1.1 * allowed
