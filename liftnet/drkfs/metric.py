"""DR-KFS: how alike two shapes look, as a metric and as a loss (DR-KFS, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from liftnet.drkfs.chunked import chunked
from liftnet.drkfs.comparison import Differences, Options, Target
from liftnet.drkfs.matching import match_patches
from liftnet.drkfs.patches import STRIDE, cut_patches, patch_weights
from liftnet.drkfs.placement import Align, Placement, check_align, check_mesh, normalising
from liftnet.drkfs.settings import DrkfsSettings
from liftnet.models.patch_descriptors import PatchDescriptor, Precision, load_network
from liftnet.models.point_detector import PointDetector, load_detector
from liftnet.models.weights import SHIPPED
from liftnet.rasteriser import render_soft
from liftnet.rasteriser.cameras import Cameras, look_at

Meshes = Tensor | Sequence[Tensor]
DISTANCE = 2.0
HALF_ANGLE = 15.0
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


class DRKFS(nn.Module):
    """How alike two shapes look: 0 if all views are the same, larger the more they differ.

    Both shapes are rendered from the same cameras. In each view a map of keypoint probabilities is cut into
    overlapping patches, each patch is described, and matched with the most similar patch near the same place of the
    other shape's view. The score is the sum over views and patches i of w_i e_i, in both directions: e_i is the mean
    squared difference of the descriptors of patch i and its match, w_i the mean of patch i's map (equation 2).
    Everything is differentiable, w_i too; the choice of the match is not, as in any minimum.

    The weights of detector and descriptor are frozen; `.to(device)` and `.double()` work as for any module.

    Args:
        image_size: Side S of the views, px.
        views: Number of cameras on the hemisphere, or the cameras.
        sigma: Softness of edges, see `render_soft`.
        gamma: Softness of depth, see `render_soft`.
        neighbourhood: Rows and columns of patches that a match may lie away.
        detector: None for the one of the package, a path, or a module from (N, S, S) gray to (N, S, S) probabilities.
        descriptor: "hardnet", "hardtfeat", or a module from patches (P, 1, 32, 32) to (P, 128).
        descriptor_weights: Path of the descriptor's weights; None for HardNet's of the package.
        shaded: Compare shaded views; otherwise silhouettes.
        align: "target": both shapes get the shift and scale that normalise the target, so errors of size and place
            count; "each": each is normalised by itself, so they do not; "none": as they are.
        options: What is rarely changed.
    """

    def __init__(
        self,
        image_size: int = 256,
        views: int | Cameras = 25,
        sigma: float = 1e-5,
        gamma: float = 1e-4,
        neighbourhood: int = 1,
        detector: str | Path | nn.Module | None = None,
        descriptor: str | nn.Module = "hardnet",
        descriptor_weights: str | Path | None = None,
        shaded: bool = True,
        align: Align = "target",
        options: Options | None = None,
    ) -> None:
        super().__init__()
        check_align(align)
        cameras = hemisphere(views) if isinstance(views, int) else views
        self.image_size, self.sigma, self.gamma = image_size, sigma, gamma
        self.neighbourhood, self.shaded, self.align = neighbourhood, shaded, align
        self.options = options or Options()
        self.cameras = cameras
        self.detector = _frozen_detector(detector)
        self.descriptor = self._frozen_descriptor(descriptor, descriptor_weights)

    def train(self, mode: bool = True) -> DRKFS:
        """Nothing changes: the parts are frozen."""
        return super().train(False)

    def forward(
        self,
        vertices: Meshes,
        faces: Meshes,
        target: Target | Sequence[Target] | Meshes,
        target_faces: Meshes | None = None,
        views: Tensor | None = None,
    ) -> Tensor:
        """Score a shape against a target.

        Args:
            vertices: (V, 3) world coordinates, +y up; or a list of B.
            faces: (F, 3) indices; or a list of B.
            target: What `prepare` gave, or the target's vertices; or a list of B of either.
            target_faces: (F, 3) if vertices were given; or a list of B.
            views: (K,) indices of the views to compare, for steps that draw some of them; None for all.

        Returns:
            The score: a scalar, or (B,) for lists. Differentiable in `vertices`; the target is a constant.

        Raises:
            ValueError: A mesh is empty, not finite or of wrong shapes.
        """
        if isinstance(vertices, Tensor):
            only = self._target(target, target_faces)  # type: ignore[arg-type]
            return self._compare([vertices], [faces], [only], views)[0]  # type: ignore[list-item]
        lists = list(vertices), list(faces), list(target)  # type: ignore[arg-type]
        of_targets: list[Tensor | None] = [None] * len(lists[0]) if target_faces is None else list(target_faces)
        if not len(lists[0]) == len(lists[1]) == len(lists[2]) == len(of_targets):
            raise ValueError("a batch needs as many faces and targets as vertices")
        targets = [self._target(*pair) for pair in zip(lists[2], of_targets, strict=True)]
        return self._compare(lists[0], lists[1], targets, views)

    @torch.no_grad()
    def prepare(self, vertices: Tensor, faces: Tensor) -> Target:
        """Everything that is needed of a target; a constant, for as many comparisons as wanted.

        Args:
            vertices: (V, 3) world coordinates, +y up.
            faces: (F, 3) indices.
        """
        check_mesh(vertices, faces)
        placement = None if self.align == "none" else normalising(vertices, faces)
        views = self.render([vertices if placement is None else placement.apply(vertices)], [faces])[0]
        return self.prepare_images(views, placement if self.align == "target" else None)

    @torch.no_grad()
    def prepare_images(self, images: Tensor, placement: Placement | None = None) -> Target:
        """A target from its views (V, S, S), gray values in [0, 1]."""
        images = images.detach()
        described = [self.describe(part) for part in images.split(self._at_once(images))]
        maps, features, weights = (torch.cat(pieces) for pieces in zip(*described, strict=True))
        return Target(images, maps, features, weights, placement)

    def compare_images(self, images: Tensor, target: Tensor | Target) -> Tensor:
        """Score views against views.

        Args:
            images: (V, S, S) gray values in [0, 1].
            target: (V, S, S), or what `prepare` or `prepare_images` gave.

        Returns:
            The score, a scalar, differentiable in `images`, and in `target` if that is a tensor.
        """
        if isinstance(target, Tensor):
            if target.shape != images.shape:
                raise ValueError(f"views {tuple(images.shape)} cannot be compared with views {tuple(target.shape)}")
            if target.requires_grad and torch.is_grad_enabled():
                _, features, weights = self.describe(target)
                return self._score(images, features, weights).sum()
            target = self.prepare_images(target)
        return self._by_view(images, [target]).sum()

    @torch.no_grad()
    def differences(self, vertices: Tensor, faces: Tensor, target: Target) -> Differences:
        """Where a shape differs from a target, view by view and patch by patch."""
        views = self._views([vertices], [faces], [target], self.cameras)[0]
        shape = self.prepare_images(views)
        distances = match_patches(shape.features, target.features, self.neighbourhood)
        weights = shape.weights, target.weights
        score = sum(float((w * d).sum()) for w, d in zip(weights, distances, strict=True))
        return Differences(views, target.views, (shape.maps, target.maps), distances, weights, score)

    def render(self, vertices: Sequence[Tensor], faces: Sequence[Tensor], cameras: Cameras | None = None) -> Tensor:
        """Views (B, V, S, S) of B placed meshes, gray values in [0, 1]; differentiable."""
        soft = render_soft(
            list(vertices), list(faces), cameras or self.cameras, self.image_size, self.sigma, self.gamma,
            light=self.options.light, gradient=self.options.gradient, backend=self.options.backend,
        )  # fmt: skip
        return soft.shaded if self.shaded else soft.coverage  # gray alone hardly sees outlines move

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (N, S, S), descriptors (N, R, C, 128) and weights (N, R, C) of views (N, S, S); differentiable."""
        maps = self.detector(images)
        stride = self.options.stride
        patches = cut_patches(maps, stride)
        features = self.descriptor(patches.flatten(0, 2))
        return maps, features.unflatten(0, patches.shape[:3]), patch_weights(patches) * (stride / STRIDE) ** 2

    def _score(self, images: Tensor, features: Tensor, weights: Tensor) -> Tensor:
        """(N,) what each view adds to the score; images (N, S, S), the rest of the target."""
        _, own_features, own_weights = self.describe(images)
        to_target, to_shape = match_patches(own_features, features, self.neighbourhood)
        return (own_weights * to_target).sum((1, 2)) + (weights * to_shape).sum((1, 2))

    def _by_view(self, images: Tensor, targets: Sequence[Target]) -> Tensor:
        """(N,) what each of all targets' views adds."""
        features = torch.cat([target.features for target in targets])
        weights = torch.cat([target.weights for target in targets])
        if images.shape != (len(features), *targets[0].views.shape[1:]):
            expected = (len(features), *targets[0].views.shape[1:])
            raise ValueError(f"the target needs views {expected}, not {tuple(images.shape)}")

        def score(part: Tensor, at: slice) -> Tensor:
            return self._score(part, features[at], weights[at])

        return chunked(score, images, self._at_once(images))

    def _compare(
        self, vertices: Sequence[Tensor], faces: Sequence[Tensor], targets: Sequence[Target], views: Tensor | None
    ) -> Tensor:
        cameras = self.cameras
        if views is not None:
            cameras, targets = cameras[views], [target.of_views(views) for target in targets]
        images = self._views(vertices, faces, targets, cameras)
        return self._by_view(images.flatten(0, 1), targets).unflatten(0, images.shape[:2]).sum(1)

    def _views(
        self, vertices: Sequence[Tensor], faces: Sequence[Tensor], targets: Sequence[Target], cameras: Cameras
    ) -> Tensor:
        placed = []
        for points, triangles, target in zip(vertices, faces, targets, strict=True):
            check_mesh(points, triangles)
            placement = normalising(points, triangles) if self.align == "each" else target.placement
            placed.append(points if placement is None else placement.apply(points))
        return self.render(placed, faces, cameras)

    def _at_once(self, images: Tensor) -> int:
        return self.options.views_at_once or (1 if images.device.type == "cpu" else 25)

    def _target(self, target: Target | Tensor, faces: Tensor | None) -> Target:
        if isinstance(target, Target):
            return target
        if faces is None:
            raise ValueError("the target's faces are missing")
        return self.prepare(target, faces)

    def _frozen_descriptor(self, descriptor: str | nn.Module, path: str | Path | None) -> PatchDescriptor:
        options = self.options
        chosen: tuple[float, bool, Precision] = (options.blank_contrast, options.detach_statistics, options.precision)
        if isinstance(descriptor, PatchDescriptor):
            return descriptor
        if isinstance(descriptor, nn.Module):
            return PatchDescriptor(descriptor, *chosen)
        return PatchDescriptor(load_network(descriptor, path, options.descriptor_sha256), *chosen)


