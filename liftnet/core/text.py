"""Names of files as text: they may hold bytes that are no text, which a table, a log or JSON may not."""

from __future__ import annotations

import unicodedata


def printable(text: object) -> str:
    """A text or path whose bytes that are no UTF-8 are shown as question marks."""
    return str(text).encode("utf-8", "replace").decode()


def name(text: str | None) -> str | None:
    """One spelling of a name: single spaces, composed letters (macOS stores ä as a and two dots)."""
    return unicodedata.normalize("NFC", " ".join(printable(text or "").split())) or None
