"""robots.txt that fails, lies or never ends, and large files that break off: nothing forbidden, nothing glued."""

import itertools
import resource
import zlib

import numpy as np
import pytest
from fault_answers import HTML, OK, chain, drip, endless, gzip_bomb, head, page, raw, redirect
from fault_server import FaultServer, addresses
from PIL import Image

from liftnet.collect.collect import collect
from liftnet.collect.normalise import normalise
from liftnet.collect.sources.lists import read_csv
from liftnet.data.schemas import MANIFEST, read_table

LARGEST = 500 * 1024  # bytes of a robots.txt that must be read; RFC 9309, section 2.5


@pytest.fixture
def server():
    with FaultServer(addresses(2)) as one:
        yield one


@pytest.fixture
def fetch_all(server, tmp_path, quick, write_csv):
    """Collects URLs in order; their rows."""

    def run(urls, **changes):
        limits = {"timeout_s": 0.5, "total_s": 1.0, "max_wait_s": 1.5, "per_host": 1, "min_side": 32}
        settings = quick(**{"allow_host": list(server.hosts), "robots": True} | limits | changes)
        collect(read_csv(write_csv([{"url": url} for url in urls])), tmp_path / "out", settings, 2)
        return read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()

    return run


def stored(folder):
    return sorted(path.read_bytes() for path in (folder / "out" / "images").glob("*"))


def robots(text):
    return page(headers={"Content-Type": "text/plain"}, body=text)


DENY = b"User-agent: *\nDisallow: /\n"
ROBOTS = {
    "none": (page("404 Not Found"), "ok"),
    "gone": (page("410 Gone"), "ok"),
    "forbidden": (page("403 Forbidden"), "ok"),  # RFC 9309, section 2.3.1.3
    "empty": (robots(b""), "ok"),
    "a page": (robots(HTML), "ok"),
    "noise": (robots(bytes(range(256)) * 50), "ok"),
    "deny": (robots(DENY), "robots_disallowed"),
    "deny us": (robots(b"User-agent: *\nDisallow:\n\nUser-agent: LiftNet\nDisallow: /\n"), "robots_disallowed"),
    "deny others": (robots(b"User-agent: otherbot\nDisallow: /\n"), "ok"),
    "allow within": (robots(b"User-agent: *\nDisallow: /\nAllow: /x\n"), "ok"),
    "wildcard": (robots(b"User-agent: *\nDisallow: /*.jpg$\n"), "robots_disallowed"),
    "byte order mark": (robots(b"\xef\xbb\xbf" + DENY), "robots_disallowed"),
    "old line ends": (robots(DENY.replace(b"\n", b"\r")), "robots_disallowed"),
    "compressed": (page(headers={"Content-Encoding": "deflate"}, body=zlib.compress(DENY)), "robots_disallowed"),
    "moved": (chain(3, robots(DENY)), "robots_disallowed"),
    "fault": (page("500 Internal Server Error"), "robots_disallowed"),
    "busy": (page("503 Service Unavailable"), "robots_disallowed"),
    "too often": (page("429 Too Many Requests"), "robots_disallowed"),
    "into the network": (redirect("http://10.0.0.1/robots.txt"), "ssrf_blocked"),
    "silent": (raw(9.0), "timeout_read"),
    "drip": (drip(OK + b"\r\n"), "timeout_total"),
    "cut": (raw(OK + b"Content-Length: 900\r\n\r\n" + DENY), "truncated"),
    "endless": (endless(OK + b"\r\n" + DENY, b"# nothing to see\n" * 1000), "robots_disallowed"),
    "endless line": (endless(OK + b"\r\n" + DENY + b"Allow: /"), "robots_disallowed"),
    "compressed bomb": (page(headers={"Content-Encoding": "gzip"}, body=gzip_bomb()), "ok"),
    "an hour's delay": (robots(b"User-agent: *\nCrawl-delay: 3600\n"), "robots_disallowed"),
    "endless delay": (robots(b"User-agent: *\nCrawl-delay: inf\n"), "ok"),  # senseless, not long
    "senseless delays": (robots(b"User-agent: *\nCrawl-delay: nan\nCrawl-delay: -5\nRequest-rate: 0/0s\n"), "ok"),
    "many rules": (robots(b"User-agent: *\n" + b"Disallow: /a*b*c*d*e*$\n" * 20_000), "ok"),
}


