"""DR-KFS: how alike two shapes look, as a metric and as a loss (DR-KFS, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from liftnet.drkfs.patches import STRIDE, match_patches, patch_weights, sliding_patches
from liftnet.drkfs.settings import MetricSettings
from liftnet.mesh.batch import Meshes, Normalisation
from liftnet.models.folder import SHIPPED
from liftnet.models.patch_descriptors import BLANK_CONTRAST, PatchDescriptor, load_network
from liftnet.models.point_detector import load_detector
from liftnet.rasteriser import CameraBatch, Light, Softness, render_soft
from liftnet.rasteriser.hemisphere import HALF_LAMBERT, hemisphere

Align = Literal["target", "each", "none"]


class DRKFS(nn.Module):
    """How alike two shapes look: 0 if all views are the same, larger the more they differ.

    Both shapes are rendered from the same cameras. In each view a map of keypoint probabilities is cut into
    overlapping patches, each patch is described, and matched with the most similar patch near the same place of the
    other shape's view. The score is the sum over views and patches i of w_i e_i, in both directions: e_i is the mean
    squared difference of the descriptors of patch i and its match, w_i the mean of patch i's map (equation 2).
    Everything is differentiable, w_i too; the choice of the match is not, as in any minimum.

    The weights of detector and descriptor are frozen; `.to(device)` and `.double()` work as for any module. Weights
    are scaled so that scores of different distances of patches can be compared. A part that has moved by half of that
    distance looks like another part; closer patches forgive it, at a cost that grows with the inverse square.

    Args:
        settings: Views, softness, patches, and the files of weights; the defaults are the paper's.
        cameras: Instead of those on the hemisphere that the settings name.
        detector: A module from (N, S, S) gray to (N, S, S) probabilities instead of weights from a file.
        descriptor: A module from patches (P, 1, 32, 32) to (P, 128), or a `PatchDescriptor`, instead of one.
        options: What only the library can choose.

    Raises:
        LiftnetError: Weights are missing, damaged or of another network.
    """

    def __init__(
        self,
        settings: MetricSettings | None = None,
        *,
        cameras: CameraBatch | None = None,
        detector: nn.Module | None = None,
        descriptor: nn.Module | None = None,
        options: Options | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.options = settings or MetricSettings(), options or Options()
        self.cameras = _cameras(self.settings) if cameras is None else cameras
        self.detector = self._frozen_detector(detector)
        self.descriptor = self._frozen_descriptor(descriptor)

    def train(self, mode: bool = True) -> DRKFS:
        """Nothing changes: the parts are frozen."""
        return super().train(False)

    def forward(self, meshes: Meshes, target: Target, views: Tensor | None = None) -> Tensor:
        """Score shapes against targets.

        Args:
            meshes: B shapes.
            target: Of B shapes, what `prepare` gave; or of one, which all are compared with.
            views: (K,) indices of the views to compare, for steps that draw some of them; None for all.

        Returns:
            (B,) scores, differentiable in the vertices; the target is a constant.

        Raises:
            ValueError: There are more targets than shapes, or fewer, but not one.
        """
        cameras = self.cameras
        if views is not None:
            cameras, target = cameras[views], target.of_views(views)
        return self.compare_images(self.views(meshes, target, cameras), target)

    @torch.no_grad()
    def prepare(self, meshes: Meshes) -> Target:
        """Everything that is needed of targets; a constant, for as many comparisons as wanted."""
        align = self.options.align
        normalisation = None if align == "none" else meshes.normalisation()
        views = self.render(_placed(meshes, normalisation), meshes.faces)
        return self.prepare_images(views, normalisation if align == "target" else None)

    @torch.no_grad()
    def prepare_images(self, images: Tensor, normalisation: Normalisation | None = None) -> Target:
        """Targets from their views (B, V, S, S), gray values in [0, 1]."""
        images = images.detach()
        flat = images.flatten(0, 1)
        described = [self.describe(some) for some in flat.split(self._at_once(images))]
        maps, features, weights = (
            torch.cat(pieces).unflatten(0, images.shape[:2]) for pieces in zip(*described, strict=True)
        )
        return Target(images, maps, features, weights, normalisation)

    def compare_images(self, images: Tensor, target: Target) -> Tensor:
        """Score views against those of targets.

        Args:
            images: (B, V, S, S) gray values in [0, 1].
            target: Of B shapes or of one.

        Returns:
            (B,) scores, differentiable in `images`.

        Raises:
            ValueError: The target has other views, or neither one shape nor as many.
        """
        self._check_target(len(images), target)
        if images.shape[1:] != target.views.shape[1:]:
            raise ValueError(
                f"the target needs views {tuple(target.views.shape[1:])} of each shape, not {tuple(images.shape[1:])}"
            )
        features, weights = (
            part.expand(len(images), *part.shape[1:]).flatten(0, 1) for part in (target.features, target.weights)
        )

        def score(some: Tensor, at: slice) -> Tensor:
            return self._score(some, features[at].to(some), weights[at].to(some))

        by_view = chunked(score, images.flatten(0, 1), self._at_once(images))
        return by_view.unflatten(0, images.shape[:2]).sum(1)

    def compare_both(self, images: Tensor, others: Tensor) -> Tensor:
        """(B,) scores of views against views, both (B, V, S, S); differentiable in both.

        Raises:
            ValueError: Their shapes differ.
        """
        if images.shape != others.shape:
            raise ValueError(f"views {tuple(images.shape)} cannot be compared with views {tuple(others.shape)}")
        _, features, weights = self.describe(others.flatten(0, 1))
        return self._score(images.flatten(0, 1), features, weights).unflatten(0, images.shape[:2]).sum(1)

    @torch.no_grad()
    def differences(self, meshes: Meshes, target: Target) -> Differences:
        """Where a shape differs from its target, view by view and patch by patch; of the first of several.

        Raises:
            ValueError: The target is compact: it has no pictures.
        """
        if not target.maps.numel():
            raise ValueError("a compact target has no pictures to show differences in; prepare it anew")
        views = self.views(meshes, target)[:1]
        shape = self.prepare_images(views)
        distances = match_patches(shape.features[0], target.features[0], self.settings.neighbourhood)
        weights = shape.weights[0], target.weights[0]
        score = sum(float((w * d).sum()) for w, d in zip(weights, distances, strict=True))
        return Differences(views[0], target.views[0], (shape.maps[0], target.maps[0]), distances, weights, score)

    def render(
        self, vertices: Sequence[Tensor], faces: Sequence[Tensor], cameras: CameraBatch | None = None
    ) -> Tensor:
        """Views (B, V, S, S) of B placed meshes, gray values in [0, 1]; differentiable."""
        chosen, options = self.settings, self.options
        soft = render_soft(
            list(vertices),
            list(faces),
            cameras or self.cameras,
            chosen.image_size,
            Softness(chosen.sigma, chosen.gamma, gradient=options.gradient),
            options.light,
            options.backend,
        )
        return soft.shaded if chosen.shaded else soft.coverage  # gray alone hardly sees outlines move

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, S, S), descriptors (N, R, C, 128) and weights (N, R, C) of views (N, S, S); differentiable."""
        maps, stride = self.detector(images), self.settings.stride
        patches = sliding_patches(maps, stride)
        features = self.descriptor(patches.flatten(0, 2))
        return maps, features.unflatten(0, patches.shape[:3]), patch_weights(patches) * (stride / STRIDE) ** 2

    def _score(self, images: Tensor, features: Tensor, weights: Tensor) -> Tensor:
        """(N,) what each view adds to the score; images (N, S, S), the rest of the target."""
        _, own_features, own_weights = self.describe(images)
        to_target, to_shape = match_patches(own_features, features, self.settings.neighbourhood)
        return (own_weights * to_target).sum((1, 2)) + (weights * to_shape).sum((1, 2))

    def views(self, meshes: Meshes, target: Target, cameras: CameraBatch | None = None) -> Tensor:
        """Views (B, V, S, S) of shapes, placed as they are compared with their targets; differentiable."""
        self._check_target(len(meshes), target)
        normalisation = meshes.normalisation() if self.options.align == "each" else target.normalisation
        return self.render(_placed(meshes, normalisation), meshes.faces, cameras)

    def _at_once(self, images: Tensor) -> int:
        return self.options.views_at_once or (1 if images.device.type == "cpu" else 25)

    def _check_target(self, shapes: int, target: Target) -> None:
        if len(target) not in (1, shapes):
            raise ValueError(f"there must be one target, or as many as the {shapes} shapes, not {len(target)}")

    def _frozen_detector(self, detector: nn.Module | None) -> nn.Module:
        if detector is not None:
            return detector.eval().requires_grad_(False)
        return load_detector(self.settings.detector or SHIPPED / "detector" / "model.safetensors")

    def _frozen_descriptor(self, descriptor: nn.Module | None) -> PatchDescriptor:
        if isinstance(descriptor, PatchDescriptor):
            return descriptor
        chosen, options = self.settings, self.options
        if descriptor is None:
            descriptor = load_network(chosen.descriptor, chosen.descriptor_weights, chosen.descriptor_sha256)
        return PatchDescriptor(descriptor, options.blank_contrast, options.detach_statistics, chosen.precision)


