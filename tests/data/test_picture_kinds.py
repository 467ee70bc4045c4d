"""Kinds of files that people have: what a viewer displays is what is read, or the file is called what it is."""

import random
import struct
import time
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from liftnet.collect.normalise import normalise
from liftnet.core.errors import BadImageError
from liftnet.data.masks import read_mask
from liftnet.data.picture_formats import FORMATS
from liftnet.data.pictures import exif_tags, picture_size, read_image, read_levels, read_small_grey

RAMP = np.linspace(0, 1, 48 * 32 * 3).reshape(32, 48, 3)
SHOWN = np.rint(RAMP * 255)


def tiff(values, **options):
    buffer = BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def error_of(data):
    with pytest.raises(BadImageError) as raised:
        read_image(data)
    return raised.value


def off(data, expected):
    return np.abs(read_image(data).astype(int) - expected).max()


def png_chunks(*chunks):
    parts = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png(values, bits, colour):
    height, width = values.shape[:2]
    rows = values.reshape(height, -1).astype(">u2" if bits == 16 else "u1")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return png_chunks((b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))


# Depths


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_0", [False, True])
@pytest.mark.parametrize(
    ("kind", "full"), [("u2", 65535), ("u4", 2**32 - 1), ("i4", 2**31 - 1), ("f4", 1), ("f2", 1), ("f8", 1)]
)
def test_grey_tiff_of_every_depth_keeps_its_tones(kind, full, white_is_0, order):
    grey = RAMP[..., 0]
    stored = ((1 - grey if white_is_0 else grey) * full).astype(order + kind)
    if white_is_0 and kind == "i4":
        pytest.skip("the opposite of a signed value is not defined")
    data = tiff(stored, photometric="miniswhite" if white_is_0 else "minisblack")
    assert off(data, np.rint(grey * 255)[..., None]) <= 1


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("kind", "full"), [("u1", 255), ("u2", 65535), ("u4", 2**32 - 1), ("f4", 1), ("f2", 1)])
def test_colour_tiff_of_every_depth_keeps_its_tones(kind, full, compression, planar):
    stored = (RAMP * full).astype(kind)
    if planar == "separate":
        stored = np.ascontiguousarray(np.moveaxis(stored, 2, 0))
    data = tiff(stored, photometric="rgb", compression=compression, planarconfig=planar)
    assert off(data, SHOWN) <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_colour_tiff_compressed_by_lzw_keeps_its_tones(kind):
    stored = (RAMP * (65535 if kind == np.uint16 else 1)).astype(kind)
    good, data = cv2.imencode(".tif", stored[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    assert good
    assert tifffile.TiffFile(BytesIO(data.tobytes())).pages[0].compression == 5
    assert off(data.tobytes(), SHOWN) <= 1


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_png_of_16_bits_keeps_its_tones(colour):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.rint(RAMP * 65535)[..., :1] if channels < 3 else np.rint(RAMP * 65535)
    opaque = np.full((*RAMP.shape[:2], 1), 65535.0)
    data = png(np.concatenate([values, opaque], 2) if channels in (2, 4) else values, 16, colour)
    assert off(data, SHOWN[..., :1] if channels < 3 else SHOWN) <= 1


@pytest.mark.parametrize("how", ["group3", "group4", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_tiff_of_one_bit_in_every_compression(encode, how):
    data = encode(Image.fromarray(RAMP[..., 0] > 0.5), "TIFF", compression=how)
    assert off(data, (RAMP[..., :1] > 0.5) * 255) == 0
    np.testing.assert_array_equal(read_mask(data), RAMP[..., 0] > 0.5)


def packed_tiff(levels, bits, white_is_0=False):
    """A TIFF of the least tags whose levels lie bit by bit after one another, rows beginning at bytes."""
    height, width, channels = levels.shape
    texts = ["".join(f"{level:0{bits}b}" for level in row.ravel()) or "0" for row in levels]
    rows = [int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big") for text in texts]
    body, kind = b"".join(rows), 2 if channels == 3 else int(not white_is_0)
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, kind), (273, 150), (277, channels)]
    tags += [(278, height), (279, len(body))]
    folder = b"".join(
        struct.pack("<HHII", tag, 3, 3, 140)
        if tag == 258 and channels == 3
        else struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + folder + b"\0\0\0\0"
    return head.ljust(140, b"\0") + struct.pack("<3H", *[bits] * 3).ljust(10, b"\0") + body


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8, 10, 12, 14])
def test_levels_of_any_number_of_bits_are_read_or_named(bits, channels):
    levels = np.rint(RAMP[..., :channels] * (2**bits - 1)).astype(int)
    data = packed_tiff(levels, bits)
    if bits in (3, 6) or (channels == 3 and bits in (2, 4)):
        assert error_of(data).reason == f"pixels of {bits} bits are not read"
        return
    assert off(data, np.rint(levels * 255 / (2**bits - 1))) <= 1
    if channels == 1:
        assert (
            off(packed_tiff(2**bits - 1 - levels, bits, white_is_0=True), np.rint(levels * 255 / (2**bits - 1))) <= 1
        )


def by_compression(values, number):
    """A TIFF of one strip that says it is compressed by a scheme of this number; its bytes are not."""
    data = tiff(values, photometric="rgb", rowsperstrip=len(values))
    plain = struct.pack("<HHIH", 259, 3, 1, 1)
    assert data.count(plain) == 1
    return data.replace(plain, struct.pack("<HHIH", 259, 3, 1, number))


@pytest.mark.parametrize("number", [34712, 34887, 34925 + 8, 50001, 50002, 32895, 4711])  # JPEG 2000, LERC, PNG, ...
def test_a_compression_that_is_not_read_is_named_and_no_black_picture(number):
    for kind, full in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1)):
        error = error_of(by_compression((RAMP * full).astype(kind), number))
        assert error.status == "unsupported_format"
        assert "compressed by" in error.reason


