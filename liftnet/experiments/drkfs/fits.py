"""A sphere turned into targets by losses on its views: Table 4 and Figure 5 without a network, and a sequence.

The paper trains a shape generator with DR-KFS on silhouettes, with the error of pixels on shaded images, and with
DR-KFS on shaded images. Here each loss moves the vertices of a sphere itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from liftnet.core.ids import slug, stable_seed
from liftnet.core.log import LineMeter, get_logger
from liftnet.core.tables import write_tables
from liftnet.drkfs.metric import DRKFS, Target
from liftnet.experiments.drkfs.experiment import Arrays, Experiment, title_of, with_close_patches
from liftnet.experiments.drkfs.shapes import targets_of
from liftnet.experiments.figure_page import (
    BLUE,
    ORANGE,
    Panel,
    Strip,
    draw_panel,
    mesh_picture,
    new_figure,
    save_figure,
    write_picture,
)
from liftnet.experiments.plan import FitsPlan, LossPlan
from liftnet.experiments.settings import FitSettings
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser import Softness, render_soft

LOG = get_logger("experiments")
AZIMUTHS = (35.0, -50.0)  # of the pictures of a result
COLOURS = (ORANGE, BLUE)  # of the losses that are followed, in the order of the plan
SPHERE = "sphere (start)"
START = 0.35  # radius of the sphere; targets lie in one of .5
FRAMES = 8  # meshes kept of a fit
MOMENTS = (0.9, 0.999)  # of Adam
SHADING_CAPTION = (
    "A sphere turned into {targets} targets by each loss ({steps} steps, {views} views a step of {sizes} px, patches"
    " {stride} px apart): means of the distances of the results, and the paper's figures of its shape generator"
    " trained by the same losses (Table 4)."
)
SPHERE_CAPTION = (
    "A sphere turned into a target ({name}) by DR-KFS on silhouettes and on shaded images: {views} of its views a"
    " step, drawn in rotation; distances of the mesh to the target on the way, over all views."
)
Stage = tuple[int, float]  # side of the views, px; softness of edges
Loss = Callable[[Tensor, Tensor, int], Tensor]  # vertices (V, 3), views (K,), stage -> scalar
Sequences = dict[str, dict[int, TriangleMesh]]  # by loss, meshes by step


def run_shading(experiment: Experiment) -> None:
    """Write `tables/drkfs_shading.*`, `tables/drkfs_shading_targets.*` and `figures/drkfs_shading.png`.

    Raises:
        LiftnetError: No target can be read.
    """
    plan, settings, distances = experiment.plan.fits, experiment.settings.fit, experiment.distances()
    targets = targets_of(experiment.settings.targets, experiment.seed)
    results = fitted(experiment, targets)
    rows: list[dict[str, Any]] = []
    for name, target in targets.items():
        for loss, mesh in results[name].items():
            rows.append({"target": name, "loss": loss} | distances(mesh, target, name))
            LOG.info("%s by %s: DR-KFS %.3g", name, loss, rows[-1]["drkfs"])
    scores = pd.DataFrame(rows)
    about = settings.model_dump() | {"targets": len(targets), "sizes": ", ".join(map(str, settings.sizes))}
    each = "Distances of spheres turned into targets by a loss."
    write_tables(scores, experiment.table("shading_targets"), each, 4)
    write_tables(summary(scores, plan), experiment.table("shading"), SHADING_CAPTION.format(**about), 4)
    strips = [strip for name, target in targets.items() for strip in target_strips(name, target, results[name])]
    write_picture(experiment.picture("shading"), strips, "A sphere turned into a target by a loss on its views")
    LOG.info("shading: %d targets; %s", len(targets), experiment.table("shading"))


def fitted(experiment: Experiment, targets: dict[str, TriangleMesh]) -> dict[str, dict[str, TriangleMesh]]:
    """By target, the sphere and what each loss turns it into."""
    start, faces = (part.numpy() for part in geodesic_sphere(experiment.settings.fit.frequency, START))
    return {
        name: {SPHERE: TriangleMesh(start, faces)}
        | {
            title: TriangleMesh(target_fit(experiment, name, title, target).frames[-1], faces)
            for title in experiment.plan.fits.losses
        }
        for name, target in targets.items()
    }


def summary(scores: pd.DataFrame, plan: FitsPlan) -> pd.DataFrame:
    """One row per loss: means over targets, and the paper's LFD and Shape Google."""
    metrics = [name for name in scores.columns if name not in ("target", "loss")]
    means = scores.groupby("loss", sort=False)[metrics].mean().reset_index()
    means = means.rename(columns={name: title_of(name) for name in metrics})
    paper = {title: (loss.paper_lfd, loss.paper_shape_google) for title, loss in plan.losses.items()}
    means["paper LFD"] = means["loss"].map(lambda loss: paper.get(loss, (None, None))[0]).astype("Int64")
    means["paper Shape Google"] = means["loss"].map(lambda loss: paper.get(loss, (None, None))[1])
    return means


