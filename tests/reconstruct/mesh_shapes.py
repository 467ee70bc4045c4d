"""Simple shapes as batches that networks learn from."""

import numpy as np
import torch
import trimesh

from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.models.reconstruction import Views
from liftnet.rasteriser import HALF_LAMBERT, Softness, hemisphere, render_soft
from liftnet.reconstruct.objectives import ShapeBatch

SIDE, FINER = 64, 2
SHARP = Softness(1e-6)
TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # from y down and z away to y up and z towards the camera


def simple_meshes():
    """A ball, a tall box, a flat box and a lying cylinder, in the ball of radius .5."""
    solids = [
        trimesh.creation.icosphere(3, 0.35),
        trimesh.creation.box((0.3, 0.8, 0.3)),
        trimesh.creation.box((0.6, 0.15, 0.6)),
        trimesh.creation.cylinder(0.15, 0.8).apply_transform(trimesh.transformations.rotation_matrix(1.0, [0, 1, 0])),
    ]
    return [TriangleMesh(np.asarray(solid.vertices), np.asarray(solid.faces)) for solid in solids]


def batch_of(meshes, cameras=(1, 9), pictures=(3, 12, 17, 20), points=2000):
    """What is known of meshes: pictures from one camera each, views from some cameras, points and normals."""
    rig = hemisphere()
    parts = [(torch.tensor(mesh.vertices).float(), torch.tensor(mesh.faces)) for mesh in meshes]
    pairs = zip(parts, pictures, strict=False)
    images = torch.cat([averaged(*part, rig[[picture]]) for part, picture in pairs])
    chosen = rig[list(pictures[: len(meshes)])]
    count = len(meshes)
    views = Views(
        torch.cat([images[:, :1].expand(-1, 3, -1, -1), images[:, 1:]], 1),
        TURN @ chosen.rotation,
        torch.full((count,), 2.0),
        torch.full((count,), chosen.half_width),
    )
    seen = torch.stack([averaged(*part, rig[list(cameras)]) for part in parts])
    samples = [sample_surface(mesh, points, 0) for mesh in meshes]
    return ShapeBatch(
        views,
        points=torch.stack([torch.tensor(sample.points).float() for sample in samples]),
        normals=torch.stack([torch.tensor(sample.normals).float() for sample in samples]),
        cameras=torch.tensor(cameras).expand(count, -1),
        coverage=seen[:, :, 1],
        shaded=seen[:, :, 0],
    )


@torch.no_grad()
def averaged(vertices, faces, cameras):
    """Sharp views (K, 2, S, S): gray, and coverage."""
    soft = render_soft(vertices, faces, cameras, FINER * SIDE, SHARP, HALF_LAMBERT)
    return torch.nn.functional.avg_pool2d(torch.stack([soft.shaded, soft.coverage], 1), FINER)
