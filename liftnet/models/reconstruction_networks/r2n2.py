"""3D-R2N2 (Choy et al., ECCV 2016): one or several pictures to voxels, by a recurrent state on a coarse grid.

Layers and widths are those of the authors' residual network (chrischoy/3D-R2N2, models/res_gru_net.py).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from liftnet.core.devices import channels_last
from liftnet.models.image_encoder import ImageEncoder
from liftnet.models.reconstruction import Views, on_background, resized
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.voxel_network import VoxelNetwork

SLOPE = 0.1  # of the leaky ReLU
GRID = 4  # cells a side of the state
DOUBLINGS = 3
SHARE = 0.08  # of the cube that a shape fills, about
WHITE = 240 / 255  # the middle of the backgrounds that they draw from


class R2N2(VoxelNetwork):
    """An encoder of pictures, a gated recurrent unit of 3-D convolutions, and a decoder to 32 voxels a side.

    With the published widths 35,992,898 weights. From a single picture the state that the unit starts from is 0: its
    recurrent kernels and its reset gate then do nothing and learn nothing.

    Args:
        encoder: From pictures to codes (B, `code`); it says what size of picture it sees.
        code: Width of the codes.
        widths: Channels of the state, and of the decoder at 8, 16 and 32 voxels a side.
        full: Channels of the block at the full resolution; 0: the logits follow at once.
    """

    own_losses = MappingProxyType({"voxels": 1.0})

    def __init__(
        self, encoder: ImageEncoder | ResidualEncoder, code: int, widths: tuple[int, int, int, int], full: int
    ) -> None:
        super().__init__(GRID << DOUBLINGS)
        self.encoder, self.image_size = encoder, encoder.image_size
        self.unit = ConvolutionalGRU(code, widths[0])
        self.doubling = nn.Sequential(*(Unpooled(a, b) for a, b in itertools.pairwise(widths)))
        self.last = Last(widths[-1], full) if full else _logits(widths[-1])
        channels_last(self)

    def forward(self, views: Views) -> Tensor:
        """Logits (B, 2, 32, 32, 32) of voxels being empty and full, from one picture of each shape."""
        return self.from_several([views])

    def from_several(self, several: Sequence[Views]) -> Tensor:
        """The same from several pictures of each shape, seen one after another; at least one."""
        state: Tensor | None = None
        for views in several:
            state = self.unit(self.encoder(views.images), state)
        if state is None:
            raise ValueError("there must be at least one picture of each shape")
        logits: Tensor = self.last(self.doubling(state))
        return logits

    def occupancy(self, prediction: Tensor) -> Tensor:
        """Log-odds: what the logits of full are above those of empty."""
        return prediction[:, 1] - prediction[:, 0]


class ResidualEncoder(nn.Module):
    """The published encoder, from 127 px to a code: six steps of two convolutions and a maximum over 2 x 2 pixels."""

    image_size = 127
    code = 1024
    widths = (96, 128, 256, 256, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        shortcuts = ("none", "mixed", "mixed", "none", "mixed", "same")
        steps = zip((3, *self.widths[:-1]), self.widths, (7, 3, 3, 3, 3, 3), shortcuts, strict=True)
        self.steps = nn.ModuleList(Step(*step) for step in steps)
        side = self.image_size
        for _ in self.widths:
            side = side // 2 + 1
        self.full = nn.Linear(self.widths[-1] * side**2, self.code)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Codes (B, 1024) of pictures (B, 4, S, S)."""
        features = resized(on_background(images, WHITE), self.image_size)
        for step in self.steps:
            features = nn.functional.max_pool2d(step(features), 2, padding=1)
        return leaky_relu(self.full(features.flatten(1)), SLOPE)


