"""Matryoshka Networks (Richter and Roth, CVPR 2018): a picture to depth maps of the shape from six sides.

Layers and widths are those of the authors' files (visinf/matryoshka). There the second argument of most of their
BatchNorm2d is True, which sets eps to 1, not `affine`; here it has its usual value.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor, nn

from liftnet.core.devices import channels_last
from liftnet.mesh.marching_cubes import MarchingCubes
from liftnet.mesh.shape_layers import MAPS, layers_field
from liftnet.models.reconstruction import Surface, Views, on_background, resized
from liftnet.models.reconstruction_networks import NetworkSettings
from liftnet.models.voxel_network import APART, VoxelNetwork

GRAY = 128 / 255  # of the background that they put behind the object
UNIT = 0.25  # of the last layer, in sides of the grid, where the authors' is one voxel: depths need no large weights
MARGIN = 1  # nodes around the grid, which place the faces at its border


class Matryoshka(VoxelNetwork):
    """Residual blocks on the picture down to a few pixels and up again, to maps as in `liftnet.mesh.shape_layers`.

    There is no code between: as many halvings more as the maps are smaller than the picture. With the widths of the
    paper, 52,855,152 weights for 32 pixels a side and 46,605,732 for 128.

    Args:
        resolution: Pixels a side of the maps, a power of two, at most those of the picture.
        layers: Nested layers. The authors advise one for shapes whose inside is not known.
        image_size: Side of the picture, px.
        halvings: And as many doublings, besides those that make up for the picture's size.
        widths: Channels at first, in the middle and last; between them they change evenly.
    """

    own_losses = MappingProxyType({"shape_layers": 1.0})

    def __init__(
        self,
        resolution: int = 32,
        layers: int = 1,
        image_size: int = 128,
        halvings: int = 5,
        widths: tuple[int, int, int] = (8, 512, 128),
    ) -> None:
        super().__init__(resolution)
        self.image_size, self.layers = image_size, layers
        first, middle, last = widths
        downs = halvings + (image_size // resolution).bit_length() - 1
        step = (middle - first) // downs
        channels = first + (middle - first) % step
        body: list[nn.Module] = [nn.BatchNorm2d(3), _reflecting(3, channels), *_normalised(channels)]
        body.append(_reflecting(channels, channels))
        for _ in range(downs):
            body += [Down(channels, channels + step), Same(channels + step)]
            channels += step
        body.append(Same(channels))
        step = (channels - last) // halvings
        for _ in range(halvings):
            body += [Up(channels, channels - step), Same(channels - step)]
            channels -= step
        body.append(nn.Conv2d(channels, MAPS * layers, 3, padding=1))
        self.body = nn.Sequential(*body)
        channels_last(self)

    def forward(self, views: Views) -> Tensor:
        """Depth maps (B, 6 layers, R, R)."""
        images = resized(on_background(views.images, GRAY), self.image_size)
        maps: Tensor = self.body(images)
        return maps * (self.voxels * UNIT)

    def occupancy(self, prediction: Tensor) -> Tensor:
        """The field of the maps (B, R, R, R), in voxels instead of log-odds: positive inside, 0 on the surface."""
        return layers_field(prediction)

    def surfaces(self, prediction: Tensor) -> list[Surface]:
        """Closed meshes whose faces lie at the real depths of the maps.

        Raises:
            ValueError: A prediction is not finite.
        """
        end, cut = 0.5 + MARGIN / self.voxels, self.cut()
        cubes = MarchingCubes(cut, (-end, end), outside=min(-1.0, cut - 1), empty="mesh", apart=APART)
        return list(zip(*cubes(layers_field(prediction.float(), MARGIN)), strict=True))


class Same(nn.Module):
    """A residual block that leaves size and channels as they are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = _two(channels, nn.Conv2d(channels, channels, 3, padding=1), channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C, S, S)."""
        change: Tensor = self.change(features)
        return features + change


class Down(nn.Module):
    """A residual block that halves the size; its shortcut takes every second pixel, and 0 for new channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.change = _two(before, nn.Conv2d(before, after, 3, stride=2, padding=1), after)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C', S / 2, S / 2)."""
        change: Tensor = self.change(features)
        more = change.shape[1] - features.shape[1]
        return nn.functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, 0, more)) + change


class Up(nn.Module):
    """A residual block that doubles the size; its shortcut repeats pixels and mixes their channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.change = _two(before, nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), after)
        self.mix = nn.Conv2d(before, after, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, S, S) to (B, C', 2 S, 2 S)."""
        # mixing first is the same, with a quarter of the pixels
        shortcut: Tensor = nn.functional.interpolate(self.mix(features), scale_factor=2, mode="nearest")
        return shortcut + self.change(features)


def build(settings: NetworkSettings) -> Matryoshka:
    """One layer of 32 x 32 maps: from 128 px with the published widths, or from 64 px with narrow ones."""
    if settings.size == "published":
        return Matryoshka()
    return Matryoshka(image_size=64, halvings=3, widths=(12, 96, 32))


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def _reflecting(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")


def _two(before: int, first: nn.Module, after: int) -> nn.Sequential:
    second = nn.Conv2d(after, after, 3, padding=1)
    return nn.Sequential(*_normalised(before), first, *_normalised(after), second)
