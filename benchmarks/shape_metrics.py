"""CPU seconds of the metrics between shapes, and of reading a million faces, beside other libraries.

    python benchmarks/shape_metrics.py

Both shapes are made here: a ball with bumps and a trefoil knot, 81,920 and 40,000 faces, normalised to side 1. Writes
shape_metrics.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import trimesh
from measuring import machine, measured, one_thread, peer, shown, write_report
from scipy.spatial import cKDTree

from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh, normalise, sample_surface
from liftnet.mesh.reading import load_mesh
from liftnet.shape import distances
from liftnet.shape.distances import chamfer, earth_mover
from liftnet.shape.metrics import METRICS, compare

POINTS = 100_000
RUNS = 3
DESCRIPTORS = ("lfd", "shape_google", "mvcnn")  # benchmarks of their own
PACKAGES = ("numpy", "scipy", "numba", "torch", "trimesh", "embreex", "point-cloud-utils", "POT", "libigl")


@dataclass(frozen=True)
class Row:
    """One thing that is done by us and by a peer; functions return the number that is compared."""

    what: str
    ours: Callable[[], float]
    peer: str = ""
    theirs: Callable[[], float] | None = None


def bumpy_ball() -> TriangleMesh:
    """A ball with bumps."""
    ball = trimesh.creation.icosphere(5)
    fine = ball.subdivide() if len(ball.faces) < 40_000 else ball
    points = fine.vertices / np.linalg.norm(fine.vertices, axis=1, keepdims=True)
    points = points * (1 + 0.1 * np.sin(9 * points[:, :1]) * np.cos(7 * points[:, 1:2]))
    return normalise(TriangleMesh(points, np.asarray(fine.faces, np.int64)), "side")


def knot(around: int = 500, across: int = 40) -> TriangleMesh:
    """A tube along a trefoil knot."""
    t = np.linspace(0, 2 * np.pi, around, endpoint=False)
    line = np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], 1)
    along = np.roll(line, -1, 0) - np.roll(line, 1, 0)
    side = np.cross(along, [0.0, 0, 1])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along) / np.linalg.norm(along, axis=1, keepdims=True)
    angle = np.linspace(0, 2 * np.pi, across, endpoint=False)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    index = np.arange(around * across).reshape(around, across)
    right, below = np.roll(index, -1, 1), np.roll(index, -1, 0)
    both = np.roll(right, -1, 0)
    faces = np.concatenate([np.stack([index, right, both], -1), np.stack([index, both, below], -1)]).reshape(-1, 3)
    return normalise(TriangleMesh((line[:, None] + 0.4 * ring).reshape(-1, 3), faces), "side")


def sheet(side: int = 708) -> trimesh.Trimesh:
    """A wavy sheet of a million faces."""
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    points = np.stack([x / side, y / side, 0.05 * np.sin(x / 20) * np.cos(y / 30)], -1).reshape(-1, 3)
    index = np.arange(side * side).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    return trimesh.Trimesh(points, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), process=False)


def rows(mesh: TriangleMesh, target: TriangleMesh) -> list[Row]:
    """What is measured between two shapes."""
    pcu, pot = peer("point_cloud_utils"), peer("ot")
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    a, b = (sample_surface(m, POINTS, seed).points for seed, m in enumerate((mesh, target)))
    found = [
        Row(
            "draw 100,000 points; mean distance from the middle",
            lambda: float(np.linalg.norm(sample_surface(mesh, POINTS, 0).points, axis=1).mean()),
            "trimesh",
            lambda: float(np.linalg.norm(trimesh.sample.sample_surface(shape, POINTS, seed=0)[0], axis=1).mean()),
        ),
        Row(
            "nearest points, both ways; Chamfer-L1",
            lambda: distances.chamfer_l1(distances.nearest(a, b)),
            "scipy, its defaults",
            lambda: float((cKDTree(b).query(a)[0].mean() + cKDTree(a).query(b)[0].mean()) / 2),
        ),
    ]
    if pcu is not None:
        found += [
            Row(
                "Chamfer-L1, 100,000 points",
                lambda: distances.chamfer_l1(distances.nearest(a, b)),
                "point-cloud-utils",
                lambda: pcu.chamfer_distance(a, b) / 2,
            ),
            Row(
                "Hausdorff, 100,000 points",
                lambda: distances.hausdorff(distances.nearest(a, b)),
                "point-cloud-utils",
                lambda: pcu.hausdorff_distance(a, b),
            ),
        ]
    if pot is not None:
        for count in (1024, 2048):
            first, second = a[:count], b[:count]
            costs = np.linalg.norm(first[:, None] - second[None], axis=-1)
            found.append(
                Row(
                    f"earth mover's distance, {count:,} points",
                    lambda f=first, s=second: earth_mover(f, s),
                    "POT",
                    lambda c=costs: float(pot.emd2([], [], c, numItermax=10**7)),
                )
            )
    return found + inside_rows(mesh, shape) + torch_rows(a, b)


def inside_rows(mesh: TriangleMesh, shape: trimesh.Trimesh) -> list[Row]:
    """Inside tests of the middles of voxels and of random points."""
    igl = peer("igl")
    queries = np.random.default_rng(0).uniform(-0.5, 0.5, (POINTS, 3))

    def ours(points: np.ndarray) -> float:
        return float(voxels.contains(mesh, points).mean())

    def embree(points: np.ndarray) -> float:
        return float(shape.contains(points).mean())

    def winding(points: np.ndarray) -> float:
        return float((np.abs(igl.fast_winding_number(mesh.vertices, mesh.faces, points)) > 0.5).mean())

    found = []
    for name, points in (("voxels 32^3", voxels.grid_centres(32)), ("inside, 100,000 points", queries)):
        what = f"{name}; share inside"
        found.append(Row(what, partial(ours, points), "trimesh, Embree", partial(embree, points)))
        if igl is not None:
            found.append(Row(what, partial(ours, points), "libigl, fast winding number", partial(winding, points)))
    return found


def torch_rows(a: np.ndarray, b: np.ndarray) -> list[Row]:
    """Chamfer distance with a gradient."""
    first, second = (torch.from_numpy(cloud[:10_000]).float() for cloud in (a, b))

    def ours() -> float:
        loss = chamfer(first.clone().requires_grad_(), second)
        loss.backward()
        return loss.item()

    def dense() -> float:
        points = first.clone().requires_grad_()
        table = torch.cdist(points, second, compute_mode="donot_use_mm_for_euclid_dist")
        loss = table.min(1).values.square().mean() + table.min(0).values.square().mean()
        loss.backward()
        return loss.item()

    return [Row("Chamfer-L2 and its gradient, 10,000 points", ours, "torch.cdist", dense)]


def measure(row: Row, runs: int = RUNS) -> dict[str, object]:
    """A row of the table."""
    row.ours()
    value, seconds, _ = measured(row.ours, runs, 3)
    record: dict[str, object] = {"what": row.what, "liftnet, s": seconds, "beside": row.peer, "liftnet": value}
    if row.theirs is not None:
        row.theirs()
        other, their_seconds, _ = measured(row.theirs, runs, 3)
        record |= {"theirs, s": their_seconds, "theirs / ours": their_seconds / seconds, "theirs": other}
    return record


def reading_rows(folder: Path) -> list[dict[str, object]]:
    """Times of reading the sheet in each format."""
    mesh = sheet()
    records = []
    for suffix in (".ply", ".stl", ".glb", ".obj", ".off"):
        path = folder / f"sheet{suffix}"
        mesh.export(path)
        _, seconds, _ = measured(lambda p=path: load_mesh(p), 3, 4)
        _, theirs, _ = measured(lambda p=path: trimesh.load_scene(p, process=False), 3, 4)
        size = path.stat().st_size / 1e6
        records.append({"format": suffix, "MB": size, "liftnet, s": seconds, "trimesh, s": theirs})
    return records


def main() -> None:
    """Measure and write the report."""
    mesh, target = bumpy_ball(), knot()
    with one_thread():
        table = pd.DataFrame([measure(row) for row in rows(mesh, target)])
        names = [name for name in METRICS if name not in DESCRIPTORS]
        compare(mesh, target, names)
        together, seconds, _ = measured(lambda: compare(mesh, target, names), RUNS)
        with tempfile.TemporaryDirectory() as folder:
            reading = pd.DataFrame(reading_rows(Path(folder)))
    order = ["what", "liftnet, s", "beside", "theirs, s", "theirs / ours", "liftnet", "theirs"]
    forms = {"liftnet, s": ".3f", "theirs, s": ".3f", "theirs / ours": ".1f", "liftnet": ".6f", "theirs": ".6f"}
    values = ", ".join(f"{name} {value:.4f}" for name, value in together.values.items())
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# Metrics between shapes: time and values",
            "Made by `python benchmarks/shape_metrics.py`. CPU seconds on one thread, median of up to three runs. "
            f"{machine(*PACKAGES)}.",
            f"A bumpy ball ({len(mesh.faces):,} faces) against a trefoil knot ({len(target.faces):,} faces), both of "
            "side 1. The last two columns are the number that each finds; points that are drawn at random differ.",
            shown(table[order], forms),
            "POT's network simplex is ahead of scipy's assignment, which is used because it comes with scipy and the "
            "default is 1,024 points. Embree follows one ray a point and needs a closed mesh; ours follows six and "
            "takes their vote, libigl sums solid angles.",
            f"All {len(names)} metrics of `compare` that need no descriptor, at its defaults: {seconds:.2f} CPU s "
            f"({values}).",
            "## Reading a million faces",
            "`load_mesh` parses with trimesh; the rest is what is checked, and what is cleaned: vertices at one place "
            "joined, faces without area and doubled ones taken out.",
            shown(reading, {"MB": ".0f", "liftnet, s": ".2f", "trimesh, s": ".2f"}),
        ],
    )


if __name__ == "__main__":
    main()