def _frozen_detector(detector: str | Path | nn.Module | None) -> nn.Module:
    if isinstance(detector, nn.Module):
        return detector.eval().requires_grad_(False)
    found: PointDetector = load_detector(SHIPPED / "detector.safetensors" if detector is None else detector)
    return found


def hemisphere(
    count: int = 25, distance: float = DISTANCE, half_angle: float = HALF_ANGLE, lowest_elevation: float = 0.0
) -> Cameras:
    """Cameras on a hemisphere that look at the origin.

    The eyes are a Fibonacci lattice: camera i is i golden angles around the vertical axis, and each stands in the
    middle of a band of the same area. At distance 2 a sphere of radius 0.5 is seen under 14.5 degrees and fills the
    image but for 4.7 px at 256 px: nothing of a normalised shape is cut.

    Args:
        count: Number of cameras.
        distance: Of the eyes from the origin; a normalised shape has the radius 0.5.
        half_angle: Half the viewing angle, degrees.
        lowest_elevation: Of the band that the cameras fill, degrees above the ground; it ends at 90 degrees.

    Returns:
        `count` perspective cameras, the lowest first.
    """
    if count < 1 or not -90 <= lowest_elevation < 90:
        raise ValueError(f"no {count} cameras can stand above an elevation of {lowest_elevation} degrees")
    places = torch.arange(count, dtype=torch.float64)
    lowest = math.sin(math.radians(lowest_elevation))
    height = lowest + (1 - lowest) * (places + 0.5) / count
    radius = (1 - height.square()).sqrt()
    azimuth = places * GOLDEN_ANGLE
    eyes = torch.stack([radius * azimuth.sin(), height, radius * azimuth.cos()], 1)
    return look_at(distance * eyes, half_angle).to(torch.zeros(()))


def build_metric(settings: DrkfsSettings, device: torch.device | None = None) -> DRKFS:
    """DR-KFS as the settings say."""
    cameras = hemisphere(settings.views, settings.camera_distance, settings.half_angle, settings.lowest_elevation)
    metric = DRKFS(
        settings.image_size, cameras, settings.sigma, settings.gamma, settings.neighbourhood,
        settings.detector, settings.descriptor, settings.descriptor_weights, settings.shaded,
        options=Options(
            precision=settings.precision, descriptor_sha256=settings.descriptor_sha256, stride=settings.stride
        ),
    )  # fmt: skip
    return metric.to(device) if device is not None else metric
