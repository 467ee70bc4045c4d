"""Photographs and masks as people have them in memory."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from liftnet.api.pictures import as_mask, as_picture
from liftnet.core.errors import BadImageError
from liftnet.data.pictures import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
FLOATS = PIXELS.astype(np.float32) / 255


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        FLOATS,
        FLOATS.astype(np.float64).transpose(2, 0, 1),
        PIXELS.astype(np.uint16) * 257,
        torch.from_numpy(PIXELS),
        torch.from_numpy(FLOATS).permute(2, 0, 1).requires_grad_(),
        Image.fromarray(PIXELS),
        np.dstack([PIXELS, np.full((30, 40), 255, np.uint8)]),
    ],
    ids=lambda given: f"{type(given).__name__}-{getattr(given, 'dtype', '')}-{getattr(given, 'shape', '')}",
)
def test_one_photograph_in_every_form_is_the_same(given):
    assert np.array_equal(as_picture(given), PIXELS)


def test_files_and_pil_images_are_turned_upright_and_seen_before_white(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    for given in (tmp_path / "turned.png", str(tmp_path / "turned.png"), (tmp_path / "turned.png").read_bytes()):
        assert np.array_equal(as_picture(given), upright)
    with Image.open(tmp_path / "turned.png") as picture:
        assert np.array_equal(as_picture(picture), upright)
    glass = np.dstack([PIXELS, np.zeros((30, 40), np.uint8)])
    assert (as_picture(glass) == 255).all()
    assert (as_picture(Image.fromarray(glass, "RGBA")) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16"])
def test_pil_images_of_any_mode_are_what_their_files_are(mode):
    picture = Image.fromarray(PIXELS)
    picture = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    shown = np.asarray(Image.fromarray(PIXELS[..., 0]) if mode == "I;16" else picture.convert("RGB").convert("L"))
    found = as_picture(picture)
    assert found.shape == (30, 40, 3)
    assert np.abs(np.asarray(Image.fromarray(found).convert("L"), int) - shown).max() <= 1


def test_grey_has_three_equal_channels():
    assert np.array_equal(as_picture(PIXELS[..., 0]), PIXELS[..., [0, 0, 0]])
    assert np.array_equal(as_picture(FLOATS[None, ..., 0]), PIXELS[..., [0, 0, 0]])


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (FLOATS * 255, ValueError, r"go from .* to 255: scale them, or give uint8"),
        (FLOATS - 0.5, ValueError, "floats are pixels from 0 to 1"),
        (np.full((3, 4), np.nan), ValueError, "floats are pixels from 0 to 1"),
        (PIXELS.astype(np.int64), TypeError, "int64 have no known range"),
        (PIXELS > 9, TypeError, "bool have no known range"),
        (PIXELS[None], ValueError, r"shape \(1, 30, 40, 3\) is no picture"),
        (PIXELS[..., :2], ValueError, "is no picture"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, "has no pixels"),
        (7, TypeError, "a int is no picture: give a path"),
        (b"no picture", BadImageError, "not an image"),
        ("gone.jpg", BadImageError, "gone.jpg"),
    ],
)
def test_what_is_no_photograph_is_named(given, error, words):
    with pytest.raises(error, match=words):
        as_picture(given)


def test_masks_are_true_where_the_sculpture_is(tmp_path):
    mask = np.zeros((30, 40), bool)
    mask[5:20, 8:30] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    for given in (
        mask,
        mask * 255,
        mask.astype(float),
        torch.from_numpy(mask),
        tmp_path / "mask.png",
        Image.open(file),
    ):
        assert np.array_equal(as_mask(given, (40, 30)), mask)
    with pytest.raises(ValueError, match=r"the mask is \(30, 40\), and its photograph \(40, 30\)"):
        as_mask(mask, (30, 40))
    with pytest.raises(BadImageError, match=r"mask\.png"):
        as_mask(tmp_path / "mask.png", (30, 40))
