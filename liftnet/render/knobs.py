"""What an artist's style and a work's own dice hand to a family of shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftnet.core.types import FloatArray


@dataclass(frozen=True)
class Knobs:
    """The random numbers of one work.

    Attributes:
        rng: The work's own generator.
        blend: How far forms flow into each other, 0.02 (joints show) to 0.3 (one skin).
        bulk: Factor on the thickness of limbs and bodies, about 0.75 to 1.3.
        hand: Amplitude of the hand-worked unevenness of the surface, 0 to 0.03.
    """

    rng: np.random.Generator
    blend: float
    bulk: float
    hand: float

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def around(self, *center: float, spread: float) -> FloatArray:
        """A point within `spread` of `center` along each axis."""
        return np.asarray(center) + self.rng.uniform(-spread, spread, len(center))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self.chance(0.5) else -1.0
