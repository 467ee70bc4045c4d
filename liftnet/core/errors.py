"""The one exception family that a user is meant to read."""

from __future__ import annotations


class LiftnetError(Exception):
    """A problem the user can mend. The message names the file or key, the reason and the remedy.

    Args:
        what: The file, setting or program concerned.
        reason: What is wrong with it, in plain words.
        remedy: What to do next.
    """

    def __init__(self, what: object, reason: str, remedy: str = "") -> None:
        self.what, self.reason, self.remedy = str(what), reason, remedy
        super().__init__(f"{self.what}: {reason}" + (f". {remedy}" if remedy else ""))


class BadImageError(LiftnetError):
    """A file that is not a usable image; `status` is its status in a table (`decode_error`, `not_image`, ...)."""

    def __init__(self, what: object, status: str, reason: str, remedy: str = "") -> None:
        super().__init__(what, reason, remedy)
        self.status = status
