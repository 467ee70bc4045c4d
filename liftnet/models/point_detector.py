"""The detector of points of interest: how likely each pixel of a view is a keypoint (DR-KFS, equation 1).

The form is that of LIFT's detector (Yi et al., "LIFT: Learned Invariant Feature Transform", ECCV 2016, section 3.2):
one convolution of 25 x 25 pixels with sums x maxima outputs, joined by generalised hinging hyperplanes,
score = sum_n delta_n max_m (W_mn * I + b_mn), delta = +1, -1, +1, -1. Equation 1 is unbounded, but its values are
called probabilities and weigh the patches, and a negative weight would reward what does not match; a sigmoid follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from liftnet.core.settings import Settings
from liftnet.models.folder import ModelKind, read_weights

WINDOW = 25  # px, side of the filters
SUMS, MAXIMA = 4, 4
MEAN, DEVIATION = 116.4368 / 255, 88.0831 / 255  # LIFT's, of its training images (its mean_std.h5)


class PointDetector(nn.Module):
    """Map of keypoint probabilities.

    Attributes:
        filters: (sums * maxima, 1, 25, 25); the maxima of the first sum come first.
        biases: (sums * maxima,).

    Both are frozen unless `trainable`. Frozen on the CPU, the convolution goes through the Fourier transform, forward
    and backward: same values up to rounding, its gradient in a fifth of the time (benchmarks/drkfs.md).
    """

    filters: nn.Parameter
    biases: nn.Parameter

    def __init__(self, sums: int = SUMS, maxima: int = MAXIMA, trainable: bool = False) -> None:
        super().__init__()
        self.sums, self.maxima = sums, maxima
        self.filters = nn.Parameter(torch.zeros(sums * maxima, 1, WINDOW, WINDOW), requires_grad=trainable)
        self.biases = nn.Parameter(torch.zeros(sums * maxima), requires_grad=trainable)

    @torch.no_grad()
    def randomise(self, seed: int, deviation: float = 0.02) -> PointDetector:
        """Fill filters and biases with seeded noise, in place; for tests and as the start of a training."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in (self.filters, self.biases):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Keypoint probabilities.

        Args:
            images: (N, H, W) gray values in [0, 1].

        Returns:
            (N, H, W), in (0, 1). Beyond its border an image goes on as at its border.
        """
        return torch.sigmoid(self.scores(images))

    def scores(self, images: Tensor, pad: bool = True) -> Tensor:
        """The scores of equation 1, unbounded.

        Args:
            images: (N, H, W) gray values in [0, 1].
            pad: Continue each image by 12 px beyond its border; otherwise the result is smaller by 24 px.

        Returns:
            (N, H, W), or (N, H - 24, W - 24).
        """
        if images.ndim != 3:
            raise ValueError(f"the detector takes images (N, H, W), not {tuple(images.shape)}")
        normalised = (images - MEAN) / DEVIATION
        if pad:
            normalised = F.pad(normalised[:, None], [WINDOW // 2] * 4, mode="replicate")[:, 0]
        frozen = not (self.filters.requires_grad or self.biases.requires_grad)
        if frozen and images.device.type == "cpu":
            return _FourierScores.apply(normalised, self.filters, self.biases, self.maxima)
        return direct_scores(normalised, self.filters, self.biases, self.maxima)


def direct_scores(images: Tensor, filters: Tensor, biases: Tensor, maxima: int) -> Tensor:
    """Equation 1 by direct convolution, differentiable in everything: the reference.

    Args:
        images: (N, H, W), normalised.
        filters: (C, 1, K, K).
        biases: (C,).
        maxima: Number of filters under each maximum.

    Returns:
        (N, H - K + 1, W - K + 1).
    """
    responses = F.conv2d(images[:, None], filters, biases).unflatten(1, (-1, maxima))
    return torch.einsum("nshw,s->nhw", responses.amax(2), _signs(responses))


class _FourierScores(torch.autograd.Function):
    """`direct_scores` of frozen filters by the convolution theorem; gradient to the images only."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, filters: Tensor, biases: Tensor, maxima: int) -> Tensor:
        height, width = images.shape[-2:]
        size = (fast_length(height), fast_length(width))
        spectrum = torch.fft.rfft2(filters[:, 0], s=size)
        responses = torch.fft.irfft2(torch.fft.rfft2(images, s=size)[:, None] * spectrum.conj(), s=size)
        window = filters.shape[-1]
        responses = responses[:, :, : height - window + 1, : width - window + 1] + biases[:, None, None]
        best, chosen = responses.unflatten(1, (-1, maxima)).max(2)
        ctx.save_for_backward(spectrum, chosen.to(torch.uint8))
        ctx.maxima, ctx.size, ctx.shape = maxima, size, (height, width)
        return torch.einsum("nshw,s->nhw", best, _signs(best))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        spectrum, chosen = ctx.saved_tensors
        number, sums, height, width = chosen.shape
        signed = gradient[:, None] * _signs(chosen).to(gradient)[:, None, None]
        of_responses = gradient.new_zeros(number, sums, ctx.maxima, height, width)
        of_responses.scatter_(2, chosen[:, :, None].long(), signed[:, :, None])
        transformed = torch.fft.rfft2(of_responses.flatten(1, 2), s=ctx.size)
        of_images = torch.fft.irfft2(torch.einsum("nchw,chw->nhw", transformed, spectrum), s=ctx.size)
        return of_images[:, : ctx.shape[0], : ctx.shape[1]], None, None, None


def fast_length(length: int) -> int:
    """The next even length whose prime factors are 2, 3, 5 and 7: what Fourier transforms are fast for."""
    while True:
        rest = length
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and length % 2 == 0:
            return length
        length += 1


def _signs(responses: Tensor) -> Tensor:
    """(sums,) delta of equation 1, for (N, sums, ...): +1, -1, +1, ..."""
    places = torch.arange(responses.shape[1], device=responses.device)
    signs = 1 - 2 * (places % 2)
    return signs.to(responses.dtype) if responses.is_floating_point() else signs


class PointDetectorSettings(Settings):
    """What a detector's filters are for."""

    sums: int = Field(SUMS, ge=1, description="terms of equation 1")
    maxima: int = Field(MAXIMA, ge=1, description="filters under the maximum of each")


POINT_DETECTOR: ModelKind[PointDetectorSettings, PointDetector] = ModelKind(
    "points",
    PointDetectorSettings,
    lambda settings: PointDetector(settings.sums, settings.maxima),
    "drkfs train detector",
)


def load_detector(path: str | Path, sha256: str | None = None) -> PointDetector:
    """Read a detector, frozen.

    Args:
        path: `.safetensors`, or `.pth` of tensors only, with `filters` (16, 1, 25, 25) and `biases` (16,).
        sha256: If given, the SHA-256 the file must have.

    Raises:
        LiftnetError: The file is missing or damaged, or holds something else.
    """
    detector = PointDetector()
    detector.load_state_dict(read_weights(path, detector.state_dict(), "a detector of points of interest", sha256))
    return detector
