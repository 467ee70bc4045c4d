"""A small made-up run: bumpy shapes on textured grounds, with failures and hostile names on the way."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.core.tables import write_tables
from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import MANIFEST, MASKS, PAIRS, write_table

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
WORKS = {  # work_id: artist, title, split, number of images
    "wave-000001": ("Barbara Example", "Wave", "train", 4),
    "king-000002": ("Henry Example", HOSTILE, "test", 3),
    "bird-000003": ("Jean Beispiel", "Großer Vogel, von unten & oben", "val", 3),
    "lone-000004": ("Jean Beispiel", "Seen once", "val", 1),
}


@dataclass(frozen=True)
class MadeRun:
    """The results folder and what is true of it."""

    root: Path
    images: dict[str, list[str]]  # image ids by work
    failed: int
    kept: int
    tried: int
    correspondences: int


def shape(seed, height, width):
    """A lit bumpy blob: (H, W, 3) uint8, depth (H, W) in [-1, 1] and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    x, y = (x - width / 2) / (height / 2), (y - height / 2) / (height / 2)
    angle = np.arctan2(y, x)
    radius = 0.62 + 0.12 * np.sin(3 * angle + seed) + 0.06 * np.cos(5 * angle)
    r = np.hypot(x, y) / radius
    mask = r < 1
    bumps = 0.08 * np.sin(9 * x + seed) * np.cos(7 * y)
    depth = np.where(mask, 0.25 - 0.65 * np.sqrt(np.clip(1 - r**2, 0, 1)) + bumps, 1).astype(np.float32)
    slope_y, slope_x = np.gradient(depth, 2 / height)
    light = (0.5 * slope_x + 0.5 * slope_y + 0.8) / np.sqrt(1 + slope_x**2 + slope_y**2)
    stone = np.clip(0.35 + 0.6 * light, 0, 1)[..., None] * [212, 190, 160] + rng.normal(0, 8, (height, width, 1))
    ground = np.array([96, 118, 104]) + 30 * np.sin(x * 20 + seed)[..., None] + rng.normal(0, 12, (height, width, 1))
    return np.clip(np.where(mask[..., None], stone, ground), 0, 255).astype(np.uint8), depth, mask


def manifest_rows(root, images):
    rows, number = [], 0
    for work_id, (artist, title, split, count) in WORKS.items():
        images[work_id] = []
        for view in range(count):
            number += 1
            image = f"{number:016x}"
            pixels, _, mask = shape(number, 240, 320 if view % 2 else 200)
            write_image(root / "images" / f"{image}.jpg", pixels)
            write_mask(root / "masks" / f"{image}.png", np.roll(mask, view, axis=1))
            if view < 2:
                write_mask(root / "hand_masks" / f"{image}.png", mask)
            images[work_id].append(image)
            url = f"https://images.example.org/{work_id}/{view}.jpg"
            text = {"license": "CC-BY-4.0", "license_url": "javascript:alert(1)", "attribution": f"(c) {artist}"}
            size = {"width": pixels.shape[1], "height": pixels.shape[0], "file": f"{image}.jpg"}
            base = {"image_id": image, "status": "ok", "artist": artist, "artist_id": artist.split()[0].lower()}
            rows.append(base | text | size | {"work": title, "work_id": work_id, "split": split, "image_url": url})
    return rows


def pair_row(root, work_id, split, a, b, reason):
    rng = np.random.default_rng(int(a, 16) * 100 + int(b, 16))
    numbers = {"kept": (60, 48, 36), "few_putative": (5, 0, 0), "few_masked": (40, 6, 0), "few_inliers": (50, 40, 9)}
    n_putative, n_masked, n_f = numbers[reason]
    kept = reason == "kept"
    angle, radius = rng.uniform(0, 6.28, n_f), 60 * np.sqrt(rng.uniform(0, 1, n_f))
    x, y = 100 + radius * np.cos(angle), 120 + radius * np.sin(angle)
    lists = {"x1": x, "y1": y, "x2": x + 3, "y2": y + 2, "score": np.full(n_f, 0.4), "residual": np.full(n_f, 0.5)}
    wrong = rng.uniform(0, 199, (4, n_putative - n_f))
    lists |= dict(zip(("rejected_x1", "rejected_y1", "rejected_x2", "rejected_y2"), wrong, strict=True))
    return lists | {
        "pair_id": f"{a}-{b}",
        "work_id": work_id,
        "artist_id": WORKS[work_id][0].split()[0].lower(),
        "split": split,
        "image_a": a,
        "image_b": b,
        **dict.fromkeys(("width_a", "width_b"), 200),
        **dict.fromkeys(("height_a", "height_b"), 240),
        "kept": kept,
        "reason": reason,
        "n_putative": n_putative,
        "n_masked": n_masked if reason != "few_putative" else None,
        "n_f": n_f,
        "n_inliers": n_f,
        "n_h": n_f // 3,
    }


