"""The camera between two images: the pose network of Zhou et al., and the warp that it drives.

Zhou, Brown, Snavely and Lowe, "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liftnet.core.ids import stable_seed

MOTION_UNIT = 0.01  # the network's outputs are multiplied by this, so that training begins near no motion
_ENCODER = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))  # channels, kernel; each of stride 2
_SHARED = 5  # layers that pose and explainability share
_DECODER = (256, 128, 64, 32, 16)


class PoseNetwork(nn.Module):
    """Seven convolutions of stride 2 to six numbers, and a decoder to the explainability mask.

    The mask is predicted at full size alone, where the published network predicts one a scale.

    Attributes:
        decoder: Layers of the explainability mask; None without one.
    """

    def __init__(self, explainability: bool) -> None:
        """Lay out the layers.

        Args:
            explainability: Also predict which pixels the motion can explain.
        """
        super().__init__()
        channels = [6, *(width for width, _ in _ENCODER)]
        self.encoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, kernel, 2, kernel // 2), nn.ReLU())
            for before, (after, kernel) in zip(channels, _ENCODER, strict=False)
        )
        self.motion = nn.Conv2d(channels[-1], 6, 1)
        self.decoder: nn.Sequential | None = None
        if explainability:
            layers: list[nn.Module] = []
            for before, after in zip((channels[_SHARED], *_DECODER), _DECODER, strict=False):
                layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.ReLU()]
            self.decoder = nn.Sequential(*layers, nn.Conv2d(_DECODER[-1], 1, 3, padding=1))

    def forward(self, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """The motion from target to source.

        Args:
            target: (B, 3, S, S) in [-1, 1].
            source: (B, 3, S, S) in [-1, 1].

        Returns:
            (B, 6): translation in units of depth and Euler angles in radians, near 0 at first; and the logit
            (B, 1, S, S) of the explainability mask, or None.
        """
        features = torch.cat([target, source], 1)
        shared = features
        for number, layer in enumerate(self.encoder, 1):
            features = layer(features)
            if number == _SHARED:
                shared = features
        motion = MOTION_UNIT * self.motion(features).mean((2, 3))
        if self.decoder is None:
            return motion, None
        logit = self.decoder(shared)
        if logit.shape[-1] != target.shape[-1]:  # sides that are no multiple of 32
            logit = nn.functional.interpolate(logit, target.shape[-2:], mode="bilinear", align_corners=False)
        return motion, logit


def build_pose_network(explainability: bool, seed: int) -> PoseNetwork:
    """A pose network with Xavier weights and zero biases that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stable_seed(seed, "pose"))
        network = PoseNetwork(explainability)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
    return network


def rotation_matrix(angles: Tensor) -> Tensor:
    """R = R_x R_y R_z of (B, 3) Euler angles in radians, (B, 3, 3)."""
    cosine, sine = angles.cos().unbind(1), angles.sin().unbind(1)
    one, zero = torch.ones_like(cosine[0]), torch.zeros_like(cosine[0])

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, 1).reshape(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cosine[0], -sine[0], zero, sine[0], cosine[0])
    about_y = matrix(cosine[1], zero, sine[1], zero, one, zero, -sine[1], zero, cosine[1])
    about_z = matrix(cosine[2], -sine[2], zero, sine[2], cosine[2], zero, zero, zero, one)
    return about_x @ about_y @ about_z


def inverse_warp(source: Tensor, depth: Tensor, motion: Tensor, focal: float) -> tuple[Tensor, Tensor]:
    """The target view as the source image shows it: each target pixel is lifted, moved and read in the source.

    Args:
        source: (B, C, S, S).
        depth: (B, S, S) of the target, positive; carries a gradient.
        motion: (B, 6) as `PoseNetwork` gives it: X_source = R X_target + t; carries a gradient.
        focal: Focal length of both cameras, widths of the image; the principal point is the image's centre.

    Returns:
        (B, C, S, S) warped image, and (B, S, S) bool: pixels that lie in the source image and before its camera.
    """
    size = depth.shape[-1]
    steps = (torch.arange(size, dtype=depth.dtype, device=depth.device) - (size - 1) / 2) / (focal * size)
    rays = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size), torch.ones_like(depth[0])])
    points = rotation_matrix(motion[:, 3:]) @ (rays[None] * depth[:, None]).flatten(2) + motion[:, :3, None]
    before = points[:, 2] > 1e-3
    z = points[:, 2].clamp_min(1e-3)
    grid = 2 * focal * points[:, :2] / z[:, None]  # 1 is half the image's width
    valid = before & (grid.abs() <= 1).all(1)
    grid = grid.mT.unflatten(1, (size, size))
    return sample_image(source, grid), valid.unflatten(1, (size, size))


def sample_image(images: Tensor, grid: Tensor) -> Tensor:
    """Bilinear values of (B, C, S, S) images at (B, H, W, 2) places, in [-1, 1] from edge to edge; 0 outside."""
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return sample_image_by_index(images, grid)
    return nn.functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def sample_image_by_index(images: Tensor, grid: Tensor) -> Tensor:
    """`sample_image` without `grid_sample`, whose gradient on a GPU does not repeat itself."""
    size, channels = images.shape[-1], images.shape[1]
    place = (grid.flatten(1, 2) + 1) * (size / 2) - 0.5
    corner = place.detach().floor()
    part = place - corner
    flat = images.flatten(2)
    total = torch.zeros(())
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at = corner + corner.new_tensor([right, down])
        inside = ((at >= 0) & (at < size)).all(2)
        along, across = (part[..., k] if step else 1 - part[..., k] for k, step in enumerate((right, down)))
        index = (at.clamp(0, size - 1) @ at.new_tensor([1.0, size])).long()
        values = flat.gather(2, index[:, None].expand(-1, channels, -1))
        total = values * (along * across * inside)[:, None] + total
    return total.unflatten(2, grid.shape[1:3])
