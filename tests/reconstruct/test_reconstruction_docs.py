"""The example of docs/reconstruction.md runs as it stands, in a few steps, and learns."""

import re
from pathlib import Path

import torch
import trimesh
from torch import nn

from liftnet.mesh.batch import Meshes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reconstruction.md"


class Mover(nn.Module):
    """A network of somebody's own: a ball for each picture, stretched by a layer."""

    def __init__(self):
        super().__init__()
        ball = trimesh.creation.icosphere(1, 0.35)
        self.ball, self.faces = torch.tensor(ball.vertices, dtype=torch.float32), torch.tensor(ball.faces)
        self.layer = nn.Linear(4, 3)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, pictures):
        return [self.ball * stretch for stretch in 1 + self.layer(pictures)], [self.faces] * len(pictures)


def test_drkfs_trains_a_network_of_ones_own_in_ten_lines():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block.count("25") == 4
    quick = block.replace("25", "5")  # views
    code = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(code) <= 10
    solids = [trimesh.creation.box(sides) for sides in ((0.9, 0.4, 0.3), (0.3, 0.9, 0.4))]
    network = Mover()
    names = {
        "network": network,
        "pictures": torch.eye(4)[:2],
        "true_vertices": [torch.tensor(solid.vertices, dtype=torch.float32) for solid in solids],
        "true_faces": [torch.tensor(solid.faces) for solid in solids],
        "optimiser": torch.optim.Adam(network.parameters(), 0.05),
        "steps": 16,
    }
    before = network(names["pictures"])
    torch.manual_seed(0)
    exec(compile(quick, PAGE, "exec"), names)
    metric, targets, views = names["metric"], names["targets"], torch.arange(5)
    with torch.no_grad():
        scores = [metric(Meshes(*shapes), targets, views) for shapes in (before, network(names["pictures"]))]
    assert scores[1].mean() < 0.9 * scores[0].mean(), scores
