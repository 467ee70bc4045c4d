"""DR-KFS as a loss of any network that gives meshes (DR-KFS, sections 3 and 4.1).

A step sees K of the V views, drawn at random, and scales their sum by V / K: on average that is the whole score. Its
gradient is noisy (the cosine of 4 of 25 views' with the whole is about .4), so more shapes with fewer views a step are
the better use of time. It hardly learns from random weights: go on from a model trained with another loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from liftnet.mesh.batch import Meshes
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch

NEEDS = ("cameras", "targets")
MOST_FACES = 200_000  # of a mesh that is drawn: 20 MB a view, and a second of one core


def loss(network: ReconstructionNetwork, prediction: Any, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
    """DR-KFS of each shape, estimated from the batch's views.

    Returns:
        (B,) each: "loss", 0 where it is left out and NaN where vertices are not finite; "left_out", 1 for meshes
        without a face or with more than `MOST_FACES`, which are not drawn.
    """
    surfaces = network.object_surfaces(prediction, batch.views)
    values = [0 * vertices.sum() for vertices, _ in surfaces]  # also of nothing: a gradient of 0, not none at all
    drawn = [number for number, (_, faces) in enumerate(surfaces) if 0 < len(faces) <= MOST_FACES]
    shown = [number for number in drawn if bool(surfaces[number][0].isfinite().all())]
    for number, score in zip(shown, _scores([surfaces[number] for number in shown], shown, batch), strict=True):
        values[number] = score
    left_out = torch.ones(len(surfaces), device=values[0].device)
    left_out[drawn] = 0
    return {"loss": torch.stack(values), "left_out": left_out}


def _scores(surfaces: list[tuple[Tensor, Tensor]], shapes: list[int], batch: ShapeBatch) -> list[Tensor]:
    """The scores of some of the batch's shapes."""
    metric, targets = batch.metric, batch.targets
    if metric is None or targets is None:
        raise ValueError("DR-KFS needs a batch with targets and what compares with them")
    if not surfaces:
        return []
    vertices, faces = zip(*surfaces, strict=True)
    views = batch.cameras[0]
    scores = metric(Meshes(vertices, faces), targets.of_shapes(shapes), views)
    return list(scores * (len(metric.cameras) / len(views)))
