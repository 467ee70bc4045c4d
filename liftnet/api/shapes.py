"""Two meshes in, DR-KFS out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from liftnet.drkfs import DRKFS, MetricSettings
from liftnet.drkfs.score import remarks_on_pictures
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh, check_mesh, clean_mesh
from liftnet.mesh.reading import load_mesh
from liftnet.shape.alignment import How, align

if TYPE_CHECKING:
    import trimesh

    Mesh: TypeAlias = Path | str | TriangleMesh | trimesh.Trimesh | tuple[npt.ArrayLike, npt.ArrayLike]


def drkfs(shape: Mesh, target: Mesh, settings: MetricSettings | None = None, place: How = "target") -> float:
    """How unlike two shapes look: 0 if all views are the same, larger the more they differ.

    The value is that of `liftnet drkfs score`; for a loss, which needs gradients, there is `liftnet.drkfs.DRKFS`. With
    the paper's 25 views of 256 px it takes some seconds; `MetricSettings(image_size=64, views=8)` a fraction of one.

    Args:
        shape: A file, a mesh of trimesh or of liftnet, or vertices (V, 3) and faces (F, 3); +y up, +z to the front.
        target: Likewise; the weights are of its views too, so the order does not matter but for `place`.
        settings: Views, their size, softness.
        place: How the shape is laid onto its target (liftnet.shape.alignment); none where both lie as they should.

    Raises:
        LiftnetError: A file or a mesh cannot be used.
        TypeError: Something is no mesh.
        ValueError: Arrays are of other shapes, or one of the two is in none of the pictures.
    """
    placed, goal = align(_as_mesh(shape, "shape"), _as_mesh(target, "target"), place, "side")
    metric = _metric(settings or MetricSettings())
    with torch.no_grad():
        prepared = metric.prepare(Meshes.of(goal))
        views = metric.views(Meshes.of(placed), prepared)
        remarks_on_pictures(views[0], prepared.views[0])
        return float(metric.compare_images(views, prepared))


def _as_mesh(given: Any, name: str) -> TriangleMesh:
    if isinstance(given, Path | str):
        return load_mesh(Path(given))
    if isinstance(given, TriangleMesh):
        return given
    if hasattr(given, "vertices") and hasattr(given, "faces"):
        given = given.vertices, given.faces
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(
            f"the {name}, a {type(given).__name__}, is no mesh: give a path, a trimesh or (vertices, faces)"
        )
    vertices, faces = (np.asarray(part.detach().cpu() if isinstance(part, torch.Tensor) else part) for part in given)
    return clean_mesh(check_mesh(vertices, faces, name), name)[0]


@lru_cache(2)
def _metric(settings: MetricSettings) -> DRKFS:
    return DRKFS(settings)
