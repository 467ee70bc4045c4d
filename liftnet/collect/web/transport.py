"""Who we are to a server, what a URL names, and a fault of the transport in plain words."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
import urllib3
from requests import exceptions as faults
from urllib3 import exceptions as wire

from liftnet import __version__
from liftnet.collect.web.errors import FetchError

PROJECT = "https://github.com/liftnet/liftnet"
AGENT = "liftnet"  # the name that robots.txt and X-Robots-Tag may address
_PORTS = {"http": 80, "https": 443}
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')


def user_agent(contact: str) -> str:
    """Who we are, so that the owner of a site can ask or complain."""
    return f"{AGENT}/{__version__} ({contact or '+' + PROJECT}) python-requests/{requests.__version__}"


def host_of(url: str) -> str:
    """Host of a http or https URL in lower case, with its port unless it is the scheme's own.

    Raises:
        FetchError: It is of another scheme (`unsupported_scheme`) or names no host (`bad_url`).
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FetchError(url, "bad_url", f"not a URL ({error})") from error
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise FetchError(url, "unsupported_scheme", f"only http and https are fetched, not {scheme or 'this'}")
    host = (host or "").rstrip(".")
    if not host:
        raise FetchError(url, "bad_url", "names no host")
    if not host.isascii():
        try:  # as it is looked up, so that both spellings are one host
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise FetchError(url, "bad_url", f"not the name of a host ({error})") from error
    host = f"[{host}]" if ":" in host else host
    return host if port is None or port == _PORTS[scheme] else f"{host}:{port}"


def origin_of(url: str) -> str:
    """Scheme and host of a URL: what one robots.txt speaks for.

    Raises:
        FetchError: As for `host_of`.
    """
    return f"{urlsplit(url).scheme.lower()}://{host_of(url)}"


def retry_after(response: requests.Response) -> float | None:
    """Seconds the server asks to wait; it may be a number or a date."""
    header = response.headers.get("Retry-After")
    if not header:
        return None
    try:
        return urllib3.Retry().parse_retry_after(header)
    except (wire.InvalidHeader, ValueError, OverflowError):
        return None


def announced_length(response: requests.Response) -> int | None:
    """The length of the body as the server announces it, if that is a number."""
    header = response.headers.get("Content-Length", "")
    return int(header) if header.isascii() and header.isdigit() and len(header) < 19 else None


def etag_of(response: requests.Response) -> str | None:
    """The version of the file as the server calls it, if it is well formed; RFC 9110, section 8.8.3."""
    value = response.headers.get("ETag", "").strip()
    return value if _ETAG.fullmatch(value) else None


def last_modified_of(response: requests.Response) -> str | None:
    """When the server says that the file has changed, if it is a date."""
    value = response.headers.get("Last-Modified", "").strip()
    try:
        parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return value if value.isascii() and value.isprintable() and len(value) < 64 else None


def in_plain_words(url: str, error: Exception) -> FetchError:
    """A fault of the transport as status and reason."""
    chain = _causes(error)
    last = " ".join(str(chain[-1]).split())
    if any(isinstance(cause, wire.NameResolutionError) for cause in chain):
        return FetchError(url, "dns_error", "the host's name has no address", passing=True)
    if any(isinstance(cause, faults.SSLError | wire.SSLError) for cause in chain):
        return FetchError(url, "tls_error", f"no trusted encrypted connection ({last})")
    if any(isinstance(cause, wire.NewConnectionError) for cause in chain):  # a kind of ConnectTimeoutError, before it
        reason = f"the connection failed ({last})"
        return FetchError(url, "connection_error", reason, passing=True, unreachable=True)
    if any(isinstance(cause, wire.ConnectTimeoutError | faults.ConnectTimeout) for cause in chain):
        return FetchError(url, "timeout_connect", "the host does not answer", passing=True, unreachable=True)
    if any(isinstance(cause, wire.ReadTimeoutError | faults.ReadTimeout | TimeoutError) for cause in chain):
        return FetchError(url, "timeout_read", "the server fell silent", passing=True)
    if isinstance(error, faults.InvalidURL | faults.InvalidSchema | faults.MissingSchema | UnicodeError):
        return FetchError(url, "bad_url", f"not a URL that can be fetched ({error})")
    if isinstance(error, wire.ProtocolError):  # bare, so from reading the body; requests wraps what comes before
        return FetchError(url, "truncated", f"the connection ended early ({last})", passing=True)
    if isinstance(error, ValueError) and not isinstance(error, faults.RequestException):
        return FetchError(url, "truncated", f"the answer is malformed ({last})", passing=True)
    return FetchError(url, "connection_error", f"the connection failed ({last})", passing=True)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, from the outside in."""
    chain = [error]
    while len(chain) < 12:
        last = chain[-1]
        inner = getattr(last, "reason", None) or last.__cause__ or last.__context__
        if not isinstance(inner, BaseException):
            inner = next((part for part in last.args if isinstance(part, BaseException)), None)
        if inner is None or inner in chain:
            break
        chain.append(inner)
    return chain
