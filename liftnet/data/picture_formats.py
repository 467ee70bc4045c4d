"""The formats of pictures that are read, and what bytes are by their first bytes: names and headers are not believed.

A further format is an entry of `FORMATS` and a case of tests/data/test_pictures.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from liftnet.core.errors import BadImageError


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: Pillow's.
        mime: Its media type.
        suffixes: Endings of its files, in lower case.
        starts: First bytes of its files; a "?" stands for any byte.
        brands: Of its files, where they are ISO media files (ISO/IEC 14496-12).
        turned: Whether a picture is turned upright already by what decodes it.
        stored_as: Ending under which `collect` stores a file as received; None: it is always written anew as JPEG.
        is_rgb8: Whether any decoder gets 8-bit RGB out of a file that Pillow reads as RGB.
    """

    name: str
    mime: str
    suffixes: tuple[str, ...]
    starts: tuple[bytes, ...] = ()
    brands: frozenset[bytes] = frozenset()
    turned: bool = False
    stored_as: str | None = None
    is_rgb8: Callable[[bytes], bool] = lambda data: True

    def begins(self, data: bytes) -> bool:
        """Whether a file of these first bytes is of this format."""
        return any(_begins(data, start) for start in self.starts)


_COMPRESSED_TEXT = re.compile(rb"zTXt|iTXt[^\0]{1,79}\0\x01")


def _is_rgb8_png(data: bytes) -> bool:
    """By bit depth and colour type in its IHDR; compressed texts, which decoders refuse if long, count too."""
    return data[24:26] == b"\x08\x02" and not _COMPRESSED_TEXT.search(data)


