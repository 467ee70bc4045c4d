"""The one exception family that a user is meant to read, and which known name a misspelt one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from liftnet.core.text import one_line


class LiftnetError(Exception):
    """A problem the user can mend. The message names the file or key, the reason and the remedy.

    Args:
        what: The file, setting or program concerned.
        reason: What is wrong with it, in plain words.
        remedy: What to do next.
    """

    def __init__(self, what: object, reason: str, remedy: str = "") -> None:
        self.what, self.reason, self.remedy = one_line(what), reason, remedy
        end = "" if reason.endswith("?") else "."
        super().__init__(f"{self.what}: {reason}" + (f"{end} {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """As every error of the family crosses the border of a process, whatever its class is made from."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[LiftnetError], args: tuple[Any, ...], state: dict[str, Any]) -> LiftnetError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class BadImageError(LiftnetError):
    """A file that is not a usable image; `status` is its status in a table (`decode_error`, `not_image`, ...)."""

    def __init__(self, what: object, status: str, reason: str, remedy: str = "") -> None:
        super().__init__(what, reason, remedy)
        self.status = status


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