def test_zstandard_is_read_with_8_bits_and_named_with_16(encode):
    picture = Image.fromarray(SHOWN.astype(np.uint8))
    assert off(encode(picture, "TIFF", compression="zstd"), SHOWN) == 0
    assert "compressed by ZSTD" in error_of(by_compression((RAMP * 65535).astype(np.uint16), 50000)).reason


def test_channels_that_no_colour_is_of(encode):
    grey = (RAMP[..., 0] * 65535).astype(np.uint16)
    for kind in (np.uint8, np.uint16):
        five = np.stack([grey >> (8 if kind == np.uint8 else 0)] * 5, 2).astype(kind)
        assert (
            "5 channels of no colour" in error_of(tiff(five, photometric="minisblack", planarconfig="contig")).reason
        )
        beside = np.dstack([RAMP, RAMP[..., :2]]) * np.iinfo(kind).max  # red, green, blue and infrared
        assert off(tiff(beside.astype(kind), photometric="rgb", extrasamples=[0, 0]), SHOWN) <= 1
    assert "complex64 are not read" in error_of(tiff(grey.astype(np.complex64))).reason


def test_a_tiff_that_lacks_strips_is_cut_off_and_no_black_picture():
    data = tiff(np.full((64, 64, 3), 200, np.uint8), photometric="rgb", rowsperstrip=64)
    low = data.replace(struct.pack("<HHII", 278, 4, 1, 64), struct.pack("<HHII", 278, 4, 1, 16))
    assert low != data
    assert error_of(low).status == "truncated"
    wide = tiff(np.zeros((64, 64, 99), np.uint16), photometric="minisblack", planarconfig="contig")
    with pytest.raises(BadImageError, match="of 198 bytes"):
        read_image(wide, max_pixels=64 * 64)


def test_an_image_without_pixels_is_named():
    for read in (read_image, read_mask, picture_size):
        with pytest.raises(BadImageError, match="0x4 px"):
            read(packed_tiff(np.zeros((4, 0, 1), int), 16))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_black_and_white_of_one_bit(encode, kind):
    data = encode(Image.fromarray(RAMP[..., 0] > 0.5), kind)
    assert off(data, (RAMP[..., :1] > 0.5) * 255) == 0


