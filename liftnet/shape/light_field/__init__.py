"""The light field descriptor and its distance: which shapes look alike from all around, whatever their pose.

    >>> from liftnet.shape.light_field import describe, distance
    >>> distance(describe(mesh), describe(other))  # doctest: +SKIP

It follows the program of the descriptor's authors to the byte, but for two things: the ten rotations of the cameras
follow a rule (views.py), and the eccentricity of both shapes is compared, where the program reads only one.

Names are loaded when first used, torch and numba with them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.shape.light_field.descriptor import LightField, describe, describe_silhouettes, distance, distances

_HOMES = {
    "describe": "descriptor",
    "describe_silhouettes": "descriptor",
    "distance": "descriptor",
    "distances": "descriptor",
    "LightField": "descriptor",
}

__all__ = ["LightField", "describe", "describe_silhouettes", "distance", "distances"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
