"""Patches and their localised two-way matching, against a plain double loop."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from liftnet.drkfs.patches import match_patches, patch_weights, shifts, sliding_patches


def naive_match(features, targets, neighbourhood):
    """Equation 2's minimum, patch by patch and candidate by candidate."""
    number, rows, columns, _ = features.shape
    result = torch.empty(number, rows, columns, dtype=features.dtype)
    for n in range(number):
        for y in range(rows):
            for x in range(columns):
                candidates = [
                    (features[n, y, x] - targets[n, v, u]).square().mean()
                    for v in range(max(0, y - neighbourhood), min(rows, y + neighbourhood + 1))
                    for u in range(max(0, x - neighbourhood), min(columns, x + neighbourhood + 1))
                ]
                result[n, y, x] = torch.stack(candidates).min()
    return result


def random_features(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1).requires_grad_()


@pytest.mark.parametrize(("rows", "columns", "neighbourhood"), [(4, 3, 1), (3, 5, 0), (4, 4, 2), (2, 1, 7)])
def test_matching_is_the_double_loop_in_values_and_gradients(rows, columns, neighbourhood):
    shape = (2, rows, columns, 6)
    given = [random_features(shape, seed) for seed in (1, 2)]
    weights = torch.rand(2, *shape[:3], dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ours = match_patches(*given, neighbourhood)
    theirs = naive_match(*given, neighbourhood), naive_match(*given[::-1], neighbourhood)
    gradients = []
    for pair in (ours, theirs):
        total = sum((w * d).sum() for w, d in zip(weights, pair, strict=True))
        gradients.append(torch.autograd.grad(total, given))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*gradients)


def test_equal_features_are_at_distance_zero_exactly_and_both_directions_swap():
    first, second = random_features((3, 5, 5, 128), 1).float(), random_features((3, 5, 5, 128), 2).float()
    for distance in match_patches(first, first.clone(), 1):
        assert not distance.any()
    forth, back = match_patches(first, second, 1)
    assert torch.equal(back, match_patches(second, first, 1)[0])
    assert torch.equal(forth, match_patches(second, first, 1)[1])


def test_a_wider_neighbourhood_never_matches_worse_and_finds_what_has_moved():
    features = random_features((1, 6, 6, 32), 4).detach()
    moved = features.roll((2, 1), (1, 2))
    distances = [match_patches(features, moved, n)[0] for n in range(4)]
    for narrow, wide in itertools.pairwise(distances):
        assert bool((wide <= narrow).all())
    assert not distances[2][:, :4, :5].any()  # their place after the shift is inside
    assert bool((distances[1] > 0).all())
    assert shifts(1)[0] == (0, 0)


def test_matching_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match="two equal shapes"):
        match_patches(torch.zeros(1, 3, 3, 8), torch.zeros(1, 3, 4, 8))


@pytest.mark.parametrize(("size", "count"), [(256, 15), (64, 3), (32, 1), (72, 3)])
def test_patches_are_torchs_unfold(size, count):
    maps = torch.rand(2, size, size, generator=torch.Generator().manual_seed(0))
    patches = sliding_patches(maps)
    assert patches.shape == (2, count, count, 32, 32)
    columns = F.unfold(maps[:, None], 32, stride=16)  # (N, 1024, patches)
    assert torch.equal(patches.flatten(3).flatten(1, 2), columns.transpose(1, 2))
    torch.testing.assert_close(patch_weights(patches).flatten(1), columns.mean(1))


def test_patches_need_maps_that_are_large_enough():
    with pytest.raises(ValueError, match="at least 32 px"):
        sliding_patches(torch.zeros(1, 31, 40))
