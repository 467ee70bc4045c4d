"""From the bytes of a file to a stored image: 8-bit RGB, upright, of bounded size. Also hand-made masks."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, ImageFile

from liftnet.core.errors import BadImageError
from liftnet.data.images import BoolArray
from liftnet.data.pictures.exif import Exif, read_exif
from liftnet.data.pictures.formats import MIMES, sniff

ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library in this process may have switched it on
JPEG_QUALITY = 95
Size = tuple[int, int]
_DAMAGE = (  # what Pillow's readers raise on damaged files; UnidentifiedImageError is an OSError
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
)
HASHED_SIDE = 32  # imagehash's DCT hash is of 32 x 32 px
SYMMETRIES = (  # of a square
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)
_TURNS = {  # EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored pixels belong
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """An image as it will be stored.

    Attributes:
        data: The file: the bytes as received if nothing had to change, else a JPEG of quality 95 without chroma
            subsampling.
        suffix: ".jpg" or ".png".
        mime: Type of the bytes as received.
        size: (width, height) in px as stored.
        shown_size: (width, height) as displayed before any shrinking; what a hand-made mask must have.
        exif: What the camera wrote.
        phashes: 64-bit perceptual hashes (DCT), in hex, of the pixels as stored, turned and mirrored; see
            `perceptual_hashes`.
    """

    data: bytes = field(repr=False)
    suffix: str
    mime: str
    size: Size
    shown_size: Size
    exif: Exif
    phashes: tuple[str, ...]

    @property
    def phash(self) -> str:
        """64-bit perceptual hash (DCT) of the pixels as stored, in hex."""
        return self.phashes[0]

    @property
    def sha256(self) -> str:
        """SHA-256 of the stored file, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def normalise(data: bytes, what: object, max_side: int, min_side: int, max_pixels: int) -> Picture:
    """Check the bytes of an image by decoding them, and turn it upright, into 8-bit RGB, and down to `max_side`.

    Args:
        data: The file as received.
        what: Its name, for errors.
        max_side: Longest side of the stored image, px.
        min_side: Least shorter side as displayed, px.
        max_pixels: Images of more pixels are refused before they are decoded.

    Raises:
        BadImageError: It cannot be used; `code` is its status.
    """
    kind = sniff(data, what)
    picture = _open(data, kind, what, max_pixels)
    if kind == "PNG":  # Pillow decodes a PNG to look for EXIF behind its pixels, and tells of damage only once
        _decode(picture, what)
    exif = read_exif(picture)
    width, height = picture.size
    if min(width, height) < min_side:
        raise BadImageError(what, "too_small", f"{width}x{height} px; the shorter side must have {min_side}")
    untouched = kind in ("JPEG", "PNG") and _is_plain(picture, data) and exif.orientation == 1
    shrink = max(width, height) > max_side
    if shrink and picture.format == "JPEG":
        # decode at 1/2, 1/4 or 1/8 where that is still large enough: what is thrown away need not be computed
        scale = max_side / max(width, height)
        picture.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    _decode(picture, what)
    pixels = _to_rgb(picture, what)
    if kind == "TIFF":  # Pillow has turned it upright while decoding
        shown = pixels.size
    else:
        shown = (height, width) if exif.orientation >= 5 else (width, height)
        pixels = upright(pixels, exif.orientation)
    if shrink:
        # Lanczos takes half as long again; the two differ by a fifth of what JPEG changes (benchmarks/downloading.md)
        pixels = pixels.resize(shrunk_size(shown, max_side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    if untouched and not shrink:
        stored, suffix = data, ".jpg" if kind == "JPEG" else ".png"
    else:
        stored, suffix = _encode(pixels, picture), ".jpg"
    return Picture(stored, suffix, MIMES[kind], pixels.size, shown, exif, perceptual_hashes(pixels))


def normalise_mask(data: bytes, what: object, shown_size: Size, stored_size: Size, max_pixels: int) -> BoolArray:
    """Check a hand-made mask and bring it to the size of its stored image.

    Its EXIF orientation is not applied: a mask is drawn on the image as displayed.

    Returns:
        (H, W) bool, True on the foreground (128 or brighter; transparent pixels are background).

    Raises:
        BadImageError: It cannot be used; `code` is its status.
    """
    picture = _open(data, sniff(data, what), what, max_pixels)
    if picture.size != shown_size:
        reason = f"{_times(picture.size)} px, its image as displayed {_times(shown_size)}"
        raise BadImageError(what, "mask_wrong_size", reason)
    _decode(picture, what)
    grey = _to_rgb(picture, what, background=0).convert("L")
    mask = np.asarray(grey) >= 128
    if not mask.any():
        reason = f"no foreground: no pixel is 128 or brighter, the brightest is {grey.getextrema()[1]} of 255"
        raise BadImageError(what, "mask_empty", reason)
    if stored_size != shown_size:
        small = Image.fromarray(mask).resize(stored_size, Image.Resampling.NEAREST)
        mask = np.asarray(small)
    return mask


def upright(pixels: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror stored pixels as their EXIF orientation (1 to 8) asks."""
    turn = _TURNS.get(orientation)
    return pixels if turn is None else pixels.transpose(turn)


def shrunk_size(size: Size, max_side: int) -> Size:
    """(width, height) with the longer side brought down to `max_side`."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def perceptual_hashes(pixels: Image.Image) -> tuple[str, ...]:
    """The 64-bit DCT hashes (imagehash's) of an image under the eight symmetries of a square, in hex.

    In this order: as it is, turned by 90, 180 and 270 degrees to the left, mirrored left to right, upside down,
    transposed, transposed along the other diagonal. All are of one small grey image, so seven of them cost little.
    """
    import imagehash

    small = pixels.convert("L").resize((HASHED_SIDE, HASHED_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return tuple(str(imagehash.phash(small if turn is None else small.transpose(turn))) for turn in SYMMETRIES)


def _open(data: bytes, kind: str, what: object, max_pixels: int) -> Image.Image:
    """Read the header only, and refuse what would take too much memory to decode."""
    try:
        picture = Image.open(BytesIO(data), formats=[kind])
    except Image.DecompressionBombError as error:
        raise BadImageError(what, "bomb", f"more pixels than max_pixels = {max_pixels:,}") from error
    except _DAMAGE as error:
        raise BadImageError(what, "decode_error", f"the header of the {kind} file is damaged") from error
    if picture.width * picture.height > max_pixels:
        raise BadImageError(what, "bomb", f"{_times(picture.size)} px, more than max_pixels = {max_pixels:,}")
    return picture


def _decode(picture: Image.Image, what: object) -> None:
    try:
        picture.load()
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        cut = "truncated" in str(error) or "Truncated" in str(error)
        code, reason = ("truncated", "the file ends early") if cut else ("decode_error", "the file is damaged")
        raise BadImageError(what, code, f"{reason} ({error})") from error


def _is_plain(picture: Image.Image, data: bytes) -> bool:
    """Whether any decoder gets the same 8-bit RGB pixels out of the file."""
    if picture.mode != "RGB" or "transparency" in picture.info or getattr(picture, "n_frames", 1) != 1:
        return False
    return picture.format == "JPEG" or data[24:26] == b"\x08\x02"  # bit depth and colour type of a PNG's IHDR


def _to_rgb(picture: Image.Image, what: object, background: int = 255) -> Image.Image:
    """8-bit RGB; what is transparent shows a background of that grey level."""
    mode = picture.mode
    if mode.startswith("I"):
        return _from_16_bit(picture, what).convert("RGB")
    if mode == "CMYK":
        return _from_cmyk(picture)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    if mode == "RGB":
        return picture
    if mode in ("L", "1", "P", "YCbCr", "HSV"):
        return picture.convert("RGB")
    raise BadImageError(what, "unsupported_format", f"pixels of the kind {mode} are not read; convert it to 8-bit RGB")


def _from_16_bit(picture: Image.Image, what: object) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion would clip at 255."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BadImageError(what, "unsupported_format", "32-bit pixels are not read; convert it to 8-bit RGB")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _from_cmyk(picture: Image.Image) -> Image.Image:
    """Ink to light: by the embedded profile where there is a usable one, else by the plain formula."""
    profile = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: the plain formula below
        if converted is not None:
            return converted
    return picture.convert("RGB")


def _encode(pixels: Image.Image, original: Image.Image) -> bytes:
    buffer = BytesIO()
    profile = original.info.get("icc_profile") if original.mode in ("RGB", "RGBA", "P") else None
    pixels.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=profile, exif=b"")
    return buffer.getvalue()


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
