import hashlib
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from fault_answers import text_bomb
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from liftnet.collect.normalise import normalise, shrunk_size
from liftnet.core.errors import BadImageError
from liftnet.data.picture_formats import FORMATS
from liftnet.data.picture_metadata import parse_exif


def norm(data, max_side=1600, min_side=16, max_pixels=1_000_000):
    return normalise(data, "x", max_side, min_side, max_pixels)


def pixels(data):
    return np.asarray(Image.open(BytesIO(data))).astype(int)


def code_of(data, **limits):
    with pytest.raises(BadImageError) as error:
        norm(data, **limits)
    return error.value.status


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"subsampling": 2}), ("PNG", {})])
def test_what_needs_no_change_is_stored_byte_for_byte(photo, encode, kind, options):
    data = encode(photo(), kind, **options)
    picture = norm(data)
    assert picture.data == data
    assert picture.suffix == {"JPEG": ".jpg", "PNG": ".png"}[kind]
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.size == picture.shown_size == (120, 90)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_what_is_not_stored_as_received_becomes_a_jpeg(photo, encode, known):
    data = encode(photo(), known.name)
    picture = norm(data)
    assert (picture.data == data) == (known.stored_as is not None)
    assert picture.suffix == (known.stored_as or ".jpg")
    assert Image.open(BytesIO(picture.data)).format == (known.name if known.stored_as else "JPEG")
    assert picture.mime == known.mime


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_orientation_is_baked_in_as_pillow_shows_it(photo, encode, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    picture = norm(data)
    stored = Image.open(BytesIO(picture.data))
    assert picture.size == picture.shown_size == stored.size == expected.size
    assert stored.getexif().get(0x0112, 1) == 1
    assert picture.exif.orientation == orientation
    assert np.abs(pixels(picture.data) - np.asarray(expected).astype(int)).mean() < 1.5


def test_grey_becomes_three_equal_channels(photo, encode):
    grey = photo().convert("L")
    stored = pixels(norm(encode(grey)).data)
    assert stored.shape == (90, 120, 3)
    assert np.abs(stored - np.asarray(grey)[..., None]).mean() < 2


def test_cmyk_keeps_its_colours(encode):
    colours = Image.new("RGB", (60, 40), (200, 30, 60))
    stored = pixels(norm(encode(colours.convert("CMYK"), quality=98)).data)
    assert np.abs(stored - [200, 30, 60]).max() <= 4


def test_16_bit_grey_keeps_its_tones(encode):
    ramp = np.tile(np.linspace(0, 65535, 100).astype(np.uint16), (50, 1))
    for kind in ("PNG", "TIFF"):
        stored = pixels(norm(encode(Image.fromarray(ramp), kind)).data)
        assert np.abs(stored[..., 0] - np.asarray(ramp) / 257).max() < 6
        assert stored[..., 0].max() > 250
        assert stored[..., 0].min() < 5


def png_16_bit_rgb(values):
    height, width, _ = values.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(raw))]
    parts = [
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in [*chunks, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_16_bit_rgb_is_not_stored_as_it_came():
    values = np.broadcast_to(np.array([60000, 30000, 1000]), (40, 50, 3))
    picture = norm(png_16_bit_rgb(values))
    assert picture.suffix == ".jpg"
    assert np.abs(pixels(picture.data) - np.array([60000, 30000, 1000]) / 257).max() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_white(encode, mode):
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 20, 40))
    stored = pixels(norm(encode(picture.convert(mode), "PNG")).data)
    assert stored[:, :16].max() < 10
    assert stored[:, 24:].min() > 245


def test_palette_keeps_its_colours(encode):
    picture = Image.new("RGB", (40, 40), (10, 200, 100)).convert("P", palette=Image.Palette.ADAPTIVE)
    stored = norm(encode(picture, "PNG"))
    assert stored.suffix == ".jpg"
    assert np.abs(pixels(stored.data) - [10, 200, 100]).max() <= 3


def test_large_images_shrink_and_look_the_same(photo, encode):
    large = photo(size=(800, 300))
    picture = norm(encode(large), max_side=100)
    assert picture.size == (100, 38)
    assert picture.shown_size == (800, 300)
    expected = large.resize((100, 38), Image.Resampling.LANCZOS)
    assert np.abs(pixels(picture.data) - np.asarray(expected).astype(int)).mean() < 4


