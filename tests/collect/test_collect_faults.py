"""Each fault of a server alone: its exact status, the files beside it unharmed, memory and bytes bounded."""

import contextlib
import itertools
import random
import resource
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from fault_answers import OK, head, page, raw
from fault_catalogue import FAULTS, GOOD
from fault_server import FaultServer, addresses

from liftnet.collect.collect import collect
from liftnet.collect.normalise import normalise
from liftnet.collect.sources.lists import read_csv
from liftnet.collect.web.download import Downloader, Response
from liftnet.collect.web.transport import FetchError
from liftnet.data.schemas import MANIFEST, read_table

LIMIT = 1_000_000
RESTING = {"503_long", "429_far_date", "503_huge"}  # the host wants to be left alone, all of it
MOST_MEMORY = 120e6


@pytest.fixture
def server():
    with FaultServer((*addresses(1), "127.0.0.1")) as one:
        one.add("/secret.jpg", page(body=b"secret"), "127.0.0.1")
        yield one


@pytest.fixture
def fetch_all(server, tmp_path, quick, write_csv):
    """Collects URLs of the server in order, one at a time; its rows by file name."""

    def run(urls, **changes):
        limits = {"timeout_s": 0.5, "total_s": 1.0, "retries": 2, "max_wait_s": 1.5, "max_bytes": LIMIT}
        settings = quick(**{"allow_host": [server.hosts[0]], "per_host": 1, "min_side": 32} | limits | changes)
        collect(read_csv(write_csv([{"url": url} for url in urls])), tmp_path / "out", settings, 2)
        rows = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
        assert [row["image_url"] for row in rows] == urls
        return rows

    return run


def stored(folder):
    return {path.name: path.read_bytes() for path in (folder / "out" / "images").glob("*")}


def buffers():
    """Bytes that may be on their way to a client that has stopped reading: the system's largest socket buffers."""
    paths = (Path("/proc/sys/net/ipv4/tcp_rmem"), Path("/proc/sys/net/ipv4/tcp_wmem"))
    return sum(int(path.read_text().split()[2]) for path in paths)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_becomes_its_row_and_harms_nothing(name, server, fetch_all, jpeg, tmp_path):
    fault, bad, (before, after) = FAULTS[name], jpeg(3), (jpeg(1), jpeg(2))
    urls = [
        server.add("/before.jpg", page(body=before)),
        server.add("/x.jpg", fault.make(bad)),
        server.add("/after.jpg", page(body=after)),
    ]
    normalise(before, "", 1000, 32, 10**6)  # loads what it needs
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first, row, last = fetch_all(urls)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory)
    assert (row["status"], row["file"]) == (fault.status, None)
    assert len(row["reason"]) > 10
    assert row["attempts"] == (fault.attempts or row["attempts"])
    assert len(server.asked("/x.jpg")) == row["attempts"] or fault.attempts is None or "redirects" in fault.status
    assert (first["status"], last["status"]) == ("ok", fault.status if name in RESTING else "ok")
    assert sorted(stored(tmp_path).values()) == sorted([before] if name in RESTING else [before, after])
    assert not server.asked("/secret.jpg", "127.0.0.1")
    assert all(visit.sent < LIMIT + buffers() for visit in server.visits)
    assert grown < MOST_MEMORY


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_answer_with_an_image_is_an_image(name, server, fetch_all, jpeg, tmp_path):
    urls = [server.add("/x.jpg", GOOD[name](jpeg(1))), server.add("/after.jpg", page(body=jpeg(2)))]
    rows = fetch_all(urls)
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert sorted(stored(tmp_path).values()) == sorted([jpeg(1), jpeg(2)])
    assert all("cookie" not in visit.headers for visit in server.visits)


def test_bytes_too_many_are_not_taken_for_the_next_answer(server, fetch_all, jpeg, tmp_path):
    """What follows a body of the announced length is not the answer to the next request on that connection."""
    smuggled = head("200 OK", {"Content-Length": str(len(jpeg(9)))}) + jpeg(9)
    length = b"Content-Length: %d\r\n\r\n" % len(jpeg(1))

    async def two_answers(exchange):
        await exchange.send(OK + length + jpeg(1) + smuggled)

    urls = [server.add("/x.jpg", two_answers), server.add("/after.jpg", page(body=jpeg(2)))]
    assert [row["status"] for row in fetch_all(urls)] == ["ok", "ok"]
    assert sorted(stored(tmp_path).values()) == sorted([jpeg(1), jpeg(2)])


def test_retry_after_in_seconds_holds_back_the_whole_host(server, fetch_all, jpeg):
    busy = page("429 Too Many Requests", {"Retry-After": "1"})

    async def answer(exchange):
        await (busy if exchange.visit.number == 1 else page(body=jpeg(1)))(exchange)

    urls = [server.add("/x.jpg", answer), server.add("/after.jpg", page(body=jpeg(2)))]
    assert [row["status"] for row in fetch_all(urls)] == ["ok", "ok"]
    first, *others = server.files()
    assert all(visit.began - first.ended >= 0.99 for visit in others)


def test_encrypted_to_a_plain_port(server, fetch_all, jpeg):
    server.add("/x.jpg", page(body=jpeg(1)))
    (row,) = fetch_all([server.url("/x.jpg").replace("http:", "https:")])
    assert row["status"] in ("tls_error", "connection_error", "timeout_read")
    assert not server.asked("/x.jpg")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Key and certificate that nobody has signed."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.2"]
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl to make a certificate")
    subprocess.run([*words, "-keyout", file, "-out", file], check=True, capture_output=True)
    return file


