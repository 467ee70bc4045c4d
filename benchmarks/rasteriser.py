"""How fast is the soft rasteriser on a CPU?

    python benchmarks/rasteriser.py [--runs 7]

Renders a bumpy sphere of 5,120 faces from 25 views at 256 px, gray and silhouette, forward and back to the vertices,
with the numba kernels, with the specification (a list of all pairs of pixel and triangle, plain torch, view by view)
and densely (every triangle at every pixel: a sample of pixels of one view, extrapolated). CPU seconds of one thread.
Then the seconds of our steps, and how far SoftRas' own rule for the gradient lies from the exact one. Writes
benchmarks/rasteriser.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from measuring import machine, measured, one_thread, shown, spent, write_report
from rasteriser_scene import SIDE, SIGMAS, VIEWS, sphere
from torch import Tensor

from liftnet.rasteriser import (
    CameraBatch,
    Light,
    SoftImages,
    Softness,
    bin_triangles,
    hemisphere,
    numba_kernels,
    render_soft,
)
from liftnet.rasteriser.reference import aggregate, coverage_and_depth
from liftnet.rasteriser.render import _scenes

PIXELS = 128
RULES = ["sigma", "random, difference", "random, cosine", "squared, difference", "squared, cosine"]
Mesh = tuple[Tensor, Tensor]


def both_ways(draw: Callable[[], SoftImages], vertices: Tensor) -> tuple[float, float, SoftImages, Tensor]:
    """CPU seconds forward and back, the images, and the gradient of fixed random weights of gray and silhouette."""
    start = spent()
    images = draw()
    middle = spent()
    slopes = [torch.randn(images.gray.shape, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    begin = spent()
    (slope,) = torch.autograd.grad([images.gray, images.silhouette], vertices, slopes)
    return middle - start, spent() - begin, SoftImages(*(image.detach() for image in images)), slope


def fastest(draw: Callable[[], SoftImages], vertices: Tensor, runs: int) -> tuple[float, float, SoftImages, Tensor]:
    """The medians of the CPU seconds of several runs after one that warms up."""
    results = [both_ways(draw, vertices) for _ in range(runs + 1)]
    forward, back = (statistics.median(result[k] for result in results[1:]) for k in (0, 1))  # type: ignore[misc]
    return forward, back, results[0][2], results[0][3]


def pair_list(mesh: Mesh, cameras: CameraBatch, sigma: float) -> tuple[float, float, SoftImages]:
    """The specification in float32, one view after the other so that its pairs fit into memory."""
    vertices, faces = mesh
    slopes = [torch.randn(len(cameras), SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    forward, back, views = 0.0, 0.0, []
    for view in range(len(cameras)):
        start = spent()
        images = render_soft(vertices, faces, cameras[view : view + 1], SIDE, Softness(sigma), backend="reference")
        middle = spent()
        given = [slope[view : view + 1] for slope in slopes]
        torch.autograd.grad([images.gray, images.silhouette], vertices, given)
        forward, back = forward + middle - start, back + spent() - middle
        views.append([image.detach() for image in images])
    return forward, back, SoftImages(*(torch.cat(parts) for parts in zip(*views, strict=True)))


def dense(mesh: Mesh, cameras: CameraBatch, sigma: float) -> tuple[float, float]:
    """CPU seconds of every triangle at every pixel, from `PIXELS` random pixels of one view."""
    vertices, faces = mesh
    softness = Softness(sigma)
    chosen = torch.randint(SIDE**2, (PIXELS,), generator=torch.Generator().manual_seed(0))
    x, y = (2 * (chosen % SIDE) + 1 - SIDE) / SIDE, (2 * (chosen // SIDE) + 1 - SIDE) / SIDE
    start = spent()
    corners = cameras[:1].project(vertices)[0][faces]
    pixel, triangle = (
        index.flatten() for index in torch.meshgrid(torch.arange(PIXELS), torch.arange(len(faces)), indexing="ij")
    )
    logit, depth = coverage_and_depth(corners[triangle], x[pixel], y[pixel], softness)
    gray, silhouette, _ = aggregate(logit, depth, torch.ones_like(depth), pixel, PIXELS, softness)
    middle = spent()
    torch.autograd.grad([gray.sum(), silhouette.sum()], vertices)
    factor = len(cameras) * SIDE**2 / PIXELS
    return (middle - start) * factor, (spent() - middle) * factor


def comparison(mesh: Mesh, cameras: CameraBatch, runs: int) -> pd.DataFrame:
    """Ours, the pair list and the dense form at two softnesses."""
    rows = []
    for sigma in SIGMAS:
        truth = exact_view(mesh, cameras, sigma)
        forward, back, ours, _ = fastest(lambda: render_soft(*mesh, cameras, SIDE, Softness(sigma)), mesh[0], runs)  # noqa: B023
        pairs_forward, pairs_back, theirs = pair_list(mesh, cameras, sigma)
        for name, there, way_back, images in (
            ("liftnet, numba", forward, back, ours),
            ("list of pairs, torch", pairs_forward, pairs_back, theirs),
            (f"dense, torch (extrapolated from {PIXELS} pixels)", *dense(mesh, cameras, sigma), None),
        ):
            total = there + way_back
            error = (
                None
                if images is None
                else max(float((a[0] - b).abs().max()) for a, b in zip(images[:2], truth, strict=True))
            )
            rows.append([sigma, name, there, way_back, total, total / (forward + back), error])
        print(rows[-3:], flush=True)
    seconds = ["forward, CPU s", "back, CPU s", "both, CPU s"]
    return pd.DataFrame(rows, columns=["sigma", "what", *seconds, "times ours", "largest error"])


def exact_view(mesh: Mesh, cameras: CameraBatch, sigma: float) -> tuple[Tensor, Tensor]:
    """Gray and silhouette (S, S) of the first view by the specification in float64."""
    vertices, faces = mesh
    with torch.no_grad():
        images = render_soft(vertices.double(), faces, cameras[:1], SIDE, Softness(sigma), backend="reference")
    return images.gray[0], images.silhouette[0]


def steps(mesh: Mesh, cameras: CameraBatch, sigma: float, runs: int) -> dict[str, float]:
    """CPU seconds of the steps of our way there and back; the rest is autograd's."""
    softness = Softness(sigma)
    scene = next(_scenes([mesh], cameras, Light(), softness.near))
    triangles, shades = scene.triangles.detach().contiguous(), scene.shades.detach().contiguous()
    binning = triangles, scene.image, scene.count, SIDE, softness.reach, numba_kernels.TILE
    tiles = bin_triangles(*binning)
    gray, _, depth, kept = numba_kernels.forward(triangles, shades, tiles, scene.count, SIDE, softness)
    there = triangles, shades, tiles, scene.count, SIDE, softness
    back = triangles, shades, tiles, softness, (gray, depth, kept), (gray, gray, torch.zeros_like(gray))
    steps: dict[str, Callable[[], object]] = {
        "light and projection": lambda: list(_scenes([mesh], cameras, Light(), softness.near)),
        "lists of the tiles": lambda: bin_triangles(*binning),
        "kernel forward": lambda: numba_kernels.forward(*there),
        "kernel back": lambda: numba_kernels.backward(*back),
    }
    seconds = {name: measured(step, runs)[1] for name, step in steps.items()}
    return {"sigma": sigma, "entries of tiles": len(tiles.triangle), **seconds}


