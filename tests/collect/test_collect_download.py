"""The downloader against a real server that misbehaves."""

import ipaddress
import random
import socket
import threading
import time

import pytest
from collect_settings import collect_settings
from pytest_httpserver import HTTPServer
from werkzeug import Response

from liftnet.collect.web.addresses import is_public
from liftnet.collect.web.download import Downloader, Exchange, Stopped
from liftnet.collect.web.politeness import HostThrottle, Policy
from liftnet.collect.web.transport import FetchError, SsrfGuard, host_of, origin_of, user_agent


@pytest.fixture
def downloader(quick):
    """Makes downloaders with changed settings."""
    made = []

    def make(**changes):
        settings = quick(**changes)
        made.append(Downloader(settings, settings.pictures.max_bytes))
        return made[-1]

    yield make
    for one in made:
        one.close()


def failure(downloader, url):
    with pytest.raises(FetchError) as error:
        downloader.fetch(url)
    return error.value


@pytest.fixture
def raw_server():
    """A socket that answers every request with what a function writes."""
    listeners = []

    def make(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def talk(connection):
            with connection:
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:
                    return

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/x.jpg"

    yield make
    for listener in listeners:
        listener.close()


def test_a_file_arrives_whole_and_the_server_learns_who_asks(httpserver: HTTPServer, downloader):
    seen = []

    def answer(request):
        seen.append(request.headers)
        return Response(b"x" * 300_000)

    httpserver.expect_request("/a b/Käthe.jpg").respond_with_handler(answer)
    received = downloader(contact="me@example.org").fetch(httpserver.url_for("/") + "a b/Käthe.jpg")
    assert received.data == b"x" * 300_000
    assert (received.http_status, received.attempts) == (200, 1)
    assert received.final_url.endswith("/a b/Käthe.jpg")
    assert seen[0]["User-Agent"].startswith("liftnet/")
    assert "me@example.org" in seen[0]["User-Agent"]
    assert "Cookie" not in seen[0]


def test_without_a_contact_the_project_is_named():
    assert "https://" in user_agent("")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_lasting_refusals_are_not_asked_again(httpserver, downloader, status):
    httpserver.expect_request("/x").respond_with_data("no", status=status)
    error = failure(downloader(retries=3), httpserver.url_for("/x"))
    assert (error.status, error.http_status, error.attempts) == (f"http_{status}", status, 1)
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_faults_are_asked_again(httpserver, downloader, status):
    httpserver.expect_ordered_request("/x").respond_with_data("wait", status=status)
    httpserver.expect_ordered_request("/x").respond_with_data("wait", status=status)
    httpserver.expect_ordered_request("/x").respond_with_data(b"here")
    received = downloader(retries=2).fetch(httpserver.url_for("/x"))
    assert (received.data, received.attempts) == (b"here", 3)


def test_retries_come_to_an_end(httpserver, downloader):
    httpserver.expect_request("/x").respond_with_data("no", status=503)
    error = failure(downloader(retries=2), httpserver.url_for("/x"))
    assert (error.status, error.attempts) == ("http_503", 3)
    assert len(httpserver.log) == 3


def test_retry_after_is_obeyed_for_the_whole_host(httpserver, downloader):
    httpserver.expect_ordered_request("/x").respond_with_data("", status=429, headers={"Retry-After": "1"})
    httpserver.expect_ordered_request("/x").respond_with_data(b"here")
    one = downloader()
    start = time.monotonic()
    assert one.fetch(httpserver.url_for("/x")).attempts == 2
    assert 0.9 < time.monotonic() - start < 2.5


def test_a_host_that_wants_a_long_rest_is_left_alone(httpserver, downloader):
    httpserver.expect_request("/x").respond_with_data("", status=429, headers={"Retry-After": "3600"})
    one = downloader(max_wait_s=1, retries=5)
    start = time.monotonic()
    first, second = (failure(one, httpserver.url_for("/x")) for _ in range(2))
    assert time.monotonic() - start < 1
    assert first.status == second.status == "http_429"
    assert "3600 s" in first.reason
    assert len(httpserver.log) == 1, "the second file is not even asked for"


def test_retry_after_as_a_date(httpserver, downloader):
    httpserver.expect_request("/x").respond_with_data(
        "", status=503, headers={"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    )
    assert failure(downloader(max_wait_s=1), httpserver.url_for("/x")).attempts == 1


@pytest.mark.parametrize("header", ["soon", "", "-1"])
def test_a_senseless_retry_after_does_no_harm(httpserver, downloader, header):
    httpserver.expect_ordered_request("/x").respond_with_data("", status=429, headers={"Retry-After": header})
    httpserver.expect_ordered_request("/x").respond_with_data(b"here")
    assert downloader().fetch(httpserver.url_for("/x")).attempts == 2


def test_a_slow_drip_is_cut_after_the_total_time(raw_server, downloader):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"a")
            time.sleep(0.05)

    start = time.monotonic()
    error = failure(downloader(total_s=0.6, timeout_s=0.5, retries=0), raw_server(drip))
    assert error.status == "timeout_total"
    assert time.monotonic() - start < 1.5


def test_a_slow_drip_without_length_is_not_taken_for_whole(raw_server, downloader):
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"a")
            time.sleep(0.05)

    assert failure(downloader(total_s=0.4, timeout_s=0.3, retries=0), raw_server(drip)).status == "timeout_total"


def test_slowly_dripping_headers_are_cut_too(raw_server, downloader):
    def drip(connection):
        for character in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000:
            connection.sendall(bytes([character]))
            time.sleep(0.05)

    start = time.monotonic()
    assert failure(downloader(total_s=0.6, timeout_s=0.5, retries=0), raw_server(drip)).status == "timeout_total"
    assert time.monotonic() - start < 1.5


def test_silence_is_a_read_timeout(raw_server, downloader):
    error = failure(downloader(timeout_s=0.3, retries=1), raw_server(lambda _: time.sleep(2)))
    assert (error.status, error.attempts) == ("timeout_read", 2)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n\r\nabc"])
def test_giving_up_ends_a_download_at_once(raw_server, downloader, start):
    def silent(connection):
        connection.sendall(start)
        time.sleep(3)

    one = downloader(timeout_s=10, total_s=20)
    began = time.monotonic()
    threading.Timer(0.3, one.give_up).start()
    with pytest.raises(Stopped):
        one.fetch(raw_server(silent))
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "truncated"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "connection_error"),
        (b"", "connection_error"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "not_image"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "http_204"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "http_302"),
    ],
)
def test_broken_answers(raw_server, downloader, answer, code):
    assert failure(downloader(retries=1), raw_server(lambda connection: connection.sendall(answer))).status == code


