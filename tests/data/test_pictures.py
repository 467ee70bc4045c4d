import shutil
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from liftnet.core.errors import BadImageError
from liftnet.data.picture_formats import FORMATS, SUFFIXES, sniff
from liftnet.data.pictures import exif_tags, picture_size, read_image, read_levels, read_small_grey, write_image

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}


def status_of(source, **options):
    with pytest.raises(BadImageError) as error:
        read_image(source, **options)
    assert error.value.reason
    assert error.value.remedy
    return error.value.status


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_of_the_table_is_read_and_known_by_its_first_bytes(photo, encode, tmp_path, known):
    for suffix in known.suffixes:
        (tmp_path / f"x{suffix}").write_bytes(encode(photo(), known.name, **LOSSLESS.get(known.name, {"quality": 98})))
        data = (tmp_path / f"x{suffix}").read_bytes()
        assert sniff(data[:512], "x") is known
        assert picture_size(data) == (120, 90)
        difference = np.abs(read_image(tmp_path / f"x{suffix}").astype(int) - np.asarray(photo()))
        assert difference.max() <= (0 if known.name in LOSSLESS else 16)
        assert suffix in SUFFIXES


def test_the_name_of_a_file_is_not_believed(photo, tmp_path):
    photo().save(tmp_path / "x.png")
    shutil.copy(tmp_path / "x.png", tmp_path / "y.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "y.jpg"), np.asarray(photo()))


def test_a_stored_jpeg_decodes_to_what_pillow_makes_of_it(jpeg):
    from io import BytesIO

    data = jpeg(3)
    np.testing.assert_array_equal(read_image(data), np.asarray(Image.open(BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_photographs_are_turned_upright_once(photo, encode, kind, orientation):
    from io import BytesIO

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), kind, exif=exif)
    turned = sniff(data, kind).turned
    with Image.open(BytesIO(data)) as decoded:
        decoded.load()
        assert (decoded.size == (90, 120)) == (turned and orientation >= 5)  # what the table says Pillow does
    shown = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))))
    np.testing.assert_array_equal(read_image(data), shown)
    assert 0x0112 in exif_tags(data)
    assert picture_size(data) == shown.shape[1::-1]


def test_grey_palette_and_transparent_pictures_become_rgb(photo, encode):
    grey = photo().convert("L")
    np.testing.assert_array_equal(read_image(encode(grey, "PNG")), np.stack([np.asarray(grey)] * 3, axis=2))
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 20, 40))
    pixels = read_image(encode(clear, "PNG"))
    assert (pixels[:, :20] == 0).all()
    assert (pixels[:, 20:] == 255).all()


def test_16_bit_pictures_keep_their_tones_and_their_levels(encode):
    ramp = np.tile(np.linspace(0, 65535, 100).astype(np.uint16), (50, 1))
    for kind in ("PNG", "TIFF"):
        data = encode(Image.fromarray(ramp), kind)
        assert np.abs(read_image(data)[..., 0] - ramp / 257).max() <= 0.5
        levels = read_levels(data)
        assert levels.dtype == np.uint16
        np.testing.assert_array_equal(levels, ramp)


def test_levels_are_of_grey_pictures_only(photo, encode, tmp_path):
    write_image(tmp_path / "grey.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    np.testing.assert_array_equal(read_levels(tmp_path / "grey.png"), np.arange(12).reshape(3, 4))
    with pytest.raises(BadImageError, match="no levels of grey"):
        read_levels(encode(photo(), "PNG"))


def test_a_small_grey_picture_is_like_the_large_one(photo, encode):
    large = photo(size=(800, 600))
    small = np.asarray(read_small_grey(encode(large, quality=95), 64), float)
    assert small.shape == (64, 64)
    assert np.abs(small - np.asarray(large.convert("L").resize((64, 64), Image.Resampling.LANCZOS), float)).mean() < 2


def test_pixels_round_trip(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    np.testing.assert_array_equal(read_image((tmp_path / "a.png").read_bytes()), pixels)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", "empty_file"),
        (b"<html></html>", "not_image"),
        (b"just text", "not_image"),
        (b"BM is a town in Bavaria", "not_image"),
        (b"\xff\xd8\xff\xe0 cut", "decode_error"),
        (b"GIF89a" + b"\0" * 20, "unsupported_format"),
        (b"\0\0\0\x1cftypheic" + b"\0" * 20, "unsupported_format"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, status):
    (tmp_path / "bad.jpg").write_bytes(content)
    assert status_of(tmp_path / "bad.jpg") == status
    assert status_of(content) == status
    with pytest.raises(BadImageError, match=r"bad\.jpg: "):
        picture_size(tmp_path / "bad.jpg")
    assert exif_tags(content) == frozenset()


def test_files_that_are_not_there_or_not_files_are_named(tmp_path):
    assert status_of(tmp_path / "none.jpg") == "missing"
    (tmp_path / "folder.jpg").mkdir()
    assert status_of(tmp_path / "folder.jpg") == "unreadable_file"


def test_a_bomb_is_refused_by_its_header(jpeg):
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    assert status_of(b"\x89PNG\r\n\x1a\n" + chunk + data) == "bomb"
    assert status_of(jpeg(size=(200, 100)), max_pixels=19_999) == "bomb"
    assert read_image(jpeg(size=(200, 100)), max_pixels=20_000).shape == (100, 200, 3)


@pytest.mark.parametrize("kind", [known.name for known in FORMATS])
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_truncated_files_never_pass(photo, encode, kind, fraction):
    data = encode(photo(size=(300, 200)), kind)
    assert status_of(data[: int(len(data) * fraction)]) in ("truncated", "decode_error")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_files_give_pixels_or_a_bad_image_error(photo, encode, data):
    kind = data.draw(st.sampled_from([known.name for known in FORMATS]))
    damaged = bytearray(encode(photo(size=(40, 32)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = read_image(bytes(damaged))
    except BadImageError as error:
        assert error.status  # noqa: PT017 (either outcome is right)
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