def write_pairs(root, images):
    reasons = iter(["kept", "few_inliers", "kept", "few_masked", "kept", "kept", "few_putative", "kept", "kept"] * 2)
    pairs = []
    for work_id, ids in images.items():
        combinations = [(a, b) for k, a in enumerate(ids) for b in ids[k + 1 :]]
        rows = [pair_row(root, work_id, WORKS[work_id][2], a, b, next(reasons)) for a, b in combinations]
        write_table(root / "pairs" / f"{work_id}.parquet", rows, PAIRS)
        pairs += rows
    return pairs


def write_predictions(root, images):
    (root / "predictions").mkdir(parents=True)
    rows = []
    for number, (work_id, ids) in enumerate(images.items()):
        rgb, depth, mask = shape(int(ids[0], 16), 128, 128)
        rng = np.random.default_rng(number)
        arrays = {
            "rgb": rgb,
            "depth": (0.8 * depth + rng.normal(0, 0.01, depth.shape)).astype(np.float32),
            "mask": mask,
        }
        if number < 3:
            arrays |= {"truth": depth, "inflated": (0.3 * depth).astype(np.float32)}
        np.savez_compressed(root / "predictions" / f"{ids[0]}.npz", **arrays)
        row = {"image_id": ids[0], "npz": f"{ids[0]}.npz", "work_id": work_id, "split": WORKS[work_id][2]}
        rows.append(row | {"truth": number < 3, "metrics": {"liftnet": {"rmse": 0.147 + number / 100, "n": 3}}})
    (root / "predictions" / "index.json").write_text(json.dumps(rows))


def make_run(root: Path) -> MadeRun:
    images: dict[str, list[str]] = {}
    rows = manifest_rows(root, images)
    failures = ["http_404", "http_404", "dup_exact", "not_image"]
    rows += [
        {"status": status, "reason": HOSTILE, "image_url": "https://images.example.org/gone"} for status in failures
    ]
    write_table(root / "manifest.parquet", rows, MANIFEST)
    ids = [image for work in images.values() for image in work]
    masks = [
        {"image_id": image, "status": "ok", "coverage": 0.3, "confidence": 0.8 + n / 60} for n, image in enumerate(ids)
    ]
    masks[3] |= {"status": "empty", "confidence": None}
    write_table(root / "masks" / "all.parquet", masks, MASKS)
    pairs = write_pairs(root, images)
    write_predictions(root, images)
    statistics = pd.DataFrame(
        {"quantity": ["artists", "average"], "train": [1, 36.0], "all": [3, 1234567]}, dtype=object
    )
    write_tables(statistics, root / "tables" / "statistics", "The dataset by split.")
    write_tables(pd.DataFrame({"method": [HOSTILE], "rmse": [0.147]}), root / "tables" / "depth_demo", "Depth errors.")
    write_tables(pd.DataFrame({"name": ["x"], "value": [2.5]}), root / "tables" / "something_else", "Another table.")
    kept = [row for row in pairs if row["kept"]]
    return MadeRun(root, images, len(failures), len(kept), len(pairs), sum(len(row["x1"]) for row in kept))


@pytest.fixture(scope="session")
def made_run(tmp_path_factory) -> MadeRun:
    """One run for all tests that only read it."""
    return make_run(tmp_path_factory.mktemp("run") / "results")


@pytest.fixture
def own_run(tmp_path) -> MadeRun:
    """A run that a test may change."""
    return make_run(tmp_path / "results")
