"""Small files that would take minutes to decode are refused before they are; each of them would fail by its time."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from liftnet.collect.normalise import normalise
from liftnet.core.errors import BadImageError
from liftnet.data.picture_cost import jpeg_parts
from liftnet.data.pictures import picture_size, read_image, read_small_grey

SECONDS = 1.0  # what refusing may take; all but nothing is needed


def progressive(side, scans):
    """A picture whose last scan stands in it as often as asked; it takes 300 bytes each time."""
    written = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 30)).save(written, "JPEG", progressive=True)
    data = written.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * (scans - data.count(b"\xff\xda")) + b"\xff\xd9"


def plain(kind):
    written = io.BytesIO()
    Image.new("RGB", (64, 64)).save(written, kind)
    return written.getvalue()


def chunk(name, body=b""):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(body, tags):
    """A TIFF of one page, `body` from byte 400 on."""
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return head.ljust(400, b"\0") + body


def strips(count):
    """A TIFF of one column of pixels, each row a strip of its own."""
    tags = [(256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    tags += [(273, 4, count, 400), (278, 4, 1, 1), (279, 4, count, 400 + 4 * count)]
    return tiff(struct.pack("<I", 10) * count + struct.pack("<I", 1) * count, tags)


def jpeg_in_tiff(scans):
    """One strip of JPEG with many scans, in a TIFF."""
    data = progressive(1024, scans)
    tags = [(256, 4, 1, 1024), (257, 4, 1, 1024), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 6), (277, 3, 1, 3)]
    return tiff(data, [*tags, (273, 4, 1, 400), (278, 4, 1, 1024), (279, 4, 1, len(data))])


def said_to_be(side, data):
    """The same JPEG with another size in its frame header: it is refused before anybody misses the pixels."""
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


BOMBS = {
    "900 scans": lambda: progressive(2000, 900),
    "scans of a large picture": lambda: said_to_be(9000, progressive(64, 30)),
    "a million comments": lambda: plain("JPEG")[:2] + b"\xff\xfe\0\2" * 1_000_000 + plain("JPEG")[2:],
    "nothing but filling": lambda: plain("JPEG")[:2] + b"\xff" * 5_000_000 + plain("JPEG")[2:],
    "a million chunks": lambda: plain("PNG")[:33] + chunk(b"abCd") * 1_000_000 + plain("PNG")[33:],
    "a million ends of pixels": lambda: plain("PNG")[:-12] + chunk(b"IDAT") * 1_000_000 + plain("PNG")[-12:],
    "a strip a pixel": lambda: strips(2_000_000),
    "scans in a TIFF": lambda: jpeg_in_tiff(90),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_takes_too_long_is_refused_at_once(name):
    data = BOMBS[name]()
    for read in (read_image, picture_size, lambda data: normalise(data, "x", 1600, 1, 89_000_000)):
        start = time.perf_counter()
        with pytest.raises(BadImageError, match="takes too long") as error:
            read(data)
        assert error.value.status == "bomb"
        assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"comment": b"\xff\xda" * 99}]
)
def test_scans_and_pixels_are_counted_as_they_are(photo, encode, options):
    picture = Image.effect_noise((300, 200), 90).convert("RGB")
    data = encode(picture, "JPEG", **options)
    parts = jpeg_parts(data)
    assert (parts.pixels, parts.fill, parts.excess) == (60_000, 0, "")
    assert parts.scans == (10 if "progressive" in options else 1)


def test_a_picture_in_a_note_of_a_picture_counts_nothing(photo, encode):
    """A preview in EXIF has scans of its own."""
    preview = encode(photo(), "JPEG", progressive=True)
    block = b"Exif\0\0" + preview
    data = encode(photo(), "JPEG")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert jpeg_parts(data).scans == 1
    read_image(data)


def test_what_programs_write_is_read(photo, encode):
    for data in (progressive(300, 12), encode(photo().convert("CMYK"), "JPEG", progressive=True)):
        assert read_image(data).ndim == 3
        assert read_small_grey(data, 32).size == (32, 32)


def test_a_progressive_jpeg_is_stored_anew(photo, encode):
    """So that the stages after this one decode it in one pass."""
    data = encode(photo(1, (300, 200)), "JPEG", progressive=True, quality=95)
    stored = normalise(data, "x", 1600, 64, 10**6).data
    assert (jpeg_parts(data).scans, jpeg_parts(stored).scans) == (10, 1)
    assert np.abs(read_image(stored).astype(int) - read_image(data)).max() <= 16
    plain = encode(photo(1, (300, 200)), "JPEG", quality=95)
    assert normalise(plain, "x", 1600, 64, 10**6).data == plain


def test_a_file_that_is_far_too_long_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("liftnet.data.pictures.PICTURE_BYTES", 10_000)
    with open(tmp_path / "x.jpg", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadImageError, match=r"x\.jpg.*longer than 10,000 bytes"):
        read_image(tmp_path / "x.jpg")
