"""Metrics, loss and the cleaning of masks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from liftnet.models.segmenter import clean_mask
from liftnet.segment.evaluate import iou, pixel_accuracy
from liftnet.segment.train import mask_loss

masks = arrays(bool, (6, 7))


@given(masks, masks)
def test_iou_and_accuracy_count_sets_of_pixels(a, b):
    first, second = set(zip(*np.nonzero(a), strict=True)), set(zip(*np.nonzero(b), strict=True))
    expected = len(first & second) / len(first | second) if first | second else 1.0
    assert iou(a, b) == pytest.approx(expected)
    assert pixel_accuracy(a, b) == pytest.approx(1 - len(first ^ second) / a.size)


def test_masks_of_different_size_are_not_compared():
    with pytest.raises(ValueError, match="masks are"):
        iou(np.ones((2, 3), bool), np.ones((3, 2), bool))


def test_loss_of_certain_logits_is_one_minus_the_iou():
    truth = torch.zeros(2, 1, 40, 40)
    truth[0, :, :20], truth[1, :, :, :30] = 1, 1
    assert mask_loss((truth - 0.5) * 200, truth) < 1e-6
    half = torch.zeros_like(truth)
    half[0, :, :10], half[1, :, :, :15] = 1, 1
    # entropy aside, the soft IoU of hard masks is their IoU, here one half in both images
    entropy = torch.nn.functional.binary_cross_entropy_with_logits((half - 0.5) * 200, truth)
    assert float(mask_loss((half - 0.5) * 200, truth) - entropy) == pytest.approx(0.5, abs=1e-3)


def test_a_pierced_sculpture_keeps_its_hole_and_loses_specks_and_pinholes():
    mask = np.zeros((100, 100), bool)
    mask[10:90, 10:90] = True
    mask[40:60, 40:60] = False  # the sculptor's hole
    mask[20, 20] = False  # a pinhole
    mask[2:5, 2:5] = True  # a speck
    cleaned = clean_mask(mask.astype(np.float32), 0.5, component_fraction=0.1, hole_fraction=0.001)
    assert not cleaned[40:60, 40:60].any()
    assert cleaned[20, 20]
    assert not cleaned[2:5, 2:5].any()
    assert cleaned.sum() == 80 * 80 - 20 * 20


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0, 0.5))
def test_cleaning_agrees_with_scipys_labelling(seed, component_fraction, hole_fraction):
    rng = np.random.default_rng(seed)
    probability = ndimage.gaussian_filter(rng.normal(0.5, 1, (40, 50)), 1.5)
    mask = probability >= 0.5
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    areas[0] = 0
    expected = np.isin(labels, [i for i in range(1, count + 1) if areas[i] >= component_fraction * areas.max()])
    filled = expected.copy()
    holes, count = ndimage.label(~expected)
    for hole in range(1, count + 1):
        where = holes == hole
        inside = not (where[0].any() or where[-1].any() or where[:, 0].any() or where[:, -1].any())
        if inside and where.sum() <= hole_fraction * expected.sum():
            filled |= where
    np.testing.assert_array_equal(clean_mask(probability, 0.5, component_fraction, hole_fraction), filled)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_masks_stay_so(value):
    cleaned = clean_mask(np.full((8, 9), value, np.float32), 0.5, 0.1, 0.001)
    assert cleaned.all() == bool(value)
    assert cleaned.any() == bool(value)
