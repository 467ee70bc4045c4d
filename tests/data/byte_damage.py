"""Damage to the bytes of a file, for tests of readers."""

from collections.abc import Sequence

import numpy as np


def damaged(data: bytes, generator: np.random.Generator, put_in: Sequence[bytes]) -> bytes:
    """A few bytes changed, cut off, left out, doubled, digits replaced, or one of `put_in` put in."""
    found, how = bytearray(data), generator.integers(6)
    first, last = sorted(generator.integers(0, len(found), 2))
    if how == 0:
        for place in generator.integers(0, len(found), 4):
            found[place] = generator.integers(256)
    elif how == 1:
        del found[first + 1 :]
    elif how == 2:
        del found[first:last]
    elif how == 3:
        found[last:last] = found[first:last]
    elif how == 4:
        digits = [place for place, letter in enumerate(found) if chr(letter).isdigit()]
        for place in generator.choice(digits, 3) if digits else ():
            found[place] = generator.integers(48, 58)
    else:
        found[first:first] = put_in[generator.integers(len(put_in))]
    return bytes(found)
