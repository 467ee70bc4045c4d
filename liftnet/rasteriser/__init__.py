"""Triangles to images and back: cameras, a soft rasteriser with exact gradients, a hard one for silhouettes.

    >>> from liftnet.rasteriser import render_soft

Names are loaded when first used, so that importing a room of the house does not load torch or numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.rasteriser.camera_batch import CameraBatch, look_at
    from liftnet.rasteriser.hard import HardImages, render_nearest, render_silhouettes
    from liftnet.rasteriser.light import Light
    from liftnet.rasteriser.render import render_soft
    from liftnet.rasteriser.soft_images import SoftImages, rasterise
    from liftnet.rasteriser.softness import Softness
    from liftnet.rasteriser.tiles import TileLists, bin_triangles

_HOMES = {
    "camera_batch": ("CameraBatch", "look_at"),
    "soft_images": ("SoftImages", "rasterise"),
    "hard": ("HardImages", "render_nearest", "render_silhouettes"),
    "light": ("Light",),
    "render": ("render_soft",),
    "softness": ("Softness",),
    "tiles": ("TileLists", "bin_triangles"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CameraBatch",
    "HardImages",
    "Light",
    "SoftImages",
    "Softness",
    "TileLists",
    "bin_triangles",
    "look_at",
    "rasterise",
    "render_nearest",
    "render_silhouettes",
    "render_soft",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
