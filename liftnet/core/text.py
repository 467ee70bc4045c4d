"""Names of files as text: they may hold bytes that are no text, which a table, a log or JSON may not."""

from __future__ import annotations


def printable(text: object) -> str:
    """A text or path whose bytes that are no UTF-8 are shown as question marks."""
    return str(text).encode("utf-8", "replace").decode()
