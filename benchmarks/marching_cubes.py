"""CPU seconds of marching cubes with a gradient, beside scikit-image, which has none.

    python benchmarks/marching_cubes.py

Writes marching_cubes.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import machine, measured, one_thread, shown, write_report
from skimage.measure import marching_cubes

from liftnet.mesh.marching_cubes import MarchingCubes

RUNS = 9


def occupancy(resolution: int) -> torch.Tensor:
    """(R, R, R) probabilities of a bumpy ball with soft walls."""
    along = (torch.arange(resolution) + 0.5) / resolution - 0.5
    x = torch.stack(torch.meshgrid(along, along, along, indexing="ij"))
    distance = x.norm(dim=0) - 0.3 + 0.05 * torch.sin(12 * x[0])
    return torch.sigmoid(-40 * distance)


def measure(resolution: int) -> dict[str, object]:
    """Times and agreement at one resolution."""
    values = occupancy(resolution).requires_grad_()
    padded = np.pad(values.detach().numpy(), 1)
    layer = MarchingCubes()

    def forward() -> tuple[torch.Tensor, torch.Tensor]:
        vertices, faces = layer(values[None])
        return vertices[0], faces[0]

    forward()
    theirs, bare, _ = measured(lambda: marching_cubes(padded, 0.5), RUNS, 10)
    (vertices, faces), seconds, _ = measured(forward, RUNS, 10)
    ones = torch.ones_like(vertices)
    _, backward, _ = measured(lambda: torch.autograd.grad(vertices, values, ones, retain_graph=True), RUNS, 10)
    placed = (theirs[0] - 0.5) / resolution - 0.5
    difference = np.abs(vertices.detach().numpy() - placed).max() * resolution
    return {
        "grid": f"{resolution}^3",
        "vertices": len(vertices),
        "scikit-image, ms": 1000 * bare,
        "liftnet, ms": 1000 * seconds,
        "backward, ms": 1000 * backward,
        "largest difference, cells": difference,
        "same faces": bool(np.array_equal(np.sort(faces.numpy(), 1), np.sort(theirs[1], 1))),
    }


def main() -> None:
    """Measure and write the report."""
    with one_thread():
        table = pd.DataFrame([measure(resolution) for resolution in (32, 64, 128)])
    forms = dict.fromkeys(("scikit-image, ms", "liftnet, ms", "backward, ms"), ".1f")
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# Marching cubes with a gradient",
            "Made by `python benchmarks/marching_cubes.py`. CPU milliseconds on one thread, median of up to nine runs,"
            f" of `MarchingCubes` on one padded grid of probabilities. {machine('scikit-image', 'torch', 'numpy')}.",
            shown(table, forms | {"vertices": ",d", "largest difference, cells": ".1e"}),
            "The topology is scikit-image's in both. The difference to its time is the check of the values, the copy "
            "that keeps vertices off the nodes, and placing the vertices again in torch, which is what carries the "
            "gradient. On a graphics card the topology is still found by the processor; NVIDIA's Warp has a "
            "differentiable marching cubes of its own there (warp-lang, 143 MB), which was not measured.",
        ],
    )


if __name__ == "__main__":
    main()