FORMATS = (
    Format(
        "JPEG",
        "image/jpeg",
        (".jpg", ".jpeg", ".jfif", ".jpe", ".jif", ".mpo"),
        (b"\xff\xd8\xff",),
        stored_as=".jpg",
    ),
    Format("PNG", "image/png", (".png", ".apng"), (b"\x89PNG\r\n\x1a\n",), stored_as=".png", is_rgb8=_is_rgb8_png),
    Format("WEBP", "image/webp", (".webp",), (b"RIFF????WEBP",)),
    Format(
        "TIFF",
        "image/tiff",
        (".tif", ".tiff"),
        (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),  # + is BigTIFF
        turned=True,
    ),
    Format(
        "BMP",
        "image/bmp",
        (".bmp", ".dib"),
        tuple(b"BM" + b"?" * 12 + bytes((size, 0, 0, 0)) for size in (12, 40, 52, 56, 64, 108, 124)),  # of its header
    ),
    Format("AVIF", "image/avif", (".avif", ".avifs"), brands=frozenset({b"avif", b"avis"})),
    Format(
        "HEIF",
        "image/heic",
        (".heic", ".heif", ".hif"),
        brands=frozenset(
            {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
        ),
        turned=True,  # by the file's transformations; its EXIF orientation does not count (ISO/IEC 23008-12)
    ),
)
SUFFIXES = tuple(sorted(suffix for known in FORMATS for suffix in known.suffixes))
CONVERT = "Convert it to JPEG or PNG"
DEVELOP = "Export it as JPEG or 16-bit TIFF with the camera's program, darktable or RawTherapee"
REMEDIES = {
    "missing": "Give the path of a picture; if `collect` has stored it, run `collect` again",
    "unreadable_file": "Check its permissions, and that it is a plain file",
    "unsupported_format": CONVERT,
    "bomb": "Give a smaller picture",
    "too_slow": "Save it anew, or allow more time with `collect.pictures.decode_s`",
    "out_of_memory": "Give a smaller picture, or free some memory",
    "mask_wrong_size": "A mask has the size of the image as displayed",
    "mask_empty": "Paint the foreground white",
    "mask_full": "Paint the background black",
    "mask_not_binary": "Give a mask of two levels, or a cut-out whose transparent pixels are the background",
}
_REMEDY = "Get the file again; if `collect` has stored it, delete it and run `collect` again"
_EXPORT = "Export a photograph of it as JPEG or PNG"
_FRAME = "Save a frame of it as JPEG or PNG"
_OTHER_KINDS = (  # first bytes, what such a file is, what to do about it; the last two are no photographs as they are
    (b"II*\x00????CR", "a Canon camera raw file (CR2)", DEVELOP),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "a Canon camera raw file (CRW)", DEVELOP),
    (b"IIRO", "an Olympus camera raw file (ORF)", DEVELOP),
    (b"IIRS", "an Olympus camera raw file (ORF)", DEVELOP),
    (b"MMOR", "an Olympus camera raw file (ORF)", DEVELOP),
    (b"IIU\x00", "a Panasonic camera raw file (RW2)", DEVELOP),
    (b"FUJIFILMCCD-RAW", "a Fujifilm camera raw file (RAF)", DEVELOP),
    (b"FOVb", "a Sigma camera raw file (X3F)", DEVELOP),
    (b"\x00MRM", "a Minolta camera raw file (MRW)", DEVELOP),
    (b"IIII", "a Phase One camera raw file (IIQ)", DEVELOP),
    (b"MMMM", "a Phase One camera raw file (IIQ)", DEVELOP),
    (b"GIF8", "a GIF picture", CONVERT),
    (b"\x00\x00\x01\x00", "a Windows icon", CONVERT),
    (b"8BPS", "a Photoshop document", _EXPORT),
    (b"gimp xcf", "a GIMP document", _EXPORT),
    (b"\xff\x0a", "a JPEG XL picture", CONVERT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", CONVERT),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture", CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", CONVERT),
    (b"v/1\x01", "an OpenEXR picture", CONVERT),
    (b"#?RADIANCE", "a Radiance picture (HDR)", CONVERT),
    (b"#?RGBE", "a Radiance picture (HDR)", CONVERT),
    (b"II\xbc", "a JPEG XR picture", CONVERT),
    (b"DDS ", "a texture (DDS)", CONVERT),
    (b"BPG\xfb", "a BPG picture", CONVERT),
    (b"\xff\xd8\xff\xf7", "a JPEG-LS picture", CONVERT),
    (
        b"\x89PNG\r\n\x1a\n????CgBI",
        "a PNG in the form of iOS (CgBI)",
        "Export it anew, for example with macOS Preview",
    ),
    (b"qoif", "a QOI picture", CONVERT),
    (b"\x0a\x05\x01\x08", "a PCX picture", CONVERT),
    (b"\x01\xda??\x00", "an SGI picture", CONVERT),
    (b"icns", "an icon of macOS", CONVERT),
    (b"\x00\x00\x02\x00\x00\x00\x00\x00", "a Targa picture (TGA)", CONVERT),
    (b"\x00\x00\x0a\x00\x00\x00\x00\x00", "a Targa picture (TGA)", CONVERT),
    (b"\x00\x00\x02\x00", "a cursor of Windows", CONVERT),
    *((b"P%d%c" % (number, space), "a picture of Netpbm", CONVERT) for number in range(1, 8) for space in b" \n\r\t"),
    (b"SIMPLE  =", "a picture of astronomers (FITS)", CONVERT),
    *((b"P%c\n" % letter, "a picture of floats (PFM)", CONVERT) for letter in b"Ff"),
    (b"FLIF", "a FLIF picture", CONVERT),
    (b"AT&TFORM", "a DjVu document", CONVERT),
    (b"\xabKTX ", "a texture (KTX)", CONVERT),
    (b"\x93NUMPY", "an array of NumPy", CONVERT),
    (b"?" * 128 + b"DICM", "a picture of physicians (DICOM)", CONVERT),
)
_NOT_IMAGES = (
    (b"%PDF", "a PDF document or Illustrator drawing", _EXPORT),
    (b"%!PS", "a PostScript drawing (EPS or AI)", _EXPORT),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing (EPS)", _EXPORT),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile, a drawing", _EXPORT),
    (b"\x01\x00\x00\x00" + b"?" * 36 + b" EMF", "a Windows metafile, a drawing", _EXPORT),
    (b"RIFF????CDR", "a CorelDRAW drawing", _EXPORT),
    (b"AC10", "an AutoCAD drawing (DWG)", _EXPORT),
    (b"/* XPM */", "an icon written as a program (XPM)", CONVERT),
    (b"#define", "an icon written as a program (XBM)", CONVERT),
    (b"{\\rtf", "a text document (RTF)", _EXPORT),
    (b"data:image/", "a picture written as text (data:)", "Save it as a file"),
    (b"/9j/", "a JPEG written as text (base64)", "Decode it"),
    (b"iVBORw0KGgo", "a PNG written as text (base64)", "Decode it"),
    (b"PK\x03\x04", "a ZIP archive", "Unpack it"),
    (b"Rar!", "an archive (RAR)", "Unpack it"),
    (b"7z\xbc\xaf", "an archive (7z)", "Unpack it"),
    (b"\x1f\x8b", "gzip-compressed data", "Unpack it"),
    (b"version https://git-lfs", "a Git LFS pointer: the image itself was not checked out", "Run `git lfs pull`"),
    (b"RIFF????AVI ", "a film (AVI)", _FRAME),
    (b"????RED1", "a film (R3D)", _FRAME),
    (b"????RED2", "a film (R3D)", _FRAME),
    (b"\x1aE\xdf\xa3", "a film (Matroska or WebM)", _FRAME),
    (b"\x00\x00\x01\xba", "a film (MPEG)", _FRAME),
    (b"\x00\x00\x01\xb3", "a film (MPEG)", _FRAME),
    (b"FLV\x01", "a film (FLV)", _FRAME),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a film (WMV)", _FRAME),
    (b"????moov", "a film (QuickTime)", _FRAME),
    (b"????mdat", "a film (QuickTime)", _FRAME),
    (b"????wide", "a film (QuickTime)", _FRAME),
    (b"????free", "a film (QuickTime)", _FRAME),
    (b"????skip", "a film (QuickTime)", _FRAME),
    (b"????pnot", "a film (QuickTime)", _FRAME),
    (b"\x47" + b"?" * 187 + b"\x47", "a film (MPEG transport stream)", _FRAME),
    (b"OggS", "a film or sound (Ogg)", _FRAME),
    (b"ID3", "sound (MP3)", _REMEDY),
    (b"RIFF????WAVE", "sound (WAV)", _REMEDY),
    (b"\x89HDF\r\n", "a container of data (HDF5)", _EXPORT),
    (b"SQLite format 3", "a database", _REMEDY),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office", _EXPORT),
    (b"bplist0", "a property list of macOS, such as stands for a file that is still in iCloud", "Download the file"),
    (b"/annex/objects/", "a pointer of git-annex: the image itself was not fetched", "Run `git annex get`"),
    (b"\x00\x05\x16\x07", "what macOS notes beside a file (AppleDouble), not the file itself", "Delete it"),
)
_FILM_BRANDS = re.compile(rb"qt  |iso[m0-9a-z]|mp[47].|avc1|M4[VPAB].|3g..|f4[vp] |dash|MSNV|XAVC|NDSC|mmp4")
_OF_ANY_CODEC = frozenset({b"mif1", b"mif2", b"msf1"})  # names of an image file, which say least
_CANON_RAW_BRAND = b"crx "
_PLAIN_TEXT = re.compile(rb"[\x20-\x7e\s]+")


