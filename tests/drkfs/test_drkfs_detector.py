"""The detector of points of interest: equation 1, its Fourier form, its files."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from liftnet.core.errors import LiftnetError
from liftnet.models.point_detector import DEVIATION, MEAN, PointDetector, direct_scores, fast_length, load_detector


def images(number=2, height=40, width=31, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(number, height, width, generator=generator, dtype=torch.float64)


def test_scores_are_equation_1_written_out():
    detector = PointDetector(sums=3, maxima=2).randomise(1, deviation=0.3).double()
    given = images(1, 26, 25)
    normalised = (given - MEAN) / DEVIATION
    found = detector.scores(given, pad=False)
    assert found.shape == (1, 2, 1)
    for row in range(2):
        window = normalised[0, row : row + 25, :]
        responses = [(window * k[0]).sum() + b for k, b in zip(detector.filters, detector.biases, strict=True)]
        expected = max(responses[:2]) - max(responses[2:4]) + max(responses[4:])
        torch.testing.assert_close(found[0, row, 0], expected)


@pytest.mark.parametrize("pad", [True, False])
def test_the_fourier_form_is_the_convolution_in_values_and_gradients(pad):
    detector = PointDetector().randomise(2).double()
    given = images().requires_grad_()
    normalised = (given - MEAN) / DEVIATION
    if pad:
        normalised = F.pad(normalised[:, None], [12] * 4, mode="replicate")[:, 0]
    direct = direct_scores(normalised, detector.filters, detector.biases, detector.maxima)
    ours = detector.scores(given, pad)
    assert ours.shape == ((2, 40, 31) if pad else (2, 16, 7))
    torch.testing.assert_close(ours, direct, atol=1e-10, rtol=1e-10)
    weights = images(*ours.shape, seed=5)
    gradients = [torch.autograd.grad((scores * weights).sum(), given)[0] for scores in (ours, direct)]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=1e-10)


def test_the_fourier_form_passes_gradcheck_and_every_derivative_is_a_difference():
    """The differences of all pixels are one batch: gradcheck itself would take them one after the other."""
    detector = PointDetector().randomise(3, deviation=0.3).double()
    given, step = images(1, 27, 28), 1e-6

    def scores(pictures):
        return detector.scores(pictures, pad=False)

    assert torch.autograd.gradcheck(scores, given.clone().requires_grad_(), fast_mode=True)
    moved = step * torch.eye(27 * 28, dtype=torch.float64).reshape(-1, 27, 28)
    differences = (scores(given + moved) - scores(given - moved)) / (2 * step)
    derivatives = torch.autograd.functional.jacobian(scores, given)[0, :, :, 0].permute(2, 3, 0, 1)
    torch.testing.assert_close(derivatives.reshape(differences.shape), differences, atol=1e-5, rtol=1e-3)


def test_trained_it_convolves_directly_and_its_filters_get_gradients():
    frozen, trained = (PointDetector(trainable=t).randomise(4) for t in (False, True))
    given = images().float()
    torch.testing.assert_close(frozen(given), trained(given), atol=2e-6, rtol=1e-5)
    trained(given).sum().backward()
    assert float(trained.filters.grad.norm()) > 0
    assert float(trained.biases.grad.norm()) > 0
    assert not any(p.requires_grad for p in frozen.parameters())


def test_probabilities_of_an_even_image_are_even_up_to_the_border():
    found = PointDetector().randomise(5)(torch.full((1, 64, 64), 0.25))
    assert float(found.max() - found.min()) < 1e-5
    assert 0 < float(found.min()) < 1


def test_a_long_transform_is_fast():
    assert [fast_length(n) for n in (280, 281, 11, 88, 25)] == [280, 288, 12, 90, 28]


def test_a_detector_survives_its_file_and_others_are_refused(tmp_path):
    detector = PointDetector().randomise(6)
    save_file(detector.state_dict(), tmp_path / "model.safetensors")
    loaded = load_detector(tmp_path / "model.safetensors")
    assert torch.equal(loaded.filters, detector.filters)
    assert torch.equal(loaded.biases, detector.biases)
    assert sorted(loaded.state_dict()) == ["biases", "filters"]
    state = detector.state_dict()
    wrong = {
        "missing.safetensors": (None, "does not exist"),
        "other.safetensors": ({"filters": state["filters"]}, "no tensor biases"),
        "small.safetensors": ({**state, "filters": torch.zeros(16, 1, 9, 9)}, "no tensor filters of shape"),
        "nan.safetensors": ({**state, "biases": torch.full((16,), torch.nan)}, "not finite, in biases"),
    }
    for name, (tensors, message) in wrong.items():
        if tensors is not None:
            save_file(tensors, tmp_path / name)
        with pytest.raises(LiftnetError, match=message):
            load_detector(tmp_path / name)
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(LiftnetError, match="cannot be read"):
        load_detector(tmp_path / "text.pth")


def test_the_detector_refuses_other_shapes():
    with pytest.raises(ValueError, match="images"):
        PointDetector()(torch.zeros(1, 1, 64, 64))
