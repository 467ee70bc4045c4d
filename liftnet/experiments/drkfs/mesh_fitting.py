"""A sphere turned into a target by a loss on its views: the optimisation, the sphere, the losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.ids import slug, stable_seed
from liftnet.core.log import LineMeter
from liftnet.drkfs.comparison import Target
from liftnet.drkfs.meshes import Meshes
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.plan import LossPlan
from liftnet.experiments.result_cache import Arrays, ResultCache
from liftnet.experiments.settings import FitSettings
from liftnet.mesh.mesh import TriangleMesh
from liftnet.rasteriser import Softness, render_soft

Stage = tuple[int, float]  # side of the views, px; softness of edges
Loss = Callable[[Tensor, Tensor, int], Tensor]  # vertices (V, 3), views (K,), stage -> scalar
MOMENTS = (0.9, 0.999)  # of Adam
START = 0.35  # radius of the sphere; targets lie in one of .5
FRAMES = 8


@dataclass(frozen=True)
class FitOptions:
    """How a mesh is moved.

    Attributes:
        steps: In all stages together.
        stages: Of equal length; what they differ in is the loss's business.
        views: In all.
        views_per_step: Drawn without repetition until all have been seen.
        rate: Longest step of a coordinate of the smooth parameters, falling to a tenth along half a cosine.
        smoothness: Weight of the Laplacian in the parameters; 0 moves each vertex on its own.
        frames: Meshes kept on the way, the first and the last included.
    """

    steps: int
    stages: int
    views: int
    views_per_step: int
    rate: float
    smoothness: float
    frames: int = 6


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

    @property
    def vertices(self) -> npt.NDArray[np.float32]:
        """(V, 3) of the result."""
        result: npt.NDArray[np.float32] = self.frames[-1]
        return result


@dataclass(frozen=True)
class TargetFits:
    """Fits of a sphere to targets by losses, from disk where they are done.

    Attributes:
        settings: How the sphere is moved.
        metric: DR-KFS: its gradient is used by losses that compare by it; its cameras, light and softness in depth by
            all.
        cache: Of results that depend on the metric and the seed.
        seed: Of the run.
    """

    settings: FitSettings
    metric: DRKFS
    cache: ResultCache
    seed: int

    def __call__(self, name: str, title: str, loss: LossPlan, target: TriangleMesh) -> Fit:
        """Turn the sphere into a target.

        Args:
            name: Of the target, for the order of views, the file and progress.
            title: Of the loss.
            loss: What it compares, and how.
            target: In a sphere of diameter 1 about the origin.
        """
        settings = self.settings

        def compute() -> Arrays:
            vertices, faces = geodesic_sphere(settings.frequency, START)
            stages = list(zip(settings.sizes, settings.sigmas, strict=True))
            options = FitOptions(
                steps=settings.steps,
                stages=len(stages),
                views=len(self.metric.cameras),
                views_per_step=min(settings.views, len(self.metric.cameras)),
                rate=settings.rate,
                smoothness=settings.smoothness,
                frames=FRAMES,
            )
            view_loss = ViewLoss(loss, target, faces, self.metric, stages)
            found = fit(vertices, faces, view_loss, options, stable_seed(self.seed, name), f"{name} by {title}")
            return {"frames": found.frames, "steps": found.steps, "losses": found.losses}

        compared = {"images": loss.images, "compared_by": loss.compared_by}
        cache = self.cache.of(settings, compared, name, target.vertices, target.faces)
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


def fit(vertices: Tensor, faces: Tensor, loss: Loss, options: FitOptions, seed: int, doing: str = "fitting") -> Fit:
    """Move vertices so that a loss falls.

    The parameters are u = (1 + smoothness L) v with the graph's Laplacian L, and a step is as long as the largest
    gradient's, so that forces at a few pixels move the surface around them ("Large Steps in Inverse Rendering of
    Geometry", Nicolet et al., 2021, sections 3 and 4). No other regularisation is used.

    Args:
        vertices: (V, 3) start.
        faces: (F, 3) int64.
        loss: Of the vertices, in some views, in a stage.
        options: How.
        seed: Of the order of views.
        doing: For the progress shown.

    Returns:
        The mesh on its way; the same for equal seeds.
    """
    smooth = _smoothing(faces, len(vertices), options.smoothness).to(vertices)
    parameters = torch.linalg.solve(smooth, vertices.detach()).requires_grad_()
    mean, square = torch.zeros_like(parameters), torch.zeros_like(parameters)
    kept = np.unique(np.linspace(0, options.steps, options.frames).round().astype(np.int64))
    frames, losses, meter = [], [], LineMeter("experiments", doing, options.steps)
    for step, views in zip(
        range(options.steps), view_batches(options.views, options.views_per_step, seed), strict=False
    ):
        if step in kept:
            frames.append((smooth @ parameters).detach().clone())
        value = loss(smooth @ parameters, views, step * options.stages // options.steps)
        (gradient,) = torch.autograd.grad(value, parameters)
        losses.append(float(value.detach()))
        mean = MOMENTS[0] * mean + (1 - MOMENTS[0]) * gradient
        square = MOMENTS[1] * square + (1 - MOMENTS[1]) * gradient.square()
        size = (square.max() / (1 - MOMENTS[1] ** (step + 1))).sqrt() + 1e-12
        rate = options.rate * (0.55 + 0.45 * np.cos(np.pi * step / options.steps))
        with torch.no_grad():
            parameters -= rate * mean / (1 - MOMENTS[0] ** (step + 1)) / size
        meter.advance(f", loss {losses[-1]:.4g}")
    frames.append((smooth @ parameters).detach())
    return Fit(torch.stack(frames).float().cpu().numpy(), kept, np.array(losses, np.float32))


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