class Step(nn.Module):
    """Two convolutions, and what they are added to: nothing, what came in, or what came in with its channels mixed."""

    def __init__(self, before: int, after: int, kernel: int, shortcut: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel, padding=kernel // 2)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.mix = nn.Conv2d(before, after, 1) if shortcut == "mixed" else nn.Identity()
        self.residual = shortcut != "none"

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C', S, S)."""
        changed = leaky_relu(self.second(leaky_relu(self.first(features), SLOPE)), SLOPE)
        return self.mix(features) + changed if self.residual else changed


class ConvolutionalGRU(nn.Module):
    """A gated recurrent unit whose state is a grid (B, C, 4, 4, 4); each cell sees its neighbours and the whole code.

    u = sigmoid(W_u x + U_u * h + b_u), r = sigmoid(W_r x + U_r * h + b_r), and the new state is
    u h + (1 - u) tanh(W_h x + U_h * (r h) + b_h).
    """

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.inputs = nn.ModuleList(nn.Linear(code, channels * GRID**3) for _ in range(3))
        self.kernels = nn.ModuleList(nn.Conv3d(channels, channels, 3, padding=1, bias=False) for _ in range(3))
        self.apply(_initialise)
        for name, bias in self.inputs.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(bias, 0.1)

    def forward(self, code: Tensor, state: Tensor | None) -> Tensor:
        """The state after a code (B, code); before the first it is 0."""
        update_in, reset_in, new_in = (self._grid(layer(code)) for layer in self.inputs)
        if state is None:
            state = torch.zeros_like(update_in)
        of_update, of_reset, of_new = self.kernels
        update = torch.sigmoid(update_in + of_update(state))
        reset = torch.sigmoid(reset_in + of_reset(state))
        new = torch.tanh(new_in + of_new(reset * state))
        return update * state + (1 - update) * new

    def _grid(self, values: Tensor) -> Tensor:
        return values.view(-1, self.channels, GRID, GRID, GRID)


class Unpooled(nn.Module):
    """A grid with zeros between its cells, and two convolutions of it, added to it with its channels mixed if need be.

    The first convolution of the grid with zeros is the transposed one of the grid without them, at an eighth of the
    cost.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.ConvTranspose3d(before, after, 3, stride=2, padding=1, output_padding=1)
        self.second = nn.Conv3d(after, after, 3, padding=1)
        same = before == after
        self.mix = nn.Identity() if same else nn.Conv3d(before, after, 1, bias=False)
        # the bias of the mixing, which is also added between the cells
        self.between = None if same else nn.Parameter(torch.zeros(after, 1, 1, 1))
        self.apply(_initialise)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, C, S, S, S) to (B, C', 2 S, 2 S, 2 S)."""
        changed = leaky_relu(self.second(leaky_relu(self.first(cells), SLOPE)), SLOPE)
        if self.between is None:
            return changed + unpool(cells)
        return changed + self.between + unpool(self.mix(cells))


class Last(nn.Module):
    """The layers at the full resolution, to two logits a voxel; the shortcut goes out after the first of them."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(before, after, 3, padding=1)
        self.second = nn.Conv3d(after, after, 3, padding=1)
        self.shortcut = nn.Conv3d(after, after, 3, padding=1)
        self.logits = _logits(after)
        self.apply(_initialise)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, C, S, S, S) to (B, 2, S, S, S)."""
        first = leaky_relu(self.first(cells), SLOPE)
        logits: Tensor = self.logits(self.shortcut(first) + leaky_relu(self.second(first), SLOPE))
        return logits


def unpool(cells: Tensor) -> Tensor:
    """Cells (B, C, S, S, S) with zeros between them: each is the first of 2 x 2 x 2."""
    batch, channels, *sides = cells.shape
    apart = cells.new_zeros(batch, channels, *(2 * side for side in sides)).to(memory_format=torch.channels_last_3d)
    apart[:, :, ::2, ::2, ::2] = cells
    return apart


def build(settings: NetworkSettings) -> R2N2:
    """The published network, or the shared small encoder with a narrow unit and decoder."""
    if settings.size == "published":
        return R2N2(ResidualEncoder(), ResidualEncoder.code, (128, 128, 128, 64), full=32)
    encoder = ImageEncoder()
    return R2N2(encoder, encoder.code, (64, 32, 16, 4), full=0)


def _logits(channels: int) -> nn.Module:
    """Logits of empty and full that begin at the share of full voxels: so four shapes were learnt twice as fast."""
    layer = nn.Conv3d(channels, 2, 3, padding=1).apply(_initialise)
    with torch.no_grad():
        layer.bias = nn.Parameter(torch.tensor((1 - SHARE, SHARE)).log())
    return layer


def _initialise(layer: nn.Module) -> None:
    """Normal weights of variance 2 / n, n the mean of incoming and outgoing connections, as in the authors' files."""
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.xavier_normal_(layer.weight, gain=math.sqrt(2))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