def target_strips(name: str, target: TriangleMesh, results: dict[str, TriangleMesh]) -> list[Strip]:
    """The target and what each loss leads to, from two sides; titles above the first."""
    shown = {"target": target, **{loss: mesh for loss, mesh in results.items() if loss != SPHERE}}
    strips = []
    for turn, azimuth in enumerate(AZIMUTHS):
        panels = [Panel("" if turn else title, mesh_picture(mesh, azimuth)) for title, mesh in shown.items()]
        strips.append(Strip("", [("" if turn else name, panels)]))
    return strips


def run_sphere(experiment: Experiment) -> None:
    """Write `tables/drkfs_sphere.*` and `figures/drkfs_sphere.png`: the first target's fits.

    They are shared with `run_shading`.

    Raises:
        LiftnetError: No target can be read.
    """
    name, target = next(iter(targets_of(experiment.settings.targets, experiment.seed).items()))
    sequences, distances = followed(experiment, name, target), experiment.distances()
    rows: list[dict[str, Any]] = [
        {"loss": loss, "step": step} | distances(mesh, target, name)
        for loss, meshes in sequences.items()
        for step, mesh in meshes.items()
    ]
    scores = pd.DataFrame(rows)
    caption = SPHERE_CAPTION.format(name=name, views=experiment.settings.fit.views)
    write_tables(scores, experiment.table("sphere"), caption, 4)
    draw_sequences(experiment.picture("sphere"), sequences, target, scores)
    LOG.info("sphere: %s", experiment.table("sphere"))


def followed(experiment: Experiment, name: str, target: TriangleMesh) -> Sequences:
    """The meshes on the way to a target, by each loss of the plan that is followed."""
    faces = geodesic_sphere(experiment.settings.fit.frequency, START)[1].numpy()
    found = {title: target_fit(experiment, name, title, target) for title in experiment.plan.fits.followed}
    return {
        title: {
            int(step): TriangleMesh(vertices.astype(np.float64), faces)
            for step, vertices in zip(fit.steps, fit.frames, strict=True)
        }
        for title, fit in found.items()
    }


def draw_sequences(path: Path, sequences: Sequences, target: TriangleMesh, scores: pd.DataFrame) -> None:
    """The meshes on the way by each loss, the target last, and the scores below."""
    columns = len(next(iter(sequences.values()))) + 1
    figure = new_figure(1.35 * columns + 0.3, 1.5 * len(sequences) + 2.0)
    grid = figure.add_gridspec(len(sequences) + 1, columns, height_ratios=[1] * len(sequences) + [1.2])
    for line, (loss, meshes) in enumerate(sequences.items()):
        titled = {f"step {step}": mesh for step, mesh in meshes.items()} | {"target": target}
        for column, (title, mesh) in enumerate(titled.items()):
            axis = figure.add_subplot(grid[line, column])
            draw_panel(axis, Panel("" if line else title, mesh_picture(mesh)))
            if not column:
                axis.set_ylabel(loss.replace(", ", ",\n"), fontsize=8)
    _draw_scores(figure.add_subplot(grid[-1, :]), scores)
    save_figure(figure, path)


def _draw_scores(axis: Any, scores: pd.DataFrame) -> None:
    for (loss, mine), colour in zip(scores.groupby("loss", sort=False), COLOURS, strict=False):
        axis.plot(mine["step"], mine["drkfs"], "o-", color=colour, markersize=4, label=f"fitted by {loss}")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("DR-KFS, shaded, all views", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, loc="upper right")