def test_ranges_without_a_meaning_are_refused_by_name():
    for values, words in (
        (RAMP[..., 0] * 300, "floats from 0 to 299.9"),
        (RAMP[..., 0] - 0.5, "floats from -0.5 to"),
        (np.where(RAMP > 0.5, np.nan, RAMP), "floats from nan"),
    ):
        assert words in error_of(tiff(values.astype(np.float32))).reason
    assert "negative" in error_of(tiff((RAMP[..., 0] * 9 - 4).astype(np.int16))).reason
    assert "nothing but black" in error_of(tiff((RAMP[..., 0] * 999).astype(np.uint32))).reason
    for bits in (8, 10, 12):  # in 16, of which nothing in the file tells
        assert (
            "nothing but black" in error_of(tiff((RAMP * (2**bits - 1)).astype(np.uint16), photometric="rgb")).reason
        )


def test_levels_of_16_bits_are_read_from_tiff_as_stored():
    grey = np.rint(RAMP[..., 0] * 65535).astype(np.uint16)
    np.testing.assert_array_equal(read_levels(tiff(grey)), grey)


# Colour


def profile_of(gamma):
    """A matrix profile with the primaries of Adobe RGB, or sRGB, made by Little CMS from sRGB by another curve."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        name, start, _ = struct.unpack(">4sII", profile[132 + 12 * number : 144 + 12 * number])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[start : start + 14] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return bytes(profile)


def swapped_profile():
    """sRGB with red and green exchanged: what such a file shows is far from its stored values."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {profile[132 + 12 * n : 136 + 12 * n].hex(): 132 + 12 * n for n in range(profile[131])}
    red, green = tags[b"rXYZ".hex()], tags[b"gXYZ".hex()]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


COLOURS = Image.fromarray(
    np.kron(np.array([[[200, 30, 60], [20, 180, 90]]], np.uint8), np.ones((32, 32, 1), np.uint8))
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_an_embedded_profile_is_converted_to_srgb(encode, kind):
    data = encode(COLOURS, kind, icc_profile=swapped_profile(), **({"quality": 95} if kind != "PNG" else {}))
    assert np.abs(read_image(data)[:, [4, 60]].astype(int) - [[30, 200, 60], [180, 20, 90]]).mean() <= 5
    stored = normalise(data, "x", 1600, 16, 10**6)
    assert np.abs(read_image(stored.data)[:, [4, 60]].astype(int) - [[30, 200, 60], [180, 20, 90]]).mean() <= 6
    assert "icc_profile" not in Image.open(BytesIO(stored.data)).info


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_a_profile_counts_also_for_palettes_and_cut_outs(encode, mode):
    picture = COLOURS.convert(mode, palette=Image.Palette.ADAPTIVE)
    data = encode(picture, "PNG", icc_profile=swapped_profile())
    assert np.abs(read_image(data)[:, [4, 60]].astype(int) - [[30, 200, 60], [180, 20, 90]]).max() <= 4


def test_a_grey_profile_is_converted(encode):
    linear = ImageCms.ImageCmsProfile(BytesIO(grey_profile(1.0))).tobytes()
    data = encode(Image.new("L", (40, 40), 55), "PNG", icc_profile=linear)
    light = 55 / 255
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert abs(read_image(data)[0, 0] - expected).max() <= 2


def grey_profile(gamma):
    """The smallest grey profile (ICC.1): a white point and a curve."""
    white = b"XYZ \0\0\0\0" + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"wtpt", white), (b"kTRC", curve)]
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags:
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize(
    "profile", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"none at all"]
)
def test_srgb_and_damaged_profiles_change_no_byte(photo, encode, profile):
    data = encode(photo(), icc_profile=profile)
    np.testing.assert_array_equal(read_image(data), np.asarray(Image.open(BytesIO(data))))
    assert normalise(data, "x", 1600, 16, 10**6).data == data


