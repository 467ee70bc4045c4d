"""The weights that come with the package: whole, as their cards say, and good for something."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from safetensors import safe_open

from liftnet.models.folder import SHIPPED, load_model
from liftnet.models.patch_descriptors import HARDNET, load_descriptor
from liftnet.models.point_detector import POINT_DETECTOR, load_detector

FILE = "model.safetensors"
NUMBERS = {"detector": 10_016, "hardnet": 1_335_712}  # filters and biases; convolutions and batch statistics


@pytest.mark.parametrize("name", ["detector", "hardnet"])
def test_shipped_weights_are_those_of_their_card(name: str) -> None:
    path = SHIPPED / name / FILE
    card = (SHIPPED / name / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert card.startswith("---\nlicense: apache-2.0\n")
    with safe_open(path, "numpy") as file:
        values = [file.get_tensor(key) for key in file.keys()]  # noqa: SIM118 (no mapping)
    assert sum(value.size for value in values) == NUMBERS[name]
    assert all(np.isfinite(value).all() for value in values)
    assert path.stat().st_size < 3_000_000


def test_shipped_models_are_loaded_by_their_names() -> None:
    detector, given = load_model("detector", POINT_DETECTOR).network, load_detector(SHIPPED / "detector" / FILE)
    assert all(torch.equal(value, given.state_dict()[name]) for name, value in detector.state_dict().items())
    network, patches = load_model("hardnet", HARDNET).network, torch.rand(5, 1, 32, 32)
    standard = (patches - patches.mean((2, 3), keepdim=True)) / (patches.std((2, 3), keepdim=True) + 1e-7)
    described = torch.nn.functional.normalize(network.features(standard).flatten(1), dim=1)
    assert torch.allclose(described, load_descriptor()(patches[:, 0]), atol=1e-4)


def test_the_shipped_detector_prefers_corners_to_edges_and_even_faces() -> None:
    detector = load_detector(SHIPPED / "detector" / FILE)
    image = torch.zeros(1, 96, 96)
    image[0, 24:72, 24:72] = 0.7
    found = detector(image)[0]

    def best(row: int, column: int) -> float:
        return float(found[row - 4 : row + 5, column - 4 : column + 5].max())

    corners = [best(row, column) for row in (24, 72) for column in (24, 72)]
    edges = [best(24, 48), best(72, 48), best(48, 24), best(48, 72)]
    even = float(found[48, 48])
    assert np.mean(corners) > np.mean(edges)
    assert min(corners) > 2 * even
    assert even == pytest.approx(float(found[4, 4]), abs=1e-4)  # however bright


def test_the_shipped_hardnet_tells_patches_apart() -> None:
    """A patch is nearer to itself moved by a pixel, darker and noisy than to any other patch."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(40, 1, 40, 40, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)[:, 0]
    network = load_descriptor()
    first = network(smooth[:, 4:36, 4:36])
    moved = smooth[:, 5:37, 4:36] * 0.6 + 0.01 * torch.rand(40, 32, 32, generator=generator)
    distances = torch.cdist(first, network(moved))
    assert (distances.argmin(1) == torch.arange(40)).float().mean() > 0.9
