"""Colour spaces that a picture names by numbers instead of an ICC profile, as the profile that means the same.

PNG says so in cICP, or in gAMA and cHRM (PNG, third edition, 4.3 and 11.3.2); HEIC and AVIF say so in a box `colr` of
the type nclx (ISO/IEC 14496-12). The numbers of primaries and curves are those of ITU-T H.273.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from PIL import ImageCms

from liftnet.core.types import FloatArray
from liftnet.data.picture_formats import bad_image

Corners = tuple[float, ...]  # x and y of white, red, green and blue
_D65, _DCI = (0.3127, 0.3290), (0.314, 0.351)
_SRGB = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: Mapping[int, Corners] = {
    1: _SRGB,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # curves that are powers; sRGB's, and those that are shown as it is, are none
_HDR = {16: "PQ", 18: "HLG"}
_USUAL_GAMMA, _SAME_GAMMA = 2.2, 0.07  # what is written for sRGB; files differ in the third digit
_SAME_XY = 0.01
_GAMMAS_THAT_CAN_BE = (0.2, 8.0)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def of_png(chunks: Mapping[bytes, bytes], icc: bytes | None, what: object) -> bytes | None:
    """The profile of a PNG by its chunks cICP, iCCP, sRGB, gAMA and cHRM, the first that is there; None for sRGB.

    Args:
        chunks: Their contents.
        icc: The profile in iCCP.
        what: Names the file in an error.

    Raises:
        BadImageError: Its curve is that of HDR (`unsupported_format`).
    """
    if len(chunks.get(b"cICP", b"")) == 4:
        return of_numbers(chunks[b"cICP"][0], chunks[b"cICP"][1], what)
    if icc or b"sRGB" in chunks or len(chunks.get(b"gAMA", b"")) != 4:
        return icc
    written = int.from_bytes(chunks[b"gAMA"], "big") / 100_000
    corners = chunks.get(b"cHRM", b"")
    named = tuple(value / 100_000 for value in struct.unpack(">8I", corners)) if len(corners) == 32 else _SRGB
    if not written or not _GAMMAS_THAT_CAN_BE[0] <= 1 / written <= _GAMMAS_THAT_CAN_BE[1]:
        return None
    usual = abs(1 / written - _USUAL_GAMMA) <= _SAME_GAMMA
    if usual and max(abs(a - b) for a, b in zip(named, _SRGB, strict=True)) <= _SAME_XY:
        return None
    return _profile(named, None if usual else round(1 / written, 4))


def of_media_file(data: bytes, what: object) -> bytes | None:
    """The profile of a HEIC or AVIF by the first `colr` box of numbers; None for sRGB, or if there is none.

    Raises:
        BadImageError: Its curve is that of HDR (`unsupported_format`).
    """
    at = data.find(b"colrnclx")
    if not 0 <= at <= len(data) - 12:
        return None
    primaries, curve = struct.unpack_from(">HH", data, at + 8)
    return of_numbers(primaries, curve, what)


def of_numbers(primaries: int, curve: int, what: object) -> bytes | None:
    """The profile of the primaries and curve of these numbers (H.273); None for sRGB and for numbers unknown.

    Raises:
        BadImageError: The curve is that of HDR (`unsupported_format`).
    """
    if curve in _HDR:
        reason = f"the picture is HDR ({_HDR[curve]}), whose levels mean no colours of a screen"
        raise bad_image(what, "unsupported_format", reason, "Export it as SDR, in sRGB or Display P3")
    corners, gamma = _PRIMARIES.get(primaries, _SRGB), _GAMMAS.get(curve)
    return None if corners == _SRGB and gamma is None else _profile(corners, gamma)


@lru_cache(16)
def _profile(corners: Corners, gamma: float | None) -> bytes | None:
    """A profile of primaries and a power, or sRGB's curve; None where the primaries span no colours."""
    columns = _to_d50(corners)
    if columns is None:
        return None
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for place in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name, start, _ = struct.unpack_from(">4sII", profile, place)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            values = np.rint(columns[:, b"rgb".index(name[:1])] * 65536).astype(int)
            struct.pack_into(">3i", profile, start + 8, *values.tolist())
        elif name in (b"rTRC", b"gTRC", b"bTRC") and gamma is not None:
            profile[start : start + 16] = b"para\0\0\0\0\0\0\0\0" + struct.pack(">i", round(gamma * 65536))
    return bytes(profile)


def _to_d50(corners: Corners) -> FloatArray | None:
    """(3, 3) XYZ of red, green and blue, brought to the white of profiles (Bradford)."""
    x, y = np.asarray(corners, float).reshape(4, 2).T
    if (y <= 0).any():
        return None
    white, *_ = points = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
    primaries = points[1:].T
    if abs(np.linalg.det(primaries)) < 1e-3:
        return None
    seen, wanted = _BRADFORD @ white, _BRADFORD @ _D50
    if (seen <= 0).any():
        return None
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(wanted / seen) @ _BRADFORD
    columns = np.asarray(adapted @ (primaries * np.linalg.solve(primaries, white)))
    return columns if np.abs(columns).max() < 10 else None
