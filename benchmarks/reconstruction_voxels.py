"""What voxels keep of the shapes of the set reconstruction. Writes benchmarks/reconstruction_voxels.md.

    python benchmarks/reconstruction_voxels.py [--shapes 20]

Each shape is made into voxels by several rules and back into a mesh by marching cubes; the mesh is compared with the
shape's outer surface. A network that predicts its voxels without a fault has these values: they are its ceiling.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from measuring import machine, one_thread, shown, spent, write_report

from liftnet.core.types import BoolArray, FloatArray
from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.mesh.voxels import sample_outside, voxelise, with_thin_parts
from liftnet.render.reconstruction_shapes import PlacedShape, placed_shapes
from liftnet.render.settings import ReconstructionSetSettings, SetSettings
from liftnet.shape.distances import nearest

POINTS = 5000
THRESHOLDS = (0.01, 0.02)  # of the side of the cube
VALUES = ("CD x 1000", "F 1 %", "F 2 %", "filled, %", "empty", "CPU ms")
Voxels = Callable[[TriangleMesh], BoolArray]


def centres(resolution: int) -> Voxels:
    """Voxels whose centres lie inside."""
    return lambda mesh: voxelise(mesh, resolution)


def thin(resolution: int) -> Voxels:
    """The same, and voxels that the surface crosses where no centre is near."""
    return lambda mesh: with_thin_parts(voxelise(mesh, resolution), mesh, seed=0)


def touched(resolution: int) -> Voxels:
    """The same as centres, and every voxel that the surface crosses."""

    def fill(mesh: TriangleMesh) -> BoolArray:
        voxels = voxelise(mesh, resolution)
        places = np.floor((sample_surface(mesh, 60_000, 0).points + 0.5) * resolution).astype(int)
        voxels[tuple(places.clip(0, resolution - 1).T)] = True
        return voxels

    return fill


RULES: dict[str, Voxels] = {
    "32^3, centres": centres(32),
    "32^3, centres and thin parts": thin(32),
    "32^3, centres and all of the surface": touched(32),
    "64^3, centres": centres(64),
    "64^3, centres and thin parts": thin(64),
}


def scores(points: FloatArray, target: FloatArray) -> list[float]:
    """Chamfer distance (mean square there and back) x 1000, and F-scores in percent."""
    found = nearest(points, target)
    values = [1000 * float((found.accuracy**2).mean() + (found.completeness**2).mean())]
    for threshold in THRESHOLDS:
        right, kept = ((distances < threshold).mean() for distances in (found.accuracy, found.completeness))
        values.append(100 * float(2 * right * kept / max(right + kept, 1e-12)))
    return values


def measure(shape: PlacedShape) -> list[dict[str, object]]:
    """A row for each rule, and one for the shape itself by other points."""
    mesh = shape.make().surface
    target = sample_outside(mesh, POINTS, seed=0).points
    rows = []
    for name, fill in RULES.items():
        start = spent()
        voxels = fill(mesh)
        seconds = spent() - start
        vertices, faces = MarchingCubes(empty="mesh")(torch.from_numpy(voxels[None].astype(np.float32)))
        values = [np.nan] * 3
        if len(faces[0]):
            back = TriangleMesh(vertices[0].numpy().astype(np.float64), faces[0].numpy())
            values = scores(sample_surface(back, POINTS, 1).points, target)
        values += [100 * float(voxels.mean()), float(not voxels.any()), 1000 * seconds]
        rows.append({"class": shape.class_name, "voxels": name, **dict(zip(VALUES, values, strict=True))})
    own = [*scores(sample_outside(mesh, POINTS, seed=1).points, target), np.nan, np.nan, np.nan]
    return [*rows, {"class": shape.class_name, "voxels": "the shape itself", **dict(zip(VALUES, own, strict=True))}]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=20, help="shapes of each class")
    arguments = parser.parse_args()
    asked = ReconstructionSetSettings(train_per_class=arguments.shapes, val_per_class=0, test_per_class=0)
    shapes = placed_shapes(SetSettings(reconstruction=asked), seed=0)
    with one_thread():
        measure(shapes[0])
        rows = pd.DataFrame([row for shape in shapes for row in measure(shape)])
    every = rows.assign(**{"class": "all"})
    grouped = pd.concat([every, rows]).groupby(["class", "voxels"], sort=False)
    table = grouped[list(VALUES)].mean().reset_index()
    table["empty"] = grouped["empty"].sum(min_count=1).to_numpy()
    forms = dict.fromkeys(("F 1 %", "F 2 %"), ".1f") | {"CD x 1000": ".2f", "filled, %": ".2f", "empty": ".0f"}
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# What voxels keep of a shape",
            f"Made by `python benchmarks/reconstruction_voxels.py --shapes {arguments.shapes}`: {arguments.shapes} "
            "generated training shapes of each class, as voxels and back by marching cubes, against the outside "
            f"({POINTS:,} points each; lengths in sides of the cube). Empty: shapes without a single voxel, which "
            f"have no distances and are left out of their means. {machine('numpy', 'scipy', 'scikit-image')}.",
            shown(table, forms | {"CPU ms": ".0f"}),
            "Centres alone lose wings, legs and poles. Filling every voxel that the surface crosses keeps them and "
            "thickens everything else by about a voxel. A thin part is a voxel that the surface crosses while none of "
            "its 26 neighbours is filled: so the lost parts come back one voxel thick, and what the centres show "
            "stays as it is. This is the default of `render.reconstruction.thin_parts`.",
        ],
    )


if __name__ == "__main__":
    main()
