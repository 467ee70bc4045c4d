"""Which masked images train, which choose the checkpoint, which are held out; reading and augmenting them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.data.masks import write_mask
from liftnet.models.segmenter import working_shape
from liftnet.segment.augment import Scenery, augment, background_plate
from liftnet.segment.samples import MaskedImage, Sample, divide, load_samples, masked_images
from liftnet.segment.settings import AugmentationSettings, DataSettings


def masked(number: int, work: str, split: str) -> MaskedImage:
    return MaskedImage(f"{number:016x}", work, split, Path("image.jpg"), Path("mask.png"), (4, 3))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=6, unique_by=lambda w: w[0]),
    st.dictionaries(st.integers(0, 5), st.sampled_from(["train", "val", "test"])),
    st.integers(0, 9),
)
def test_no_image_is_lost_and_no_held_out_image_trains(works, splits, seed):
    images = [
        masked(10 * work + i, f"w{work}", splits.get(work, "train")) for work, count in works for i in range(count)
    ]
    division = divide(images, DataSettings(), seed)
    heldout, train = set(division.heldout), set(division.train) | set(division.validation)
    assert heldout | train == set(images)
    assert not heldout & train
    assert train
    if len(train) > 1:
        assert not set(division.train) & set(division.validation)
    if len(works) > 1:
        assert heldout
        assert not {image.work_id for image in heldout} & {image.work_id for image in train}
    kinds = {image.split for image in images}
    if "train" in kinds and len(kinds) > 1:
        assert {image.split for image in train} == {"train"}
        assert "train" not in {image.split for image in heldout}


def test_one_masked_work_holds_out_images_and_says_so():
    division = divide([masked(i, "w", "train") for i in range(8)], DataSettings(), 0)
    assert len(division.heldout) == 2
    assert "only masked work" in division.note


def test_a_single_masked_image_trains_and_nothing_is_held_out():
    division = divide([masked(0, "w", "test")], DataSettings(), 0)
    assert len(division.train) == len(division.validation) == 1
    assert division.heldout == []


def test_rows_without_a_stored_image_or_mask_are_not_used(tmp_path, make_results):
    from liftnet.data.schemas import MANIFEST, write_table

    rows = make_results(tmp_path, [("a", "a1", "train", 4)])
    rows[1] |= {"status": "not_image"}
    rows[2] |= {"mask_status": "mask_wrong_size"}
    rows.append(rows[0])  # the same image named twice
    write_table(tmp_path / "manifest.parquet", rows, MANIFEST)
    assert [image.image_id for image in masked_images(tmp_path)] == [rows[0]["image_id"], rows[3]["image_id"]]


def test_unreadable_images_and_masks_are_named_and_left_out(tmp_path, make_results, caplog):
    make_results(tmp_path, [("a", "a1", "train", 5)])
    images = masked_images(tmp_path)
    images[0].image.write_bytes(images[0].image.read_bytes()[:900])
    images[1].mask.unlink()
    write_mask(images[2].mask, np.ones((5, 5), bool))
    assert len(load_samples(images, 64, threads=2)) == 2
    for path in (images[0].image, images[1].mask, images[2].mask):
        assert str(path) in caplog.text


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_working_shape_keeps_proportions_within_a_stride(height, width):
    rows, columns = working_shape((height, width), 256, 32)
    assert max(rows, columns) == 256
    assert min(rows, columns) >= 32
    exact = 256 * min(height, width) / max(height, width)
    assert abs(min(rows, columns) - max(exact, 16)) <= 16


def test_augmented_pictures_depend_on_the_seed_alone_and_keep_picture_and_mask_together(make_blob):
    image, mask = make_blob(3)
    sample = Sample("w", image, mask.astype(np.uint8) * 255)
    plate = background_plate(sample)
    assert plate is not None
    scenery, kept = (
        Scenery([plate], [sample]),
        AugmentationSettings(background_swap_probability=0.0, lighting_probability=0.0),
    )
    changed = AugmentationSettings(background_swap_probability=0.7, neighbour_fraction=0.7, lighting_probability=0.7)
    first = augment(sample, scenery, changed, 64, np.random.default_rng(1))
    again = augment(sample, scenery, changed, 64, np.random.default_rng(1))
    other = augment(sample, scenery, changed, 64, np.random.default_rng(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    agreeing = []
    for seed in range(30):
        picture, target = augment(sample, scenery, kept, 64, np.random.default_rng(seed))
        assert picture.shape == (3, 64, 64)
        assert target.shape == (1, 64, 64)
        assert picture.min() >= 0
        assert picture.max() <= 1
        inside, outside = target[0] > 0.9, target[0] < 0.1
        if inside.any() and outside.any():
            agreeing.append(picture[:, inside].mean() > picture[:, outside].mean() + 0.05)
    assert np.mean(agreeing) == pytest.approx(1)


def test_plate_has_no_trace_of_the_foreground(make_blob):
    image, mask = make_blob(5)
    plate = background_plate(Sample("w", image, mask.astype(np.uint8) * 255))
    assert plate is not None
    assert plate[mask].mean() == pytest.approx(image[~mask].mean(), abs=8)


def test_a_close_up_gives_no_plate():
    image = np.zeros((20, 20, 3), np.uint8)
    assert background_plate(Sample("w", image, np.full((20, 20), 255, np.uint8))) is None