@pytest.mark.parametrize("name", ROBOTS)
def test_robots_txt(name, server, fetch_all, jpeg, tmp_path):
    answer, status = ROBOTS[name]
    server.add("/robots.txt", answer)
    url = server.add("/x.jpg", page(body=jpeg(1)))
    normalise(jpeg(2), "", 1000, 32, 10**6)  # loads what it needs
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (row,) = fetch_all([url])
    assert row["status"] == status, row["reason"]
    assert stored(tmp_path) == ([jpeg(1)] if status == "ok" else [])
    assert len(server.asked("/x.jpg")) == (status == "ok"), "what is not allowed is not even asked for"
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) < 60e6
    assert all(visit.sent < 20e6 for visit in server.visits)


def test_robots_txt_is_asked_for_once_a_host_and_kept(server, fetch_all, jpeg):
    for host in server.hosts:
        server.add("/robots.txt", robots(b"User-agent: *\nDisallow: /private\n"), host)
    urls = [
        server.add(f"/{place}{number}.jpg", page(body=jpeg(number)), host)
        for host, number in zip(server.hosts * 3, range(6), strict=True)
        for place in ("", "private/")
    ]
    for _ in range(2):
        rows = fetch_all(urls)
        assert [row["status"] for row in rows] == ["ok", "robots_disallowed"] * 6
    assert [len(server.asked("/robots.txt", host)) for host in server.hosts] == [1, 1]


def test_a_redirect_to_what_another_host_forbids_is_not_followed(server, fetch_all, jpeg):
    other = server.hosts[1]
    server.add("/robots.txt", robots(DENY), other)
    server.add("/x.jpg", page(body=jpeg(1)), other)
    (row,) = fetch_all([server.add("/x.jpg", redirect(server.url("/x.jpg", other)))])
    assert row["status"] == "robots_disallowed"
    assert not server.asked("/x.jpg", other)


def test_a_crawl_delay_is_kept(server, fetch_all, jpeg):
    server.add("/robots.txt", robots(b"User-agent: *\nCrawl-delay: 0.3\n"))
    rows = fetch_all([server.add(f"/{number}.jpg", page(body=jpeg(number))) for number in range(4)], per_host=4)
    assert [row["status"] for row in rows] == ["ok"] * 4
    begun = [visit.began for visit in server.files()]
    assert all(later - earlier > 0.25 for earlier, later in itertools.pairwise(begun))


@pytest.fixture(scope="module")
def large(encode):
    """Two versions of a file of 3 MB."""

    def make(seed):
        noise = np.random.default_rng(seed).integers(0, 256, (1200, 1500, 3), dtype=np.uint8)
        return encode(Image.fromarray(noise), quality=95)

    return make(1), make(2)


def rest_of(data, etag, shift=0, total=None, status="206 PartialDownload Content"):
    """The rest of a file from where the client asks, moved by `shift` bytes."""

    async def answer(exchange):
        asked = exchange.visit.headers.get("range", "bytes=0-")
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        total_size = total or len(data)
        headers = {"ETag": etag, "Content-Range": f"bytes {start + shift}-{total_size - 1}/{total_size}"}
        await page(status, headers, data[start + shift :])(exchange)

    return answer


def whole(data, etag):
    return page(headers={"ETag": etag}, body=data)


def broken(data, etag, size=1_700_000):
    fields = {"Content-Length": str(len(data)), "ETag": etag}
    return raw(head("200 OK", fields) + data[:size])


