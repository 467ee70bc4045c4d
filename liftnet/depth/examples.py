"""Predictions of a handful of held-out images, for the report: predictions/index.json and one .npz an image."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.files import atomic_path, write_json
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.depth.data.store import CropStore
from liftnet.depth.metrics import DepthErrors

Float32Array = npt.NDArray[np.float32]


@dataclasses.dataclass
class Example:
    """A held-out image and what was measured on it.

    Attributes:
        image_id: The image.
        split: Where it belongs.
        truth: (S, S) true depth, NaN off the object; None where it is not known.
        errors: Errors by method.
    """

    image_id: str
    split: str
    truth: npt.NDArray[np.floating] | None = None
    errors: dict[str, DepthErrors] = dataclasses.field(default_factory=dict)


def choose_examples(examples: list[Example], works: dict[str, str], limit: int) -> list[Example]:
    """One image of each work in turn until `limit` are chosen; works and images in the order of their ids."""
    by_work: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda e: (works.get(e.image_id, ""), e.image_id)):
        by_work.setdefault(works.get(example.image_id, ""), []).append(example)
    rounds = range(max(map(len, by_work.values()), default=0))
    in_turn = [members[k] for k in rounds for members in by_work.values() if k < len(members)]
    return in_turn[:limit]


def write_examples(
    root: Path, examples: list[Example], store: CropStore, depths: dict[str, Float32Array], limit: int
) -> int:
    """Write predictions/<image_id>.npz and predictions/index.json; older ones are removed.

    Each .npz holds rgb (S, S, 3) uint8, mask (S, S) bool, depth and inflated (S, S) float32, box (left, top, side) in
    pixels of the image and, where the truth is known, truth (S, S) float32 with NaN off the object. All depths grow
    away from the viewer.

    Returns:
        The number of images written.
    """
    folder = root / "predictions"
    manifest = read_table(root / "manifest.parquet", MANIFEST).select(["image_id", "work_id"]).to_pylist()
    works = {row["image_id"]: row["work_id"] for row in manifest if row["image_id"]}
    chosen = choose_examples(examples, works, limit)
    index = [_write_example(folder, example, store, depths, works) for example in chosen]
    write_json(folder / "index.json", index)
    for old in set(folder.glob("*.npz")) - {folder / entry["npz"] for entry in index}:
        old.unlink()
    return len(index)


def _write_example(
    folder: Path, example: Example, store: CropStore, depths: dict[str, Float32Array], works: dict[str, str]
) -> dict[str, Any]:
    row = store.index[example.image_id]
    box = store.boxes[row]
    arrays = {
        "rgb": np.asarray(store.images[row]),
        "mask": store.masks[row],
        "depth": depths["liftnet"][row],
        "inflated": depths["inflated"][row],
        "box": np.array([box.left, box.top, box.side]),
    }
    if example.truth is not None:
        arrays["truth"] = example.truth.astype(np.float32)
    name = f"{example.image_id}.npz"
    with atomic_path(folder / name) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return {
        "image_id": example.image_id,
        "npz": name,
        "work_id": works.get(example.image_id),
        "split": example.split,
        "truth": example.truth is not None,
        "metrics": {method: dataclasses.asdict(errors) for method, errors in example.errors.items()},
    }
