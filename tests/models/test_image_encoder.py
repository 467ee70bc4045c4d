"""The encoder that reconstruction networks share."""

import pytest
import torch

from liftnet.models.image_encoder import ImageEncoder


def weights_of(network):
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("normalise", [True, False])
def test_it_has_the_weights_of_its_layers(normalise):
    convolutions = 64 * (4 * 25 + 1) + 128 * (64 * 25 + 1) + 256 * (128 * 25 + 1)
    connected = 1024 * (256 * 8 * 8 + 1) + 1024 * (1024 + 1) + 512 * (1024 + 1)
    with torch.device("meta"):
        encoder = ImageEncoder(4, (64, 128, 256), 1024, 512, normalise=normalise)
    assert weights_of(encoder) == convolutions + connected + normalise * 2 * (64 + 128 + 256)


@torch.no_grad()
def test_pictures_of_any_size_give_codes():
    encoder = ImageEncoder(4, (4, 8, 8), 16, 12)
    for side in (64, 128, 48):
        codes = encoder(torch.rand(2, 4, side, side))
        assert codes.shape == (2, 12)
        assert float(codes.min()) >= 0


@torch.no_grad()
def test_pictures_in_a_batch_do_not_mix_where_statistics_are_fixed():
    torch.manual_seed(0)
    encoder = ImageEncoder(4, (4, 8, 8), 16, 12).eval()
    images = torch.rand(3, 4, 64, 64)
    together = encoder(images)
    assert torch.allclose(together, torch.cat([encoder(image[None]) for image in images]), atol=1e-6)
