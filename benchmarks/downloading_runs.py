"""Runs of liftnet's collector and of img2dataset on the same server, each in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from measuring import ONE_THREAD, PHOTOS
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "collect"))

from collect_settings import collect_settings  # noqa: E402
from fault_server import FaultServer  # noqa: E402
from fault_storm import RUN  # noqa: E402

PEER_RUN = "import json, sys; from img2dataset import download; download(**json.loads(sys.argv[1]))"
# A process counts the memory of the one that started it as its own most, so a small one stands between them.
LAUNCHER = """
import json, os, resource, sys
status = os.spawnv(os.P_WAIT, sys.argv[2], sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024], file)
sys.exit(status)
"""
PEER = "img2dataset"
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Cost:
    """What a run took: CPU seconds of all its processes, seconds, and the most memory of one of them, MB."""

    cpu_s: float
    wall_s: float
    memory_mb: float


@dataclass(frozen=True)
class Became:
    """What a run recorded of one URL.

    Attributes:
        status: Its word for it.
        reason: Its explanation.
        stored: Whether there is an image of it.
    """

    status: str
    reason: str
    stored: bool


def liftnet(folder: Path, urls: Sequence[str], hosts: Sequence[str], **settings: Any) -> list[str]:
    """The command that collects URLs into `folder`, without politeness."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "sources.csv"
    with open(listed, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("artist", "work", "url"), *(("A", "W", url) for url in urls)])
    quick = {"allow_host": list(hosts), "delay_s": 0.0, "per_host": 16, "connections": 32, "robots": False}
    return [
        sys.executable,
        "-c",
        RUN,
        str(listed),
        str(folder / "out"),
        collect_settings(**quick | settings).model_dump_json(),
    ]


def img2dataset(python: Path, folder: Path, urls: Sequence[str], **options: Any) -> list[str]:
    """The same for img2dataset: one process, 32 threads, longest side as ours, files."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / "urls.txt"
    listed.write_text("\n".join(urls) + "\n", encoding="utf-8")
    same = {
        "url_list": str(listed),
        "output_folder": str(folder / "out"),
        "output_format": "files",
        "resize_mode": "keep_ratio_largest",
        "resize_only_if_bigger": True,
        "encode_quality": 95,
        "processes_count": 1,
        "thread_count": 32,
    }
    return [str(python), "-c", PEER_RUN, json.dumps(same | options)]


def timed(command: Sequence[str], log: Path, seconds: float = 550) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed or took too long; its output is in `log`.
    """
    used = log.with_suffix(".used")
    start = time.monotonic()
    process = begun([sys.executable, "-c", LAUNCHER, str(used), *command], log)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if code:
        raise RuntimeError(f"{command[0]} ended with {code}; see {log}")
    cpu_s, memory_mb = json.loads(used.read_text())
    return Cost(cpu_s, time.monotonic() - start, memory_mb)


def begun(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own."""
    environment = dict(os.environ) | ONE_THREAD | {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    with open(log, "ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def killed_when(command: Sequence[str], log: Path, enough: Callable[[], bool]) -> None:
    """Start a command and kill it with all its workers as soon as something holds.

    Raises:
        RuntimeError: It ended by itself.
    """
    process = begun(command, log)
    while not enough():
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended before it could be killed; see {log}")
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def became_of(folder: Path, urls: Sequence[str]) -> dict[str, Became]:
    """What liftnet recorded of each URL."""
    columns = ["image_url", "status", "reason", "file"]
    rows = pq.read_table(folder / "out" / "manifest.parquet", columns=columns).to_pylist()
    return {
        row["image_url"]: Became(row["status"], row["reason"], row["file"] is not None)
        for row in rows
        if row["image_url"] in urls
    }


def peer_became_of(folder: Path) -> dict[str, Became]:
    """What img2dataset recorded of each URL."""
    rows = [row for path in sorted((folder / "out").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["url"]: Became(row["status"], row["error_message"] or "", row["status"] == "success") for row in rows}


def pictures(side: int, count: int) -> list[bytes]:
    """JPEG files `side` px wide with the detail of photographs 1024 px wide: mosaics of them, moved about."""
    paths = sorted(path for path in PHOTOS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    chance = np.random.default_rng(side)
    tiles = max(1, round(side / 1024))
    width, height = side // tiles, side * 2 // 3 // tiles
    photos = [_photo(paths, number, (width, height)) for number in range(24)]
    files = []
    for _ in range(count):
        mosaic = np.empty((height * tiles, width * tiles, 3), np.uint8)
        for row, column in np.ndindex(tiles, tiles):
            shift = int(chance.integers(height)), int(chance.integers(width))
            photo = np.roll(photos[chance.integers(len(photos))], shift, (0, 1))
            mosaic[row * height : (row + 1) * height, column * width : (column + 1) * width] = photo
        buffer = BytesIO()
        Image.fromarray(mosaic).save(buffer, "JPEG", quality=JPEG_QUALITY)
        files.append(buffer.getvalue())
    return files


def _photo(paths: Sequence[Path], number: int, size: tuple[int, int]) -> np.ndarray:
    if paths:
        with Image.open(paths[number * len(paths) // 24]) as photo:
            return np.asarray(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)))


def served(server: FaultServer, files: Sequence[bytes], name: str) -> list[str]:
    """URLs of files spread over the hosts of a server."""
    from fault_answers import page

    return [
        server.add(f"/{name}/{number}.jpg", page(body=data), server.hosts[number % len(server.hosts)])
        for number, data in enumerate(files)
    ]
