"""A tiny results folder of painted blobs and a segmenter trained on it, made by code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from liftnet.data.masks import write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import MANIFEST, write_table
from liftnet.segment.settings import SegmentSettings

NETWORK = {"encoder": "tu-mobilenetv3_small_050", "encoder_weights": [], "channels": 16, "image_size": 96}
TRAIN = {
    "init_from": None,
    "batch_size": 4,
    "validate_every": 20,
    "iterations": 60,
    "optimiser": {"learning_rate": 5e-3},
}
TINY = {"network": NETWORK, "train": TRAIN, "augmentation": {"background_swap_probability": 0.0}}
Works = list[tuple[str, str, str, int]]


def blob(seed: int, height: int = 96, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A bright textured ellipse before a dark textured ground: (H, W, 3) uint8 and its (H, W) bool mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.35, 0.65, 2) * (width, height)
    radii = rng.uniform(0.15, 0.3, 2) * (width, height)
    mask = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    image = np.where(mask[..., None], (200, 180, 150), (40, 60, 90)) + rng.normal(0, 12, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask


def write_results(root: Path, works: Works, masked: bool = True) -> list[dict]:
    """Write images, hand masks and a manifest for works given as (artist_id, work_id, split, number of images)."""
    rows = []
    for artist, work, split, count in works:
        for _ in range(count):
            image, mask = blob(len(rows))
            image_id = f"{len(rows):016x}"
            write_image(root / "images" / f"{image_id}.jpg", image)
            if masked:
                write_mask(root / "hand_masks" / f"{image_id}.png", mask)
            row = {"image_id": image_id, "artist": artist, "artist_id": artist, "work": work, "work_id": work}
            row |= {"image_url": f"{image_id}.jpg", "file": f"{image_id}.jpg", "split": split, "status": "ok"}
            row |= {"width": image.shape[1], "height": image.shape[0], "mask_status": "ok" if masked else None}
            rows.append(row)
    write_table(root / "manifest.parquet", rows, MANIFEST)
    return rows


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> Iterator[None]:
    """With more threads sums round otherwise, and tests compare bit by bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_results() -> Callable[..., list[dict]]:
    return write_results


@pytest.fixture(scope="session")
def make_blob() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return blob


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., SegmentSettings]:
    def settings(**changed: dict) -> SegmentSettings:
        return SegmentSettings(**TINY | {name: TINY.get(name, {}) | group for name, group in changed.items()})

    return settings


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, one_torch_thread: None) -> Path:
    """A folder with results/ (two works to train, one to test) and model/, the segmenter trained on them."""
    from liftnet.segment.samples import divide, masked_images
    from liftnet.segment.train import train_segmenter

    folder = tmp_path_factory.mktemp("trained")
    write_results(folder / "results", [("a", "a1", "train", 6), ("b", "b1", "train", 6), ("c", "c1", "test", 3)])
    settings = SegmentSettings(**TINY)
    division = divide(masked_images(folder / "results"), settings.data, seed=0)
    train_segmenter(division, folder / "model", settings, seed=0, threads=1)
    return folder
