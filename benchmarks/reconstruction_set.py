"""What the set reconstruction costs and holds. Writes benchmarks/reconstruction_set.md and a sheet of its pictures.

    python benchmarks/reconstruction_set.py --set DIR [--shapes 5]

CPU milliseconds on one thread of what is made of a shape, medians over shapes, and of reading a batch for training
from DIR, a set that `render set --set reconstruction` has written. Of the same set: how like each other its splits
are, by the training shape that is most like a shape of val or test, and docs/figures/reconstruction_set.jpg.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from measuring import FIGURES, machine, measured, one_thread, shown, write_report

from liftnet.core.types import FloatArray, UInt8Array
from liftnet.data.pictures import write_image
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, read_table
from liftnet.render.reconstruction import render_reconstruction_set, target_of
from liftnet.render.reconstruction_shapes import placed_shapes
from liftnet.render.settings import ReconstructionSetSettings, SetSettings

BATCH, RUNS, RESOLUTION = 16, 20, 32
SHOWN = {"train": 6, "test": 4}  # shapes of a class on the sheet, two pictures each


def costs(shapes: int) -> pd.DataFrame:
    """What is made of a shape, step by step, and all of it with its files."""
    asked = ReconstructionSetSettings(train_per_class=shapes, val_per_class=0, test_per_class=0)
    settings = SetSettings(reconstruction=asked)
    rows: dict[str, list[float]] = {"make its two meshes": [], "points, normals, voxels 32^3 and 64^3": []}
    for shape in placed_shapes(settings, seed=0):
        placed, made, _ = measured(shape.make, 3)
        found = measured(lambda mesh=placed.surface, seed=shape.seed: target_of(mesh, asked, seed), 3)
        for name, seconds in zip(rows, (made, found[1]), strict=True):
            rows[name].append(seconds)
    with TemporaryDirectory() as folder:
        whole = measured(lambda: render_reconstruction_set(Path(folder) / "set", settings, 0, 1), 1)[1]
    count = len(next(iter(rows.values())))
    table = [{"step": name, "n": count, "CPU ms": 1000 * statistics.median(seconds)} for name, seconds in rows.items()]
    step = f"a shape with its {asked.views} pictures of {asked.picture_size} px, files written"
    return pd.DataFrame([*table, {"step": step, "n": count, "CPU ms": 1000 * whole / count}])


def reading(data: ReconstructionSet) -> pd.DataFrame:
    """A batch of `BATCH` shapes for training: a picture, points and voxels of each."""
    batch = data.shapes("train")[:: max(1, len(data.shapes("train")) // BATCH)][:BATCH]
    parts = {
        "a picture of each": lambda: [data.pictures(shape, [0]) for shape in batch],
        "points and normals": lambda: [data.surface(shape) for shape in batch],
        f"voxels {RESOLUTION}^3": lambda: [data.voxels(shape, RESOLUTION) for shape in batch],
    }
    for part in parts.values():
        part()  # from here on the files are in memory
    rows = [{"read": name, "CPU ms": 1000 * measured(part, RUNS)[1]} for name, part in parts.items()]
    return pd.DataFrame([*rows, {"read": "together", "CPU ms": sum(float(row["CPU ms"]) for row in rows)}])


def likeness(data: ReconstructionSet) -> pd.DataFrame:
    """IoU of each shape of val and test with the training shape that is most like it; means of each class."""

    def grids(split: str, name: str) -> FloatArray:
        shapes = data.shapes(split, [name])
        return np.stack([data.voxels(shape, RESOLUTION).ravel() for shape in shapes]).astype(np.float32)

    rows = []
    for name in data.classes:
        train = grids("train", name)
        row: dict[str, object] = {"class": name}
        for split in ("val", "test"):
            asked = grids(split, name)
            both = asked @ train.T
            best = (both / (asked.sum(1)[:, None] + train.sum(1) - both)).max(1)
            row |= {split: 100 * float(best.mean()), f"{split}, least": 100 * float(best.min())}
        rows.append(row)
    return pd.DataFrame(rows)


def sheet(data: ReconstructionSet) -> UInt8Array:
    """A row of pictures for each class: training shapes, and behind a gap test shapes; two of each, on white."""
    rows = []
    for name in data.classes:
        halves = []
        for split, count in SHOWN.items():
            images = [data.pictures(shape, [0, 1]).images for shape in data.shapes(split, [name])[:count]]
            pictures = np.concatenate(images).astype(np.float64)
            cover = pictures[:, 3:] / 255
            halves.append(np.concatenate(list(pictures[:, :3] * cover + 255 * (1 - cover)), axis=2))
        rows.append(np.concatenate([halves[0], np.full((3, halves[0].shape[1], 24), 160.0), halves[1]], axis=2))
    return np.concatenate(rows, axis=1).transpose(1, 2, 0).round().astype(np.uint8)


def main() -> None:
    """Measure, draw, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=Path, required=True, help="a set that `render set` has written")
    parser.add_argument("--shapes", type=int, default=5, help="shapes of each class that are made")
    arguments = parser.parse_args()
    data = ReconstructionSet.open(arguments.set)
    write_image(FIGURES / "reconstruction_set.jpg", sheet(data))
    with one_thread():
        made, read, alike = costs(arguments.shapes), reading(data), likeness(data)
    table = read_table(arguments.set / "shapes.parquet", RECONSTRUCTION_SHAPES).to_pandas()
    kept = table[table["status"] == "ok"]
    hidden = ", ".join(f"{name} {share:.0%}" for name, share in kept.groupby("class")["hidden"].mean().items())
    sizes = [path.stat().st_size for path in (arguments.set / "shapes").rglob("*") if path.is_file()]
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# The set reconstruction",
            "Made by `python benchmarks/reconstruction_set.py`. CPU milliseconds on one thread, medians. "
            f"{machine('numpy', 'numba', 'embreex')}.",
            shown(made, {"CPU ms": ".0f"}),
            f"Reading a batch of {BATCH} shapes, files in the system's memory:",
            shown(read, {"CPU ms": ".1f"}),
            f"The set: {len(kept)} of {len(table)} shapes usable, {sum(sizes) / max(len(kept), 1) / 1000:.0f} kB a "
            f"shape. Share of the surface that lies inside the solid and is left out of the points: {hidden}.",
            "How much of a shape training has seen: IoU in percent of its voxels with those of the training shape "
            "that is most like it, means and least values. Shapes of val are drawn from the same ranges as those of "
            "train, shapes of test also from the ends of the ranges, which were held out.",
            shown(alike, dict.fromkeys(("val", "test", "val, least", "test, least"), ".0f")),
        ],
    )


if __name__ == "__main__":
    main()