def test_an_answer_without_length_is_taken_to_its_end(raw_server, downloader):
    url = raw_server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc"))
    assert downloader().fetch(url).data == b"abc"


def test_an_endless_stream_is_cut_at_max_bytes(httpserver, downloader):
    sent = []

    def endless():
        while True:
            sent.append(1)
            yield b"x" * 10_000

    httpserver.expect_request("/x").respond_with_handler(lambda _: Response(endless()))
    assert failure(downloader(max_bytes=100_000), httpserver.url_for("/x")).status == "too_large"
    assert len(sent) < 2000


def test_an_announced_oversize_is_not_begun(httpserver, downloader):
    httpserver.expect_request("/x").respond_with_data(b"x" * 5000)
    error = failure(downloader(max_bytes=4999), httpserver.url_for("/x"))
    assert error.status == "too_large"
    assert "5,000" in error.reason
    assert downloader(max_bytes=5000).fetch(httpserver.url_for("/x")).data == b"x" * 5000


def redirect(httpserver, path, target):
    httpserver.expect_request(path).respond_with_data("", status=302, headers={"Location": target})


def test_redirects_are_followed(httpserver, downloader):
    redirect(httpserver, "/a", "/b?c=d e")
    httpserver.expect_request("/b").respond_with_data(b"here")
    received = downloader().fetch(httpserver.url_for("/a"))
    assert received.data == b"here"
    assert "/b?c=d" in received.final_url


def test_redirect_loops_end(httpserver, downloader):
    redirect(httpserver, "/a", "/b")
    redirect(httpserver, "/b", "/a")
    assert failure(downloader(max_redirects=4), httpserver.url_for("/a")).status == "too_many_redirects"
    assert len(httpserver.log) == 5


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.2:{port}/b", "ssrf_blocked"),
        ("http://[::1]:{port}/b", "ssrf_blocked"),
        ("http://169.254.169.254/latest/meta-data", "ssrf_blocked"),
        ("http://10.0.0.1/", "ssrf_blocked"),
        ("file:///etc/passwd", "unsupported_scheme"),
        ("ftp://localhost/x", "unsupported_scheme"),
    ],
)
def test_redirects_into_the_local_network_are_refused(httpserver, downloader, target, code):
    redirect(httpserver, "/a", target.format(port=httpserver.port))
    assert failure(downloader(retries=3), httpserver.url_for("/a")).status == code
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"]
)
def test_loopback_is_refused_in_every_spelling(httpserver, host):
    httpserver.expect_request("/x").respond_with_data(b"secret")
    downloader = Downloader(collect_settings(retries=0, delay_s=0, robots=False))
    assert failure(downloader, f"http://{host}:{httpserver.port}/x").status == "ssrf_blocked"
    assert httpserver.log == []


