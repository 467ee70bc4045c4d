"""Everything a server can do wrong, and what must become of it.

Source: RFC 9110 and 9112, for what each answer breaks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from fault_answers import (
    BLOCK,
    HTML,
    OK,
    TEN_GB,
    after,
    broken_off,
    chain,
    chunked,
    drip,
    endless,
    gzip_bomb,
    head,
    jpeg_bomb,
    page,
    png,
    raw,
    real_bomb,
    redirect,
    zip_bomb,
)
from fault_server import Answer

FAR = "Fri, 31 Dec 2100 23:59:59 GMT"
LONG_AGO = formatdate(0, usegmt=True)
Make = Callable[[bytes], Answer]


@dataclass(frozen=True)
class Fault:
    """One way to go wrong.

    Attributes:
        status: What the manifest must say with the settings of the tests (three attempts).
        make: The answer, given the bytes of a good image.
        attempts: How often it must be asked for; None where a redirect or the machine decides.
    """

    status: str
    make: Make
    attempts: int | None = 1


INSIDE = {  # redirects to what only this machine or its network can reach
    "private": "http://10.0.0.1/x.jpg",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "loopback": "http://127.0.0.1:{port}/secret.jpg",
    "loopback6": "http://[::1]:{port}/secret.jpg",
    "mapped": "http://[::ffff:127.0.0.1]:{port}/secret.jpg",
    "local6": "http://[fd00::1]/x.jpg",
    "decimal": "http://2130706433:{port}/secret.jpg",
    "hex": "http://0x7f000001:{port}/secret.jpg",
    "octal": "http://0177.0.0.1:{port}/secret.jpg",
    "short": "http://127.1:{port}/secret.jpg",
    "unspecified": "http://0.0.0.0:{port}/secret.jpg",
    "name": "http://localhost:{port}/secret.jpg",
    "user": "http://127.0.0.2@127.0.0.1:{port}/secret.jpg",
}
ELSEWHERE = {  # redirects to what is no web
    "file": "file:///etc/passwd",
    "ftp": "ftp://127.0.0.1/x.jpg",
    "data": "data:image/png;base64,iVBORw0KGgo=",
    "gopher": "gopher://127.0.0.1:{port}/_x",
    "javascript": "javascript:alert(1)",
}


def _is(answer: Answer) -> Make:
    return lambda _: answer


def _body(change: Callable[[bytes], bytes], **headers: str) -> Make:
    return lambda good: page(
        headers={name.replace("_", "-"): value for name, value in headers.items()}, body=change(good)
    )


def _tagged(tag: str) -> Make:
    return _body(lambda good: good, X_Robots_Tag=tag)


def _length(value: str) -> Make:
    return lambda good: raw(OK + f"Content-Length: {value}\r\n\r\n".encode("latin-1") + good)


def _retried(status: str, value: str) -> Make:
    return lambda good: after(2, page(status, {"Retry-After": value}), page(body=good))


GOOD: dict[str, Make] = {  # odd, but an image comes of it
    "plain": lambda good: page(body=good),
    "chunked": lambda good: raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(good)),
    "chunk_extensions": lambda good: raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(good), good)
    ),
    "http10": lambda good: raw(b"HTTP/1.0 200 OK\r\n\r\n" + good),
    "wrong_type": _body(lambda good: good, Content_Type="text/html; charset=utf-8"),
    "no_type": lambda good: raw(OK + b"Content-Length: %d\r\n\r\n" % len(good) + good),
    "chain_3": lambda good: chain(3, page(body=good)),
    "slow_start": lambda good: raw(0.15, head("200 OK", {"Content-Length": str(len(good))}) + good),
    "in_pieces": lambda good: raw(
        head("200 OK", {"Content-Length": str(len(good))}), 0.05, good[:700], 0.05, good[700:]
    ),
    "503_twice": lambda good: after(2, page("503 Service Unavailable"), page(body=good)),
    "429_retry_0": _retried("429 Too Many Requests", "0"),
    "429_retry_past": _retried("429 Too Many Requests", LONG_AGO),
    "503_retry_negative": _retried("503 Service Unavailable", "-1"),
    "503_retry_word": _retried("503 Service Unavailable", "soon"),
    "503_retry_empty": _retried("503 Service Unavailable", ""),
    "503_retry_superscript": _retried("503 Service Unavailable", "\xb2"),
    "503_retry_bad_date": _retried("503 Service Unavailable", "Fri, 31 Dec 99999 23:59:59 GMT"),
    "reset_once": lambda good: after(1, broken_off(b""), page(body=good)),
    "truncated_once": lambda good: after(1, raw(OK + b"Content-Length: 9999\r\n\r\n" + good), page(body=good)),
    "length_negative": _length("-5"),
    "length_word": _length("many"),
    "length_superscript": _length("\xb2"),
    "odd_header_bytes": lambda good: raw(
        OK + b"X-\xff\xfe: \x80\x81\r\nno colon here\r\nContent-Length: %d\r\n\r\n" % len(good) + good
    ),
    "cookies": _body(lambda good: good, Set_Cookie="tracking=1; Domain=127.0.0.2; Path=/"),
    "noai_for_others": _tagged("otherbot: noai, noindex"),
    "noarchive": _tagged("noarchive, max-image-preview: large"),
    "not_reserved": _body(lambda good: good, tdm_reservation="0"),
    "early_hints": lambda good: raw(
        b"HTTP/1.1 100 Continue\r\n\r\n" + head("200 OK", {"Content-Length": str(len(good))}) + good
    ),
}

FAULTS: dict[str, Fault] = {
    # time
    "drip": Fault("timeout_total", _is(drip(OK + b"Content-Length: 5000\r\n\r\n")), 3),
    "drip_no_length": Fault("timeout_total", _is(drip(OK + b"\r\n")), 3),
    "drip_head": Fault("timeout_total", _is(drip(OK + b"X-Long: ")), 3),
    "drip_chunks": Fault("timeout_total", _is(drip(OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n")), 3),
    "silent": Fault("timeout_read", _is(raw(9.0)), 3),
    "stalled": Fault("timeout_read", lambda good: raw(OK + b"Content-Length: 9999\r\n\r\n" + good[:500], 9.0), 3),
    "continue_for_ever": Fault("timeout_total", _is(endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")), 3),
    # length
    "truncated": Fault("truncated", lambda good: raw(OK + b"Content-Length: 9999\r\n\r\n" + good), 3),
    "understated": Fault("truncated", lambda good: raw(OK + b"Content-Length: 900\r\n\r\n" + good)),
    "cut_without_length": Fault("truncated", lambda good: raw(b"HTTP/1.0 200 OK\r\n\r\n" + good[:-300])),
    "cut_chunks": Fault("truncated", _is(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")), 3),
    "bad_chunk": Fault("truncated", _is(raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n")), 3),
    "negative_chunk": Fault("truncated", _is(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n")), 3),
    "long_chunk_line": Fault("truncated", _is(raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 99_000)), 3),
    "two_lengths": Fault("connection_error", _is(raw(OK + b"Content-Length: 5\r\nContent-Length: 3\r\n\r\nabc")), 3),
    "reset_in_body": Fault("truncated", lambda good: broken_off(OK + b"Content-Length: 9999\r\n\r\n" + good), 3),
    "ten_gb_announced": Fault("too_large", _is(endless(OK + f"Content-Length: {TEN_GB}\r\n\r\n".encode()))),
    "ten_gb": Fault("too_large", _is(endless(OK + b"\r\n"))),
    "ten_gb_chunked": Fault(
        "too_large",
        _is(endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4000\r\n" + BLOCK + b"\r\n")),
    ),
    "length_5000_digits": Fault("too_large", _is(endless(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"))),
    # statuses
    "204": Fault("http_204", _is(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))),
    "206_unasked": Fault("http_206", lambda good: page("206 PartialDownload Content", body=good), 3),
    "304_unasked": Fault("http_304", _is(raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"))),
    "401": Fault("http_401", _is(page("401 Unauthorized", {"WWW-Authenticate": "Basic realm=x"}))),
    "403": Fault("http_403", _is(page("403 Forbidden", body=HTML))),
    "404": Fault("http_404", _is(page("404 Not Found", body=HTML))),
    "410": Fault("http_410", _is(page("410 Gone"))),
    "416_unasked": Fault("http_416", _is(page("416 Range Not Satisfiable")), 3),
    "429": Fault("http_429", _is(page("429 Too Many Requests")), 3),
    "500": Fault("http_500", _is(page("500 Internal Server Error", body=HTML)), 3),
    "503": Fault("http_503", _is(page("503 Service Unavailable")), 3),
    "503_long": Fault("http_503", _is(page("503 Service Unavailable", {"Retry-After": "3600"}))),
    "429_far_date": Fault("http_429", _is(page("429 Too Many Requests", {"Retry-After": FAR}))),
    "503_huge": Fault("http_503", _is(page("503 Service Unavailable", {"Retry-After": "9" * 30}))),
    "503_5000_digits": Fault("http_503", _is(page("503 Service Unavailable", {"Retry-After": "9" * 5000})), None),
    "999": Fault("http_999", _is(page("999 Blocked"))),
    # the owner's wish
    "noai": Fault("opt_out_header", _body(lambda good: good, X_Robots_Tag="noai")),
    "noimageai": Fault("opt_out_header", _body(lambda good: good, X_Robots_Tag="max-snippet: 5, NOIMAGEAI")),
    "noindex_for_us": Fault(
        "opt_out_header", _body(lambda good: good, X_Robots_Tag="otherbot: all, liftnet: noindex")
    ),
    "noai_after_a_date": Fault(
        "opt_out_header", _body(lambda good: good, X_Robots_Tag=f"unavailable_after: {FAR}, noai")
    ),
    "unavailable": Fault("opt_out_header", _body(lambda good: good, X_Robots_Tag=f"unavailable_after: {LONG_AGO}")),
    "second_tag": Fault(
        "opt_out_header", lambda good: raw(OK + b"X-Robots-Tag: all\r\nX-Robots-Tag: noml\r\n\r\n" + good)
    ),
    "tdm": Fault("tdm_reserved", _body(lambda good: good, tdm_reservation="1")),
    # redirects
    "loop": Fault("too_many_redirects", _is(redirect("/x.jpg"))),
    "loop_that_grows": Fault("too_many_redirects", _is(redirect("?{n}"))),
    "chain_10": Fault("too_many_redirects", lambda good: chain(10, page(body=good))),
    "302_nowhere": Fault("http_302", _is(page("302 Found"))),
    "to_bad_address": Fault("bad_url", _is(redirect("http://[::1")), None),
    "to_odd_letters": Fault("bad_url", _is(redirect("http://a\u2100b/".encode().decode("latin-1"))), None),
    "to_bad_port": Fault("bad_url", _is(redirect("http://127.0.0.2:port/x")), None),
    "to_bad_bytes": Fault("bad_url", _is(redirect("http://\xff\xfe/")), None),
    "to_no_host": Fault("dns_error", _is(redirect("http://no-such-host.invalid/")), None),
    **{f"to_{name}": Fault("ssrf_blocked", _is(redirect(target))) for name, target in INSIDE.items()},
    **{f"to_{name}": Fault("unsupported_scheme", _is(redirect(target))) for name, target in ELSEWHERE.items()},
    # no HTTP at all
    "nothing": Fault("connection_error", _is(raw()), 3),
    "reset": Fault("connection_error", _is(broken_off(b"")), 3),
    "ssh": Fault("connection_error", _is(raw(b"SSH-2.0-OpenSSH_9.6\r\n")), 3),
    "noise": Fault("connection_error", _is(raw(bytes(range(256)) * 40)), 3),
    "status_word": Fault("connection_error", _is(raw(b"HTTP/1.1 OK 200\r\n\r\n")), 3),
    "many_headers": Fault(
        "connection_error", _is(raw(OK + b"".join(b"X-%d: y\r\n" % n for n in range(9000)) + b"\r\n")), 3
    ),
    "long_header": Fault("connection_error", _is(raw(OK + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n")), 3),
    # content
    "empty": Fault("empty_file", _is(page())),
    "html_as_jpg": Fault("not_image", _is(page(body=HTML))),
    "json": Fault("not_image", _is(page(body=b'{"error": "quota"}', headers={"Content-Type": "application/json"}))),
    "zeros": Fault("not_image", _is(page(body=bytes(2000)))),
    "gzip_bomb": Fault("not_image", lambda _: page(headers={"Content-Encoding": "gzip"}, body=gzip_bomb())),
    "deflate": Fault("not_image", _body(lambda good: zlib.compress(good), Content_Encoding="deflate")),
    "brotli_said": Fault("not_image", _body(lambda good: good, Content_Encoding="br")),
    "zip_bomb": Fault("not_image", lambda _: page(body=zip_bomb())),
    "pixel_bomb": Fault("bomb", _is(page(body=png(50_000, 50_000)))),
    "real_pixel_bomb": Fault("bomb", lambda _: page(body=real_bomb())),
    "jpeg_bomb": Fault("bomb", _body(jpeg_bomb)),
    "no_pixels": Fault("decode_error", _is(page(body=png(0, 0)))),
    "only_a_header": Fault("decode_error", _is(page(body=png(120, 90)[:60]))),
    "no_rows": Fault("truncated", _is(page(body=png(120, 90)))),
    "damaged_png": Fault("decode_error", _is(page(body=png(120, 90, b"no zlib stream at all")))),
}
