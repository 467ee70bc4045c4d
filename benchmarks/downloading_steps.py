"""What downloading an image costs step by step, and what other ways to shrink it would cost and change."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from downloading_runs import pictures, served
from fault_server import FaultServer, addresses
from measuring import measured, shown
from PIL import Image

from liftnet.collect.normalise import normalise, shrunk_size
from liftnet.collect.settings import PermissionSettings, PolitenessSettings, QuerySettings
from liftnet.collect.web.download import Downloader
from liftnet.core.files import write_bytes
from liftnet.data.perceptual_hashes import perceptual_hashes

SIDES, SOURCES = (256, 1024), (1024, 2048, 3072)


def steps(work: Path) -> list[str]:
    """CPU of what an image goes through, step by step."""
    rows = []
    with FaultServer(addresses(1)) as server:
        for source in SOURCES:
            files = pictures(source, 12)
            urls = served(server, files, str(source))
            permissions = PermissionSettings(allow_host=list(server.hosts), robots=False)
            settings = QuerySettings(politeness=PolitenessSettings(delay_s=0), permissions=permissions)
            downloader = Downloader(settings)
            for side in SIDES:
                images = [normalise(data, "", side, 64, 10**8) for data in files]
                small = [Image.open(BytesIO(image.data)).convert("RGB") for image in images]
                steps: dict[str, Callable[[], object]] = {
                    "checked_image": lambda files=files, side=side: [
                        normalise(data, "", side, 64, 10**8) for data in files
                    ],
                    "of_it_phashes": lambda small=small: [perceptual_hashes(image) for image in small],
                    "written": lambda images=images: [write_bytes(work / "x.jpg", image.data) for image in images],
                }
                row: dict[str, float] = {"source_px": source, "stored_px": side}
                before = time.thread_time()
                for url in urls:
                    downloader.fetch(url)
                row["fetched"] = 1000 * (time.thread_time() - before) / len(files)
                rows.append(row | {name: 1000 * measured(step, 5)[1] / len(files) for name, step in steps.items()})
            downloader.close()
    frame = pd.DataFrame(rows)
    return [
        "What of it goes where, CPU milliseconds an image in one thread: fetched (guard, limits, headers); checked, "
        "decoded, shrunk, encoded, hashed; of that the eight perceptual hashes; written and synced.",
        shown(frame, dict.fromkeys(frame.columns[2:], ".2f")),
    ]


def filters() -> list[str]:
    """What other ways to shrink would cost and change."""
    rows = []
    for source, side in ((2048, 1600), (3072, 1024)):
        data = pictures(source, 6)
        picture = [Image.open(BytesIO(one)).convert("RGB") for one in data]
        size = shrunk_size(picture[0].size, side)
        best = [image.resize(size, Image.Resampling.LANCZOS) for image in picture]
        ways: dict[str, Callable[[Image.Image], Image.Image]] = {
            f"Pillow {method.name.lower()}": lambda image, method=method, size=size: image.resize(size, method)
            for method in (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.HAMMING)
        }
        ways["OpenCV area"] = lambda image, size=size: Image.fromarray(
            cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
        )
        for name, way in ways.items():
            result, seconds, _ = measured(lambda way=way, picture=picture: [way(image) for image in picture], 5)
            change = statistics.median(_psnr(a, b) for a, b in zip(result, best, strict=True))
            sharp = statistics.median(_detail(a) / _detail(b) for a, b in zip(result, best, strict=True))
            row = {"from_to_px": f"{source} to {side}", "way": name, "cpu_ms": 1000 * seconds / len(data)}
            rows.append(row | {"psnr_db": change, "detail": sharp})
        jpeg = [Image.open(BytesIO(_as_jpeg(image))).convert("RGB") for image in best]
        change = statistics.median(_psnr(a, b) for a, b in zip(jpeg, best, strict=True))
        rows.append({"from_to_px": f"{source} to {side}", "way": "JPEG of quality 95, 4:4:4", "psnr_db": change})
    frame = pd.DataFrame(rows).replace(np.inf, np.nan)
    return [
        "Ways to shrink: CPU milliseconds an image, PSNR to Pillow's Lanczos, mean difference of neighbouring pixels "
        "as a share of its. Beside them what storing as JPEG changes. liftnet takes the bicubic one.",
        shown(frame, {"cpu_ms": ".1f", "psnr_db": ".1f", "detail": ".3f"}),
    ]


def _psnr(image: Image.Image, other: Image.Image) -> float:
    error = np.mean((np.asarray(image, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def _detail(image: Image.Image) -> float:
    return float(np.abs(np.diff(np.asarray(image.convert("L"), float))).mean())


def _as_jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
