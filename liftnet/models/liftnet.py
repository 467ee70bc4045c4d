"""A trained LiftNet on disk and in use: model.safetensors and config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.core.types import BoolArray, Float32Array, UInt8Array
from liftnet.models import depth_networks
from liftnet.models.depth_input import cut_input, inflated_depth, network_input, put_back
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.folder import CONFIG, ModelKind, SavedModel, build_architecture, model_folder
from liftnet.models.folder import load_model as load_network
from liftnet.models.folder import save_model as save_network


class DepthNetwork(nn.Module):
    """Base of the networks in `liftnet.models.depth_networks`.

    Attributes:
        side_multiple: The side of its input must be a multiple of this.
        settings: What `network_from` built it from.
    """

    side_multiple: int
    settings: NetworkSettings

    def load_pretrained(self, sources: Sequence[str]) -> None:
        """Start from weights that others trained, where the network knows any."""

    def check_side(self, *sides: int) -> None:
        """Refuse sides of images, px, that cannot be halved as often as the network does.

        Raises:
            LiftnetError: One is no multiple of `side_multiple`.
        """
        for side in sides:
            if side % self.side_multiple:
                raise LiftnetError(
                    f"image_size {side}",
                    f"the network takes sides that are multiples of {self.side_multiple}",
                    f"Use a multiple of {self.side_multiple}, or fewer levels",
                )


def network_from(settings: NetworkSettings) -> DepthNetwork:
    """The network that the settings describe, with random weights."""
    network: DepthNetwork = build_architecture(depth_networks, settings.architecture, settings)
    network.settings = settings
    return network


LIFTNET: ModelKind[NetworkSettings, DepthNetwork] = ModelKind("liftnet", NetworkSettings, network_from, "depth train")


def initial_network(settings: NetworkSettings, seed: int) -> DepthNetwork:
    """A network to train, from pretrained weights where the settings name any.

    Args:
        settings: What the network is.
        seed: Seed of the random weights; the global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_from(settings)
    network.load_pretrained(settings.encoder_weights)
    return network


@dataclass
class DepthModel:
    """A network with all it takes to run it.

    Attributes:
        network: The network, in evaluation mode.
        input: What it sees of an image.
        sign: 1 or -1; times the network's output, depth grows away from the viewer. The loss cannot tell `d` from
            `-d`, so training chooses the sign that makes the training images bulge towards the viewer.
        notes: What config.json says besides: settings, training, data.
        mask_prior_weight: Weight of the inflated mask in the prediction, see `blend_mask_prior`.
    """

    network: DepthNetwork
    input: InputSettings
    sign: int = 1
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    mask_prior_weight: float = 0.0

    def predict(self, crops: UInt8Array, masks: BoolArray, batch_size: int = 32) -> Float32Array:
        """Depth of crops.

        Args:
            crops: (n, S, S, 3) uint8, as `cut_input` cuts them.
            masks: (n, S, S) bool, their foreground.
            batch_size: Crops in one pass.

        Returns:
            (n, S, S) float32 in [-1, 1], growing away from the viewer.
        """
        depth = self.network_depth(crops, batch_size)
        if not self.mask_prior_weight:
            return depth
        blended = (blend_mask_prior(*pair, self.mask_prior_weight) for pair in zip(depth, masks, strict=True))
        return np.stack([*blended, *depth[:0]]) if len(depth) else depth

    @torch.inference_mode()
    def network_depth(self, crops: UInt8Array, batch_size: int = 32) -> Float32Array:
        """What the network alone says, with its sign; shapes as in `predict`."""
        device = next(self.network.parameters()).device
        self.network.eval()
        depth = [np.empty((0, *crops.shape[1:3]), np.float32)]
        for start in range(0, len(crops), batch_size):
            part = torch.from_numpy(np.array(crops[start : start + batch_size])).to(device)
            depth.append(self.sign * self.network(network_input(part)).float().cpu().numpy())
        return np.concatenate(depth)

    def predict_image(self, image: UInt8Array, mask: BoolArray | None = None) -> Float32Array:
        """Depth of a photograph at its own size.

        Args:
            image: (H, W, 3) uint8 RGB, as displayed.
            mask: (H, W) bool, the sculpture; without one all of the image counts as foreground.

        Returns:
            (H, W) float32 in [-1, 1], growing away from the viewer; NaN off the mask and outside the crop. It has no
            unit, and is known up to `a d + b x + c y + e` with `a > 0`.

        Raises:
            ValueError: The mask is not of the image's size.
        """
        if mask is not None and mask.shape != image.shape[:2]:
            raise ValueError(f"the mask is {mask.shape}, the image {image.shape[:2]}")
        crop, small_mask, box = cut_input(image, mask, self.input)
        depth = put_back(self.predict(crop[None], small_mask[None])[0], box, (image.shape[0], image.shape[1]))
        if mask is not None:
            depth[~mask] = np.nan
        return depth


def blend_mask_prior(depth: Float32Array, mask: BoolArray, weight: float) -> Float32Array:
    """Mix predicted depth with the inflated mask, both scaled to the same spread over the mask.

    Correspondences lie where there is texture. What they leave open, smooth surface and the bend towards the outline,
    is what the mask says most about; the two are wrong in different places.

    Args:
        depth: (S, S) in [-1, 1], growing away from the viewer.
        mask: (S, S) bool, the foreground.
        weight: Of the inflated mask, in [0, 1].

    Returns:
        (S, S) float32 in [-1, 1]; the depth as it is where the mask is empty or either is constant on it.
    """
    if not mask.any():
        return depth
    rounded = inflated_depth(mask)
    spread, spread_rounded = float(depth[mask].std()), float(rounded[mask].std())
    if min(spread, spread_rounded) <= 1e-6:
        return depth
    middle, middle_rounded = depth[mask].mean(), rounded[mask].mean()
    mixed = (1 - weight) * (depth - middle) + weight * (rounded - middle_rounded) * (spread / spread_rounded)
    return np.clip(mixed + middle, -1, 1).astype(np.float32)


class DepthNotes(BaseModel):
    """What config.json says of a depth model besides its network; the meanings are those of `DepthModel`."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    input: InputSettings
    sign: Literal[-1, 1]
    mask_prior_weight: float = Field(ge=0, le=1)


def save_model(folder: Path, model: DepthModel) -> None:
    """Write model.safetensors and config.json, each atomically."""
    own = {"input": model.input.model_dump(), "sign": model.sign, "mask_prior_weight": model.mask_prior_weight}
    save_network(folder, LIFTNET, SavedModel(model.network, model.network.settings, model.notes | own))


def load_model(folder: Path, device: str = "cpu") -> DepthModel:
    """Read what `save_model` wrote.

    Raises:
        LiftnetError: A file is missing, damaged or of another version.
    """
    saved = load_network(folder, LIFTNET, device)
    notes = {name: value for name, value in saved.notes.items() if name not in DepthNotes.model_fields}
    try:
        own = DepthNotes.model_validate({name: saved.notes.get(name) for name in DepthNotes.model_fields})
    except ValidationError as error:
        reason = f"does not say what the network sees, or its sign ({str(error).splitlines()[0]})"
        raise LiftnetError(
            model_folder(folder) / CONFIG, reason, f"Train it again with `{LIFTNET.command}`"
        ) from error
    return DepthModel(saved.network, own.input, own.sign, notes, own.mask_prior_weight)