@dataclass(frozen=True, repr=False)
class Fit:
    """A mesh that was optimised.

    Attributes:
        frames: (K, V, 3) float32 vertices on the way; the last is the result.
        steps: (K,) after how many steps each was kept.
        losses: (S,) of each step, before it, over the views of that step.
    """

    frames: npt.NDArray[np.float32]
    steps: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float32]


def target_fit(experiment: Experiment, name: str, title: str, target: TriangleMesh) -> Fit:
    """Turn the sphere into a target by a loss, or read the fit if it is done.

    Args:
        experiment: Its metric compares, with patches as far apart as the settings of fits say; its cameras, light and
            softness in depth are used by all losses.
        name: Of the target, for the order of views, the file and progress.
        title: Of the loss in the plan.
        target: In a sphere of diameter 1 about the origin.
    """
    settings, loss = experiment.settings.fit, experiment.plan.fits.losses[title]

    def compute() -> Arrays:
        metric = with_close_patches(experiment.metric, stride=settings.stride)
        vertices, faces = geodesic_sphere(settings.frequency, START)
        view_loss = ViewLoss(loss, target, faces, metric, list(zip(settings.sizes, settings.sigmas, strict=True)))
        count = len(metric.cameras)
        batches = view_batches(count, min(settings.views, count), stable_seed(experiment.seed, name))
        return vars(fit(vertices, faces, view_loss, settings, batches, doing=f"{name} by {title}"))

    compared = {"images": loss.images, "compared_by": loss.compared_by}
    cache = experiment.cache("fits").of(settings, compared, name, target.vertices, target.faces)
    return Fit(**cache.arrays(f"{name.replace('/', '_')}-{slug(title)}", compute))


class ViewLoss:
    """A loss between the views of a mesh and those of a target, coarse to fine.

    Args:
        loss: What is rendered, and how it is compared.
        target: The target.
        faces: (F, 3) of the mesh.
        metric: DR-KFS: its cameras, light and softness in depth are used by all losses.
        stages: Side of the views, px, and softness of edges in each stage; mesh and target have the same.
    """

    def __init__(
        self, loss: LossPlan, target: TriangleMesh, faces: Tensor, metric: DRKFS, stages: Sequence[Stage]
    ) -> None:
        self.metric, self.faces, self.target, self.stages = metric, faces, Meshes.of(target), stages
        self.loss = loss
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
                by_similarity = self.loss.compared_by == "similarity"
                self._known = {stage: self.metric.prepare_images(images[None]) if by_similarity else images}
        return self._known[stage]

    def _render(self, vertices: Tensor, faces: Tensor, views: Tensor, stage: int) -> Tensor:
        metric = self.metric
        size, sigma = self.stages[stage]
        softness = Softness(sigma, metric.settings.gamma)
        soft = render_soft(vertices, faces, metric.cameras[views], size, softness, metric.options.light)
        # gray alone hardly sees outlines move
        return soft.shaded if self.loss.images == "shaded" else soft.silhouette