def rules(mesh: Mesh, cameras: CameraBatch) -> pd.DataFrame:
    """How far SoftRas' truncated gradient lies from the exact one, relative to its length."""
    vertices, faces = mesh
    rows = []
    for sigma in (1e-5, 1e-4, 1e-3):
        with torch.no_grad():
            smooth = torch.nn.functional.normalize(vertices, dim=1) * 0.45
            target = render_soft(smooth, faces, cameras, SIDE, Softness(sigma))
        slopes = {"random": [], "squared": []}
        for rule in ("exact", "truncated"):
            slopes["random"].append(
                both_ways(lambda: render_soft(*mesh, cameras, SIDE, Softness(sigma, gradient=rule)), vertices)[3]  # noqa: B023
            )
            images = render_soft(*mesh, cameras, SIDE, Softness(sigma, gradient=rule))
            loss = sum((a - b).square().mean() for a, b in zip(images[:2], target[:2], strict=True))
            slopes["squared"].append(torch.autograd.grad(loss, vertices)[0])
        row: list[float] = [sigma]
        for exact, truncated in slopes.values():
            cosine = torch.nn.functional.cosine_similarity(exact.flatten(), truncated.flatten(), dim=0)
            row += [float((truncated - exact).norm() / exact.norm()), float(cosine)]
        rows.append(row)
    return pd.DataFrame(rows, columns=RULES)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="runs of which the median counts")
    options = parser.parse_args()
    with one_thread():
        vertices, faces = sphere()
        mesh, cameras = (vertices.requires_grad_(), faces), hemisphere(VIEWS)
        compared, ruled = comparison(mesh, cameras, options.runs), rules(mesh, cameras)
        parts = pd.DataFrame([steps(mesh, cameras, sigma, options.runs) for sigma in SIGMAS])
    seconds = {"forward, CPU s": ",.3g", "back, CPU s": ",.3g", "both, CPU s": ",.3g"}
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# The soft rasteriser on a CPU",
            f"{VIEWS} views, {SIDE} px, {len(mesh[1]):,} faces, gray and silhouette, with gradients to "
            "the vertices; largest errors of the images of the first view against float64. "
            f"One thread; {machine('torch', 'numba')}. Written by `python benchmarks/rasteriser.py`.",
            shown(compared, {"sigma": ".0e", **seconds, "times ours": ",.1f", "largest error": ".1e"}),
            "## Where the CPU seconds go",
            shown(parts, {"sigma": ".0e", "entries of tiles": ",", **dict.fromkeys(parts.columns[2:], ".3f")}),
            "## SoftRas' gradient beside the exact one",
            "SoftRas lets the depth at a pixel move with the depths of the corners, but not with their places in the "
            'image (`gradient="truncated"`). By how much that changes the gradient of the vertices, for random '
            "weights of all pixels and for the squared difference from the images of a smooth, smaller sphere:",
            shown(ruled, dict(zip(RULES, (".0e", ".1%", ".3f", ".1%", ".3f"), strict=True))),
        ],
    )


if __name__ == "__main__":
    main()