@pytest.mark.parametrize(("scheme", "status"), [("https", "tls_error"), ("http", "connection_error")])
def test_a_server_whose_certificate_nobody_has_signed(scheme, status, certificate, fetch_all):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.2", 0)) as listener:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1000)

        threading.Thread(target=accept, daemon=True).start()
        (row,) = fetch_all([f"{scheme}://127.0.0.2:{listener.getsockname()[1]}/x.jpg"])
    assert row["status"] == status, row["reason"]


def test_an_encrypted_greeting_that_drips_is_cut(server, fetch_all):
    """The server's port answers a TLS greeting with one byte at a time."""
    with socket.create_server(("127.0.0.2", 0)) as listener:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

        def drip(connection):
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")
                for _ in range(200):
                    connection.sendall(b"\0")
                    time.sleep(0.05)

        threading.Thread(target=accept, daemon=True).start()
        start = time.monotonic()
        (row,) = fetch_all([f"https://127.0.0.2:{listener.getsockname()[1]}/x.jpg"], retries=0)
        assert time.monotonic() - start < 5, "of the 10 s that it would take"
    assert row["status"] in ("timeout_total", "timeout_read", "timeout_connect", "tls_error")


def test_a_name_of_many_addresses_is_not_tried_for_ever(monkeypatch, quick):
    tried = []

    def never(address, *_, **__):
        tried.append(address)
        time.sleep(0.2)
        raise TimeoutError

    found = [(2, 1, 6, "", (f"8.8.8.{number}", 80)) for number in range(100)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr("liftnet.collect.web.transport.create_connection", never)
    with (
        contextlib.closing(Downloader(quick(total_s=0.5, retries=0))) as downloader,
        pytest.raises(FetchError) as error,
    ):
        downloader.fetch("http://many.example/x.jpg")
    assert error.value.status == "timeout_total"
    assert len(tried) < 20


def test_one_image_under_many_addresses_is_stored_once(server, fetch_all, jpeg, tmp_path):
    urls = [server.add(f"/{number}.jpg", page(body=jpeg(number % 2))) for number in range(6)]
    assert [row["status"] for row in fetch_all(urls)] == ["ok"] * 2 + ["dup_exact"] * 4
    assert sorted(stored(tmp_path).values()) == sorted([jpeg(0), jpeg(1)])


def test_whatever_comes_is_a_file_or_a_fault(server, quick, jpeg):
    """Answers with bytes changed, cut out, doubled and added at random: no other exception, no answer taken whole."""
    chance = random.Random(5)
    good = head("200 OK", {"Content-Length": str(len(jpeg(1))), "Retry-After": "7", "ETag": '"a"'}) + jpeg(1)
    moved = head("302 Found", {"Location": "http://127.0.0.2:80/a", "Content-Length": "0"})
    parts = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    busy = head("503 Busy", {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT", "Content-Length": "0"})
    settings = quick(
        allow_host=[server.hosts[0]], retries=0, timeout_s=0.3, total_s=0.5, max_bytes=LIMIT, max_wait_s=0, per_host=16
    )
    counts = {"file": 0, "fault": 0}
    for number in range(400):
        answer = bytearray(chance.choice([good, moved, parts, busy]))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(min(len(answer), 120))
            match chance.randrange(4):
                case 0:
                    answer[place] = chance.randrange(256)
                case 1:
                    del answer[place : place + chance.randint(1, 9)]
                case 2:
                    answer[place:place] = answer[place : place + chance.randint(1, 9)] * chance.randint(1, 50)
                case 3:
                    answer[place:place] = chance.randbytes(chance.randint(1, 9))
        url = server.add(f"/{number}", raw(bytes(answer)))
        with contextlib.closing(Downloader(settings, LIMIT)) as downloader:
            try:
                assert isinstance(downloader.fetch(url), Response)
                counts["file"] += 1
            except FetchError as error:
                counts["fault"] += bool(error.status and error.reason)
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 40, "the changes are neither too small nor too large"


def test_waiting_for_a_connection_does_not_bring_requests_closer(jpeg, tmp_path, quick, write_csv):
    """Turns that pass while all connections are in use are not made up for."""
    with FaultServer(addresses(2)) as server:
        busy, host = server.hosts

        async def slow(exchange):
            await exchange.hold(0.8)
            await page(body=jpeg(0))(exchange)

        urls = [server.add("/slow.jpg", slow, busy)]
        urls += [server.add(f"/{number}.jpg", page(body=jpeg(number)), host) for number in range(1, 5)]
        settings = quick(allow_host=list(server.hosts), connections=1, per_host=4, delay_s=0.15, min_side=32)
        collect(read_csv(write_csv([{"url": url} for url in urls])), tmp_path / "out", settings, 1)
    begun = [visit.began for visit in server.files() if visit.host == host]
    assert len(begun) == 4
    assert all(later - earlier > 0.1 for earlier, later in itertools.pairwise(begun))


def test_few_files_wait_in_memory_for_being_decoded(jpeg, tmp_path, quick, write_csv, monkeypatch):
    """However many hosts send at a time, no more files are held than connections are allowed."""
    checked, held = [], []

    def slow(self, data, what):
        held.append(sum(visit.sent > 1000 for visit in server.files()) - len(checked))
        time.sleep(0.05)
        checked.append(1)
        return normalise(data, what, 1600, 32, 10**6)

    monkeypatch.setattr("liftnet.collect.decoding.Decoders.picture", slow)
    with FaultServer(addresses(12)) as server:
        urls = [
            server.add(f"/{number}.jpg", page(body=jpeg(number)), host) for host in server.hosts for number in range(2)
        ]
        settings = quick(allow_host=list(server.hosts), connections=3, min_side=32)
        collect(read_csv(write_csv([{"url": url} for url in urls])), tmp_path / "out", settings, 1)
    assert max(held) <= 3
