"""Pages of a TIFF file: which one is the photograph, and pixels that Pillow cannot hold (more than 8 bits, floats).

Camera raw files are TIFF files too; what they hold beside the sensor's values are previews, which never pass for
photographs. So do reduced pages of a plain TIFF file (bit 0 of NewSubfileType, TIFF 6.0).
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from liftnet.core.limits import JPEG_SCANNED_PIXELS, JPEG_SCANS, TIFF_STRIPS
from liftnet.data.picture_formats import DEVELOP, bad_image

_MOST_PAGES = 64  # of which the photograph is one
_SENSOR = (32803, 34892)  # photometric: colour filter array, linear raw (TIFF/EP, DNG 1.7)
_DNG_VERSION, _SUBFILE, _OLD_SUBFILE, _MAKE, _ORIENTATION, _PROFILE = 50706, 254, 255, 271, 274, 34675
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_WHITE_IS_0, _BLACK_IS_0, _RGB, _CMYK = 0, 1, 2, 5  # photometric
_COLOURS = {_WHITE_IS_0: 1, _BLACK_IS_0: 1, _RGB: 3, _CMYK: 4}
_UNPACK = "Save it without compression, or compressed by LZW or Deflate"
_DARKEST = 15  # part of white that a picture reaches; of 16 bits that have values of 12 it is the sixteenth
_OF_FLOATS = 3  # predictor
_JPEG = (6, 7)  # compression
_UNPACKED = frozenset(
    {1, 2, 3, 4, 5, *_JPEG, 8, 32773, 32946, 34925, 50000}
)  # TIFF 6.0; LZMA and Zstandard of libtiff
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha among the extra samples
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is told by an error of ours


@contextlib.contextmanager
def open_tiff(data: bytes, what: object) -> Iterator[Any]:
    """The page that is the photograph: the first of full size.

    Yields:
        A `tifffile.TiffPage`; its `index` is its number in the file.

    Raises:
        BadImageError: It is a camera raw file or holds previews only (`unsupported_format`), or is in too many pieces
            (`bomb`).
    """
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as tiff:
        pages = [tiff.pages[number] for number in range(min(len(tiff.pages), _MOST_PAGES))]
        _refuse_raw(pages, what)
        whole = [page for page in pages if not _is_reduced(page)]
        if not whole:
            reason = "the file holds previews of reduced size only, no photograph"
            raise bad_image(what, "unsupported_format", reason, DEVELOP)
        _check_compression(whole[0], what)
        if excess := _excess(whole[0], data):
            raise bad_image(what, "bomb", f"takes too long to decode: {excess}", "Save it anew with any program")
        yield whole[0]


def _check_compression(page: Any, what: object) -> None:
    """Refuse what no library here unpacks: OpenCV would give a black picture for it."""
    if int(page.compression) not in _UNPACKED:
        name = getattr(page.compression, "name", page.compression)
        raise bad_image(what, "unsupported_format", f"pixels compressed by {name} are not read", _UNPACK)


def _excess(page: Any, data: bytes) -> str:
    """What of a page would take too long, in words: its pieces, or scans of JPEG in them; empty if nothing does."""
    pieces = len(page.dataoffsets)
    if pieces > TIFF_STRIPS:
        return f"it has more than {TIFF_STRIPS:,} strips or tiles"
    if int(page.compression) not in _JPEG:
        return ""
    places = zip(page.dataoffsets, page.databytecounts, strict=False)
    scans = sum(data.count(b"\xff\xda", at, at + length) for at, length in places)
    passes, pixels = scans / max(1, pieces), int(page.imagewidth) * int(page.imagelength)
    too_much = scans > JPEG_SCANS * max(1, pieces) or (passes > 1 and passes * pixels > JPEG_SCANNED_PIXELS)
    return f"its {pieces} strips or tiles have {scans} scans, each a pass over all pixels" if too_much else ""


def _refuse_raw(pages: list[Any], what: object) -> None:
    for page in _with_parts(pages):
        if _number(page, _DNG_VERSION) is not None or int(getattr(page, "photometric", 0) or 0) in _SENSOR:
            make = pages[0].tags.get(_MAKE)
            brand = f" of {make.value.strip()}" if make is not None and isinstance(make.value, str) else ""
            kind = " (DNG)" if pages[0].tags.get(_DNG_VERSION) is not None else ""
            reason = f"the file is a camera raw file{kind}{brand}, which is not read"
            raise bad_image(what, "unsupported_format", reason, DEVELOP)


def _with_parts(pages: list[Any]) -> Iterator[Any]:
    """Pages with the pages below them (SubIFDs)."""
    for page in pages:
        yield page
        if page.subifds:
            yield from (page.pages[number] for number in range(min(len(page.subifds), _MOST_PAGES)))


def _number(page: Any, tag: int) -> Any:
    found = page.tags.get(tag)
    return None if found is None else found.value


def _is_reduced(page: Any) -> bool:
    kind, old = _number(page, _SUBFILE) or 0, _number(page, _OLD_SUBFILE) or 0
    return bool(int(kind) & (_REDUCED | _MASK)) or int(old) == 2


def orientation(page: Any) -> int:
    """The orientation of a page, 1 to 8; 1 if absent or damaged."""
    found = _number(page, _ORIENTATION)
    return int(found) if isinstance(found, int) and 1 <= found <= 8 else 1


def is_deep(page: Any) -> bool:
    """Whether a page has more than 8 bits a channel, signed values or floats."""
    bits = page.bitspersample
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8 or page.dtype is None or page.dtype.kind not in "bu"


def bytes_per_pixel(page: Any) -> int:
    """How many bytes a pixel of a page takes when it is decoded, all its channels together."""
    size = page.dtype.itemsize if page.dtype is not None else 1
    return int(size * page.samplesperpixel)


def check_parts(page: Any, what: object) -> None:
    """Refuse a page that has fewer strips or tiles than its size asks for (`truncated`)."""
    needed, there = math.prod(page.chunked), len(page.dataoffsets)
    if there < needed:
        raise bad_image(what, "truncated", f"the file has {there:,} of the {needed:,} parts of its pixels")


def read_page(page: Any, data: bytes, what: object) -> npt.NDArray[Any]:
    """The values of a page as stored, (H, W, samples), white being the largest.

    Raises:
        BadImageError: It is compressed in a way that is not read, or holds a volume (`unsupported_format`), or its
            pixels end early (`truncated`).
    """
    if any(offset + count > len(data) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)):
        raise bad_image(what, "truncated", "the file ends early")
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    try:
        values = page.asarray()
    except (ValueError, NotImplementedError, ImportError) as error:
        if not isinstance(error, ImportError) and "imagecodecs" not in str(error):
            raise
        values = _by_opencv(page, data)
    else:
        values = np.moveaxis(values.reshape(shape[2], *shape[:2]), 0, 2) if page.planarconfig == 2 else values
    if values is None or values.size != np.prod(shape, dtype=np.int64):
        name = getattr(page.compression, "name", page.compression)
        how = "" if name == "NONE" else f" compressed by {name}"
        how += " with the predictor of floats" if page.predictor == _OF_FLOATS else ""
        reason = f"pixels of {page.bitspersample} bits{how} are not read"
        raise bad_image(what, "unsupported_format", reason)
    values = values.reshape(shape)
    return _inverted(values, page) if page.photometric == _WHITE_IS_0 else values


def _by_opencv(page: Any, data: bytes) -> npt.NDArray[Any] | None:
    """Pixels of a compression that tifffile leaves to a package of its own, such as LZW; None if OpenCV fails too."""
    import cv2

    if page.planarconfig == 2:
        return None
    flags, first = cv2.IMREAD_UNCHANGED, page.index
    ok, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), flags, range=(first, first + 1))
    if not ok or len(pages) != 1 or pages[0].dtype != page.dtype:
        return None
    values: npt.NDArray[Any] = pages[0]
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    if values.dtype == np.uint16 and bits < 16:  # OpenCV stretches 10, 12 and 14 bits to 16
        values = values >> (16 - bits)
    return values if values.ndim == 2 else values[..., [2, 1, 0, *range(3, values.shape[2])]]


def _inverted(values: npt.NDArray[Any], page: Any) -> npt.NDArray[Any]:
    if values.dtype.kind == "f":
        return np.asarray(1 - values)
    return np.asarray(2**page.bitspersample - 1 - values).astype(values.dtype)


def picture_of(values: npt.NDArray[Any], page: Any, what: object) -> Image.Image:
    """The values of a page as an 8-bit picture: L, RGB, CMYK, or with transparency LA or RGBA.

    Raises:
        BadImageError: Their kind or range is not read (`unsupported_format`).
    """
    colours = _COLOURS.get(int(page.photometric))
    if colours is None or values.shape[2] < colours:
        name = getattr(page.photometric, "name", page.photometric)
        raise bad_image(what, "unsupported_format", f"{page.bitspersample}-bit pixels of the kind {name} are not read")
    extra = [int(kind) for kind in page.extrasamples or ()]
    if colours == 1 and values.shape[2] > 2:
        raise bad_image(what, "unsupported_format", f"{values.shape[2]} channels of no colour are not read")
    alpha = colours if extra and extra[0] in (_ASSOCIATED, _UNASSOCIATED) and values.shape[2] > colours else None
    bits = page.bitspersample[0] if isinstance(page.bitspersample, tuple) else page.bitspersample
    levels = to_8_bits(values[..., : colours + (alpha is not None)], what, bits)
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours]
    picture = Image.fromarray(
        np.ascontiguousarray(levels[..., :colours].squeeze(2) if colours == 1 else levels[..., :colours]), mode
    )
    if alpha is not None and colours < 4:
        opacity = Image.fromarray(np.ascontiguousarray(levels[..., alpha]))
        picture = picture.convert("RGB")
        picture.putalpha(opacity)
        if extra[0] == _ASSOCIATED:
            picture = Image.frombytes("RGBa", picture.size, picture.tobytes()).convert("RGBA")
    profile = _number(page, _PROFILE)
    if isinstance(profile, bytes):
        picture.info["icc_profile"] = profile
    return picture


def to_8_bits(values: npt.NDArray[Any], what: object, bits: int | None = None) -> npt.NDArray[np.uint8]:
    """Values of any depth as levels 0 to 255: integers by their whole range, floats from 0 to 1.

    Signed integers of 32 bits that need only 16 are 16-bit levels: so Pillow writes them.

    Args:
        values: Any shape.
        what: Names the file in an error.
        bits: Of a value where it has fewer than its type.

    Raises:
        BadImageError: They are negative, no numbers, or of another range (`unsupported_format`).
    """
    if not values.size:
        return values.astype(np.uint8)
    if values.dtype.kind not in "bfiu":
        raise bad_image(what, "unsupported_format", f"pixels of the type {values.dtype} are not read")
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # so also where one is no number
            reason = f"its pixels are floats from {low:.4g} to {high:.4g}, and only 0 to 1 has a meaning"
            raise bad_image(what, "unsupported_format", reason, "Scale them to 0 to 1, or save it with 8 or 16 bits")
        return np.rint(values * 255).astype(np.uint8)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    if low < 0:
        reason = f"its pixels are signed integers from {low} to {high}; negative ones have no meaning"
        raise bad_image(what, "unsupported_format", reason, "Save it with 8 or 16 bits, without a sign")
    most = int(np.iinfo(values.dtype).max)
    if values.dtype == np.int32 and high <= 65535:
        most = 65535
    elif bits is not None and values.dtype.kind == "u":
        most = min(most, 2**bits - 1)
    if 0 < high < most // _DARKEST:
        reason = f"its pixels reach {high} of {most} only, which shows nothing but black"
        raise bad_image(what, "unsupported_format", reason, "Scale them to the whole range, or save it with 8 bits")
    if most == 255:
        return values.astype(np.uint8)
    if most == 65535:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.rint(values.astype(np.float64) * (255 / most)).astype(np.uint8)
