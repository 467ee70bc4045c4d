"""A small set of boxes and balls as `render set --set reconstruction` writes it, and a network that is quick."""

import sys
from types import ModuleType

import numpy as np
import torch
import trimesh
from PIL import Image
from torch import nn

from liftnet.data.reconstruction_set import ShapeTarget, mesh_path, picture_path, target_path, write_target
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, write_table
from liftnet.mesh import TriangleMesh, normalise, sample_surface, voxelise
from liftnet.mesh.batch import Meshes
from liftnet.models.reconstruction import ReconstructionNetwork, resized
from liftnet.rasteriser import look_at, render_soft

SIDE = 32
HALF_ANGLE = 15.0
UP_AND_TOWARDS = np.diag([1.0, -1.0, -1.0])  # from x right, y down, z away


def solid(number, kind):
    """A box or an ellipsoid with sides of its own."""
    sides = np.random.default_rng(number).uniform(0.4, 1.0, 3)
    if kind == "ball":
        mesh = trimesh.creation.icosphere(1, 0.5)
        mesh.apply_scale(sides)
    else:
        mesh = trimesh.creation.box(sides)
    return normalise(TriangleMesh(np.asarray(mesh.vertices), np.asarray(mesh.faces, np.int64)))


def write_set(folder, train=4, val=2, test=0, kinds=("ball", "box"), views=3):
    """Write so many shapes of each split and kind; returns the folder."""
    shapes, seen = [], []
    number = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        for kind in kinds:
            for _ in range(count):
                shapes.append(write_shape(folder, f"{kind}-{number:03d}", solid(number, kind), views, seen))
                shapes[-1] |= {"class": kind, "split": split}
                number += 1
    shapes.sort(key=lambda row: (row["class"], row["split"], row["shape_id"]))
    order = [row["shape_id"] for row in shapes]
    seen.sort(key=lambda row: (order.index(row["shape_id"]), row["view"]))
    write_table(folder / "shapes.parquet", shapes, RECONSTRUCTION_SHAPES)
    write_table(folder / "views.parquet", seen, VIEWS)
    return folder


def write_shape(folder, name, mesh, views, seen):
    """Write the files of a shape, add its views to `seen`; returns its row."""
    path = mesh_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)
    samples = sample_surface(mesh, 500, 0)
    target = ShapeTarget(
        samples.points.astype(np.float32), samples.normals.astype(np.float32), {32: voxelise(mesh, 32)}
    )
    write_target(target_path(folder, name), target)
    angles = 2 * np.pi * (np.arange(views) + 0.3) / views
    eyes = torch.tensor(np.stack([2 * np.sin(angles), np.full(views, 0.7), 2 * np.cos(angles)], 1), dtype=torch.float)
    cameras = look_at(eyes, HALF_ANGLE)
    meshes = Meshes.of(mesh)
    soft = render_soft(meshes.vertices[0], meshes.faces[0], cameras, SIDE)
    for view in range(views):
        gray = (255 * soft.gray[view].clamp(0, 1)).byte().numpy()
        cover = (255 * soft.coverage[view]).byte().numpy()
        Image.fromarray(np.dstack([gray, gray, gray, cover])).save(picture_path(folder, name, view))
        rotation = UP_AND_TOWARDS @ cameras.rotation[view].numpy()
        seen.append(
            {
                "shape_id": name,
                "view": view,
                "rotation": rotation.ravel().tolist(),
                "distance": float(eyes[view].norm()),
                "half_width": float(np.tan(np.radians(HALF_ANGLE))),
            }
        )
    return {"shape_id": name, "source": "generated", "status": "ok", "n_views": views, "n_points": 500}


class Ball(ReconstructionNetwork):
    """A ball whose vertices a small network moves; its prediction may be spoilt by `spoil`."""

    image_size = SIDE
    own_losses = {"vertices": 1.0}

    def __init__(self):
        super().__init__()
        ball = trimesh.creation.icosphere(1, 0.3)
        self.register_buffer("sphere", torch.tensor(ball.vertices, dtype=torch.float32))
        self.register_buffer("faces", torch.tensor(np.asarray(ball.faces, np.int64)))
        self.code = nn.Sequential(
            nn.Conv2d(4, 8, 5, 4, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, self.sphere.numel())
        )
        self.spoil = lambda surface: surface

    def forward(self, views):
        return self.sphere + 0.05 * self.code(resized(views.images, SIDE)).unflatten(1, self.sphere.shape)

    def surfaces(self, prediction):
        return [self.spoil((vertices, self.faces)) for vertices in prediction]


def use_ball(monkeypatch, architecture="shape_generator"):
    """Let a known name mean the ball, and a loss of that name its own."""
    from liftnet.reconstruct import objectives

    package = "liftnet.models.reconstruction_networks"
    module = ModuleType(f"{package}.{architecture}")
    module.build = lambda settings: Ball()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    own = ModuleType(f"{objectives.__name__}.vertices")
    own.NEEDS, own.loss = ("points",), nearest_points
    monkeypatch.setitem(sys.modules, own.__name__, own)


def nearest_points(network, prediction, batch, generator):
    """Squared distance of each vertex to the nearest point, and back."""
    distance = torch.cdist(prediction, batch.points).square()
    return {"loss": distance.amin(1).mean(1) + distance.amin(2).mean(1)}
