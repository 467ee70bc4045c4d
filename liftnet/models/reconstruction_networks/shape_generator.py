"""The Shape Generator: a sphere whose vertices move within their octants.

Kato et al., "Neural 3D Mesh Renderer", CVPR 2018, and Liu et al., "Soft Rasterizer", ICCV 2019, whose batch
normalisation it has: 25,961,417 weights as published.
"""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor, nn

from liftnet.mesh.templates import icosphere
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import ReconstructionNetwork, Surface, Views
from liftnet.models.reconstruction_networks import NetworkSettings

SUBDIVISIONS = 3  # 642 vertices
HALF_SIDE = 0.5  # of the cube that holds every shape, and the template's radius before it is halved
CENTROID_SCALE = 0.1
SMALLEST = 1e-6  # a coordinate of 0 has no logit; it stays 0 by its sign


class ShapeGenerator(ReconstructionNetwork):
    """Vertices of a closed mesh of 642 vertices and 1,280 faces.

    A vertex goes away from the centre or towards it along each axis, never through it: it stays in its octant around a
    centroid that is predicted too, and in a plane or on an axis through the centroid if it began there. So the shape
    is never empty, lies within the cube from -.5 to .5, and has no holes through it.

    Args:
        encoder: From pictures with their mask to codes.
        hidden: Width of the first inner layer; the second is twice as wide.
    """

    own_losses = MappingProxyType({"silhouettes_softras": 1.0})
    faces: Tensor
    signs: Tensor
    logits: Tensor

    def __init__(self, encoder: ImageEncoder, hidden: int = 512) -> None:
        super().__init__()
        self.image_size, self.encoder = encoder.image_size, encoder
        vertices, faces = icosphere(SUBDIVISIONS, HALF_SIDE)
        self.inner = nn.Sequential(
            nn.Linear(encoder.code, hidden), nn.ReLU(), nn.Linear(hidden, 2 * hidden), nn.ReLU()
        )
        self.centroid, self.bias = nn.Linear(2 * hidden, 3), nn.Linear(2 * hidden, vertices.numel())
        self.register_buffer("faces", faces, persistent=False)
        self.register_buffer("signs", vertices.sign(), persistent=False)
        self.register_buffer("logits", vertices.abs().clamp(min=SMALLEST).logit(), persistent=False)

    def forward(self, views: Views) -> Tensor:
        """Vertices (B, 642, 3)."""
        inner = self.inner(self.encoder(views.images))
        return self.placed(self.bias(inner).unflatten(1, (-1, 3)), self.centroid(inner))

    def placed(self, bias: Tensor, centroid: Tensor) -> Tensor:
        """Vertices (B, V, 3) from what is added to their logits (B, V, 3) and to the centroid's (B, 3).

        v = sigmoid(logit |base| + bias) sign(base), stretched so that the cube's sides stay where they are while its
        middle goes to tanh(.1 centroid), and halved (as SoftRas' program has it; biases of 0 give a sphere of
        radius .25).
        """
        reach = torch.sigmoid(self.logits + bias)
        middle = torch.tanh(CENTROID_SCALE * centroid)[:, None]
        return HALF_SIDE * (middle + reach * (self.signs - self.signs.abs() * middle))

    def surfaces(self, prediction: Tensor) -> list[Surface]:
        """The vertices with the sphere's faces."""
        return [(vertices, self.faces) for vertices in prediction]


def build(settings: NetworkSettings) -> ShapeGenerator:
    """The network that the settings ask for, with random weights."""
    if settings.size == "published":
        return ShapeGenerator(ImageEncoder(4, (64, 128, 256), 1024, 512), 1024)
    return ShapeGenerator(ImageEncoder())
