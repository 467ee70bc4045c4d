"""Pictures of shapes for people: grey, lit from beside the viewer, on white."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from liftnet.core.types import UInt8Array
from liftnet.data.drawing import shrunk
from liftnet.data.pictures import read_image
from liftnet.mesh.mesh import BadMeshError, Placement, normalising
from liftnet.mesh.reading import load_mesh
from liftnet.rasteriser import CameraBatch, Light, Softness, render_soft
from liftnet.reconstruct.study.items import Pose

FINER = 3  # times the side that is shown: what is drawn before it is shrunk, so that no edge is jagged
SOFTNESS = Softness(sigma=3e-7, gamma=1e-6, near=0.05, far=10.0)
LIGHT = (-0.45, 0.75, 0.6)  # towards it: to the left of the viewer and above, in the camera's frame (y up)
FLIP = np.diag([1.0, -1.0, -1.0])  # from y up, z towards the camera to y down, z away


def shown_picture(path: Path, side: int) -> UInt8Array:
    """(H, W, 3) a picture as the page shows it, on white where it is transparent."""
    return shrunk(read_image(path), side)


def placement_of(truth: Path) -> Placement:
    """What normalises a true shape, and is done to what was made of its picture too."""
    return normalising(load_mesh(truth))


def shape_views(path: Path | None, placement: Placement, poses: tuple[Pose, ...], side: int) -> list[UInt8Array]:
    """(side, side) pictures of a mesh from each pose; empty ones where there is none, or one without faces.

    Raises:
        BadMeshError: The mesh cannot be read.
    """
    try:
        mesh = None if path is None else placement.mesh(load_mesh(path))
    except BadMeshError as error:
        if error.status != "no_faces":
            raise
        mesh = None
    if mesh is None:
        return [np.full((side, side), 255, np.uint8) for _ in poses]
    vertices = torch.as_tensor(mesh.vertices, dtype=torch.float32)
    faces = torch.as_tensor(np.asarray(mesh.faces), dtype=torch.int64)
    return [_drawn(vertices, faces, pose, side) for pose in poses]


def _drawn(vertices: torch.Tensor, faces: torch.Tensor, pose: Pose, side: int) -> UInt8Array:
    camera = CameraBatch(
        torch.as_tensor(FLIP @ pose.rotation, dtype=torch.float32)[None],
        torch.tensor([[0.0, 0.0, pose.distance]]),
        pose.half_width,
    )
    x, y, z = (float(value) for value in np.asarray(LIGHT) @ pose.rotation)
    light = Light((x, y, z), ambient=0.45, directional=0.42, wrapped=True)
    with torch.no_grad():
        found = render_soft(vertices, faces, camera, FINER * side, SOFTNESS, light)
    grey = (found.shaded + 1 - found.coverage)[0].clamp(0, 1)
    return shrunk((grey * 255).round().to(torch.uint8).numpy(), side)