def test_shrinking_a_turned_image_swaps_its_sides_once(photo, encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = norm(encode(photo(size=(800, 300)), exif=exif), max_side=100)
    assert picture.size == (38, 100)
    assert picture.shown_size == (300, 800)


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(64, 2048))
def test_shrunk_size_fits_and_never_grows(width, height, limit):
    small = shrunk_size((width, height), limit)
    assert max(small) <= max(limit, 1)
    assert 1 <= small[0] <= width
    assert 1 <= small[1] <= height
    if max(width, height) > limit:
        assert max(small) == limit


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "not_image"),
        (b"\n  <html>", "not_image"),
        (b"%PDF-1.7", "not_image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not_image"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "not_image"),
        (b"GIF89a" + b"\0" * 20, "unsupported_format"),
        (b"\0\0\0\x1cftypheic" + b"\0" * 20, "unsupported_format"),
        (b"\0\0\0\x1cftypisom" + b"\0" * 20, "not_image"),
        (b"\xff\xd8\xff\xe0 no more", "decode_error"),
        (b"\x89PNG\r\n\x1a\n no more", "decode_error"),
        (b"just text", "not_image"),
    ],
)
def test_what_is_no_usable_image_is_named(data, code):
    assert code_of(data) == code


def test_html_is_called_by_its_name():
    with pytest.raises(BadImageError, match="HTML page"):
        norm(b"<!doctype html><html></html>")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_never_pass(photo, encode, kind, share):
    data = encode(photo(size=(300, 200)), kind)
    assert code_of(data[: int(len(data) * share)]) in ("truncated", "decode_error")


def test_truncated_jpeg_has_its_own_status(jpeg):
    assert code_of(jpeg()[:-400]) == "truncated"


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_files_give_an_image_or_a_bad_image_error(photo, encode, data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]))
    damaged = bytearray(encode(photo(size=(40, 32)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        picture = norm(bytes(damaged))
    except BadImageError as error:
        assert error.status  # noqa: PT017 (either outcome is right)
    else:
        assert Image.open(BytesIO(picture.data)).size == picture.size


def test_a_bomb_is_refused_by_its_header():
    width = height = 30_000
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    assert code_of(bomb) == "bomb"


def test_pixel_and_side_limits(jpeg):
    assert code_of(jpeg(size=(200, 100)), max_pixels=19_999) == "bomb"
    assert norm(jpeg(size=(200, 100)), max_pixels=20_000).size == (200, 100)
    assert code_of(jpeg(size=(200, 50)), min_side=64) == "too_small"


def test_camera_data_is_read(photo, encode):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 700D"
    folder = exif.get_ifd(0x8769)
    folder[0x920A], folder[0xA405] = 18.0, 28
    found = norm(encode(photo(), exif=exif)).exif
    assert (found.focal_mm, found.focal_35mm, found.camera) == (18.0, 28.0, "Canon EOS 700D")


@pytest.mark.parametrize(
    "block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_does_not_cost_the_image(photo, encode, block):
    data = encode(photo(), exif=block)
    assert parse_exif(Image.open(BytesIO(data)).info.get("exif")).orientation == 1
    assert norm(data).size == (120, 90)


def test_phash_survives_another_compression(photo, encode):
    import imagehash

    good, poor = (norm(encode(photo(3, (400, 300)), quality=quality)).phash for quality in (95, 40))
    other = norm(encode(photo(4, (400, 300)))).phash
    assert len(good) == 16
    assert imagehash.hex_to_hash(good) - imagehash.hex_to_hash(poor) <= 8
    assert imagehash.hex_to_hash(good) - imagehash.hex_to_hash(other) >= 16


def test_a_long_compressed_text_is_left_out_and_the_picture_stored_anew():
    """Pillow and others refuse a PNG with such a text, so it is no file for a dataset; its pixels are good."""
    picture = norm(text_bomb())
    assert (picture.suffix, picture.size) == (".jpg", (120, 90))
    assert (pixels(picture.data) == 0).all()
