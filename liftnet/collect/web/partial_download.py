"""The part of a large file that came before the connection broke, so that only the rest is asked for.

RFC 9110, sections 13.1.5 (If-Range) and 14: the rest is taken only of the very same version, which a strong ETag
names; anything else the server answers starts the file from its beginning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import requests

from liftnet.collect.web.transport import etag_of

WORTH = 1_000_000  # bytes from which asking for the rest is better than asking again
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


@dataclass
class PartialDownload:
    """What has come of a file.

    Attributes:
        url: Which answered, after redirects.
        etag: Its version; strong.
        parts: The bytes, in order.
        size: Their number.
        total: Of the whole file, if it was announced.
    """

    url: str
    etag: str
    parts: list[bytes] = field(repr=False)
    size: int
    total: int | None

    def headers(self) -> dict[str, str]:
        """Ask for the rest, if it is still of the same version."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag}

    def goes_on(self, response: requests.Response) -> bool:
        """Whether a 206 is the rest of this very file."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if match is None or etag_of(response) != self.etag:
            return False
        first, last, total = (int(number) for number in match.groups())
        return first == self.size and last == total - 1 and self.total in (total, None)


def kept(url: str, response: requests.Response, parts: list[bytes], total: int | None) -> PartialDownload | None:
    """What broke off, if it can be continued and is worth it."""
    size, etag = sum(map(len, parts)), etag_of(response)
    if size < WORTH or etag is None or etag.startswith("W/"):
        return None
    if response.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    return PartialDownload(url, etag, parts, size, total)