def fit(
    vertices: Tensor,
    faces: Tensor,
    loss: Loss,
    settings: FitSettings,
    batches: Iterator[Tensor],
    frames: int = FRAMES,
    doing: str = "fitting",
) -> Fit:
    """Move vertices so that a loss falls.

    The parameters are u = (1 + smoothness L) v with the graph's Laplacian L, and a step is as long as the largest
    gradient's, so that forces at a few pixels move the surface around them ("Large Steps in Inverse Rendering of
    Geometry", Nicolet et al., 2021, sections 3 and 4). The longest step of a parameter falls to a tenth of
    `settings.rate` along half a cosine. No other regularisation is used.

    Args:
        vertices: (V, 3) start.
        faces: (F, 3) int64.
        loss: Of the vertices, in some views, in a stage.
        settings: How; smoothness 0 moves each vertex on its own. What its stages differ in is the loss's business.
        batches: The views of each step.
        frames: Meshes kept on the way, the first and the last included.
        doing: For the progress shown.

    Returns:
        The mesh on its way.
    """
    smooth = _smoothing(faces, len(vertices), settings.smoothness).to(vertices)
    parameters = torch.linalg.solve(smooth, vertices.detach()).requires_grad_()
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    kept = np.unique(np.linspace(0, settings.steps, frames).round().astype(np.int64))
    meshes, losses, meter = [], [], LineMeter("experiments", doing, settings.steps)
    for step, views in zip(range(settings.steps), batches, strict=False):
        if step in kept:
            meshes.append((smooth @ parameters).detach().clone())
        value = loss(smooth @ parameters, views, step * len(settings.sizes) // settings.steps)
        (gradient,) = torch.autograd.grad(value, parameters)
        losses.append(float(value.detach()))
        mean = MOMENTS[0] * mean + (1 - MOMENTS[0]) * gradient
        square = MOMENTS[1] * square + (1 - MOMENTS[1]) * gradient.square()
        size = (square.max() / (1 - MOMENTS[1] ** (step + 1))).sqrt() + 1e-12
        rate = settings.rate * (0.55 + 0.45 * np.cos(np.pi * step / settings.steps))
        with torch.no_grad():
            parameters -= rate * mean / (1 - MOMENTS[0] ** (step + 1)) / size
        meter.advance(f", loss {losses[-1]:.4g}")
    meshes.append((smooth @ parameters).detach())
    return Fit(torch.stack(meshes).float().cpu().numpy(), kept, np.array(losses, np.float32))


def view_batches(count: int, size: int, seed: int) -> Iterator[Tensor]:
    """Batches of views without end: a new random order each time all have been drawn."""
    random = torch.Generator().manual_seed(seed % 2**63)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count, generator=random)])
        yield waiting[:size].unique()
        waiting = waiting[size:]


def geodesic_sphere(frequency: int, radius: float) -> tuple[Tensor, Tensor]:
    """An icosahedron, each face cut into frequency^2 triangles, blown up to a sphere.

    Returns:
        (10 frequency^2 + 2, 3) float32 vertices and (20 frequency^2, 3) int64 faces, outward.
    """
    golden = (1 + 5**0.5) / 2
    corners = [(s, t * golden, 0.0) for s in (-1, 1) for t in (-1, 1)]
    corners = [tuple(np.roll(corner, turn)) for turn in range(3) for corner in corners]
    solid = np.array(corners, float)
    distance = np.linalg.norm(solid[:, None] - solid[None], axis=-1)
    near = np.abs(distance - 2) < 1e-9
    first, second, third = np.nonzero(near[:, :, None] & near[None, :, :] & near[:, None, :])
    big = np.stack([first, second, third], 1)
    outward = np.linalg.det(solid[big]) > 0
    big = big[(big[:, 0] < big[:, 1]) & (big[:, 0] < big[:, 2]) & outward]
    rows, columns = np.nonzero(np.add.outer(np.arange(frequency + 1), np.arange(frequency + 1)) <= frequency)
    weights = np.stack([frequency - rows - columns, rows, columns], 1)
    points = np.einsum("pk,fkx->fpx", weights, solid[big]) / frequency
    place = np.full((frequency + 2, frequency + 2), -1)
    place[rows, columns] = np.arange(len(rows))
    up = np.stack([place[rows, columns], place[rows + 1, columns], place[rows, columns + 1]], 1)
    down = np.stack([place[rows + 1, columns], place[rows + 1, columns + 1], place[rows, columns + 1]], 1)
    small = np.concatenate([part[(part >= 0).all(1)] for part in (up, down)])
    faces = (np.arange(len(big))[:, None, None] * len(rows) + small).reshape(-1, 3)
    _, kept, names = np.unique(points.reshape(-1, 3).round(6), axis=0, return_index=True, return_inverse=True)
    flat = points.reshape(-1, 3)[kept]
    flat *= radius / np.linalg.norm(flat, axis=1, keepdims=True)
    return torch.as_tensor(flat, dtype=torch.float32), torch.as_tensor(names.reshape(-1)[faces])


def _smoothing(faces: Tensor, count: int, smoothness: float) -> Tensor:
    """(V, V) inverse of 1 + smoothness L, L the graph's Laplacian (degree less neighbours)."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    neighbours = torch.zeros(count, count, dtype=torch.float64)
    neighbours[edges[:, 0], edges[:, 1]] = 1
    neighbours = torch.maximum(neighbours, neighbours.T)
    laplacian = torch.diag(neighbours.sum(1)) - neighbours
    return torch.linalg.inv(torch.eye(count, dtype=torch.float64) + smoothness * laplacian)
