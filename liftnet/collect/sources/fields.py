"""Reading records of catalogues, in which any field may be missing, null or of another type."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from liftnet.collect.sources.records import name
from liftnet.core.errors import LiftnetError

CC0 = "CC0 1.0"
CC0_URL = "https://creativecommons.org/publicdomain/zero/1.0/"
_LONGEST = 500  # characters of a text from the web
_SILENT = frozenset({"script", "style", "template"})
_BREAKING = frozenset({"br", "dd", "div", "dt", "li", "ol", "p", "table", "td", "th", "tr", "ul"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})


def text(value: Any) -> str | None:
    """A text of one line, at most 500 characters; None for an empty one and for what is neither text nor integer."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    plain = name(str(value).replace("\0", ""))
    return plain[:_LONGEST].strip() if plain else None


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts in a list, or the one text that stands instead of a list."""
    values = value if isinstance(value, list) else [value]
    return [plain for plain in map(text, values) if plain]


def address(value: Any) -> str | None:
    """A http or https URL; None for all else."""
    plain = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(plain)
        fine = parts.scheme.lower() in ("http", "https") and parts.hostname
    except ValueError:
        return None
    return plain if fine and plain.isprintable() else None


def expected(answer: Any, key: str, kind: type, url: str) -> Any:
    """A field without which an answer cannot be used.

    Raises:
        LiftnetError: It is missing or of another type.
    """
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        found = type(value).__name__ if isinstance(answer, dict) else f"no object but {type(answer).__name__}"
        reason = f"answers in a form that is not known: {key} should be {kind.__name__}, and is {found}"
        raise LiftnetError(url, reason, "The interface may have changed; its dump may still be read")
    return value


def without_html(value: Any) -> str | None:
    """The text of a piece of HTML, without what a browser would not show."""
    if not isinstance(value, str):
        return text(value)
    parser = _Text()
    parser.feed(value[:100_000])
    parser.close()
    return text("".join(parser.parts))


class _Text(HTMLParser):
    """Collects text; `hiding` is the element that is not shown, `depth` how many of its name are open within it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hiding, self.depth = "", 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKING and not self.hiding:
            self.parts.append(" ")
        style = (dict(attrs).get("style") or "").replace(" ", "").lower()
        if self.hiding:
            self.depth += tag == self.hiding
        elif tag not in _VOID and (tag in _SILENT or "display:none" in style):
            self.hiding, self.depth = tag, 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _BREAKING and not self.hiding:
            self.parts.append(" ")
        if self.hiding and tag == self.hiding:
            self.depth -= 1
            self.hiding = self.hiding if self.depth else ""

    def handle_data(self, data: str) -> None:
        if not self.hiding:
            self.parts.append(data)


def named_work(title: str | None, number: str | None) -> str | None:
    """A name that two works of one artist do not share: museums hold several called "Untitled".

    Args:
        title: Of the work.
        number: Under which the museum keeps it.
    """
    if title and number:
        return f"{title} ({number})"
    return title or (f"Untitled ({number})" if number else None)


def unnamed_artist(culture: str | None) -> str | None:
    """Who made a work whose maker nobody knows: its culture, so that its works stay in one split."""
    return f"Unknown ({culture})" if culture else None
