"""Addresses as they are published: without where files lay on the maker's disk, users, keys and tokens.

Nobody can list the names under which servers take secrets. So what stays is listed, the names that say which picture
or page is meant, and the value of every other parameter is masked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

MASKED = "removed"
_KEPT = """
    accession action alto artist asset assetid category collection compression country cropx cropy curid data_set
    dept dpi edition ext file fileid filename fm format fmt formatversion from generator h height id identifier ids
    iiurlwidth image imageid img index irn item itemid l lang language layout license limit locale max maxheight
    maxwidth medium method mime mode n name nr num number object objectid object_id objid offset oldid order p page
    pageid pageno page_id photo photo_id photoid pic picture pid pindex prefix profile prop q quality query rec
    record recordid region resize resolution rev revid rotation s scale search section seq sequence size sort start
    style t thumb title titles tms to type uselang v variant ver version view volume vol w width work work_id x y
    year zoom
"""
_NAMES = frozenset(_KEPT.split())
_LONGEST = 200  # characters of a value that is kept
_LOCAL = re.compile(r"file:|~|/(?!/)|\\\\|[A-Za-z]:[/\\]")
_PARTS = re.compile(r"([A-Za-z][\w+.-]*:)?((?://|\\\\)(?:[^/\\?#]*@)?([^/\\?#]*))?([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_TOKEN = re.compile(r"(?i)eyJ[\w-]+\.|\bbearer\b|[0-9a-f]{32,}|[\w+/=-]{48,}")  # a JWT, a digest, one long word
_IN_PATH = re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")  # a JWT; a digest in a path is the name of a picture
_ADDRESS = r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}:)?(?://|\\\\)[^\s()<>\"',]+"
_PATH = r"(?:~|[A-Za-z]:\\|/)[^\s()<>\"',:;]*[/\\][^\s()<>\"',:;/\\]+"
_IN_TEXT = re.compile(rf"(?<![\w/.:])(?:{_ADDRESS}|{_PATH})")


@lru_cache(maxsize=10_000)
def public_address(address: str) -> str:
    """An address without its user, fragment and secrets; of a file on the maker's disk its name alone.

    >>> public_address("https://ada:pw@h.org/1.jpg;jsessionid=9?id=7&auth_token=abc#access_token=x")
    'https://h.org/1.jpg;jsessionid=removed?id=7&auth_token=removed'
    >>> public_address("/home/ada/photos/1.jpg")
    '1.jpg'
    """
    if _LOCAL.match(address):
        return re.split(r"[/\\]", address)[-1]
    parts = _PARTS.fullmatch(address)
    if parts is None or not (any(sign in address for sign in "?#;@") or _IN_PATH.search(address)):
        return address
    scheme, authority, host, path, query, _ = parts.groups()
    where = f"//{host}" if authority else ""
    path = _IN_PATH.sub(MASKED, path)
    path = re.sub(r";([^=;/]*)=?[^;/]*", rf";\1={MASKED}", path)
    return f"{scheme or ''}{where}{path}{_query(query or '')}"


def public_text(text: str) -> str:
    """A sentence with its addresses, and the paths of files in it, as they are published."""
    return _IN_TEXT.sub(lambda found: public_address(found[0]), text) if "/" in text or "\\" in text else text


def _query(query: str) -> str:
    if not query:
        return ""
    shown = (_parameter(one) for one in re.split("[&;]", query[1:]))
    return "?" + "&".join(shown)


def _parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals:
        return MASKED if name else ""
    plain = unquote_plus(value)
    fine = (
        unquote_plus(name).lower() in _NAMES
        and len(plain) <= _LONGEST
        and "://" not in plain
        and not _TOKEN.search(plain)
    )
    return text if fine else f"{name}={MASKED}"
