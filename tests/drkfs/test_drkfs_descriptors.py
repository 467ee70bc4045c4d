"""HardNet and HardTFeat: against kornia's and the authors' own layers, blank patches, files."""

import hashlib
from pathlib import Path

import pytest
import torch
from kornia.feature import HardNet, TFeat
from safetensors.torch import save_file
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.drkfs import DRKFS, MetricSettings
from liftnet.models.patch_descriptors import PatchDescriptor, folded, hardnet, load_descriptor

HARDTFEAT = Path(__file__).resolve().parents[3] / "shared/data/weights/hardtfeat_affnet_orinet/HardTFeat.pth"


def trained_like(network, seed=0):
    """Batch statistics as after a training, so that folding them shows."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) * 0.1)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)
    return network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return trained_like(hardnet())


def patches(number, seed=1):
    return torch.rand(number, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_a_saved_hardnet_describes_as_kornias(network, tmp_path):
    """kornia adds 1e-6 to the deviation where HardNet's code adds 1e-7."""
    given = patches(9)
    with torch.no_grad():
        expected = network(given[:, None])
    path = tmp_path / "hardnet.safetensors"
    save_file(network.state_dict(), path)
    torch.save(
        {"epoch": 9, "state_dict": network.state_dict()}, tmp_path / "checkpoint.pth"
    )  # as the authors store it
    save_file(
        {key: value.half() for key, value in network.state_dict().items() if value.ndim}, tmp_path / "half.safetensors"
    )
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    torch.testing.assert_close(load_descriptor("hardnet", path, checksum)(given), expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(load_descriptor(path=tmp_path / "checkpoint.pth")(given), expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(load_descriptor(path=tmp_path / "half.safetensors")(given), expected, atol=5e-3, rtol=0)
    with pytest.raises(LiftnetError, match="SHA-256"):
        load_descriptor("hardnet", path, "0" * 64)
    with pytest.raises(LiftnetError, match="not hold the descriptor hardtfeat"):
        load_descriptor("hardtfeat", path)


def test_the_metric_checks_the_sum_that_its_settings_name():
    with pytest.raises(LiftnetError, match="SHA-256"):
        DRKFS(MetricSettings(image_size=64, views=1, descriptor_sha256="0" * 64))


def test_unknown_descriptors_and_missing_weights_are_errors(tmp_path):
    with pytest.raises(LiftnetError, match="hardnet, hardtfeat"):
        load_descriptor("sift")
    with pytest.raises(LiftnetError, match="does not come with the package"):
        load_descriptor("hardtfeat")
    with pytest.raises(LiftnetError, match="does not exist"):
        load_descriptor("hardnet", tmp_path / "none.pth")


@pytest.mark.real
@pytest.mark.skipif(not HARDTFEAT.exists(), reason=f"the weights are not at {HARDTFEAT}")
def test_real_hardtfeat_is_its_authors_network():
    """Against kornia's TFeat with the same weights, whose last convolution is a matrix; then unit length."""
    given = patches(7)
    state = torch.load(HARDTFEAT, map_location="cpu", weights_only=True)["state_dict"]
    theirs = TFeat(pretrained=False).eval()
    theirs.features.load_state_dict(
        {f"{int(k.split('.')[1]) + 1}.{k.split('.')[2]}": v for k, v in state.items() if k.startswith("features")}
    )
    theirs.descr[0].load_state_dict(
        {"weight": state["classifier.1.weight"].flatten(1), "bias": state["classifier.1.bias"]}
    )
    normalised = (given - given.mean((1, 2), keepdim=True)) / given.std((1, 2), keepdim=True)
    with torch.no_grad():
        features = theirs.features[1:](normalised[:, None])
        expected = nn.functional.normalize(theirs.descr(features.flatten(1)), dim=1)
        found = load_descriptor("hardtfeat", HARDTFEAT)(given)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    assert float((found[0] - found[1]).norm()) > 0.3  # different patches are told apart


def test_blank_patches_share_a_descriptor_and_have_no_gradient(network):
    describe = PatchDescriptor(folded(network))
    given = patches(5)
    given[1] = 0.2
    given[3] = 0.7 + 1e-6 * given[3]  # rounding noise
    given.requires_grad_()
    found = describe(given)
    assert torch.equal(found[1], found[3])
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    found.square().mul(torch.arange(128.0)).sum().backward()
    by_patch = given.grad.flatten(1).norm(dim=1)
    assert (by_patch > 0).tolist() == [True, False, True, False, True]
    alone = PatchDescriptor(folded(network), blank_contrast=0.0)(given[[0, 2, 4]])
    torch.testing.assert_close(found[[0, 2, 4]], alone, atol=1e-6, rtol=0)
    assert torch.equal(describe(given[[1, 3]]).detach(), found[[1, 3]].detach())


def test_descriptors_do_not_see_contrast_nor_brightness(network):
    describe = PatchDescriptor(folded(network))
    torch.testing.assert_close(describe(0.1 + 0.3 * patches(4)), describe(patches(4)), atol=1e-5, rtol=0)


def test_gradients_go_through_the_normalisation_unless_detached(network):
    """Along a patch itself nothing changes, so the exact gradient has no part there; HardNet's rule has."""
    weight = torch.randn(3, 128, generator=torch.Generator().manual_seed(2))
    parts = []
    for detached in (False, True):
        given = patches(3).requires_grad_()
        (PatchDescriptor(folded(network), detach_statistics=detached)(given) * weight).sum().backward()
        parts.append((given.grad * given.detach()).sum((1, 2)).abs())
    assert bool((parts[0] < 1e-4 * parts[1].max()).all())


def test_bfloat16_stays_near_float32(network):
    given = patches(16)
    exact, rounded = (PatchDescriptor(folded(network), precision=p)(given) for p in ("float32", "bfloat16"))
    assert rounded.dtype == torch.float32
    assert float((exact * rounded).sum(1).min()) > 0.999


def test_a_frozen_descriptor_cannot_be_trained(network):
    describe = PatchDescriptor(folded(HardNet(pretrained=False).eval()))
    describe.train()
    assert not any(module.training for module in describe.modules())
    assert not any(parameter.requires_grad for parameter in describe.parameters())
    with pytest.raises(ValueError, match="32, 32"):
        describe(torch.zeros(1, 16, 16))
