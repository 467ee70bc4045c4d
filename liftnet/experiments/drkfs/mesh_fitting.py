"""Mesh optimisation by an image loss, from a sphere to whatever the loss asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from liftnet.core.log import LineMeter

Loss = Callable[[Tensor, Tensor, int], Tensor]  # vertices (V, 3), views (K,), stage -> scalar
MOMENTS = (0.9, 0.999)  # of Adam


@dataclass(frozen=True)
class FitOptions:
    """How a mesh is moved.

    Attributes:
        steps: In all stages together.
        stages: Of equal length; what they differ in is the loss's business.
        views: In all.
        views_a_step: Drawn without repetition until all have been seen.
        rate: Longest step of a coordinate of the smooth parameters, falling to a tenth along half a cosine.
        smoothness: Weight of the Laplacian in the parameters; 0 moves each vertex on its own.
        frames: Meshes kept on the way, the first and the last included.
    """

    steps: int
    stages: int
    views: int
    views_a_step: int
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
    frames, losses, meter = [], [], LineMeter("drkfs", doing, options.steps)
    for step, views in zip(
        range(options.steps), view_batches(options.views, options.views_a_step, seed), strict=False
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