def bad_image(what: object, status: str, reason: str, remedy: str | None = None) -> BadImageError:
    """The error of a picture or mask that cannot be used, with the remedy that belongs to its status."""
    return BadImageError(what, status, reason, remedy or REMEDIES.get(status, _REMEDY))


def sniff(data: bytes, what: object) -> Format:
    """The format of a picture.

    Args:
        data: The whole file, or at least its first 512 bytes.
        what: Its name, for the error.

    Raises:
        BadImageError: It is empty (`empty_file`), an image of another format (`unsupported_format`) or no image
            (`not_image`).
    """
    if not data:
        raise bad_image(what, "empty_file", "the file has no bytes")
    for start, name, remedy in _OTHER_KINDS:
        if _begins(data, start):
            raise bad_image(what, "unsupported_format", f"the file is {name}, which is not read", remedy)
    for known in FORMATS:
        if known.begins(data):
            return known
    if data[4:8] == b"ftyp":
        return _iso_format(data, what)
    for start, name, remedy in _NOT_IMAGES:
        if _begins(data, start):
            raise bad_image(what, "not_image", f"the file is {name}", remedy)
    raise bad_image(what, "not_image", f"the file is {_text_kind(data[:4096])}")


def _iso_format(data: bytes, what: object) -> Format:
    """The format of an ISO media file by its brand, then by those that it says it is compatible with."""
    end = min(int.from_bytes(data[:4], "big"), 512) - 3
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    if _CANON_RAW_BRAND in brands:
        reason = "the file is a Canon camera raw file (CR3), which is not read"
        raise bad_image(what, "unsupported_format", reason, DEVELOP)
    for brand in sorted(brands, key=_OF_ANY_CODEC.__contains__):
        if (known := next((known for known in FORMATS if brand in known.brands), None)) is not None:
            return known
    name = brands[0].decode("latin-1").strip()
    if any(map(_FILM_BRANDS.fullmatch, brands)):
        raise bad_image(what, "not_image", f"the file is a film ({name}), not an image", _FRAME)
    raise bad_image(
        what, "unsupported_format", f"the file is an ISO media file of the kind {name!r}, which is not read"
    )


def _begins(data: bytes, start: bytes) -> bool:
    head = data[: len(start)]
    return len(head) == len(start) and all(one in (other, ord("?")) for one, other in zip(start, head, strict=True))


def _text_kind(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "ignore").encode()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing, not a photograph"
    if text.startswith(b"<") and (b"<html" in text or b"<!doctype html" in text or b"<head" in text):
        return "an HTML page, not an image"
    if text.startswith(b"<"):
        return "XML or HTML, not an image"
    if text.startswith((b"{", b"[")) and b'"' in text:
        return "JSON, not an image"
    if _PLAIN_TEXT.fullmatch(start[:512]):
        return "plain text, not an image"
    return "not an image of any known kind"