def test_lab_and_cmyk_are_shown_as_colours(encode):
    lab = ImageCms.profileToProfile(
        COLOURS, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert off(encode(lab, "TIFF"), np.asarray(COLOURS)) <= 6
    assert off(encode(COLOURS.convert("CMYK"), "TIFF"), np.asarray(COLOURS)) <= 1
    ink = np.asarray(COLOURS.convert("CMYK")).astype(np.uint16) * 257
    assert off(tiff(ink, photometric="separated"), np.asarray(COLOURS)) <= 1


def linear(levels):
    light = levels / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # IEC 61966-2-1


def as_p3(levels):
    """sRGB levels of what Display P3 levels show, by the matrices of CSS Color 4."""
    light = levels / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0, 0.0451134, 1.0439444]]
    from_xyz = [
        [3.2409699, -1.5373832, -0.4986108],
        [-0.9692436, 1.8759675, 0.0415551],
        [0.0556301, -0.2039770, 1.0569715],
    ]
    return linear(np.clip(light @ np.transpose(np.matmul(from_xyz, to_xyz)), 0, 1) * 255)


def with_chunk(data, name, content):
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    at = data.index(b"IDAT") - 4
    return data[:at] + chunk + data[at:]


LIGHT = struct.pack(">I", 100_000)  # gAMA of levels that are proportional to light
SRGB_XY, P3_XY = (
    (31270, 32900, *xy, 15000, 6000) for xy in ((64000, 33000, 30000, 60000), (68000, 32000, 26500, 69000))
)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "16"])
def test_a_png_may_name_its_gamma(encode, mode):
    shown = linear(SHOWN if mode in ("RGB", "RGBA", "16") else SHOWN[..., [0] * 3])
    picture = Image.fromarray((SHOWN if mode in ("RGB", "RGBA", "16") else SHOWN[..., 0]).astype(np.uint8))
    data = png(SHOWN * 257, 16, 2) if mode == "16" else encode(picture.convert(mode), "PNG")
    data = with_chunk(data, b"gAMA", LIGHT)
    assert off(data, shown) <= 2
    stored = normalise(data, "x", 1600, 16, 10**6)
    assert np.abs(read_image(stored.data) - shown).mean() < 2


