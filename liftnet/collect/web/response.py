"""What one request asks for, and what comes of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from liftnet.collect.web.partial_download import PartialDownload
from liftnet.collect.web.transport import host_of


class Stopped(Exception):
    """The run ends; a download under way is given up and leaves no row behind."""


@dataclass(frozen=True)
class Response:
    """A file as it came.

    Attributes:
        data: Its bytes; empty if it has not changed.
        final_url: Where the last redirect led; None for a local file.
        http_status: 200, 206 for a file that came in parts, 304 for one not changed; None for a local file.
        attempts: How often it was asked for.
        etag: Its version, as the server calls it.
        last_modified: When it changed, as the server says it.
        opt_out: What its owner says against its use, where the settings do not honour that.
    """

    data: bytes = field(repr=False)
    final_url: str | None = None
    http_status: int | None = None
    attempts: int = 1
    etag: str | None = None
    last_modified: str | None = None
    opt_out: str | None = None

    @property
    def not_modified(self) -> bool:
        """Whether the server says that the file is still the one asked about."""
        return self.http_status == 304

    def __repr__(self) -> str:
        return f"Response({len(self.data):,} bytes from {self.final_url or 'disk'})"


@dataclass
class Exchange:
    """What is asked for, and what has come of it so far.

    Attributes:
        conditions: Headers that ask only for a file that has changed.
        headers: Further headers.
        max_bytes: More is refused, or cut off with `cut`.
        robots: Whether robots.txt is obeyed; an interface for programs is not a page for robots.
        reservations: Whether headers against use are read; robots.txt and an interface's answers are not what is used.
        cut: Take the first `max_bytes` of a longer file; its compression is undone.
        partial: What broke off, to be continued.
        home: The one host that `headers` are for, as they may hold a key; empty for whoever answers.
        holder: Keeps the place among the connections once the file is there.
    """

    conditions: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    max_bytes: int = 0
    robots: bool = True
    reservations: bool = True
    cut: bool = False
    partial: PartialDownload | None = None
    home: str = ""
    holder: ExitStack | None = None

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers of a request for `url`: for the rest of what broke off there, else for what has changed."""
        if self.home and host_of(url) != self.home:
            return {}
        if self.partial is not None and self.partial.url == url:
            return self.headers | self.partial.headers()
        return self.headers | self.conditions
