"""The one reader of pictures: whatever the file, pixels or a `BadImageError`, and never more memory than `max_pixels`.

What is read is what a viewer displays: turned upright, in sRGB, transparency on white, the first page or frame. What a
picture is, its first bytes say (`liftnet.data.picture_formats`); of it only the header is read until its size is known
to be within the limit. Whatever the libraries raise, or cannot do, ends here as one declared error.

Pictures are written as JPEG without chroma subsampling, or as PNG.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from liftnet.core.errors import BadImageError
from liftnet.core.files import write_bytes
from liftnet.core.limits import PICTURE_BYTES
from liftnet.core.opening import at_most, only_files
from liftnet.core.types import UInt8Array
from liftnet.data.colour_profiles import of_media_file, of_png
from liftnet.data.picture_colour import in_srgb, is_transparent, to_rgb
from liftnet.data.picture_cost import refuse_costly
from liftnet.data.picture_formats import Format, bad_image, sniff
from liftnet.data.picture_metadata import Exif, Stripped, parse_exif, strip, unread_jpeg
from liftnet.data.tiff_pages import (
    bytes_per_pixel,
    check_parts,
    is_deep,
    open_tiff,
    orientation,
    picture_of,
    read_page,
)

ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library in this process may have switched it on
MAX_PIXELS = 178_000_000
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; here every size is checked before it is decoded
_BYTES = 8  # of a pixel as large as one may be where there are `max_pixels` of them
Source = Path | str | bytes
Size = tuple[int, int]
_TURNS = {  # EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored pixels belong
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Source, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Decode a picture.

    Args:
        source: The file, or its bytes.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        (H, W, 3) uint8, sRGB, upright; what is transparent is white.

    Raises:
        BadImageError: It is missing or cannot be used; `status` says why.
    """
    picture = open_picture(*load(source), max_pixels)
    picture.decode()
    return np.asarray(picture.shown())


