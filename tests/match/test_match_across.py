"""Images of different splits that show one object are found; others are not, nor what lies off the masks."""

import cv2
import numpy as np
import pytest

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.masks import write_mask
from liftnet.match.match import match_across_splits
from liftnet.match.settings import MatchSettings

SIZE = {"width": 320, "height": 240}


@pytest.fixture
def add(root, textured, motion):
    """Add a view of object `seed` in a split; a second view of it is moved."""

    def make(image_id, seed, split, view=0, masked=True, background=None, work=None):
        pixels = textured(seed=seed)
        if view:
            pixels = cv2.warpAffine(pixels, motion, (320, 240), borderMode=cv2.BORDER_REFLECT)
        mask = np.ones(pixels.shape[:2], bool)
        if background is not None:
            mask[:, 160:] = False
            pixels = np.where(mask[..., None], pixels, textured(seed=background))
        root.add(image_id, pixels, split=split, work_id=work or f"work-{seed}", **SIZE)
        if masked:
            write_mask(root.path / "masks" / f"{image_id}.png", mask)

    return make


def pairs(root, **settings):
    match_across_splits(root.path, root.path / "across.parquet", changed(MatchSettings(), **settings))
    rows = root.matches("across.parquet")
    assert [(row["image_a"], row["image_b"]) for row in rows] == sorted(
        (row["image_a"], row["image_b"]) for row in rows
    )
    assert all(row["image_a"] < row["image_b"] and row["status"] == "ok" for row in rows)
    return {(row["image_a"], row["image_b"]): row for row in rows}


def test_a_leak_is_found_and_its_matches_are_right(root, add, motion):
    add("a0", 1, "train")
    add("b1", 1, "test", view=1)
    add("c2", 2, "train")
    add("d3", 3, "val")
    add("e4", 3, "val", view=1)  # one split: no leak
    found = pairs(root)
    assert set(found) == {("a0", "b1")}
    row = found["a0", "b1"]
    true = np.column_stack([row["x1"], row["y1"], np.ones(len(row["x1"]))]) @ motion.T
    near = np.linalg.norm(true - np.column_stack([row["x2"], row["y2"]]), axis=1) < 2
    assert len(near) > 50
    assert near.mean() > 0.9


def test_val_and_test_are_compared_too(root, add):
    add("a0", 1, "val")
    add("b1", 1, "test", view=1)
    assert set(pairs(root)) == {("a0", "b1")}


def test_what_lies_behind_two_objects_ties_nothing(root, add):
    add("a0", 1, "train", background=9)
    add("b1", 2, "test", background=9)
    assert not pairs(root)
    for image_id in ("a0", "b1"):  # the same images, all of them foreground
        write_mask(root.path / "masks" / f"{image_id}.png", np.ones((240, 320), bool))
    assert set(pairs(root)) == {("a0", "b1")}


def test_no_more_partners_than_asked_for(root, add):
    add("a0", 1, "test")
    for number in range(1, 4):
        add(f"b{number}", 1, "train", view=1, work=f"work-{number}")
    assert len(pairs(root, partners=2)) == 2
    assert len(pairs(root, partners=3)) == 3
    assert not pairs(root, min_coarse_matches=500)


def test_threads_change_nothing(root, add):
    for number in range(6):
        add(f"a{number}", number // 2, ("train", "test", "val")[number % 3], view=number % 2)
    match_across_splits(root.path, root.path / "one.parquet", MatchSettings(), threads=1)
    match_across_splits(root.path, root.path / "three.parquet", MatchSettings(), threads=3)
    assert (root.path / "one.parquet").read_bytes() == (root.path / "three.parquet").read_bytes()


def test_images_without_a_mask_or_of_one_split_are_no_error(root, add, caplog):
    add("a0", 1, "train")
    add("b1", 1, "train", view=1)
    assert not pairs(root)
    add("c2", 1, "test", masked=False)
    assert not pairs(root)
    assert "1 images have no usable mask" in caplog.text


def test_masks_are_needed(root, add):
    add("a0", 1, "train", masked=False)
    with pytest.raises(LiftnetError, match="segment predict"):
        match_across_splits(root.path, root.path / "across.parquet", MatchSettings())


def test_command(root, add, capsys):
    add("a0", 1, "train")
    add("b1", 1, "test", view=1)
    out = root.path / "across/matches.parquet"
    assert main(["match", "--cross-split", "--root", str(root.path), "--out", str(out), "--threads", "1"]) in (0, None)
    assert len(root.matches("across/matches.parquet")) == 1
    with pytest.raises(SystemExit):
        main(["match", "--cross-split", "--work", "w", "--root", str(root.path), "--out", str(out)])
