import numpy as np
import pytest
from PIL import Image

from liftnet.core.errors import BadImageError
from liftnet.data.masks import read_mask, shrink_mask, write_mask


def disc(size):
    y, x = np.mgrid[: size[1], : size[0]]
    return ((x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2) < (min(size) / 3) ** 2


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA"])
def test_masks_of_every_kind_of_pixel(encode, mode):
    truth = disc((60, 40))
    data = encode(Image.fromarray(truth.astype(np.uint8) * 255).convert(mode), "PNG")
    assert (read_mask(data, (60, 40)) == truth).all()


def test_mask_shrinks_with_its_image_by_nearest_neighbour(encode):
    truth = disc((600, 400))
    data = encode(Image.fromarray(truth), "PNG")
    small = shrink_mask(read_mask(data, (600, 400)), (60, 40))
    assert small.shape == (40, 60)
    assert small.dtype == bool
    assert (small != disc((60, 40))).mean() < 0.03


def test_orientation_of_a_mask_is_not_applied(encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    truth = disc((60, 40))
    data = encode(Image.fromarray(truth.astype(np.uint8) * 255), "PNG", exif=exif)
    assert (read_mask(data, (60, 40)) == truth).all()


@pytest.mark.parametrize(
    ("shown", "level", "status"), [((40, 60), 255, "mask_wrong_size"), ((60, 40), 1, "mask_empty")]
)
def test_wrong_masks_say_why(encode, shown, level, status):
    data = encode(Image.new("L", (60, 40), level), "PNG")
    with pytest.raises(BadImageError) as error:
        read_mask(data, shown, may_be_empty=False)
    assert error.value.status == status
    assert "60x40" in error.value.reason or "of 255" in error.value.reason


def test_masks_round_trip(tmp_path):
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    write_mask(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (5, 7)), mask)
    with pytest.raises(BadImageError, match="5x7 px, its image as displayed 7x5") as raised:
        read_mask(tmp_path / "m.png", (7, 5))
    assert raised.value.status == "mask_wrong_size"
    assert "size of the image as displayed" in raised.value.remedy


def test_a_mask_without_foreground_is_a_mask_unless_it_must_show_something(encode):
    data = encode(Image.new("L", (6, 4), 127), "PNG")
    assert not read_mask(data).any()
    with pytest.raises(BadImageError, match="brightest is 127"):
        read_mask(data, may_be_empty=False)


@pytest.mark.parametrize(
    ("data", "status"), [(b"<html>", "not_image"), (b"", "empty_file"), (b"GIF89a", "unsupported_format")]
)
def test_what_is_no_mask_is_named(data, status):
    with pytest.raises(BadImageError) as error:
        read_mask(data)
    assert error.value.status == status
