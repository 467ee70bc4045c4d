"""Descriptors of patches: HardNet or HardTFeat, frozen, 128 numbers of unit length per patch of 32 x 32 pixels.

The architectures are kornia's. Batch normalisation is folded into the convolutions, which changes only rounding.
Before the network a patch loses its mean and is divided by its (unbiased) deviation, as HardNet does (Mishchuk
et al., "Working hard to know your neighbor's margins", NeurIPS 2017). Their training takes both as constants; here the
gradient goes through them, so that the metric's gradient is its derivative.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from liftnet.core.devices import Precision, warn_of_slow_precision
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings
from liftnet.models.folder import SHIPPED, ModelKind, read_weights

PATCH = 32  # px, side of the patches that the networks take
LENGTH = 128
BLANK_CONTRAST = 1e-3
"""Standard deviation of a map, in [0, 1], below which a patch shows nothing. Divided by it, rounding would pass for
texture, and the gradient would grow by its inverse."""
EPSILON = 1e-7  # HardNet's, beside the deviation
DESCRIPTORS = ("hardnet", "hardtfeat")


class PatchDescriptor(nn.Module):
    """Normalises patches, describes them with a frozen network, and gives all blank ones the same descriptor.

    Args:
        network: Takes (P, 1, 32, 32) patches of mean 0 and deviation 1, gives (P, 128) or (P, 128, 1, 1).
        blank_contrast: Patches of a smaller standard deviation are blank: their descriptor is that of an even patch.
        detach_statistics: Take a patch's mean and deviation as constants in the gradient, as HardNet's training does.
        precision: What the network computes in; descriptors are returned in the type of the patches.
    """

    def __init__(
        self,
        network: nn.Module,
        blank_contrast: float = BLANK_CONTRAST,
        detach_statistics: bool = False,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.blank_contrast, self.detach_statistics, self.precision = blank_contrast, detach_statistics, precision

    def train(self, mode: bool = True) -> PatchDescriptor:
        """Nothing changes: a frozen network stays as it is evaluated."""
        return super().train(False)

    def forward(self, patches: Tensor) -> Tensor:
        """Descriptors of patches.

        Args:
            patches: (P, 32, 32), of any range.

        Returns:
            (P, 128), of unit length. Blank patches get no gradient.
        """
        if patches.shape[1:] != (PATCH, PATCH):
            raise ValueError(f"descriptors need patches (P, {PATCH}, {PATCH}), not {tuple(patches.shape)}")
        with torch.no_grad():
            seen = (patches.std((1, 2)) >= self.blank_contrast).nonzero()[:, 0]
        if len(seen) == len(patches):
            return self._run(self._normalised(patches))
        with torch.no_grad():
            blank = self._run(patches.new_zeros(1, PATCH, PATCH)).expand(len(patches), -1)
        return blank.index_copy(0, seen, self._run(self._normalised(patches[seen]))) if len(seen) else blank

    def _normalised(self, patches: Tensor) -> Tensor:
        source = patches.detach() if self.detach_statistics else patches
        deviation, mean = torch.std_mean(source, (1, 2), keepdim=True)
        return (patches - mean) / (deviation + EPSILON)

    def _run(self, normalised: Tensor) -> Tensor:
        """(P, 128) unit descriptors of normalised patches (P, 32, 32)."""
        stacked = normalised[:, None].contiguous(memory_format=torch.channels_last)
        reduced = self.precision == "bfloat16"
        warn_of_slow_precision(self.precision, normalised.device.type)
        with torch.autocast(normalised.device.type, dtype=torch.bfloat16, enabled=reduced):
            described = self.network(stacked)
        return F.normalize(described.flatten(1).to(normalised), dim=1)


def load_descriptor(
    kind: str = "hardnet", path: str | Path | None = None, sha256: str | None = None, precision: Precision = "float32"
) -> PatchDescriptor:
    """A frozen descriptor; arguments and errors as of `load_network`, precision as of `PatchDescriptor`."""
    return PatchDescriptor(load_network(kind, path, sha256), precision=precision)


def load_network(kind: str = "hardnet", path: str | Path | None = None, sha256: str | None = None) -> nn.Sequential:
    """The network of a descriptor, for evaluation.

    Args:
        kind: "hardnet" or "hardtfeat".
        path: Weights: `.safetensors`, or `.pth` of tensors only, as the authors of either publish them. None takes the
            HardNet that comes with the package.
        sha256: If given, the SHA-256 the file must have.

    Raises:
        LiftnetError: There is no such kind, or the file is missing, damaged or of another network.
    """
    if kind not in DESCRIPTORS:
        raise LiftnetError(f"descriptor {kind!r}", "is not known", f"Name one of {', '.join(DESCRIPTORS)}")
    if path is None and kind != "hardnet":
        raise LiftnetError(f"descriptor {kind!r}", "does not come with the package", "Give the path of its weights")
    path = SHIPPED / "hardnet" / "model.safetensors" if path is None else path
    network = hardnet() if kind == "hardnet" else hardtfeat()
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    network.load_state_dict(read_weights(path, expected, f"the descriptor {kind}", sha256), strict=False)
    return folded(network)


def hardnet() -> nn.Module:
    """HardNet of kornia without weights; its input is normalised by whoever calls `features`."""
    from kornia.feature import HardNet

    return HardNet(pretrained=False).eval()


class HardnetSettings(Settings):
    """HardNet has one form."""


HARDNET: ModelKind[HardnetSettings, Any] = ModelKind(
    "hardnet", HardnetSettings, lambda _: hardnet(), "drkfs train descriptor"
)


def hardtfeat() -> nn.Module:
    """HardTFeat: TFeat's layers (Balntas et al., BMVC 2016; kornia's) as HardNet's authors trained and stored them."""
    from kornia.feature import TFeat

    layers = TFeat(pretrained=False).features
    network = nn.Module()
    network.features = nn.Sequential(*list(layers)[1:])  # they normalise the patch themselves
    network.classifier = nn.Sequential(nn.Identity(), nn.Conv2d(64, LENGTH, 8), nn.Tanh())  # dropout when training
    return network.eval()


def folded(network: nn.Module) -> nn.Sequential:
    """The layers of `features` and `classifier` for evaluation: no dropout, batch norm in the convolutions."""
    layers: list[nn.Module] = []
    for layer in (*network.features, *getattr(network, "classifier", ())):  # type: ignore[misc]
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)  # type: ignore[type-var]
        elif isinstance(layer, nn.ReLU):
            layers.append(nn.ReLU(inplace=True))
        elif not isinstance(layer, nn.Dropout | nn.Identity):
            layers.append(layer)
    return nn.Sequential(*layers)