def test_colours_named_by_numbers_are_converted_and_what_means_srgb_changes_nothing(photo, encode):
    plain, colours = encode(photo(), "PNG"), np.asarray(photo())
    for chunks in (
        {b"gAMA": struct.pack(">I", 45455), b"cHRM": struct.pack(">8I", *P3_XY)},
        {b"cICP": bytes([12, 13, 0, 1]), b"gAMA": LIGHT},
    ):
        data = plain
        for name, content in chunks.items():
            data = with_chunk(data, name, content)
        assert off(data, as_p3(colours)) <= 3
    for name, content in ((b"gAMA", struct.pack(">I", 45455)), (b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", b"\0" * 4),
                          (b"gAMA", b"\1"), (b"gAMA", b"\xff" * 4)):  # fmt: skip
        data = with_chunk(with_chunk(plain, name, content), b"cHRM", struct.pack(">8I", *SRGB_XY))
        assert off(data, colours) == 0
    assert off(with_chunk(with_chunk(plain, b"sRGB", b"\0"), b"gAMA", LIGHT), colours) == 0
    named = with_chunk(encode(photo(), "PNG", icc_profile=swapped_profile()), b"cICP", bytes([1, 13, 0, 1]))
    assert off(named, colours) == 0, "of several the first of the standard's order"


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_the_numbers_of_heic_and_avif_count_too(photo, encode, kind):
    data = encode(photo(), kind, quality=98)
    srgb = b"colrnclx" + struct.pack(">HH", 1, 13)
    assert srgb in data
    p3 = read_image(data.replace(srgb, b"colrnclx" + struct.pack(">HH", 12, 13)))
    assert np.abs(p3 - as_p3(read_image(data))).max() <= 3
    for curve, word in ((16, "PQ"), (18, "HLG")):
        error = error_of(data.replace(srgb, b"colrnclx" + struct.pack(">HH", 9, curve)))
        assert (error.status, word in error.reason, "SDR" in error.remedy) == ("unsupported_format", True, True)


def test_hdr_png_is_named(photo, encode):
    assert "HDR (PQ)" in error_of(with_chunk(encode(photo(), "PNG"), b"cICP", bytes([9, 16, 0, 1]))).reason


def test_profiles_of_grey_count_for_cut_outs_and_those_of_colours_for_grey(encode):
    grey = SHOWN[..., 0].astype(np.uint8)
    cut = Image.fromarray(np.dstack([grey, np.where(RAMP[..., 0] < 0.5, 0, 255).astype(np.uint8)]), "LA")
    shown = np.where(RAMP[..., :1] < 0.5, 255, linear(SHOWN[..., :1]))
    assert off(encode(cut, "PNG", icc_profile=grey_profile(1.0)), shown) <= 2
    assert off(encode(Image.fromarray(grey), "PNG", icc_profile=profile_of(1.0)), linear(SHOWN[..., :1])) <= 2


# Transparency


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_what_hides_under_transparency_is_white(encode, kind):
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = 40, 80, 120, 255
    pixels[:, 32:, 0] = 255
    options = {} if kind in ("PNG", "TIFF") else {"quality": 100}
    shown = read_image(encode(Image.fromarray(pixels), kind, **options))
    assert np.abs(shown[:, :24].astype(int) - [40, 80, 120]).max() <= 8
    assert shown[:, 40:].min() >= 250


def test_transparency_of_16_bit_tiff_is_white_whether_premultiplied_or_not():
    pixels = np.zeros((8, 8, 4), np.uint16)
    pixels[:, :4] = 65535, 30000, 0, 65535
    pixels[:, 4:] = 50000, 0, 0, 0
    for extra in ("unassalpha", "assocalpha"):
        data = tiff(
            pixels if extra == "unassalpha" else pixels * (pixels[..., 3:] > 0),
            photometric="rgb",
            extrasamples=[extra],
        )
        shown = read_image(data)
        assert (shown[:, :4] == [255, 117, 0]).all()
        assert (shown[:, 4:] == 255).all()


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_heic_and_avif_is_applied_once(photo, encode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(_with_orientation(photo(), orientation))).astype(int)
    for kind in ("HEIF", "AVIF"):
        data = encode(photo(), kind, exif=exif.tobytes(), quality=95)
        assert (orientation == 1) == (b"irot" not in data and b"imir" not in data)
        assert read_image(data).shape == shown.shape
        assert np.abs(read_image(data) - shown).mean() < 4
        assert picture_size(data) == shown.shape[1::-1]
        assert np.abs(read_image(normalise(data, "x", 1600, 16, 10**6).data) - shown).mean() < 4


def _with_orientation(picture, orientation):
    picture.getexif()[0x0112] = orientation
    return picture


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_deep_tiff_is_applied(orientation):
    data = tiff((RAMP * 65535).astype(np.uint16), photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    shown = np.asarray(
        ImageOps.exif_transpose(_with_orientation(Image.fromarray(SHOWN.astype(np.uint8)), orientation))
    )
    assert read_image(data).shape == shown.shape
    assert off(data, shown) <= 1


@pytest.mark.parametrize("tag", [0x011A, 0x829A, 0x920A, 0x0128, 0x9003, 0x0132])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_impossible_numbers_in_exif_cost_neither_picture_nor_orientation(photo, encode, tag, kind):
    shape = (120, 90, 3)
    for type_, value in (
        (10, struct.pack("<ii", -1, 0)),
        (5, struct.pack("<II", 5, 0)),
        (2, b"abcdefgh"),
        (13, b"\xff" * 8),
    ):
        block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        block += struct.pack("<HHII", tag, type_, 8 if type_ == 2 else 1, 38) + b"\0\0\0\0" + value
        data = encode(photo(), kind, exif=block)
        assert read_image(data).shape == shape
        assert normalise(data, "x", 1600, 16, 10**6).size == (90, 120)


def test_impossible_numbers_in_the_exif_of_avif_cost_nothing(photo, encode):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "abcdefgh"
    data = encode(photo(), "AVIF", exif=exif.tobytes())
    entry = struct.pack(">HHI", 0x010E, 2, 9)
    assert entry in data
    for tag in (0x011A, 0x0132):
        assert read_image(data.replace(entry, struct.pack(">HHI", tag, 10, 1))).shape == (120, 90, 3)


def test_exif_that_a_png_holds_as_text_is_read(photo, encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    data = with_chunk(encode(photo(), "PNG"), b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    assert off(data, np.asarray(photo().transpose(Image.Transpose.ROTATE_270)).astype(int)) == 0
    for damaged in (text[:40], text.replace(b"exif\n", b"exif"), b""):
        assert read_image(with_chunk(encode(photo(), "PNG"), b"tEXt", b"Raw profile type exif\0" + damaged)).shape == (
            90,
            120,
            3,
        )


# Pages and previews


def test_the_first_page_of_full_size_is_the_photograph():
    small, large, other = (
        np.full((size, size, 3), level, np.uint8) for size, level in ((16, 10), (64, 200), (64, 90))
    )
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(small, subfiletype=1, photometric="rgb")
        file.write(large, photometric="rgb")
        file.write(other, photometric="rgb")
    assert (read_image(buffer.getvalue()) == 200).all()
    assert read_image(buffer.getvalue()).shape == (64, 64, 3)
    assert picture_size(buffer.getvalue()) == (64, 64)
    assert "previews" in error_of(tiff(small, subfiletype=1, photometric="rgb")).reason


def test_a_preview_of_a_camera_raw_file_is_no_photograph():
    sensor = np.zeros((64, 64), np.uint16)
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(
            np.zeros((16, 16, 3), np.uint8), photometric="rgb", subifds=1, extratags=[(271, 2, 0, "NIKON", True)]
        )
        file.write(
            sensor, photometric=32803, extratags=[(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
        )
    for data in (
        buffer.getvalue(),
        tiff(np.stack([sensor] * 3, 2), photometric=34892),
        tiff(np.zeros((16, 16, 3), np.uint8), photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]),
    ):
        error = error_of(data)
        assert (error.status, "camera raw" in error.reason, "JPEG" in error.remedy) == (
            "unsupported_format",
            True,
            True,
        )


def test_the_first_frame_of_animations_is_read(photo, encode):
    frames = [photo(seed) for seed in range(3)]
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_image(data), np.asarray(frames[0]))
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    assert off(data, np.asarray(frames[0]).astype(int)) < 40
    assert normalise(data, "x", 1600, 16, 10**6).data != data


# Limits of a library


def test_long_texts_and_profiles_in_a_png_cost_nothing(photo, encode):
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "x" * 3_000_000, zip=True)
    texts.add_text("Comment", "y" * 2_000_000, zip=True)
    texts.add_text("Plain", "z" * 9_000_000)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo(), "PNG", pnginfo=texts, icc_profile=swapped_profile() + b"\0" * 2_000_000, exif=exif)
    shown = read_image(data)
    assert shown.shape == (120, 90, 3)
    turned = np.asarray(photo().transpose(Image.Transpose.ROTATE_270))
    assert np.abs(shown[..., [1, 0, 2]].astype(int) - turned).max() <= 4
    assert exif_tags(data) == {0x0112}


def test_texts_behind_the_pixels_cost_nothing_either(photo, encode):
    plain = encode(photo(), "PNG")
    long = b"zTXt" + b"k\0\0" + zlib.compress(b"x" * 3_000_000)
    chunk = struct.pack(">I", len(long) - 4) + long + struct.pack(">I", zlib.crc32(long))
    np.testing.assert_array_equal(read_image(plain[:-12] + chunk + plain[-12:]), np.asarray(photo()))


@pytest.mark.parametrize("name", [b"pHYs", b"tIME", b"vpAg", b"gAMA", b"eXIf", b"tEXt"])
def test_a_wrong_sum_beside_the_pixels_of_a_png_costs_nothing(photo, encode, name):
    content = LIGHT if name == b"gAMA" else b"x" * 9
    chunk = struct.pack(">I", len(content)) + name + content + b"\0\0\0\1"
    plain = encode(photo(), "PNG")
    for at in (plain.index(b"IDAT") - 4, len(plain) - 12):
        assert off(plain[:at] + chunk + plain[at:], np.asarray(photo()).astype(int)) == 0
    pixels = plain.index(b"IDAT") + 40
    assert error_of(plain[:pixels] + bytes([plain[pixels] ^ 1]) + plain[pixels + 1 :]).status == "decode_error"


def bmp(head, rows, size=(48, 32), bits=16, compression=0, beside=b"\0\0\0\0"):
    """A BMP of a header of 40 bytes and more, and rows from the bottom up."""
    head = struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, compression, len(rows), 2835, 2835, 0, 0) + head
    return b"BM" + struct.pack("<I4sI", 14 + len(head) + len(rows), beside, 14 + len(head)) + head + rows


def test_bmp_of_16_bits_runs_and_reserved_bytes(photo, encode):
    levels = SHOWN.astype(int) >> [3, 2, 3]
    rows = (levels @ [1 << 11, 1 << 5, 1])[::-1].astype("<u2").tobytes()
    data = bmp(struct.pack("<III", 0xF800, 0x7E0, 0x1F), rows, compression=3)
    assert off(data, SHOWN) <= 8
    grey = SHOWN[..., 0].astype(np.uint8)
    palette = b"".join(bytes((level, level, level, 0)) for level in range(256))
    runs = b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in grey[::-1]) + b"\0\1"
    assert off(bmp(palette, runs, bits=8, compression=1), grey[..., None]) == 0
    plain = bytearray(encode(photo(), "BMP"))
    plain[6:10] = b"used"
    np.testing.assert_array_equal(read_image(bytes(plain)), np.asarray(photo()))


