"""A reconstruction set of balls and boxes, small enough to know every answer by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from liftnet.data.reconstruction_set import (
    ReconstructionSet,
    ShapeTarget,
    mesh_path,
    picture_path,
    target_path,
    write_target,
)
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, write_table
from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.mesh.voxels import voxelise
from liftnet.mesh.writing import write_mesh

SIZE = 32
HALF_WIDTH = float(np.tan(np.radians(15)))


@dataclass(frozen=True)
class Given:
    """A shape of the set: a ball of a radius, or a box of a half side."""

    name: str
    kind: str
    split: str
    extent: float


SHAPES = (
    Given("ball-a", "ball", "train", 0.5),
    Given("ball-b", "ball", "train", 0.4),
    Given("ball-t", "ball", "test", 0.42),
    Given("box-a", "box", "train", 0.28),
    Given("box-b", "box", "train", 0.2),
    Given("box-t", "box", "test", 0.21),
)


def mesh_of(given: Given) -> TriangleMesh:
    """Its mesh."""
    if given.kind == "ball":
        made = trimesh.creation.icosphere(3, radius=given.extent)
    else:
        made = trimesh.creation.box(extents=(2 * given.extent,) * 3)
    return TriangleMesh(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64))


def picture_of(given: Given) -> Image.Image:
    """A gray disc or square on black, as an orthographic camera would see it."""
    across = (np.arange(SIZE) + 0.5) / SIZE * 1.1 - 0.55
    x, y = np.meshgrid(across, across)
    covered = np.hypot(x, y) < given.extent if given.kind == "ball" else np.maximum(abs(x), abs(y)) < given.extent
    planes = np.zeros((SIZE, SIZE, 4), np.uint8)
    planes[covered] = (128, 128, 128, 255)
    return Image.fromarray(planes, "RGBA")


def write_set(folder: Path, views: int = 1, points: int = 2000) -> ReconstructionSet:
    """Write the set and open it; cameras look at the front of the first view and at the side of the second."""
    shapes, rows = [], []
    for given in SHAPES:
        mesh = mesh_of(given)
        write_mesh(mesh_path(folder, given.name), mesh)
        drawn = sample_surface(mesh, points, 7)
        voxels = {32: voxelise(mesh, 32)}
        target = ShapeTarget(drawn.points.astype(np.float32), drawn.normals.astype(np.float32), voxels)
        write_target(target_path(folder, given.name), target)
        shapes.append(
            {"shape_id": given.name, "class": given.kind, "split": given.split, "source": "generated", "status": "ok",
             "reason": "", "n_views": views, "n_points": points}
        )  # fmt: skip
        for view in range(views):
            picture_of(given).save(picture_path(folder, given.name, view))
            turn = np.pi / 2 * view
            rotation = [[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]]
            rows.append(
                {"shape_id": given.name, "view": view, "rotation": np.ravel(rotation).tolist(), "distance": 2.0,
                 "half_width": HALF_WIDTH}
            )  # fmt: skip
    write_table(folder / "shapes.parquet", shapes, RECONSTRUCTION_SHAPES)
    write_table(folder / "views.parquet", rows, VIEWS)
    return ReconstructionSet.open(folder)
