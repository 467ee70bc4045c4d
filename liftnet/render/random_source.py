"""The random numbers of one shape, and what an artist's style adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from liftnet.core.types import FloatArray

Colour = tuple[float, float, float]  # linear RGB
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class RandomSource:
    """The random numbers of one shape.

    Attributes:
        rng: The shape's own generator.
    """

    rng: np.random.Generator

    def uniform(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def integer(self, low: int, high: int) -> int:
        """A uniform whole number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def around(self, *center: float, spread: float) -> FloatArray:
        """A point within `spread` of `center` along each axis."""
        return np.asarray(center) + self.rng.uniform(-spread, spread, len(center))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self.chance(0.5) else -1.0

    def choice(self, choices: Sequence[Choice]) -> Choice:
        """One of `choices`."""
        return choices[int(self.rng.integers(len(choices)))]

    def colour(self, *palette: Colour) -> Colour:
        """One colour of `palette`, or any hue where none is given, a little off."""
        base = np.array(self.choice(palette)) if palette else 0.08 + 0.6 * self.rng.random(3) ** 1.5
        red, green, blue = np.clip(base * self.rng.uniform(0.8, 1.2, 3), 0.01, 0.9)
        return float(red), float(green), float(blue)


@dataclass(frozen=True)
class RangedSource(RandomSource):
    """The random numbers of a shape when a share of every range is kept for other shapes.

    Attributes:
        held_out: Share of the range of each uniform number that is held out, half of it at either end.
        inside: Draw from what is left between the ends; else every second number, on average, comes from the ends.
    """

    held_out: float
    inside: bool

    def uniform(self, low: float, high: float) -> float:
        """A uniform number of its share of the range."""
        end, at = self.held_out / 2, float(self.rng.random())
        if self.inside or self.chance(0.5):
            at = end + (1 - 2 * end) * at
        else:
            at = at * 2 * end if at < 0.5 else 1 - (1 - at) * 2 * end
        return low + at * (high - low)


@dataclass(frozen=True)
class ShapeParams(RandomSource):
    """The random numbers of one sculpture, and its artist's style.

    Attributes:
        blend: How far forms flow into each other, 0.02 (joints show) to 0.3 (one skin).
        bulk: Factor on the thickness of limbs and bodies, about 0.75 to 1.3.
        hand: Amplitude of the hand-worked unevenness of the surface, 0 to 0.03.
    """

    blend: float
    bulk: float
    hand: float
