"""Environment images: the light of a view as a picture of everything around, for image lighting."""

from __future__ import annotations

import numpy as np

from liftnet.core.types import FloatArray
from liftnet.render.views import Light

HEIGHT = 96  # px of an environment image; it is twice as wide
NARROWEST = 0.06  # radians, about two pixels: a smaller light would fall between them
PANELS = 3


def directions(height: int = HEIGHT) -> FloatArray:
    """(H, 2 H, 3) unit direction at the centre of each pixel, top row first.

    The projection is that of Cycles: +x lies in the middle of the picture, -y a quarter of its width to the right.
    """
    up = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    around = np.pi * (2 * (np.arange(2 * height) + 0.5) / (2 * height) - 1)
    level = np.cos(up)[:, None]
    x, y = np.cos(around) * level, -np.sin(around) * level
    return np.stack([x, y, np.broadcast_to(np.sin(up)[:, None], x.shape)], -1)


def environment(light: Light, seed: int, height: int = HEIGHT) -> FloatArray:
    """The surrounding of a view as a linear picture: key light, brighter above than below, a few bright panels.

    A white surface that faces the key light gives back its colour, and one in the open the ambient light, as in
    `liftnet.render.photograph`: the key light's irradiance is pi times its colour.

    Args:
        light: The view's light.
        seed: Of the panels.
        height: Of the picture; it is twice as wide.

    Returns:
        (H, 2 H, 3) float32 radiance, top row first.
    """
    rng = np.random.default_rng(seed)
    ways = directions(height)
    solid = np.cos(np.arcsin(ways[..., 2])) * (np.pi / height) ** 2
    radiance = (0.62 + 0.57 * ways[..., 2:]) * light.ambient
    for _ in range(PANELS):
        middle = rng.normal(size=3) * [1, 1, 0.6]
        middle /= np.linalg.norm(middle)
        panel = (ways @ middle > np.cos(rng.uniform(0.15, 0.45)))[..., None]
        radiance = np.where(panel, radiance * rng.uniform(1.2, 2.2), radiance)
    spread = max(light.spread, NARROWEST)
    lobe = np.exp((ways @ light.direction - 1) / spread**2)
    lobe *= np.pi / (lobe * np.maximum(ways @ light.direction, 0) * solid).sum()
    return (np.maximum(radiance, 0) + lobe[..., None] * light.colour).astype(np.float32)