def _cameras(chosen: MetricSettings) -> CameraBatch:
    return hemisphere(chosen.views, chosen.camera_distance, chosen.half_angle, chosen.lowest_elevation)


def _placed(meshes: Meshes, normalisation: Normalisation | None) -> Sequence[Tensor]:
    return meshes.vertices if normalisation is None else normalisation.apply(meshes)


@dataclass(frozen=True)
class Options:
    """What of DR-KFS only the library can choose; the rest is in `MetricSettings`.

    Attributes:
        align: "target": both shapes get the shift and scale that normalise the target, so errors of size and place
            count; "each": each is normalised by itself, so they do not; "none": as they are.
        light: Fixed in the world.
        gradient: Of the rasteriser: "exact", or "truncated" as SoftRas has it.
        backend: Of the rasteriser: None takes the fastest of the device.
        blank_contrast: Standard deviation of a map below which a patch shows nothing.
        detach_statistics: Take each patch's mean and deviation as constants in the gradient, as HardNet's training
            does; the gradient then is not the derivative of the score any more.
        views_at_once: Views that are compared at a time: each takes 0.1 GB (HardNet, 256 px), one is fastest on a CPU.
            None is one there and 25 on other devices.
    """

    align: Align = "target"
    light: Light = HALF_LAMBERT
    gradient: Literal["exact", "truncated"] = "exact"
    backend: Literal["reference", "numba", "triton"] | None = None
    blank_contrast: float = BLANK_CONTRAST
    detach_statistics: bool = False
    views_at_once: int | None = None

    def __post_init__(self) -> None:
        if self.align not in get_args(Align):
            raise ValueError(f"align must be one of {', '.join(get_args(Align))}, not {self.align!r}")


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """What is computed once of B targets and used in every comparison; V views of S px in R x C patches.

    Attributes:
        views: (B, V, S, S) gray values.
        maps: (B, V, S, S) probabilities of keypoints.
        features: (B, V, R, C, 128) descriptors.
        weights: (B, V, R, C) mean of each patch of `maps`.
        normalisation: What is done to shapes that are compared with these targets; None: they stay as they are.
    """

    views: Tensor
    maps: Tensor
    features: Tensor
    weights: Tensor
    normalisation: Normalisation | None = None

    @classmethod
    def joined(cls, targets: Sequence[Target]) -> Target:
        """The targets of several, one after the other; all of the same views, and all of them compact or none."""
        kept = [target.normalisation for target in targets if target.normalisation is not None]
        centres, scales = [one.centre for one in kept], [one.scale for one in kept]
        return cls(
            torch.cat([target.views for target in targets]),
            torch.cat([target.maps for target in targets]),
            torch.cat([target.features for target in targets]),
            torch.cat([target.weights for target in targets]),
            Normalisation(torch.cat(centres), torch.cat(scales)) if kept else None,
        )

    def compact(self) -> Target:
        """The same targets without pictures and in half precision: all that a comparison needs, to be kept.

        At 64 px, 25 views and a stride of 16 a target is 58 kB instead of 0.9 MB; scores differ by 0.1 %. `tensors`
        and `from_tensors` bring it to a file and back.
        """
        views = self.views.new_zeros(()).expand(self.views.shape)  # nothing but their shape is asked for
        maps = self.maps[..., :0, :0]
        return replace(self, views=views, maps=maps, features=self.features.half(), weights=self.weights.half())

    def tensors(self) -> dict[str, Tensor]:
        """What a compact target holds, by name."""
        held = {"features": self.features, "weights": self.weights}
        if self.normalisation is not None:
            held |= {"centre": self.normalisation.centre, "scale": self.normalisation.scale}
        return held

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], image_size: int) -> Target:
        """A compact target from what `tensors` gave, and the side of its views, px."""
        features, weights = tensors["features"], tensors["weights"]
        views = weights.new_zeros(()).expand(*weights.shape[:2], image_size, image_size)
        normalisation = Normalisation(tensors["centre"], tensors["scale"]) if "centre" in tensors else None
        return cls(views, weights.new_zeros((*weights.shape[:2], 0, 0)), features, weights, normalisation)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Target:
        """The same targets on another device."""
        kept = self.normalisation and Normalisation(
            self.normalisation.centre.to(device), self.normalisation.scale.to(device)
        )
        return self._with(lambda part: part.to(device, non_blocking=non_blocking), kept)

    def of_shapes(self, shapes: Sequence[int]) -> Target:
        """The targets of these numbers alone."""
        rows, kept = torch.as_tensor(shapes, device=self.features.device), self.normalisation
        kept = kept and Normalisation(kept.centre[rows], kept.scale[rows])
        return self._with(lambda part: part[rows], kept)

    def of_views(self, views: Tensor) -> Target:
        """The same targets seen only in the views of index `views` (K,)."""
        return self._with(lambda part: part[:, views], self.normalisation)

    def _with(self, change: Callable[[Tensor], Tensor], normalisation: Normalisation | None) -> Target:
        """The targets with their parts changed."""
        parts = change(self.views), change(self.maps), change(self.features), change(self.weights)
        return Target(*parts, normalisation)

    def __len__(self) -> int:
        return len(self.views)

    def __repr__(self) -> str:
        return f"Target({self.views.shape[1]} views of {self.views.shape[-1]} px of {len(self)} shapes)"


