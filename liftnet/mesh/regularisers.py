"""What keeps a mesh that follows a gradient smooth and whole; each is a number that falls to 0, differentiable.

Vertices are (B, V, 3), of B shapes with the same faces; `liftnet.mesh.templates` finds edges, hinges and neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liftnet.mesh.templates import Neighbours

SMALLEST = 1e-12  # of a squared length that something is divided by


def laplacian_vectors(vertices: Tensor, neighbours: Neighbours) -> Tensor:
    """From the mean of its neighbours to each vertex, (B, V, 3): the uniform Laplacian, with weights 1 / D_i.

    0 where neighbours lie evenly around a vertex, as inside of a flat regular mesh; towards the outside of a bump
    otherwise.
    """
    return vertices - neighbours.sums(vertices.transpose(0, 1)).transpose(0, 1)


def laplacian_loss(vertices: Tensor, neighbours: Neighbours) -> Tensor:
    """(B,) sums over vertices of |x - mean of neighbours|^2 (Liu et al., Soft Rasterizer, 2019, equation 10)."""
    return laplacian_vectors(vertices, neighbours).square().sum((1, 2))


def flatten_loss(vertices: Tensor, hinges: Tensor) -> Tensor:
    """(B,) sums over hinges (H, 4) of (cos t + 1)^2, t the angle between two faces (Liu et al., 2019, equation 11).

    0 where two faces lie in one plane, 1 where they meet in a right angle, 4 where one is folded onto the other. A
    face without area counts as if it stood at a right angle.
    """
    start, end, one, other = vertices[:, hinges].unbind(2)
    along = end - start
    wings = _across(one - start, along), _across(other - start, along)
    lengths = (wings[0].square().sum(-1) * wings[1].square().sum(-1)).clamp(min=SMALLEST**2).sqrt()
    cosine = (wings[0] * wings[1]).sum(-1) / lengths
    return (cosine + 1).square().sum(1)


def _across(vectors: Tensor, along: Tensor) -> Tensor:
    """What of vectors is perpendicular to others, all (..., 3)."""
    squared = along.square().sum(-1, keepdim=True).clamp(min=SMALLEST)
    return vectors - (vectors * along).sum(-1, keepdim=True) / squared * along


def edge_loss(vertices: Tensor, edges: Tensor) -> Tensor:
    """(B,) means of the squared lengths of edges (E, 2) (Wang et al., Pixel2Mesh, ECCV 2018, section 3.4)."""
    return (vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]]).square().sum(-1).mean(1)


def normal_loss(vertices: Tensor, edges: Tensor, normals: Tensor) -> Tensor:
    """(B,) means over edges (E, 2) of |cos| of the angle between an edge and the normal at its ends.

    0 where the edges lie in the surface that they should (Wang et al., 2018, section 3.4, with the absolute value of
    their program).

    Args:
        vertices: (B, V, 3).
        edges: (E, 2).
        normals: (B, V, 3) unit normals, at each vertex that of the target's nearest point; either side.
    """
    along = vertices[:, edges[:, 1]] - vertices[:, edges[:, 0]]
    along = along / along.square().sum(-1, keepdim=True).clamp(min=SMALLEST).sqrt()
    return torch.stack([(along * normals[:, edges[:, end]]).sum(-1).abs().mean(1) for end in (0, 1)]).mean(0)


def laplacian_change(vertices: Tensor, before: Tensor, neighbours: Neighbours) -> Tensor:
    """(B,) means over vertices of how far their Laplacian vectors changed, squared: whether neighbours move together.

    Pixel2Mesh's Laplacian regularisation (Wang et al., 2018, section 3.4); `before` is (B, V, 3).
    """
    return laplacian_vectors(vertices - before, neighbours).square().sum(-1).mean(1)


def move_loss(vertices: Tensor, before: Tensor) -> Tensor:
    """(B,) means over vertices of how far they moved, squared; both (B, V, 3)."""
    return (vertices - before).square().sum(-1).mean(1)
