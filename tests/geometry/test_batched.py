"""The batched torch estimators against the numpy ones, on ragged batches."""

import numpy as np
import pytest
import torch

from liftnet.geometry import (
    Search,
    estimate_affine_fundamental,
    estimate_affine_fundamentals,
    estimate_affine_homographies,
    estimate_affine_homography,
)
from liftnet.geometry.flats import fit_flat, joint_points

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def pair(rng, n, outliers, flat=False, noise=0.2):
    """Matched points of a solid (or flat) object seen by two affine cameras."""
    cameras = [np.linalg.qr(rng.normal(size=(3, 3)))[0][:2] * rng.uniform(0.5, 2) for _ in range(2)]
    points = rng.normal(size=(n, 3)) * 100
    if flat:
        points[:, 2] = 0
    a, b = (points @ camera.T + rng.uniform(300, 700, 2) for camera in cameras)
    a, b = a + rng.normal(size=a.shape) * noise, b + rng.normal(size=b.shape) * noise
    wrong = int(n * outliers)
    b[:wrong] = rng.uniform(0, 1000, (wrong, 2))
    return a, b


def ragged(pairs, room=3, seed=0):
    """A batch with the matches of each pair scattered over its row and nonsense between them."""
    rng = np.random.default_rng(seed)
    width = max((len(a) for a, _ in pairs), default=0) + room
    points = np.full((2, len(pairs), width, 2), np.nan)
    mask = np.zeros((len(pairs), width), bool)
    for row, (a, b) in enumerate(pairs):
        places = np.sort(rng.permutation(width)[: len(a)])
        points[0, row, places], points[1, row, places], mask[row, places] = a, b, True
    return torch.tensor(points[0]), torch.tensor(points[1]), torch.tensor(mask)


ONE_AND_MANY = [
    (estimate_affine_fundamental, estimate_affine_fundamentals, "f", False),
    (estimate_affine_homography, estimate_affine_homographies, "matrix", True),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("one", "many", "numbers", "flat"), ONE_AND_MANY)
def test_same_answers_as_one_at_a_time(one, many, numbers, flat, device):
    rng = np.random.default_rng(1)
    shapes = [(int(rng.integers(30, 150)), rng.uniform(0, 0.5)) for _ in range(200)]
    pairs = [pair(rng, n, outliers, flat) for n, outliers in shapes]
    a, b, mask = (tensor.to(device) for tensor in ragged(pairs))
    thresholds = torch.tensor(rng.uniform(1.5, 3, len(pairs)))
    generator = torch.Generator(device).manual_seed(0)
    found = many(a, b, mask, thresholds.to(device), generator, Search(1, 2000))
    assert found.found.all()
    assert (found.hypotheses == 2000).all()
    same = 0
    for row, (points, threshold) in enumerate(zip(pairs, thresholds.tolist(), strict=True)):
        model = one(*points, threshold, np.random.default_rng(row), Search(1, 2000))
        there, residuals = mask[row].cpu().numpy(), found.residuals[row].cpu().numpy()
        assert np.isinf(residuals[~there]).all()
        assert not found.inliers[row].cpu().numpy()[~there].any()
        costs = [np.sum(np.minimum(r / threshold, 1) ** 2) for r in (residuals[there], model.residuals)]
        assert costs[0] == pytest.approx(costs[1], rel=0.1, abs=0.5)  # both found a good optimum
        if np.array_equal(found.inliers[row].cpu().numpy()[there], model.inliers):
            same += 1
            if not fit_flat(joint_points(*points)[model.inliers], 1 + flat).is_two_view:
                continue  # an edge-on view: the least-squares flat is refused, both keep a sample's
            np.testing.assert_allclose(residuals[there], model.residuals, atol=1e-7)
            ours, theirs = getattr(found, numbers)[row].cpu().numpy(), getattr(model, numbers)
            np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-6)
    assert same >= 0.95 * len(pairs)


@pytest.mark.parametrize(("one", "many", "numbers", "flat"), ONE_AND_MANY)
def test_short_and_degenerate_rows_have_no_model_as_one_at_a_time(one, many, numbers, flat):
    rng = np.random.default_rng(2)
    line = np.linspace(0, 100, 30)[:, None] * [1.0, 2.0]
    copy = rng.uniform(0, 500, (40, 2))
    pairs = [pair(rng, n, 0) for n in range(6)] + [(line, line + 5), (np.ones((9, 2)), np.ones((9, 2))), (copy, copy)]
    found = many(*ragged(pairs), 1.0, torch.Generator().manual_seed(0))
    for row, points in enumerate(pairs):
        model = one(*points, 1.0, np.random.default_rng(0))
        assert bool(found.found[row]) == model.found, row
        assert torch.isnan(getattr(found, numbers)[row]).all() == (not model.found)
        assert found.n_inliers[row] == model.n_inliers
        assert model.found or found.hypotheses[row] == 0