# What is no photograph


@pytest.mark.parametrize(
    ("start", "status", "words"),
    [
        (b"II*\0\x10\0\0\0CR\x02\0", "unsupported_format", "CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "unsupported_format", "CR3"),
        (b"IIRO\x08\0\0\0", "unsupported_format", "ORF"),
        (b"IIU\0\x18\0\0\0", "unsupported_format", "RW2"),
        (b"FUJIFILMCCD-RAW 0201", "unsupported_format", "RAF"),
        (b"FOVb\0\0\x02\0", "unsupported_format", "X3F"),
        (b"\0MRM\0\0", "unsupported_format", "MRW"),
        (b"8BPS\0\x01", "unsupported_format", "Photoshop"),
        (b"\xff\x0a\xfa", "unsupported_format", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "unsupported_format", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported_format", "JPEG 2000"),
        (b"GIF89a", "unsupported_format", "GIF"),
        (b"\0\0\0\x18ftyphevc\0\0\0\0hevcmsf1", "unsupported_format", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "not_image", "EPS"),
        (b"\xc5\xd0\xd3\xc6", "not_image", "EPS"),
        (b"%PDF-1.5", "not_image", "PDF"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg ', "not_image", "SVG"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "not_image", "film"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "not_image", "film"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "not_image", "film"),
        (b"RIFF\0\0\0\0AVI LIST", "not_image", "film"),
        (b"\0\0\0\x08free\0\0\0\0mdat", "not_image", "film"),
        ((b"\x47" + b"\0" * 187) * 4, "not_image", "transport stream"),
        (b"OggS\0\2", "not_image", "Ogg"),
        ('<?xml version="1.0" encoding="utf-16"?><svg/>'.encode("utf-16"), "not_image", "SVG"),
        (b"<?xml version='1.0'?><!--" + b"x" * 900 + b"--><svg/>", "not_image", "SVG"),
        (b"bplist00", "not_image", "iCloud"),
        (b"/annex/objects/SHA256E-s1--a.jpg\n", "not_image", "git-annex"),
        (b"\0\0\2\0\0\0\0\0\0\0\0\0", "unsupported_format", "TGA"),
        (b"\0\0\2\0\1\0", "unsupported_format", "cursor"),
        (b"P6\n4 4\n255\n", "unsupported_format", "Netpbm"),
        (b"\0" * 128 + b"DICM", "unsupported_format", "DICOM"),
        (b"\xff\xd8\xff\xf7", "unsupported_format", "JPEG-LS"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI", "unsupported_format", "iOS"),
        (b"PF\n1 1\n-1.0\n", "unsupported_format", "PFM"),
        (b"AT&TFORM", "unsupported_format", "DjVu"),
        (b"\x93NUMPY\1\0", "unsupported_format", "NumPy"),
        (b"\1\0\0\0" + b"\1" * 36 + b" EMF", "not_image", "metafile"),
        (b"RIFF\0\0\0\0CDRBvrsn", "not_image", "CorelDRAW"),
        (b"AC1032", "not_image", "AutoCAD"),
        (b"/* XPM */", "not_image", "XPM"),
        (b"\0\0\1\x44RED1", "not_image", "R3D"),
        (b"data:image/jpeg;base64,/9j/", "not_image", "data:"),
        (b"/9j/4AAQSkZJRg", "not_image", "base64"),
        (b'{"error": "not found"}' + b" " * 4100, "not_image", "JSON"),
        (b"Not Found" + b" " * 4100, "not_image", "plain text"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not_image", "sound"),
    ],
)
def test_other_kinds_of_files_are_called_what_they_are(start, status, words):
    error = error_of(start + b"\0" * 600)
    assert (error.status, words in error.reason) == (status, True), error.reason
    assert error.remedy


def test_jpegs_that_no_common_decoder_reads_are_named(photo, encode):
    data = encode(photo())
    assert b"\xff\xc0\x00\x11\x08" in data
    for frame, words in ((b"\xff\xc1\x00\x11\x0c", "12 bits"), (b"\xff\xc3\x00\x11\x08", "lossless")):
        error = error_of(data.replace(b"\xff\xc0\x00\x11\x08", frame))
        assert (error.status, words in error.reason) == ("unsupported_format", True), error.reason


# Damage


def samples(photo, encode):
    picture = photo(size=(40, 32))
    made = [encode(picture, known.name) for known in FORMATS]
    deep = (np.asarray(picture).astype(np.uint16) * 257, np.asarray(picture).astype(np.float32) / 255)
    made += [tiff(values, photometric="rgb", compression=how) for values in deep for how in (None, "zlib")]
    made += [tiff(deep[0][..., 0]), encode(picture.convert("RGBA"), "PNG"), encode(picture.convert("P"), "PNG")]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "Canon", 72.0
    profile = swapped_profile()
    made += [encode(picture, kind, exif=exif, icc_profile=profile) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")]
    made += [encode(picture.convert("CMYK")), encode(picture, progressive=True)]
    made += [encode(picture, kind, save_all=True, append_images=[picture]) for kind in ("PNG", "WEBP", "MPO", "TIFF")]
    return made


def mutated(data, chance):
    damaged = bytearray(data)
    way = chance.random()
    if way < 0.15:
        return bytes(damaged[: chance.randrange(1, len(damaged))])
    if way < 0.3:
        start, length = chance.randrange(len(damaged)), chance.randrange(1, 64)
        return bytes(
            damaged[:start]
            + (damaged[start + length :] if chance.random() < 0.5 else chance.randbytes(length) + damaged[start:])
        )
    reach = len(damaged) if way < 0.65 else min(len(damaged), 600)  # headers, where most is decided
    for _ in range(chance.randrange(1, 8)):
        damaged[chance.randrange(reach)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(damaged)


READERS = (read_image, read_mask, read_levels, picture_size, lambda data: read_small_grey(data, 16), exif_tags,
           lambda data: normalise(data, "x", 24, 4, 10**6))  # fmt: skip


def fuzz(made, seed, seconds):
    """How many damaged files were read, and how many refused by the declared error; any other error ends it."""
    chance, end, read, refused = random.Random(seed), time.process_time() + seconds, 0, 0
    while time.process_time() < end:
        number = chance.randrange(len(made))
        data = mutated(made[number], chance)
        reader = chance.choice(READERS)
        try:
            reader(data)
            read += 1
        except BadImageError as error:
            refused += bool(error.reason and error.status)
    return read, refused


@pytest.mark.filterwarnings("ignore")
def test_no_error_but_the_declared_one_leaves_the_reader(photo, encode):
    read, refused = fuzz(samples(photo, encode), 7, 60)
    assert read > 1000
    assert refused > 1000
