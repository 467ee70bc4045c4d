from io import BytesIO

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


SIZE = (60, 40)
TRUTH = disc(SIZE)


def in_colours(mode):
    palette = Image.fromarray(TRUTH.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    photo = np.random.default_rng(0).integers(0, 90, (40, 60, 3), dtype=np.uint8)
    opacity = TRUTH.astype(np.uint8) * 255
    return {
        "0 and 1": Image.fromarray(TRUTH.astype(np.uint8)),
        "0 and 100": Image.fromarray(TRUTH.astype(np.uint8) * 100),
        "16 bits": Image.fromarray(TRUTH.astype(np.uint16) * 65535),
        "16 bits, 0 and 1": Image.fromarray(TRUTH.astype(np.uint16)),
        "16 bits, 0 and 255": Image.fromarray(TRUTH.astype(np.uint16) * 255),
        "palette of VOC": palette,
        "red": Image.fromarray(np.stack([opacity, opacity * 0, opacity * 0], 2)),
        "dark cut-out": Image.fromarray(np.dstack([photo, opacity])),
        "black and transparent": Image.fromarray(np.dstack([photo * 0, opacity])),
        "white and transparent": Image.fromarray(np.dstack([photo * 0 + 255, opacity])),
        "black and white, all opaque": Image.fromarray(np.dstack([opacity, opacity, opacity, opacity * 0 + 255])),
    }[mode]


@pytest.mark.parametrize(
    "mode",
    ["0 and 1", "0 and 100", "16 bits", "16 bits, 0 and 1", "16 bits, 0 and 255", "palette of VOC", "red",
     "dark cut-out", "black and transparent", "white and transparent", "black and white, all opaque"],
)  # fmt: skip
def test_masks_as_programs_write_them(encode, mode):
    np.testing.assert_array_equal(read_mask(encode(in_colours(mode), "PNG"), SIZE, may_be_empty=False), TRUTH)
    if mode != "palette of VOC":
        np.testing.assert_array_equal(read_mask(encode(in_colours(mode), "TIFF"), SIZE, may_be_empty=False), TRUTH)


def test_the_ringing_of_jpeg_marks_nothing(encode):
    data = encode(Image.fromarray(TRUTH.astype(np.uint8) * 255), "JPEG", quality=60)
    assert (read_mask(data, SIZE, may_be_empty=False) != TRUTH).mean() < 0.01


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "WEBP"])
@pytest.mark.parametrize("quality", [50, 60, 80])
def test_nor_does_that_of_other_lossy_formats(encode, kind, quality):
    data = encode(Image.fromarray(TRUTH.astype(np.uint8) * 255).convert("RGB"), kind, quality=quality)
    assert (read_mask(data, SIZE, may_be_empty=False) != TRUTH).mean() < 0.01
    again = encode(Image.open(BytesIO(data)), "PNG")  # saved anew by a program that loses nothing
    assert (read_mask(again, SIZE, may_be_empty=False) != TRUTH).mean() < 0.01


@pytest.mark.parametrize("level", [255, 200])
def test_a_mask_of_everything_and_a_photograph_are_refused(encode, photo, level):
    with pytest.raises(BadImageError) as error:
        read_mask(encode(Image.new("L", SIZE, level), "PNG"), SIZE, may_be_empty=False)
    assert error.value.status == "mask_full"
    with pytest.raises(BadImageError) as error:
        read_mask(encode(photo(), "PNG"), may_be_empty=False)
    assert error.value.status == "mask_not_binary"


def test_a_map_of_labels_is_no_mask(encode):
    labels = TRUTH.astype(np.uint8)
    labels[:4] = 255  # what is not to count, as VOC and others write it
    with pytest.raises(BadImageError, match=r"levels are 0, 1, 255, the labels of several things"):
        read_mask(encode(Image.fromarray(labels), "PNG"), SIZE, may_be_empty=False)


def test_a_mask_that_is_turned_as_its_photograph_was_fits(encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(TRUTH.astype(np.uint8) * 255), "PNG", exif=exif)
    np.testing.assert_array_equal(read_mask(data, SIZE[::-1]), np.rot90(TRUTH, -1))