@pytest.mark.parametrize("many", [estimate_affine_fundamentals, estimate_affine_homographies])
@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (3, 0), (2, 1), (2, 3), (2, 4), (2, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_results_have_their_shapes_and_dtype(many, shape, dtype):
    points = torch.rand(*shape, 2, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 100
    found = many(points, points.flip(2) * 2, None, 1.0)
    assert found.inliers.shape == found.residuals.shape == shape
    assert found.found.shape == found.hypotheses.shape == found.n_inliers.shape == shape[:1]
    model = found.f if hasattr(found, "f") else found.matrix
    assert model.shape == (shape[0], *((5,) if hasattr(found, "f") else (2, 3)))
    assert found.residuals.dtype == model.dtype == dtype
    assert found.inliers.dtype == found.found.dtype == torch.bool
    assert len(found) == shape[0]


def test_nothing_in_a_row_matters_to_the_others_and_nothing_is_changed():
    rng = np.random.default_rng(3)
    pairs = [pair(rng, 60, 0.3) for _ in range(5)]
    a, b, mask = ragged(pairs)
    before = a.clone(), b.clone(), mask.clone()
    found = estimate_affine_fundamentals(a, b, mask, 2.0, torch.Generator().manual_seed(0))
    for now, then in zip((a, b, mask), before, strict=True):
        assert torch.equal(
            now.nan_to_num(-1) if now.is_floating_point() else now,
            then.nan_to_num(-1) if then.is_floating_point() else then,
        )
    mask[2] = False
    again = estimate_affine_fundamentals(a, b, mask, 2.0, torch.Generator().manual_seed(0))
    assert not again.found[2]
    assert [bool(again.found[row]) for row in range(5)] == [True, True, False, True, True]
    assert torch.equal(again.inliers[0], found.inliers[0])


def test_same_generator_same_result_and_easy_pairs_stop_early():
    rng = np.random.default_rng(4)
    a, b, mask = ragged([pair(rng, 100, share) for share in (0.05, 0.65, 0.05)])
    results = [estimate_affine_fundamentals(a, b, mask, 2.0, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(results[0].f, results[1].f)
    assert results[0].hypotheses[1] > results[0].hypotheses[0] == results[0].hypotheses[2] <= 64
    assert repr(results[0]) == "AffineFundamentals(3 of 3 pairs have a model)"
    with pytest.raises(AttributeError):
        results[0].f = None


def test_scores_in_parts_are_the_same(monkeypatch):
    rng = np.random.default_rng(5)
    a, b, mask = ragged([pair(rng, 80, 0.4) for _ in range(4)])
    whole = estimate_affine_homographies(a, b, mask, 2.0, torch.Generator().manual_seed(0))
    monkeypatch.setattr("liftnet.geometry.torch_flats._RESIDUALS_AT_ONCE", 1000)
    parts = estimate_affine_homographies(a, b, mask, 2.0, torch.Generator().manual_seed(0))
    assert torch.equal(whole.matrix, parts.matrix)


def test_wrong_arguments_are_refused():
    points = torch.zeros(2, 5, 2)
    for a, b in ((points, points[:, :4]), (points[0], points[0]), (torch.zeros(2, 5, 3), torch.zeros(2, 5, 3))):
        with pytest.raises(ValueError, match="shape"):
            estimate_affine_fundamentals(a, b, None, 1.0)
    with pytest.raises(ValueError, match="mask"):
        estimate_affine_fundamentals(points, points, torch.ones(2, 5), 1.0)
    for threshold in (0.0, float("nan"), torch.tensor([1.0, -1.0])):
        with pytest.raises(ValueError, match="positive"):
            estimate_affine_fundamentals(points, points, None, threshold)
    with pytest.raises(ValueError, match="threshold must be one number"):
        estimate_affine_fundamentals(points, points, None, torch.ones(3))
    points[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        estimate_affine_fundamentals(points, points, None, 1.0)
