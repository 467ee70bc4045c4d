"""Shapes seen in random pictures, with what losses know of them: what a network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from liftnet.core.ids import stable_fraction
from liftnet.core.log import get_logger
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape
from liftnet.drkfs import Target
from liftnet.learn.hold_out import hold_out
from liftnet.learn.task import IntArray, Networks
from liftnet.models.reconstruction import ReconstructionNetwork, Views
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch
from liftnet.reconstruct.settings import TrainSettings
from liftnet.reconstruct.targets import ShapeTargets
from liftnet.reconstruct.weighted_losses import WeightedLosses

LOG = get_logger("reconstruct")
NETWORK = "network"
HELD_OUT = 0.1  # of the shapes of the split train, where there are none to validate on


class ShapeViews:
    """An objective: each shape once an epoch, in a picture drawn at random.

    Args:
        targets: The set, and what of it is rendered.
        shapes: Which of its shapes.
        network: What learns.
        losses: What is minimised.
        settings: How many points and views a step sees.
    """

    directions = 1

    def __init__(
        self,
        targets: ShapeTargets,
        shapes: Sequence[ReconstructionShape],
        network: ReconstructionNetwork,
        losses: WeightedLosses,
        settings: TrainSettings,
    ) -> None:
        self.targets, self.shapes, self.network = targets, shapes, network
        self.losses, self.settings, self.needs = losses, settings, losses.needs
        self.items = [shape.shape_id for shape in shapes]
        self.groups = [0] * len(shapes)

    def batch(self, chosen: IntArray, seed: int) -> ShapeBatch:
        """Read shapes on the host: a picture of each, and what the losses need."""
        random = np.random.default_rng(seed)
        shapes = [self.shapes[number] for number in chosen[:, 0]]
        pictures = [int(random.integers(shape.n_views)) for shape in shapes]
        views = read_views(self.targets.data, shapes, pictures)
        known = self._surfaces(shapes, random) | self._volumes(shapes) | self._seen(shapes, random)
        return ShapeBatch(views, **known)

    def terms(self, networks: Networks, batch: ShapeBatch, generator: torch.Generator) -> LossTerms:
        """The losses of each shape."""
        network = networks[NETWORK]
        if self.settings.freeze_statistics:
            freeze_statistics(network)
        if "targets" in self.needs:
            batch = replace(batch, metric=self.targets.metric.to(batch.views.images.device))
        return self.losses.terms(self.network, network(batch.views), batch, generator)

    def _surfaces(self, shapes: Sequence[ReconstructionShape], random: np.random.Generator) -> dict[str, Any]:
        """Points and normals, as many of each shape, drawn anew in each step."""
        if not self.needs & {"points", "normals"}:
            return {}
        drawn = []
        for shape in shapes:
            points, normals = self.targets.data.surface(shape)
            count = self.settings.points
            rows = random.choice(len(points), count, replace=count > len(points))
            drawn.append(np.stack([points[rows], normals[rows]]))
        points, normals = torch.from_numpy(np.stack(drawn, 1))
        return {"points": points, "normals": normals}

    def _volumes(self, shapes: Sequence[ReconstructionShape]) -> dict[str, Any]:
        if "voxels" not in self.needs:
            return {}
        grids = [self.targets.data.voxels(shape, self.network.voxels) for shape in shapes]
        return {"voxels": torch.from_numpy(np.stack(grids))}

    def _seen(self, shapes: Sequence[ReconstructionShape], random: np.random.Generator) -> dict[str, Any]:
        """What is rendered, in views drawn at random that are the same for all shapes."""
        rendered = self.needs & {"cameras", "coverage", "shaded", "targets"}
        if not rendered:
            return {}
        count = len(self.targets.metric.cameras)
        cameras = np.sort(random.choice(count, min(self.settings.rendering.views, count), replace=False))
        seen: dict[str, Any] = {"cameras": torch.from_numpy(cameras).expand(len(shapes), -1)}
        if "targets" in rendered:
            seen["targets"] = Target.joined([self.targets.target(shape) for shape in shapes])
        if rendered & {"coverage", "shaded"}:
            views = [self.targets.views(shape, cameras.tolist()) for shape in shapes]
            seen |= {name: torch.stack([view[name] for view in views]) for name in ("coverage", "shaded")}
        return seen


def read_views(data: ReconstructionSet, shapes: Sequence[ReconstructionShape], pictures: Sequence[int]) -> Views:
    """One picture of each of B shapes, as a network sees it.

    Raises:
        LiftnetError: A picture is missing, damaged or of another size.
    """
    read = [data.pictures(shape, [picture]) for shape, picture in zip(shapes, pictures, strict=True)]
    images = torch.from_numpy(np.concatenate([one.images for one in read])).float() / 255
    rotation, distance, half_width = (
        torch.from_numpy(np.concatenate([getattr(one, name) for one in read]))
        for name in ("rotation", "distance", "half_width")
    )
    return Views(images, rotation, distance, half_width)


def freeze_statistics(network: nn.Module) -> None:
    """Let batch normalisation use the statistics that it has, and leave them as they are."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def divided(
    data: ReconstructionSet, settings: TrainSettings
) -> tuple[list[ReconstructionShape], list[ReconstructionShape]]:
    """The shapes to learn from and those to validate on.

    The latter are of the split val; where it has none, a tenth of the former is held out. A single shape is both.

    Raises:
        LiftnetError: There are no shapes of a class to learn from.
    """
    learnt = list(data.shapes("train", settings.classes))
    wanted = settings.classes or data.classes
    validated = [shape for shape in data.all_shapes if shape.split == "val" and shape.class_name in wanted]
    most = settings.validation_shapes
    if not validated:
        learnt, validated = hold_out(learnt, lambda shape: shape.shape_id, HELD_OUT, "validation", most)
        LOG.warning("no shapes of the split val: %d of the split train are held out instead", len(validated))
    if not validated:
        LOG.warning("there is one shape only: its validation says nothing about others")
        validated = learnt
    ranked = sorted(validated, key=lambda shape: stable_fraction(shape.shape_id, "validation"))
    return learnt, ranked[:most]
