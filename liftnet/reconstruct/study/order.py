"""In what order a person sees the questions, and what stands on which side: the page draws the same.

The generator is mulberry32 (Tommy Ettinger, 2017, public domain): 32 bits of state, and arithmetic that JavaScript and
Python do alike to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Letter = Literal["a", "b"]
"""The two shapes of a question, as the page knows them."""
BITS = 0xFFFFFFFF


@dataclass(frozen=True)
class Showing:
    """How a person sees a question.

    Attributes:
        trial: Its name on the page.
        left: The shape on the left.
        views_swapped: Whether the view of the picture comes second.
    """

    trial: str
    left: Letter
    views_swapped: bool


def generator(seed: int) -> Callable[[], float]:
    """A function whose calls give numbers in [0, 1), multiples of 2^-32.

    >>> draw = generator(1)
    >>> draw(), draw()
    (0.6270739405881613, 0.002735721180215478)
    """
    state = seed & BITS

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & BITS
        mixed = (state ^ state >> 15) * (state | 1) & BITS
        mixed ^= mixed + ((mixed ^ mixed >> 7) * (mixed | 61) & BITS) & BITS
        return (mixed ^ mixed >> 14) / 2**32

    return draw


def showings(trials: Sequence[str], participant: int, seed: int) -> list[Showing]:
    """The questions as one person sees them, in order.

    Args:
        trials: Names of the questions, in the order of the page.
        participant: The person's random number, 32 bits.
        seed: Of the page, 32 bits.
    """
    draw = generator(participant ^ seed)
    order = list(range(len(trials)))
    for last in range(len(order) - 1, 0, -1):  # Fisher and Yates's shuffle
        other = int(draw() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return [Showing(trials[place], "b" if draw() < 0.5 else "a", draw() < 0.5) for place in order]
