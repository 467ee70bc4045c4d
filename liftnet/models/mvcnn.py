"""The network: one backbone for all views, a maximum over the views, a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liftnet.models.encoders import start_encoder

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in RGB
ENCODERS = {
    "efficientnet_lite0": "tu-tf_efficientnet_lite0",
    "vgg11": "vgg11",
}  # as liftnet.models.encoders names them


class ViewNetwork(nn.Module):
    """Classifies a shape by its views.

    Attributes:
        trunk: Features of a view, (N, 3, S, S) to (N, F).
        neck: From the largest features over the views to the descriptor, (B, F) to (B, D).
        classifier: (B, D) to (B, C) logits.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: str, classes: int) -> None:
        super().__init__()
        builders = {"efficientnet_lite0": _efficientnet, "vgg11": _vgg}
        if backbone not in builders:
            raise ValueError(f"the backbone must be one of {', '.join(builders)}, not {backbone!r}")
        self.backbone = backbone
        self.trunk, self.neck, width = builders[backbone]()
        self.classifier = nn.Linear(width, classes)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPU

    def start(self, sources: Sequence[str]) -> str:
        """Load the first of `sources` ("imagenet" or files) into the backbone; says what was used.

        Raises:
            LiftnetError: A named file is missing, unreadable or of another network.
        """
        for source in sources:
            used = start_encoder(self._body(source), ENCODERS[self.backbone], [source])
            if used != "none":
                return used
        return "none"

    def _body(self, source: str) -> nn.Module:
        """What a file of weights fills: of a VGG its two inner layers too, which the hub's files lack."""
        if self.backbone != "vgg11":
            return self.trunk
        assert isinstance(self.trunk, nn.Sequential)
        return _Vgg(self.trunk[0], nn.Sequential() if source == "imagenet" else self.neck)

    def describe(self, views: Tensor) -> Tensor:
        """Descriptors (B, D) of shapes by their views (B, V, S, S), gray values in [0, 255]."""
        shapes, count = views.shape[:2]
        images = views.flatten(0, 1)[:, None].float() / 255
        images = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        features = self.trunk(images).view(shapes, count, -1).amax(dim=1)
        described: Tensor = self.neck(features)
        return described

    def forward(self, views: Tensor) -> Tensor:
        """Logits (B, C) of shapes by their views (B, V, S, S), gray values in [0, 255]."""
        logits: Tensor = self.classifier(self.describe(views))
        return logits


class _Vgg(nn.Module):
    """The parts of a VGG under the names of its published files."""

    def __init__(self, features: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.features, self.classifier = features, classifier


def _efficientnet() -> tuple[nn.Module, nn.Module, int]:
    import timm

    return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0), nn.Dropout(0.2), 1280


def _vgg() -> tuple[nn.Module, nn.Module, int]:
    from torchvision.models import vgg11

    whole = vgg11(weights=None)
    return nn.Sequential(whole.features, whole.avgpool, nn.Flatten()), whole.classifier[:6], 4096
