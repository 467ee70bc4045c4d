"""A sphere turned into a target by one of four losses on its views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.drkfs.comparison import Target
from liftnet.drkfs.meshes import Meshes
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.mesh_fitting import Fit, FitOptions, fit, geodesic_sphere
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.result_cache import Arrays, Memory
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser import Softness, render_soft

START = 0.35  # radius of the sphere; targets lie in one of .5
FRAMES = 8
DRKFS_SILHOUETTE, MSE_SILHOUETTE = "DR-KFS, silhouettes", "MSE, silhouettes"
DRKFS_SHADED, MSE_SHADED = "DR-KFS, shaded", "MSE, shaded"
LOSSES = (DRKFS_SILHOUETTE, MSE_SILHOUETTE, MSE_SHADED, DRKFS_SHADED)


Stage = tuple[int, float]


class ViewLoss:
    """A loss between the views of a mesh and those of a target, coarse to fine.

    Args:
        name: One of `LOSSES`.
        target: The target.
        faces: (F, 3) of the mesh.
        metric: DR-KFS: its cameras, light and softness in depth are used by all losses.
        stages: Side of the views, px, and softness of edges in each stage; mesh and target have the same.
    """

    def __init__(self, name: str, target: TriangleMesh, faces: Tensor, metric: DRKFS, stages: Sequence[Stage]) -> None:
        self.metric, self.faces, self.target, self.stages = metric, faces, Meshes.of(target), stages
        self.shaded, self.similarity = "shaded" in name, "DR-KFS" in name
        self._known: dict[int, Target | Tensor] = {}

    def __call__(self, vertices: Tensor, views: Tensor, stage: int) -> Tensor:
        """Mean over views, differentiable.

        Args:
            vertices: (V, 3).
            views: (K,) indices of cameras.
            stage: Index of `stages`.
        """
        images = self._render(vertices, self.faces, views, stage)
        target = self._target(stage)
        if isinstance(target, Tensor):
            return (images - target[views]).square().mean()
        return self.metric.compare_images(images[None], target.of_views(views))[0] / len(views)

    def _target(self, stage: int) -> Target | Tensor:
        """The target of a stage; that of an earlier one is given up."""
        if stage not in self._known:
            with torch.no_grad():
                (vertices,), (faces,) = self.target.vertices, self.target.faces
                images = self._render(vertices, faces, torch.arange(len(self.metric.cameras)), stage)
                self._known = {stage: self.metric.prepare_images(images[None]) if self.similarity else images}
        return self._known[stage]

    def _render(self, vertices: Tensor, faces: Tensor, views: Tensor, stage: int) -> Tensor:
        metric = self.metric
        size, sigma = self.stages[stage]
        softness = Softness(sigma, metric.settings.gamma)
        soft = render_soft(vertices, faces, metric.cameras[views], size, softness, metric.options.light)
        return soft.shaded if self.shaded else soft.silhouette  # gray alone hardly sees outlines move


def fit_target(
    name: str, loss: str, target: TriangleMesh, settings: ShapeExperimentSettings, metric: DRKFS, seed: int
) -> Fit:
    """Turn a sphere into a target.

    Args:
        name: Of the target, for the order of views and for progress.
        loss: One of `LOSSES`.
        target: In a sphere of diameter 1 about the origin.
        settings: `fit_*`.
        metric: DR-KFS, whose gradient is used.
        seed: Of the run.
    """
    vertices, faces = geodesic_sphere(settings.fit_frequency, START)
    options = FitOptions(
        steps=settings.fit_steps,
        stages=len(stages_of(settings)),
        views=len(metric.cameras),
        views_a_step=min(settings.fit_views, len(metric.cameras)),
        rate=settings.fit_rate,
        smoothness=settings.fit_smoothness,
        frames=FRAMES,
    )
    between = ViewLoss(loss, target, faces, metric, stages_of(settings))
    return fit(vertices, faces, between, options, stable_seed(seed, name), f"{name} by {loss}")


def stages_of(settings: ShapeExperimentSettings) -> list[Stage]:
    """Side of the views and softness of edges in each stage.

    Raises:
        LiftnetError: The lists have different lengths.
    """
    sizes, sigmas = settings.fit_sizes, settings.fit_sigmas
    if len(sizes) != len(sigmas):
        reason = f"{len(sizes)} sizes and {len(sigmas)} sigmas were given"
        raise LiftnetError("fit_sizes and fit_sigmas", reason, "Give one of each for every stage")
    return list(zip(sizes, sigmas, strict=True))


def remembered_fit(
    memory: Memory,
    name: str,
    loss: str,
    target: TriangleMesh,
    settings: ShapeExperimentSettings,
    metric: DRKFS,
    seed: int,
) -> Fit:
    """`fit_target`, from disk where it is done."""
    about = {**memory.about, **settings.model_dump(include={n for n in type(settings).model_fields if "fit_" in n})}
    shape = {"vertices": len(target.vertices), "sum": round(float(abs(target.vertices).sum()), 6)}
    own = replace(memory, about={**about, "loss": loss, "seed": seed, **shape})

    def compute() -> Arrays:
        found = fit_target(name, loss, target, settings, metric, seed)
        return {"frames": found.frames, "steps": found.steps, "losses": found.losses}

    file = f"{name.replace('/', '_')}-{loss.replace(', ', '-').replace(' ', '-').lower()}"
    return Fit(**own.arrays(file, compute))
