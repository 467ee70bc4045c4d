"""A small run folder with true geometry: lumpy ellipsoids seen by pinhole cameras, drawn point by point."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.data.dataset import SCALE_KEY
from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import COORDINATE_SCALE, DATASET, IMAGES, MANIFEST, TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera

SIZE = 96


@dataclass
class View:
    image_id: str
    work_id: str
    artist_id: str
    split: str
    rgb: np.ndarray
    truth: TrueView


def lumpy_ellipsoid(rng: np.random.Generator, count: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surface (N, 3) and their colours (N, 3) uint8."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    lumps, colours = np.ones(count), np.full((count, 3), 140.0)
    for _ in range(6):
        centre = rng.normal(size=3)
        lumps += rng.uniform(-0.2, 0.3) * np.exp(4 * (direction @ (centre / np.linalg.norm(centre)) - 1))
        wave = np.sin(direction @ rng.normal(size=3) * 9 + rng.uniform(0, 6))
        colours += 15 * wave[:, None] * rng.uniform(0.3, 1, 3)
    points = direction * lumps[:, None] * rng.uniform(0.5, 1.0, 3)
    return points, colours.clip(0, 255).astype(np.uint8)


def camera_at(azimuth: float, distance: float = 6.0) -> Camera:
    focal = SIZE * 0.42 * distance
    intrinsics = np.array([[focal, 0, (SIZE - 1) / 2], [0, focal, (SIZE - 1) / 2], [0, 0, 1.0]])
    c, s = np.cos(azimuth), np.sin(azimuth)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return Camera(intrinsics, rotation, np.array([0.05, -0.03, distance]))


def photograph(points: np.ndarray, colours: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """(SIZE, SIZE, 3) uint8 and depth (SIZE, SIZE) with NaN off the object; the nearest point of a pixel wins."""
    pixels, depth = camera.project(points)
    column, row = np.rint(pixels).astype(int).T
    seen = (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
    order = np.argsort(-depth[seen])
    rgb = np.full((SIZE, SIZE, 3), 30, np.uint8)
    image_depth = np.full((SIZE, SIZE), np.nan, np.float32)
    rgb[row[seen][order], column[seen][order]] = colours[seen][order]
    image_depth[row[seen][order], column[seen][order]] = depth[seen][order]
    return rgb, image_depth


def make_views(work: int, artist: int, split: str, azimuths: list[float]) -> list[View]:
    rng = np.random.default_rng([work, artist])
    points, colours = lumpy_ellipsoid(rng)
    views = []
    for k, azimuth in enumerate(azimuths):
        camera = camera_at(azimuth)
        rgb, depth = photograph(points, colours, camera)
        image_id = f"{artist:04x}{work:04x}{k:08x}"
        views.append(View(image_id, f"work-{artist}-{work}", f"artist-{artist}", split, rgb, TrueView(depth, camera)))
    return views


def true_matches(a: View, b: View, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(a.truth.mask)
    pixels = np.stack([columns, rows], axis=1).astype(float)
    world = a.truth.camera.unproject(pixels, a.truth.depth[rows, columns])
    moved, depth = b.truth.camera.project(world)
    near = np.rint(moved).astype(int).clip(0, SIZE - 1)
    visible = np.abs(b.truth.depth[near[:, 1], near[:, 0]] - depth) < 0.03
    chosen = rng.permutation(np.flatnonzero(visible))[:count]
    return pixels[chosen], moved[chosen].clip(0, SIZE - 1)


def write_dataset(folder: Path, views: list[View], count: int = 80, row_group: int = 1024) -> None:
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for a, b in itertools.combinations(sorted(views, key=lambda v: v.image_id), 2):
        if a.work_id != b.work_id:
            continue
        first, second = true_matches(a, b, rng, count)
        fixed = [np.rint(v * COORDINATE_SCALE).astype(np.uint16) for v in (*first.T, *second.T)]
        rows[a.split].append(
            {
                "pair_id": f"{a.image_id}-{b.image_id}",
                "work_id": a.work_id,
                "artist_id": a.artist_id,
                "image_a": a.image_id,
                "image_b": b.image_id,
                **dict.fromkeys(("width_a", "height_a", "width_b", "height_b"), SIZE),
                "n": len(first),
                **dict(zip(("x1", "y1", "x2", "y2"), fixed, strict=True)),
                "score": np.full(len(first), 200, np.uint8),
            }
        )
    schema = DATASET.with_metadata({**DATASET.metadata, SCALE_KEY: str(COORDINATE_SCALE).encode()})
    folder.mkdir(parents=True, exist_ok=True)
    for split, members in rows.items():
        table = pa.Table.from_pylist(members, schema=schema)
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=row_group)


def with_images(root: Path, dataset: Path) -> Path:
    """The dataset of a run folder with shards of its images, in another folder."""
    dataset.mkdir(parents=True)
    for shard in (root / "dataset").glob("*.parquet"):
        (dataset / shard.name).symlink_to(shard)
    splits = {row["image_id"]: row["split"] for row in read_table(root / "manifest.parquet", MANIFEST).to_pylist()}
    for split in ("train", "val", "test"):
        files = [f for f in sorted((root / "images").glob("*.png")) if splits[f.stem] == split]
        rows = [{"image_id": f.stem, "image": {"bytes": f.read_bytes(), "path": f.name}} for f in files]
        pq.write_table(pa.Table.from_pylist(rows, schema=IMAGES), dataset / f"images-{split}-00000-of-00001.parquet")
    return dataset


def write_run(root: Path, views: list[View]) -> None:
    """manifest, images (lossless), masks, dataset and a museum's truth below `root`."""
    manifest, truths = [], []
    for view in views:
        write_image(root / "images" / f"{view.image_id}.png", view.rgb)
        write_mask(root / "masks" / f"{view.image_id}.png", view.truth.mask)
        url = f"images/{view.image_id}.png"
        path = root / "museum" / "truth" / f"{view.image_id}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_truth(path, view.truth)
        names = {"artist_id": view.artist_id, "work_id": view.work_id, "image_url": url}
        truths.append({**names, "truth": f"truth/{view.image_id}.npz"})
        manifest.append(
            {
                **names,
                "image_id": view.image_id,
                "status": "ok",
                "file": f"{view.image_id}.png",
                "width": SIZE,
                "height": SIZE,
                "split": view.split,
            }
        )
    write_table(root / "manifest.parquet", manifest, MANIFEST)
    write_table(root / "museum" / "truth.parquet", truths, TRUTH)
    write_dataset(root / "dataset", views)


@pytest.fixture(scope="session")
def run_views() -> list[View]:
    azimuths = [-0.35, 0.0, 0.35]
    splits = ["train", "train", "train", "val", "test"]
    return [view for k, split in enumerate(splits) for view in make_views(k, k, split, azimuths)]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, run_views) -> Path:
    """A run folder that tests only read: 5 works of 5 artists, 3 views each."""
    root = tmp_path_factory.mktemp("run")
    write_run(root, run_views)
    return root