A, B = '"a"', '"b"'
SECOND = {  # after 1.7 MB of version a: the next answer, given both versions; what is stored; whether the rest is used
    "the rest": (lambda a, b: rest_of(a, A), "a", True),
    "all of it": (lambda a, b: whole(a, A), "a", False),
    "all of another": (lambda a, b: whole(b, B), "b", False),
    "the rest of another": (lambda a, b: rest_of(b, B), "b", False),
    "the rest of another under the old name": (lambda a, b: rest_of(b, B, total=len(a)), "b", False),
    "the rest from elsewhere": (lambda a, b: rest_of(a, A, shift=-1000), "a", False),
    "a hole": (lambda a, b: rest_of(a, A, shift=1000), "a", False),
    "another length": (lambda a, b: rest_of(a, A, total=len(a) - 500), "a", False),
    "no such range": (lambda a, b: page("416 Range Not Satisfiable"), "a", False),
    "the rest called whole": (lambda a, b: rest_of(a, A, status="200 OK"), None, False),
}


@pytest.mark.parametrize("name", SECOND)
def test_a_large_file_that_breaks_off_is_never_glued_wrongly(name, server, fetch_all, large, tmp_path):
    make, kept, continues = SECOND[name]
    a, b = large
    second = make(a, b)
    final = whole(b, B) if kept == "b" else whole(a, A)

    async def answer(exchange):
        number = exchange.visit.number
        await (broken(a, A) if number == 1 else second if number == 2 else final)(exchange)

    (row,) = fetch_all([server.add("/x.jpg", answer)], max_bytes=5_000_000, retries=3, total_s=5.0)
    asked = server.asked("/x.jpg")
    assert asked[1].headers["range"].startswith("bytes=")
    assert asked[1].headers["if-range"] == A
    if kept is not None:
        assert row["status"] == "ok", row["reason"]
    assert stored(tmp_path) in ([[{"a": a, "b": b}[kept]]] if kept else [[], [a]])
    assert not continues or sum(visit.sent for visit in asked) < len(a) + 1000


def test_without_a_strong_version_a_file_begins_anew(server, fetch_all, large, tmp_path):
    async def answer(exchange):
        await (broken(large[0], 'W/"a"') if exchange.visit.number == 1 else whole(large[0], 'W/"a"'))(exchange)

    (row,) = fetch_all([server.add("/x.jpg", answer)], max_bytes=5_000_000, total_s=5.0)
    assert row["status"] == "ok"
    assert all("range" not in visit.headers for visit in server.asked("/x.jpg"))
    assert stored(tmp_path) == [large[0]]


LATER = {  # a stored file asked for again: what comes, given its bytes and others; the status; what is stored then
    "not modified": (lambda a, b: page("304 Not Modified", {"ETag": A}), "ok", "a"),
    "not modified, of another version": (lambda a, b: page("304 Not Modified", {"ETag": B}), "ok", "a"),
    "the same": (lambda a, b: whole(a, A), "ok", "a"),
    "another image": (lambda a, b: whole(b, B), "ok", "b"),
    "another image by the old name": (lambda a, b: whole(b, A), "ok", "b"),
    "removed": (lambda a, b: page("410 Gone"), "http_410", None),
    "no longer for machines": (lambda a, b: page(headers={"X-Robots-Tag": "noai"}, body=a), "opt_out_header", None),
    "a fault": (lambda a, b: page("500 Internal Server Error"), "ok", "a"),
    "a page": (lambda a, b: page(body=HTML), "ok", "a"),
    "nothing": (lambda a, b: page(), "ok", "a"),
    "silence": (lambda a, b: raw(9.0), "ok", "a"),
    "a cut image": (lambda a, b: raw(OK + b"Content-Length: 9999\r\n\r\n" + a), "ok", "a"),
    "into the network": (lambda a, b: redirect("http://10.0.0.1/x.jpg"), "ok", "a"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_a_refresh_brings(name, server, fetch_all, jpeg, tmp_path):
    make, status, kept = LATER[name]
    a, b = jpeg(1), jpeg(2)
    url = server.add("/x.jpg", whole(a, A))
    first = fetch_all([url])
    server.add("/x.jpg", make(a, b))
    assert fetch_all([url]) == first
    assert len(server.asked("/x.jpg")) == 1, "without `refresh` nobody is asked"
    (row,) = fetch_all([url], refresh=True)
    assert server.asked("/x.jpg")[1].headers["if-none-match"] == A
    assert row["status"] == status, row["reason"]
    assert stored(tmp_path) == ([{"a": a, "b": b}[kept]] if kept else [])
