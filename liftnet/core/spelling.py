"""Which known name a misspelt one was meant to be. Knows the standard library alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Words that point out the known name most like `word`, or nothing where none is alike.

    >>> nearest("widht", ["width", "levels"])
    "; did you mean 'width'?"
    >>> nearest("colour", ["width", "levels"])
    ''
    """
    names = sorted(known)
    ends = {name.rpartition(".")[2]: name for name in names}
    alike = difflib.get_close_matches(word, names, 1) or [
        ends[end] for end in difflib.get_close_matches(word.rpartition(".")[2].lstrip("-"), ends, 1)
    ]
    return f"; did you mean {alike[0]!r}?" if alike else ""