def read_rgba(source: Source, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Decode a picture with its transparency; one without is opaque.

    Returns:
        (H, W, 4) uint8: red, green and blue, not multiplied by the fourth, the opacity.

    Raises:
        BadImageError: It is missing or cannot be used; `status` says why.
    """
    picture = open_picture(*load(source), max_pixels)
    picture.decode()
    return np.asarray(picture.shown_with_opacity())


def read_levels(source: Source, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """The levels of a grey picture of 8 or 16 bits as they are stored: a depth map, for example.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        BadImageError: It is missing, cannot be used, or is not grey (`unsupported_format`).
    """
    picture = open_picture(*load(source), max_pixels)
    picture.decode()
    values, mode = picture.values(), picture.image.mode
    if values.ndim != 2 or mode in ("P", "1") or values.dtype.kind == "f":
        raise bad_image(picture.what, "unsupported_format", f"pixels of the kind {mode} are no levels of grey")
    if values.dtype == np.uint8:
        return values.astype(np.uint8)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise bad_image(picture.what, "unsupported_format", "levels of 32 bits are not read")
    return values.astype(np.uint16)


def read_small_grey(source: Source, side: int) -> Image.Image:
    """A picture in grey, shrunk to a square of `side` px; of a JPEG only what that needs is computed.

    Raises:
        BadImageError: It is missing or cannot be used.
    """
    picture = open_picture(*load(source))
    picture.draft("L", (2 * side, 2 * side))
    picture.decode()
    with declared(picture.what, picture.kind):
        return picture.shown().convert("L").resize((side, side), Image.Resampling.LANCZOS)


def read_grey(source: Source) -> UInt8Array:
    """A picture in grey; of a JPEG only its brightness is decoded.

    Returns:
        (H, W) uint8, upright.

    Raises:
        BadImageError: It is missing or cannot be used.
    """
    picture = open_picture(*load(source))
    picture.draft("L", picture.size)
    picture.decode()
    with declared(picture.what, picture.kind):
        return np.asarray(picture.shown().convert("L"))


def picture_size(source: Source) -> Size:
    """(width, height) in px as displayed, from the header alone.

    Raises:
        BadImageError: It is missing, is no picture, or its header is damaged.
    """
    return open_picture(*load(source)).shown_size


def exif_tags(source: Source) -> frozenset[int]:
    """The numbers of the EXIF tags in a picture; none where it or its EXIF cannot be read."""
    try:
        return open_picture(*load(source)).exif.tags
    except BadImageError:
        return frozenset()


def load(source: Source) -> tuple[bytes, object]:
    """The bytes of a picture, and what errors call it.

    Raises:
        BadImageError: The file is missing (`missing`), too long (`bomb`) or cannot be read (`unreadable_file`).
    """
    if isinstance(source, bytes):
        return source, "the picture"
    try:
        with open(source, "rb", opener=only_files) as file:
            data = at_most(file, PICTURE_BYTES)
        if len(data) > PICTURE_BYTES:
            raise bad_image(source, "bomb", f"is longer than {PICTURE_BYTES:,} bytes")
        return data, source
    except (FileNotFoundError, NotADirectoryError) as error:
        reason = "is a link to a file that does not exist" if Path(source).is_symlink() else "does not exist"
        raise bad_image(source, "missing", reason) from error
    except OSError as error:
        raise bad_image(source, "unreadable_file", f"cannot be read ({error.strerror})") from error
    except MemoryError as error:
        raise bad_image(source, "out_of_memory", "is too large for the memory") from error


@dataclass
class OpenPicture:
    """A picture whose header is read.

    Attributes:
        kind: Its format.
        what: Its name in errors.
        data: The file.
        image: As Pillow holds it; `decode` fills it.
        exif: What the camera wrote.
        size: (width, height) in px as stored.
        is_single: Whether it is one picture of a format that `collect` may store as received: no MPO, no animation.
        is_deep: Whether its pixels are those of a TIFF page that Pillow cannot hold.
        bytes_per_pixel: What a pixel takes when it is decoded.
        passes: How often decoding goes over all its pixels: the scans of a JPEG.
    """

    kind: Format
    what: object
    data: bytes
    image: Image.Image
    exif: Exif
    size: Size
    is_single: bool = False
    is_deep: bool = False
    bytes_per_pixel: int = 4
    passes: int = 1
    _values: npt.NDArray[Any] | None = None

    @property
    def shown_size(self) -> Size:
        """(width, height) in px as displayed."""
        return self.size[::-1] if self._turn >= 5 else self.size

    @property
    def _turn(self) -> int:
        """The EXIF orientation that is still to be applied."""
        return 1 if self.kind.turned and not self.is_deep else self.exif.orientation

    def draft(self, mode: str | None, least: Size) -> None:
        """Have a JPEG decoded at 1/2, 1/4 or 1/8 where that is still of the size `least`; others as ever."""
        if self.image.format == "JPEG":
            with declared(self.what, self.kind):
                self.image.draft(mode, least)

    def decode(self) -> None:
        """Decode the pixels.

        Raises:
            BadImageError: They end early (`truncated`), are damaged (`decode_error`), are of a kind that is not read
                (`unsupported_format`), or memory does not suffice (`out_of_memory`).
        """
        with declared(self.what, self.kind):
            if not self.is_deep:
                self.image.load()
            elif self._values is None:
                with open_tiff(self.data, self.what) as page:
                    self._values = read_page(page, self.data, self.what)

    def shown(self, background: int = 255) -> Image.Image:
        """8-bit sRGB, upright, of a picture that is decoded; what is transparent shows a background of that level.

        Raises:
            BadImageError: Its pixels are of a kind that is not read.
        """
        with declared(self.what, self.kind):
            if self._values is not None:
                with open_tiff(self.data, self.what) as page:
                    self.image = picture_of(self._values, page, self.what)
            return turn_upright(to_rgb(self.image, self.what, background), self._turn)

    def shown_with_opacity(self) -> Image.Image:
        """As `shown`, in RGBA: what is transparent keeps its colour."""
        shown = self.shown()
        with declared(self.what, self.kind):
            if not is_transparent(self.image):
                return shown.convert("RGBA")
            layer = in_srgb(self.image, self.image.info.get("icc_profile"))
            return turn_upright(layer, self._turn)

    def values(self) -> npt.NDArray[Any]:
        """The values of a picture that is decoded as they are stored, not turned: (H, W) or (H, W, channels)."""
        if self._values is not None:
            return self._values[..., 0] if self._values.shape[2] == 1 else self._values
        return np.asarray(self.image)

    def upright(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """A (H, W) array of its pixels as stored, turned as it is displayed."""
        return np.asarray(turn_upright(Image.fromarray(mask), self._turn))


def open_picture(data: bytes, what: object, max_pixels: int = MAX_PIXELS) -> OpenPicture:
    """Read the header only, and refuse what would take too much memory to decode.

    Raises:
        BadImageError: No usable picture, a damaged header (`decode_error`), or more than `max_pixels` or than may be
            decoded in reasonable time (`bomb`).
    """
    kind = sniff(data, what)
    passes = refuse_costly(kind.name, data, what)
    with declared(what, kind, in_header=True):
        picture = (_open_tiff if kind.name == "TIFF" else _open_by_pillow)(kind, data, what)
        if not min(*picture.size, picture.bytes_per_pixel):
            reason = f"it says that it has {times(picture.size)} px of {picture.bytes_per_pixel} bytes"
            raise bad_image(what, "decode_error", reason)
        pixels = picture.size[0] * picture.size[1]
        if pixels > max_pixels:
            raise bad_image(what, "bomb", f"{times(picture.size)} px, more than max_pixels = {max_pixels:,}")
        if pixels * picture.bytes_per_pixel > max_pixels * _BYTES:
            reason = f"{times(picture.size)} px of {picture.bytes_per_pixel} bytes, more than {_BYTES} x max_pixels"
            raise bad_image(what, "bomb", reason)
        picture.passes = passes
        return picture


def _open_by_pillow(kind: Format, data: bytes, what: object) -> OpenPicture:
    if kind.name == "HEIF":
        _register_heif()
        if b"meta" not in data[:4096]:
            reason = "the HEIC file holds no still picture (a sequence, or cut off)"
            raise bad_image(what, "unsupported_format", reason)
    if kind.name == "JPEG" and (unread := unread_jpeg(data)) is not None:
        raise bad_image(what, "unsupported_format", f"the file is {unread}, which is not read")
    stripped = strip(data, kind.name)
    try:
        image = _opened(kind, stripped.data)
    except (MemoryError, BadImageError):
        raise
    except Exception:  # perhaps of impossible numbers in its EXIF, which Pillow reads for the resolution
        without = strip(data, kind.name, exif=True)
        if without.data == stripped.data:
            raise
        image = _opened(kind, without.data)
        stripped = without
    exif = stripped.exif or image.info.get("exif")
    image.info["icc_profile"] = _profile(kind, data, stripped, image, what)
    single = kind.stored_as is not None and image.format == kind.name and getattr(image, "n_frames", 1) == 1
    return OpenPicture(kind, what, data, image, parse_exif(exif), image.size, single)


def _profile(kind: Format, data: bytes, stripped: Stripped, image: Image.Image, what: object) -> bytes | None:
    """The colour profile of a picture, be it embedded or named by numbers."""
    if kind.name == "PNG":
        return of_png(stripped.colours, stripped.profile, what)
    embedded: bytes | None = image.info.get("icc_profile") or None
    return of_media_file(data, what) if embedded is None and kind.name in ("AVIF", "HEIF") else embedded


def _open_tiff(kind: Format, data: bytes, what: object) -> OpenPicture:
    with open_tiff(data, what) as page:
        size, number = (int(page.imagewidth), int(page.imagelength)), int(page.index)
        deep, turn, weight = is_deep(page), orientation(page), bytes_per_pixel(page)
        check_parts(page, what)
    exif = replace(parse_exif(data), orientation=turn)
    if not deep:
        with contextlib.suppress(Image.UnidentifiedImageError):  # an odd number of bits, or of channels
            image = _opened(kind, data)
            image.seek(number)
            return OpenPicture(kind, what, data, image, exif, image.size, bytes_per_pixel=weight)
    empty = Image.new("L", (1, 1))
    return OpenPicture(kind, what, data, empty, exif, size, is_deep=True, bytes_per_pixel=weight)


def _opened(kind: Format, data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=[kind.name])


def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    if "HEIF" not in Image.OPEN:
        register_heif_opener()


@contextlib.contextmanager
def declared(what: object, kind: Format, in_header: bool = False) -> Iterator[None]:
    """The boundary: whatever a library raises on a file becomes the declared error, with the library's reason.

    Raises:
        BadImageError: Of the status `truncated`, `decode_error` or `out_of_memory`.
    """
    try:
        yield
    except BadImageError:
        raise
    except MemoryError as error:
        raise bad_image(what, "out_of_memory", "is too large for the memory") from error
    except Exception as error:  # Pillow, libheif and tifffile raise nearly every kind on damaged files
        words = " ".join(str(error).split()) or type(error).__name__
        if not in_header and ("truncated" in words.lower() or "unexpected end" in words.lower()):
            raise bad_image(what, "truncated", f"the file ends early ({words})") from error
        damage = "the header" if in_header else "a part"
        named = "" if isinstance(error, Image.UnidentifiedImageError) else f" ({words})"
        raise bad_image(what, "decode_error", f"{damage} of the {kind.name} file is damaged{named}") from error


def turn_upright(pixels: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror stored pixels as their EXIF orientation (1 to 8) asks."""
    turn = _TURNS.get(orientation)
    return pixels if turn is None else pixels.transpose(turn)


def times(size: Size) -> str:
    """A size as in "1600x1200"."""
    return f"{size[0]}x{size[1]}"


def write_image(path: Path | str, pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], quality: int = 92) -> None:
    """Write (H, W), (H, W, 3) or, as PNG, (H, W, 4) pixels atomically; the suffix is the format (.jpg, .png)."""
    write_bytes(path, encode_image(pixels, Path(path).suffix, quality))


def encode_image(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], suffix: str = ".png", quality: int = 92
) -> bytes:
    """Encode (H, W) or (H, W, 3) pixels as a JPEG (4:4:4) or PNG; uint16 greyscale and (H, W, 4) only as PNG."""
    buffer = BytesIO()
    picture = Image.fromarray(pixels)
    if suffix.lower() in (".jpg", ".jpeg"):
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