@dataclass(frozen=True, eq=False, repr=False)
class Differences:
    """Where two shapes differ; each pair holds the shape's first, the target's second.

    Attributes:
        views: (V, S, S) of the shape.
        target_views: (V, S, S).
        maps: Two (V, S, S) probabilities of keypoints.
        distances: Two (V, R, C) of each patch to its best match in the other's view.
        weights: Two (V, R, C).
        score: DR-KFS.
    """

    views: Tensor
    target_views: Tensor
    maps: tuple[Tensor, Tensor]
    distances: tuple[Tensor, Tensor]
    weights: tuple[Tensor, Tensor]
    score: float

    def contributions(self) -> tuple[Tensor, Tensor]:
        """Two (V, R, C): what each patch adds to the score."""
        return self.weights[0] * self.distances[0], self.weights[1] * self.distances[1]

    def by_view(self) -> Tensor:
        """(V,) what each view adds to the score."""
        there, back = self.contributions()
        return there.sum((1, 2)) + back.sum((1, 2))

    def __repr__(self) -> str:
        return f"Differences({len(self.views)} views, score {self.score:.4g})"


def chunked(function: Callable[[Tensor, slice], Tensor], images: Tensor, size: int) -> Tensor:
    """Values of images that depend on one image each.

    Where a gradient is wanted, each part's is computed with its values, and only it is kept: the memory of a backward
    pass through one part, and no work twice. The result can be differentiated once.

    Args:
        function: From some of the images and their place to a value for each.
        images: (N, ...).
        size: Images at a time.

    Returns:
        (N,), differentiable in `images`.
    """
    if size < 1:
        raise ValueError(f"at least one image at a time, not {size}")
    places = [slice(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    if torch.is_grad_enabled() and images.requires_grad:
        return _Chunked.apply(images, function, places)
    return torch.cat([function(images[at], at) for at in places]) if places else images.new_zeros(0)


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, function: Callable[[Tensor, slice], Tensor], places: list[slice]) -> Tensor:
        values, gradients = [], []
        for at in places:
            with torch.enable_grad():
                part = images[at].detach().requires_grad_()
                value = function(part, at)
                (gradient,) = torch.autograd.grad(value.sum(), part)
            values.append(value.detach())
            gradients.append(gradient)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradient.view(-1, *[1] * (gradients.ndim - 1)) * gradients, None, None
