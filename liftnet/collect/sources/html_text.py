"""The text in pieces of HTML from the web, in one pass.

Python's `html.parser` takes the square of the length for what is never closed (100 kB of "<!" half a minute). Here
each step goes on from where the last one ended; what is not closed hides all that follows, as it does in a browser
(HTML Standard, section 13.2.5: end of file in a tag or in a comment).
"""

from __future__ import annotations

import re
from html import unescape

LONGEST = 100_000  # characters of a piece; of its text some hundred are kept
_TAG = re.compile(  # possessive, so that what does not fit is given up at once
    r"""<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)(?P<rest>(?:[^>"']++|"[^"]*+"|'[^']*+')*+)>"""
)
_MARKUP = re.compile(r"<[a-zA-Z/!?]")  # anything else after "<" is text
_UNCLOSED = re.compile(r"</?[a-zA-Z]")
_HIDES = re.compile(r"display\s*+:\s*+none", re.IGNORECASE)
_RAW = frozenset({"script", "style"})  # hold no tags
_SILENT = frozenset({"template"})
_BREAKING = frozenset({"br", "dd", "div", "dt", "li", "ol", "p", "table", "td", "th", "tr", "ul"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})


def shown_text(html: str) -> str:
    """What a browser shows of a piece of HTML, of its first `LONGEST` characters; blocks are divided by a space.

    >>> shown_text("<p>B &amp; C<script>bad()</script><!-- no --><p>d")
    ' B & C d'
    """
    html = html[:LONGEST]
    parts: list[str] = []
    at, hiding, depth = 0, "", 0  # the element that is not shown, and how many of its name are open within it
    while (found := _MARKUP.search(html, at)) is not None:
        if not hiding:
            parts.append(unescape(html[at : found.start()]))
        start = found.start()
        tag = _TAG.match(html, start)
        if tag is None:
            at = _after_other(html, start)
            continue
        at, name, closes = tag.end(), tag["name"].lower(), bool(tag["end"])
        if hiding:
            depth += (name == hiding) * (-1 if closes else 1)
            hiding = hiding if depth > 0 else ""
        elif name in _BREAKING:
            parts.append(" ")
        if closes or hiding or name in _VOID:
            continue
        if name in _RAW:
            at = _after_raw(html, at, name)
        elif name in _SILENT or ("style" in tag["rest"].lower() and _HIDES.search(tag["rest"])):
            hiding, depth = name, 1
    return "".join([*parts, "" if hiding else unescape(html[at:])])


def _after_other(html: str, start: int) -> int:
    """Where a comment, a declaration or what is no tag ends; the end of all if it is not closed."""
    if _UNCLOSED.match(html, start):
        return len(html)
    mark = "-->" if html.startswith("<!--", start) else ">"
    end = html.find(mark, start + 1)
    return len(html) if end < 0 else end + len(mark)


def _after_raw(html: str, at: int, name: str) -> int:
    end = re.compile(rf"</{name}[\s/>]", re.IGNORECASE).search(html, at)
    return end.start() if end else len(html)
