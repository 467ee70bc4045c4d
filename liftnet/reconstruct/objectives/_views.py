"""What losses on views share: the predicted shapes as cameras see them, and what keeps their meshes smooth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from liftnet.mesh.regularisers import flatten_loss, laplacian_loss
from liftnet.mesh.templates import edges_of, hinges_of, neighbours
from liftnet.models.reconstruction import Surface
from liftnet.rasteriser import HALF_LAMBERT, SoftImages, Softness, render_soft
from liftnet.reconstruct.objectives import ShapeBatch

NOTHING = 1e-6  # pixels of a union that are as good as none


def rendered(surfaces: Sequence[Surface], batch: ShapeBatch, image_size: int, softness: float) -> SoftImages:
    """Views (B, K, S, S) of B shapes, in their own frames, from the cameras of the batch.

    Args:
        surfaces: The shapes; one without faces is not seen.
        batch: Whose cameras are looked through.
        image_size: S, px.
        softness: Distance outside an edge at which a triangle's coverage has fallen to .27, px. Beside sharp views of
            the truth it is also a bias, because soft outlines lie farther out: the best size of a shape of 50 px is
            1 % too small at .16 px, 2 to 3 % at .32, 4 to 7 % at .55.
    """
    vertices, faces = zip(*surfaces, strict=True)
    sigma = (2 * softness / image_size) ** 2  # the image spans 2
    cameras = batch.rig[batch.cameras[0].to(batch.rig.rotation.device)]
    return render_soft(vertices, faces, cameras, image_size, Softness(sigma), HALF_LAMBERT)


def one_minus_iou(shown: Tensor, target: Tensor) -> Tensor:
    """(B,) 1 - intersection over union of silhouettes in [0, 1], mean over views; both (B, K, S, S).

    Products take the place of intersections (Kato et al., Neural 3D Mesh Renderer, CVPR 2018, equation 11): 0 if both
    are the same and sharp, 1 if nothing is common.
    """
    both = shown * target
    union = (shown + target - both).sum((-1, -2))
    return 1 - (both.sum((-1, -2)) / (union + NOTHING)).mean(1)


def roughness(surfaces: Sequence[Surface]) -> Tensor:
    """(B,) `laplacian_loss` of each mesh."""

    def one(vertices: Tensor, faces: Tensor) -> Tensor:
        return laplacian_loss(vertices, neighbours(edges_of(faces), vertices.shape[1]))

    return _of_each(surfaces, one)


def foldedness(surfaces: Sequence[Surface]) -> Tensor:
    """(B,) `flatten_loss` of each mesh."""
    return _of_each(surfaces, lambda vertices, faces: flatten_loss(vertices, hinges_of(faces)))


def _of_each(surfaces: Sequence[Surface], measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(B,) what is measured of vertices (N, V, 3) and faces; meshes with the same faces are taken together."""
    first = surfaces[0][1]
    if all(faces is first for _, faces in surfaces):
        return measure(torch.stack([vertices for vertices, _ in surfaces]), first)
    return torch.cat([measure(vertices[None], faces) for vertices, faces in surfaces])
