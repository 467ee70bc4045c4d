"""DR-KFS as a loss of any network that gives meshes (DR-KFS, sections 3 and 4.1).

A step sees K of the V views, drawn at random, and scales their sum by V / K: on average that is the whole score. Its
gradient is noisy (the cosine of 4 of 25 views' with the whole is about .4), so more shapes with fewer views a step are
the better use of time. It hardly learns from random weights: go on from a model trained with another loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
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
        (B,) each: "loss", 0 where it is left out and NaN where the network says what is not finite; "left_out", 1 for
        meshes without a face or with more than `MOST_FACES`, which are not drawn.
    """
    said = [tensor for tensor in tensors_in(prediction) if tensor.is_floating_point()]
    if not all(bool(tensor.isfinite().all()) for tensor in said):  # from which no surface can be extracted
        nowhere = torch.nan * torch.stack([tensor.sum() for tensor in said]).sum()
        count = len(batch.views.images)
        return {"loss": nowhere.expand(count), "left_out": torch.zeros(count, device=nowhere.device)}
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


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in any nesting of dataclasses, mappings and sequences."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from tensors_in(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)
