"""Colour as it is displayed: embedded profiles to sRGB, transparency on a plain ground, every kind of pixel to RGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from liftnet.data.picture_formats import bad_image
from liftnet.data.tiff_pages import to_8_bits

SAME = 2  # levels by which colours of a profile may differ from sRGB to be taken as sRGB
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


def to_rgb(picture: Image.Image, what: object, background: int = 255) -> Image.Image:
    """8-bit sRGB; what is transparent shows a background of that grey level.

    Raises:
        BadImageError: Its kind of pixels is not read (`unsupported_format`).
    """
    profile = picture.info.get("icc_profile") or None
    mode = picture.mode
    if mode.startswith("I") or mode == "F":  # Pillow's own conversion would clip at 255
        return _with_cut(picture, _through(profile, Image.fromarray(to_8_bits(np.asarray(picture), what))), background)
    if is_transparent(picture):
        layer = in_srgb(picture, profile)
        ground = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return _converted(picture, ImageCms.ImageCmsProfile(lab), srgb)
    if mode in ("RGB", "L", "CMYK"):
        return _through(profile, picture)
    if mode in ("1", "P", "YCbCr", "HSV", "RGBX"):
        return _through(profile, picture.convert("RGB"))
    raise bad_image(what, "unsupported_format", f"pixels of the kind {mode} are not read")


def is_transparent(picture: Image.Image) -> bool:
    """Whether a picture has a channel or colour of transparency."""
    return picture.mode in _TRANSPARENT or "transparency" in picture.info


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture with transparency as RGBA, its colours brought from those of a profile to sRGB."""
    layer = picture.convert("RGBA")
    if profile is None:
        return layer
    colours = _through(profile, layer.convert("L" if picture.mode in ("L", "LA", "La") else "RGB"))
    colours.putalpha(layer.getchannel("A"))
    return colours


def _with_cut(picture: Image.Image, shown: Image.Image, background: int) -> Image.Image:
    """What is shown of 16-bit grey of which one level is transparent (PNG)."""
    clear = picture.info.get("transparency")
    if not isinstance(clear, int):
        return shown
    pixels = np.array(shown)
    pixels[np.asarray(picture) == clear] = background
    return Image.fromarray(pixels)


def _through(profile: bytes | None, picture: Image.Image) -> Image.Image:
    """A picture of the mode RGB, L or CMYK in sRGB; a damaged profile, or one of another mode, counts as none."""
    if profile is not None and picture.mode == "L" and profile[16:20] == b"RGB ":
        picture = picture.convert("RGB")
    if profile is not None and not is_srgb(profile, picture.mode):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            return _converted(picture, source, ImageCms.createProfile("sRGB"))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _converted(picture: Image.Image, source: Any, target: Any) -> Image.Image:
    converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    if converted is None:
        raise ValueError("no conversion")
    return converted


@lru_cache(64)
def is_srgb(profile: bytes, mode: str) -> bool:
    """Whether a profile means sRGB for pixels of a mode, whatever it calls itself; also if it cannot be used."""
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    if mode == "RGB":
        probe = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(17, -1, 3)
    elif mode == "L":
        probe = np.arange(256, dtype=np.uint8)[None]
    else:
        return False
    picture = Image.fromarray(probe)
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        shown = _converted(picture, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True
    plain = np.asarray(picture.convert("RGB")).astype(int)
    return int(np.abs(np.asarray(shown).astype(int) - plain).max()) <= SAME
