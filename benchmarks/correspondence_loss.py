"""The camera of LiftNet's loss by several routes, and the loss's share of a training step. Writes a table.

    python benchmarks/correspondence_loss.py [--steps 2]

Every route is the same least squares problem; they differ in time, in the error of the gradient in float32 and in
where the gradient is not finite. `torch.linalg.lstsq` and `pinv` are the peers, the singular value decomposition is
the paper's route (equation 6). The share is that of the loss, RANSAC and backward pass included, in a step of the
paper's network at 256 px and batch 16.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from measuring import machine, measured, one_thread, shown, write_report
from torch import Tensor

from liftnet.depth.camera_fit import CameraFit, fit_camera, fit_camera_by_svd, homogeneous_points, ransac_inliers
from liftnet.depth.pairs import sample_depth
from liftnet.depth.reprojection import (
    CameraModel,
    Criterion,
    correspondence_loss,
    correspondence_terms,
    robust_cost,
)
from liftnet.models.depth_networks import NetworkSettings
from liftnet.models.liftnet import initial_network

SIZES = ((16, 181), (4, 9000))  # correspondences of a pair: the paper's mean, and dense
THRESHOLD, TAU, SIDE = 5.0, 5.0, 256
Route = Callable[[Tensor, Tensor, Tensor, Tensor], CameraFit]


class Pairs(NamedTuple):
    """Correspondences of a batch: (B, N, 2), (B, N), (B, N, 2), (B, N)."""

    source: Tensor
    depth: Tensor
    target: Tensor
    weight: Tensor


def made_up(batch: int, count: int, relief: float = 0.3) -> Pairs:
    """A curved surface under random affine cameras, 1 px of noise, three tenths outliers; weight 1 for inliers."""
    generator = torch.Generator().manual_seed(0)
    source = SIDE * torch.rand(batch, count, 2, generator=generator)
    wave = torch.sin(source[..., 0] / 36) * torch.cos(source[..., 1] / 28)
    camera = torch.eye(2, 3) + 0.2 * torch.randn(batch, 2, 3, generator=generator)
    target = torch.cat([source, 40 * wave[..., None]], 2) @ camera.mT + torch.randn(source.shape, generator=generator)
    bad = int(0.3 * count)
    target[:, :bad] = SIDE * torch.rand(batch, bad, 2, generator=generator)
    depth = 0.5 + relief * (wave + 0.1 * torch.randn(wave.shape, generator=generator))
    mask = torch.ones_like(depth, dtype=torch.bool)
    return Pairs(source, depth, target, ransac_inliers(source, depth, target, mask, THRESHOLD, generator).float())


def by_lstsq(source: Tensor, depth: Tensor, target: Tensor, weight: Tensor) -> CameraFit:
    """The camera by torch.linalg.lstsq."""
    points = homogeneous_points(source, depth)
    camera = torch.linalg.lstsq(points * weight[..., None], target * weight[..., None]).solution.mT
    return CameraFit(camera, target.mT - camera @ points.mT)


def by_pinv(source: Tensor, depth: Tensor, target: Tensor, weight: Tensor) -> CameraFit:
    """The camera by torch.linalg.pinv."""
    points = homogeneous_points(source, depth)
    camera = (torch.linalg.pinv(points * weight[..., None]) @ (target * weight[..., None])).mT
    return CameraFit(camera, target.mT - camera @ points.mT)


def orthographic(source: Tensor, depth: Tensor, target: Tensor, weight: Tensor) -> CameraFit:
    """The scaled orthographic camera, another problem: what it costs."""
    return CameraModel("orthographic", unit=SIDE / 2).fit(source, depth, target, weight)


ROUTES: dict[str, Route] = {
    "Frisch-Waugh-Lovell (ours)": fit_camera,
    "singular values (paper)": fit_camera_by_svd,
    "torch.linalg.lstsq": by_lstsq,
    "torch.linalg.pinv": by_pinv,
}


def loss_and_gradient(route: Route, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Mean robust loss over given inliers and outliers, and its gradient in depth."""
    depth = pairs.depth.clone().requires_grad_()
    residual = route(pairs.source, depth, pairs.target, pairs.weight).residual
    loss = robust_cost(residual.square().sum(1), TAU).mean()
    return loss.detach(), torch.autograd.grad(loss, depth)[0]


def relative_error(value: Tensor, exact: Tensor) -> float:
    """Norm of the difference as a share of the exact norm."""
    return float((value.double() - exact).norm() / exact.norm())


def finite_at_equal_singular_values(route: Route) -> str:
    """Whether the corners of a cube, whose X has three equal singular values, have a finite gradient."""
    corners = torch.tensor([[-1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [-1, 1, 1]])
    cube = torch.cat([corners, -corners])[None]
    target = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(1))
    gradient = loss_and_gradient(route, Pairs(cube[..., :2], cube[..., 2], target, torch.ones(1, 8)))[1]
    return "yes" if torch.isfinite(gradient).all() else "no"


