"""Those of Pixel2Mesh's five terms that keep its meshes even: edges, Laplacian, moves; beside a loss such as DR-KFS.

They hold the two coarser meshes and what no view shows; the two terms that compare with the true shape are left out.
"""

from __future__ import annotations

import torch

from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.models.reconstruction_networks.pixel2mesh import Deformed, Pixel2Mesh
from liftnet.reconstruct.objectives import LossTerms, ShapeBatch, only_for
from liftnet.reconstruct.objectives.pixel2mesh import regularity, summed

NEEDS = ()


def loss(
    network: ReconstructionNetwork, prediction: Deformed, batch: ShapeBatch, generator: torch.Generator
) -> LossTerms:
    """The sum of the three terms over the three steps, with the weights that they have among the five.

    Returns:
        (B,) each: "loss", and weighted sums over the steps: "edge", "laplacian", "move".

    Raises:
        LiftnetError: The network is not Pixel2Mesh.
    """
    network = only_for(Pixel2Mesh, network, "pixel2mesh_regularity")
    return summed(regularity(network, prediction))
