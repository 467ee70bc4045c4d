"""Texts from outside (names of files, captions, headers, cells of lists), made safe for where they are written.

One function for each target: none of what it escapes means anything there, and the text reads as it was.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata

_UNSEEN = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},  # ESC, and CSI in one character, too
    **{ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"},
    # separators of lines, and what turns the direction of writing
    **{code: f"\\u{code:04x}" for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))},
    # what is nowhere seen at all: letters without width, and a second alphabet that only programs read
    **{code: f"\\u{code:04x}" for code in (0x200B, *range(0x2060, 0x2065), *range(0x206A, 0x2070), 0xFEFF)},
    **{code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)},
}
_UNSEEN_BUT_LINES = {code: text for code, text in _UNSEEN.items() if code not in (0x09, 0x0A)}
_JSON = {code: json.dumps(chr(code))[1:-1] for code in _UNSEEN_BUT_LINES} | {ord("<"): "\\u003c", ord(">"): "\\u003e"}
_MARKDOWN = re.compile(r"[\\`*|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])|&(?=#?\w+;)")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {c: f"\\{c}" for c in "&%$#_{}"}
_BYTE = re.compile("[\udc80-\udcff]")  # that is no UTF-8, as Python holds it in names of files
_FORMULA = re.compile(r"[\s\x00\u200b\ufeff]*+[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?[\d.,\s]*+(?:[eE][+-]?\d++)?\s*+%?")  # possessive: a cell of spaces would take seconds


class Lines(str):
    """A text of our own in several lines, whose parts from outside are escaped already: a log breaks it there too."""


def printable(text: object) -> str:
    """A text or path whose bytes that are no UTF-8 are shown as question marks."""
    return str(text).encode("utf-8", "replace").decode()


def spelt(path: object) -> str:
    r"""A path or name as text from which it can be found again: bytes that are no UTF-8 as addresses have them.

    >>> spelt("b\udcfcste.jpg"), spelt("50%.jpg")
    ('b%FCste.jpg', '50%.jpg')
    """
    text = str(path)
    if not _BYTE.search(text):
        return text
    return re.sub(f"%|{_BYTE.pattern}", lambda found: f"%{ord(found[0]) & 0xFF:02X}", text)


def name(text: str | None) -> str | None:
    """One spelling of a name: single spaces, composed letters (macOS stores ä as a and two dots)."""
    if not text:
        return None
    if text.isascii():  # millions of cells are: nothing to compose, no byte that is no UTF-8
        return " ".join(text.split()) or None
    return unicodedata.normalize("NFC", " ".join(printable(text).split())) or None


def one_line(text: object) -> str:
    r"""As it can be shown on a terminal and in a log: what is not seen, or breaks the line, as its code.

    >>> one_line("a\x1b[2Jb\nc")
    'a\\x1b[2Jb\\nc'
    """
    return printable(text).translate(_UNSEEN)


def lines(text: object) -> str:
    """As `one_line`, but lines break, and those after the first are indented: none can pass for a line of its own."""
    return printable(text).translate(_UNSEEN_BUT_LINES).replace("\n", "\n    ")


def seen(value: object) -> object:
    """A plain text with what is not seen as its code, its lines as they are; any other value, such as markup, itself.

    The `finalize` of templates, since escaping HTML leaves ESC as it is.
    """
    return printable(value).translate(_UNSEEN_BUT_LINES) if type(value) is str else value


def for_html(text: object) -> str:
    """For HTML, between tags and in quoted attributes."""
    return html.escape(one_line(text))


def for_markdown(text: object) -> str:
    r"""For Markdown (GitHub's), within a line or a cell: no tag, link, emphasis, code or formula.

    >>> for_markdown("<script>a_b [x](y) |")
    '&lt;script>a_b [x\\](y) \\|'
    """
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[0]}", one_line(text))
    return _TAG.sub(lambda found: html.escape(found[0]), escaped)


def for_latex(text: object) -> str:
    """For LaTeX, in a paragraph or a cell of a table, where a first `[` or `*` would belong to the line above."""
    plain = one_line(text)
    escaped = "".join(_LATEX.get(character, character) for character in plain)
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def for_csv(value: object) -> object:
    """For a cell of CSV that a spreadsheet may open: a text that it would take for a formula begins with '.

    >>> for_csv("=1+1"), for_csv("-0.5"), for_csv("Rodin"), for_csv(-3)
    ("'=1+1", '-0.5', 'Rodin', -3)
    """
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


def from_csv(cell: str) -> str:
    """A cell as it was before `for_csv`."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell[1:]) else cell


def for_json(written: str) -> str:
    """JSON that may be put into a page or shown on a terminal: what is not seen, and < and >, as their codes."""
    return written.translate(_JSON)
