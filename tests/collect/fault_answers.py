"""Answers of a server, honest and not, and files that are not what they seem.

Sources: RFC 2083 and ITU-T T.81 for the headers of the bombs.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from fault_server import Answer, Exchange

OK = b"HTTP/1.1 200 OK\r\n"
HTML = b"<!DOCTYPE html><html><body>Sorry</body></html>"
TEN_GB = 10_000_000_000
BLOCK = bytes(1 << 14)


def page(status: str = "200 OK", headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    """An honest answer with its length."""
    fields = {"Content-Type": "image/jpeg", "Content-Length": str(len(body))} | dict(headers or {})

    async def answer(exchange: Exchange) -> None:
        await exchange.send(head(status, fields) + body)

    return answer


def head(status: str, fields: Mapping[str, str]) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def raw(*parts: bytes | float) -> Answer:
    """These bytes, with pauses in seconds between them, and then the end."""

    async def answer(exchange: Exchange) -> None:
        exchange.close()
        for part in parts:
            await (exchange.send(part) if isinstance(part, bytes) else exchange.hold(part))

    return answer


def after(failures: int, fault: Answer, good: Answer) -> Answer:
    """The fault at first, then the good answer."""

    async def answer(exchange: Exchange) -> None:
        await (fault if exchange.visit.number <= failures else good)(exchange)

    return answer


def redirect(target: str) -> Answer:
    """To somewhere else; {port} is the server's own, {n} counts the requests."""

    async def answer(exchange: Exchange) -> None:
        port = exchange.writer.get_extra_info("sockname")[1]
        place = target.format(port=port, n=exchange.visit.number)
        await page("302 Found", {"Location": place})(exchange)

    return answer


def chain(length: int, good: Answer) -> Answer:
    """`length` redirects from one query of the path to the next, then the good answer."""

    async def answer(exchange: Exchange) -> None:
        path, _, query = exchange.visit.path.partition("?")
        step = int(query or 0)
        await (good if step == length else redirect(f"{path}?{step + 1}"))(exchange)

    return answer


def drip(first: bytes, seconds: float = 0.05) -> Answer:
    """The first bytes, then one byte at a time for ever."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send(first)
        while True:
            await exchange.hold(seconds)
            await exchange.send(b"a")

    return answer


def endless(first: bytes, block: bytes = BLOCK, most: int = TEN_GB) -> Answer:
    """As many bytes as anybody takes."""

    async def answer(exchange: Exchange) -> None:
        exchange.close()
        await exchange.send(first)
        while exchange.visit.sent < most:
            await exchange.send(block)

    return answer


def broken_off(first: bytes) -> Answer:
    """The first bytes, then a reset."""

    async def answer(exchange: Exchange) -> None:
        if first:
            await exchange.send(first)
            await exchange.hold(0.02)  # let them arrive
        exchange.reset()

    return answer


def chunked(body: bytes) -> bytes:
    """A body in chunks of 500 bytes."""
    parts = [body[start : start + 500] for start in range(0, len(body), 500)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def png(width: int, height: int, scan: bytes = b"", bits: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG file, its size as claimed and its pixels as given (compressed)."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", scan or zlib.compress(b"\0")) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def real_bomb() -> bytes:
    """A whole and valid PNG of 20,000 x 20,000 px in some 60 kB: 1.2 GB when decoded."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 20_000 // 8)
    scan = b"".join(packer.compress(row) for _ in range(20_000)) + packer.flush()
    return png(20_000, 20_000, scan, bits=1, colour=0)


def text_bomb() -> bytes:
    """A PNG whose comment grows from 20 kB to 20 MB."""
    comment = b"Comment\0\0" + zlib.compress(bytes(20_000_000), 9)
    scan = zlib.compress(bytes(90 * (1 + 120 * 3)))
    return png(120, 90, scan, extra=_chunk(b"zTXt", comment))


def jpeg_bomb(good: bytes) -> bytes:
    """A JPEG that claims 65,000 x 65,000 px."""
    start = next(good.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in good)
    return good[: start + 5] + struct.pack(">HH", 65_000, 65_000) + good[start + 9 :]


def zip_bomb() -> bytes:
    """A ZIP archive of 20 MB of nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("photo.jpg", bytes(20_000_000))
    return buffer.getvalue()


def gzip_bomb() -> bytes:
    """50 MB of nothing, compressed."""
    return gzip.compress(bytes(50_000_000), 9)