def route_table() -> pd.DataFrame:
    """CPU milliseconds and errors of every route."""
    rows = []
    low = made_up(*SIZES[0], relief=1e-5)
    for name, route in ROUTES.items():
        row: dict[str, object] = {"camera by": name}
        for size in SIZES:
            pairs = made_up(*size)
            loss_and_gradient(route, pairs)
            (loss, gradient), seconds, _ = measured(lambda r=route, p=pairs: loss_and_gradient(r, p), 60, enough=10)
            exact_loss, exact = loss_and_gradient(fit_camera_by_svd, Pairs(*(values.double() for values in pairs)))
            label = f"{size[0]} x {size[1]}"
            row[f"ms, {label}"] = 1e3 * seconds
            row[f"loss error, {label}"] = relative_error(loss, exact_loss)
            row[f"gradient error, {label}"] = relative_error(gradient, exact)
        exact = loss_and_gradient(fit_camera_by_svd, Pairs(*(values.double() for values in low)))[1]
        row["gradient error, relief 1e-5"] = relative_error(loss_and_gradient(route, low)[1], exact)
        row["finite at equal singular values"] = finite_at_equal_singular_values(route)
        rows.append(row)
        print(row, flush=True)
    return pd.DataFrame(rows)


def parts_table() -> pd.DataFrame:
    """CPU milliseconds of RANSAC, of the whole loss, and of the camera that goes beyond the paper."""
    rows = []
    for size in SIZES:
        pairs = made_up(*size)
        mask = torch.ones_like(pairs.depth, dtype=torch.bool)
        generator = torch.Generator().manual_seed(0)

        def ransac(p: Pairs = pairs, m: Tensor = mask, g: torch.Generator = generator) -> Tensor:
            return ransac_inliers(p.source, p.depth, p.target, m, THRESHOLD, g)

        def whole(camera: CameraModel, p: Pairs = pairs, m: Tensor = mask, g: torch.Generator = generator) -> Tensor:
            depth = p.depth.clone().requires_grad_()
            terms = correspondence_terms(p.source, depth, p.target, m, g, Criterion(THRESHOLD, TAU, camera=camera))
            return torch.autograd.grad(terms.loss.sum(), depth)[0]

        cameras = {
            "whole loss, affine": CameraModel(),
            "whole loss, affine drawn to orthography": CameraModel(orthography_weight=1.0, unit=SIDE / 2),
            "whole loss, orthographic": CameraModel("orthographic", unit=SIDE / 2),
        }
        parts: dict[str, Callable[[], Tensor]] = {"RANSAC, 100 draws": ransac}
        parts |= {name: partial(whole, camera) for name, camera in cameras.items()}
        for name, function in parts.items():
            function()
            rows.append(
                {"part": name, "pairs x points": f"{size[0]} x {size[1]}", "ms": 1e3 * measured(function, 60)[1]}
            )
    return pd.DataFrame(rows).pivot(index="part", columns="pairs x points", values="ms").reset_index()


def share_table(steps: int) -> pd.DataFrame:
    """The loss's share of a training step of the paper's network."""
    network = initial_network(NetworkSettings(levels=8, width=64), 0).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)
    pairs = made_up(*SIZES[0])
    mask = torch.ones_like(pairs.depth, dtype=torch.bool)
    images = torch.rand(len(mask), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    generator = torch.Generator().manual_seed(0)

    def loss(depth: Tensor) -> Tensor:
        found = correspondence_loss(pairs.source, depth, pairs.target, mask, THRESHOLD, TAU, generator)
        return found.mean()

    def step() -> None:
        optimiser.zero_grad()
        loss(sample_depth(network(images), pairs.source)).backward()
        optimiser.step()

    def alone() -> None:
        loss(pairs.depth.clone().requires_grad_()).backward()

    alone()
    _, loss_seconds, _ = measured(alone, 60)
    _, step_seconds, _ = measured(step, steps, enough=math.inf)
    row = {"step, CPU s": step_seconds, "loss, CPU s": loss_seconds, "share, %": 100 * loss_seconds / step_seconds}
    return pd.DataFrame([row])


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2, help="training steps at 256 px, about half a minute each")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with one_thread():
        routes, parts, share = route_table(), parts_table(), share_table(arguments.steps)
    times = {name: ".2f" for name in routes if name.startswith("ms")}
    errors = {name: ".1e" for name in routes if "error" in name}
    paragraphs = [
        "# The loss's camera",
        f"`python benchmarks/correspondence_loss.py`; one thread; {machine('torch')}.",
        "Loss and gradient in float32 with the inliers given, RANSAC apart; CPU milliseconds of forward and backward,"
        " medians of up to 60; errors relative to the singular value route in float64. The last two columns: depth .5"
        " with a relief of 1e-5, as networks begin; X with equal singular values.",
        shown(routes, times | errors),
        "CPU milliseconds of the parts, 100 draws of RANSAC, forward and backward:",
        shown(parts, {name: ".2f" for name in parts if " x " in name}),
        "The whole loss beside a training step of the paper's network, 256 px, batch 16, 181 correspondences a pair:",
        shown(share, {"step, CPU s": ".1f", "loss, CPU s": ".4f", "share, %": ".3f"}),
    ]
    write_report(arguments.out, paragraphs)


if __name__ == "__main__":
    main()