def test_a_host_may_be_allowed_with_one_port_only(httpserver):
    httpserver.expect_request("/x").respond_with_data(b"here")
    right = Downloader(collect_settings(delay_s=0, robots=False), allowed=(f"localhost:{httpserver.port}",))
    assert right.fetch(f"http://localhost:{httpserver.port}/x").data == b"here"
    wrong = Downloader(collect_settings(delay_s=0, robots=False), allowed=("localhost:1",))
    assert failure(wrong, f"http://localhost:{httpserver.port}/x").status == "ssrf_blocked"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:192.168.0.1", False),
        ("64:ff9b::a00:1", False),  # NAT64 of 10.0.0.1
        ("64:ff9b::808:808", True),  # NAT64 of 8.8.8.8
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("::ffff:8.8.8.8", True),
        ("0.1.2.3", False),
        ("192.0.0.170", False),
        ("198.19.0.1", False),
        ("240.0.0.1", False),
        ("64:ff9b:1::a00:1", False),  # a network's own NAT64
        ("::127.0.0.1", False),  # IPv4-compatible
        ("::1", False),
        ("fec0::1", False),  # site-local
        ("2001:0:808:808::1", False),  # Teredo
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fe80::1%eth0", False),
        ("168.63.129.16", False),
        ("2001:20::1", False),
    ],
)
def test_public_addresses(address, public):
    assert is_public(address) is public


def test_the_list_is_no_wider_than_that_of_python():
    """What Python calls private is so here too; the other way round its versions differ."""
    generator = random.Random(0)
    spots = [ipaddress.IPv4Address(generator.getrandbits(32)) for _ in range(2000)]
    spots += [
        ipaddress.IPv6Address((generator.getrandbits(16) << 112) | generator.getrandbits(100)) for _ in range(500)
    ]
    seen = {is_public(str(spot)) for spot in spots}
    wrong = [spot for spot in spots if spot.is_private and is_public(str(spot))]
    assert not wrong
    assert seen == {True, False}


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    answers = [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(FetchError) as error:
        SsrfGuard().addresses("mixed.example", 80)
    assert error.value.status == "ssrf_blocked"


def test_the_checked_address_is_the_one_connected_to(httpserver, monkeypatch, downloader):
    """A name that answers differently the second time (DNS rebinding) changes nothing: it is asked once."""
    calls = []
    real = socket.getaddrinfo

    def counted(host, *rest, **options):
        calls.append(host)
        return real("127.0.0.1" if host == "rebind.example" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    httpserver.expect_request("/x").respond_with_data(b"here")
    one = downloader(allow_host=["rebind.example"])
    assert one.fetch(f"http://rebind.example:{httpserver.port}/x").data == b"here"
    assert calls.count("rebind.example") == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://no-such-host.invalid/x", "dns_error"),
        ("file:///etc/passwd", "unsupported_scheme"),
        ("ftp://example.org/x", "unsupported_scheme"),
        ("http://", "bad_url"),
        ("http://a b/", "bad_url"),
        ("http://example.org:99999/", "bad_url"),
        ("http://[::1", "bad_url"),
    ],
)
def test_urls_that_lead_nowhere(downloader, url, code):
    assert failure(downloader(retries=0), url).status == code


def test_a_closed_port_is_a_connection_error(downloader):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(downloader(retries=0), f"http://127.0.0.1:{port}/").status == "connection_error"


def test_a_server_without_tls_is_a_tls_error(httpserver, downloader):
    url = f"https://127.0.0.1:{httpserver.port}/"
    assert failure(downloader(retries=0, timeout_s=1), url).status in ("tls_error", "timeout_read", "connection_error")


def test_requests_to_one_host_keep_their_distance():
    throttle = HostThrottle(Policy(1, delay_s=10))
    assert throttle.turn("u", 60) == 0
    assert throttle.turn("u", 60) == pytest.approx(10, abs=0.1)
    assert throttle.turn("u", 60) == pytest.approx(20, abs=0.1)


def test_a_key_stays_with_its_scheme_and_host():
    asked = Exchange(headers={"X-Api-Key": "secret"}, home=origin_of("https://api.example.org/v1"))
    assert asked.headers_for("https://API.example.org:443/v2") == {"X-Api-Key": "secret"}
    for url in ("http://api.example.org/v1", "https://api.example.org:444/v1", "https://example.org/v1"):
        assert asked.headers_for(url) == {}


def test_host_of_keeps_ports_apart():
    assert host_of("HTTP://Example.ORG/x") == "example.org"
    assert host_of("http://u:p@example.org:81/x") == "example.org:81"


@pytest.mark.parametrize(
    "spelt",
    ["%75pload.wikimedia.org", "UPLOAD.wikimedia.org.", "upload%2Ewikimedia.org", "\uff55pload\u3002wikimedia.org"],
)
def test_a_host_has_one_policy_however_it_is_spelt(spelt):
    assert host_of(f"https://{spelt}/x.jpg") == "upload.wikimedia.org"


@pytest.mark.parametrize(
    "host", ["a%2fb.org", "a%40b.org", "a%00.org", "a%5cb.org", "a%23.org", "%2e", "a..b", "[::1%25eth0]"]
)
def test_a_host_that_hides_something_is_no_host(host):
    with pytest.raises(FetchError) as error:
        host_of(f"http://{host}/x")
    assert error.value.status == "bad_url"
