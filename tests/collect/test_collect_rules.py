"""What owners say: robots.txt, headers against use, and the policies of known hosts."""

import time

import pytest

from liftnet.collect.settings import PolitenessSettings
from liftnet.collect.web.permissions import (
    FAULT_FRESH_S,
    FRESH_S,
    RobotsCache,
    Rules,
    directives,
    reserved,
    stored_rules,
)
from liftnet.collect.web.politeness import KNOWN, known_policy, policy_of
from liftnet.collect.web.transport import FetchError


class Site:
    """A site that is asked for its robots.txt."""

    def __init__(self, text=b"", error=None):
        self.text, self.error, self.asked = text, error, []

    def __call__(self, url):
        self.asked.append(url)
        if self.error is not None:
            raise self.error
        return self.text


TEXT = b"""User-agent: *
Disallow: /private
Crawl-delay: 2
User-agent: liftnet
Disallow: /no*.jpg$
Allow: /no-but-yes.jpg
Request-rate: 1/5
User-agent: liftnetwork
Disallow: /
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/a.jpg", True), ("/private/a.jpg", True), ("/no.jpg", False), ("/no.jpg?x", True), ("/no-but-yes.jpg", True)],
)
def test_the_group_that_names_us_counts(path, allowed):
    site = Site(TEXT)
    cache = RobotsCache(site)
    url = f"https://example.org{path}"
    if allowed:
        assert cache.check(url, 60).delay_s == 5
    else:
        with pytest.raises(FetchError) as error:
            cache.check(url, 60)
        assert (error.value.status, error.value.passing) == ("robots_disallowed", False)


def test_robots_txt_is_asked_for_once_for_each_scheme_host_and_port():
    site = Site(b"User-agent: *\nDisallow: /x")
    cache = RobotsCache(site)
    for url in ("http://Example.org/a", "http://example.org:80/b", "https://example.org/a", "http://example.org:81/a"):
        cache.check(url, 60)
        cache.check(url, 60)
    assert site.asked == [
        f"{o}/robots.txt" for o in ("http://example.org", "https://example.org", "http://example.org:81")
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FetchError("u", "http_404", "", 404), None),
        (FetchError("u", "http_403", "", 403), None),
        (FetchError("u", "http_429", "", 429), "robots_disallowed"),
        (FetchError("u", "http_503", "", 503), "robots_disallowed"),
        (FetchError("u", "dns_error", ""), "dns_error"),
        (FetchError("u", "timeout_connect", ""), "timeout_connect"),
        (FetchError("u", "ssrf_blocked", ""), "ssrf_blocked"),
    ],
)
def test_open_without_robots_txt_closed_where_it_cannot_be_read(error, code):
    site = Site(error=error)
    cache = RobotsCache(site)
    if code is None:
        assert cache.check("http://example.org/x", 60).delay_s == 0
        return
    for _ in range(3):
        with pytest.raises(FetchError, match=r"robots\.txt could not be read") as raised:
            cache.check("http://example.org/x", 60)
        assert raised.value.status == code
    assert len(site.asked) == 1, "a host in trouble is not asked again for each file"


def test_a_delay_nobody_would_wait_for_closes_the_host():
    cache = RobotsCache(Site(b"User-agent: *\nCrawl-delay: 100"))
    assert cache.check("http://example.org/x", 100).delay_s == 100
    with pytest.raises(FetchError, match="100 s between requests"):
        cache.check("http://example.org/x", 60)


@pytest.mark.parametrize(
    "text", [b"\xff\xfe\x00junk", b"<html>not found</html>" * 100, b"Crawl-delay: nan", b":\n" * 999]
)
def test_a_senseless_robots_txt_forbids_nothing(text):
    assert RobotsCache(Site(text)).check("http://example.org/x", 60).delay_s == 0


def test_rules_are_kept_for_a_day_and_faults_are_not(tmp_path, monkeypatch):
    first = Site(b"User-agent: *\nDisallow: /x")
    RobotsCache(first, tmp_path).check("http://example.org/a", 60)
    second = Site(error=FetchError("u", "http_500", "", 500))
    cache = RobotsCache(second, tmp_path)
    with pytest.raises(FetchError, match="does not allow"):
        cache.check("http://example.org/x", 60)
    assert second.asked == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + FRESH_S + 1)
    with pytest.raises(FetchError, match="could not be read"):
        cache.check("http://example.org/a", 60)
    assert stored_rules(tmp_path, "http://example.org") is None
    monkeypatch.setattr(time, "time", lambda: now + FRESH_S + FAULT_FRESH_S + 2)
    second.error = None
    cache.check("http://example.org/x", 60)
    assert len(second.asked) == 2


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"text": "", "http_status": 200, "until": "soon"}', "\0"])
def test_damaged_kept_rules_are_asked_for_again(tmp_path, text):
    RobotsCache(Site(b""), tmp_path).check("http://example.org/a", 60)
    (file,) = tmp_path.iterdir()
    file.write_text(text)
    assert stored_rules(tmp_path, "http://example.org") is None


def test_rules_from_the_future_are_not_believed(tmp_path, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10 * FRESH_S)
    RobotsCache(Site(b""), tmp_path).check("http://example.org/a", 60)
    monkeypatch.setattr(time, "time", lambda: now)
    assert stored_rules(tmp_path, "http://example.org") is None


def test_rules_have_no_delay_unless_asked_for():
    assert Rules("User-agent: googlebot\nCrawl-delay: 9", None, 200, 0).delay_s == 0


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("noai", ["noai"]),
        ("NoIndex, NOFOLLOW", ["noindex", "nofollow"]),
        ("googlebot: noindex, noai", []),
        ("googlebot: noindex, liftnet: noai", ["noai"]),
        ("liftnet: noai, otherbot: noindex", ["noai"]),
        ("*: noimageai", ["noimageai"]),
        ("max-snippet: 20, noml", ["max-snippet:20", "noml"]),
        ("max-image-preview: large", ["max-image-preview:large"]),
        ("unavailable_after: 25 Jun 2999 15:00:00 PST, noai", ["unavailable_after:25 jun 2999 15:00:00 pst", "noai"]),
        (
            "unavailable_after: Fri, 25 Jun 2999 15:00:00 GMT, noai",
            ["unavailable_after:fri 25 jun 2999 15:00:00 gmt", "noai"],
        ),
        (
            "unavailable_after: 2999-06-25T15:00:00+02:00, noai",
            ["unavailable_after:2999-06-25t15:00:00+02:00", "noai"],
        ),
        ("googlebot: unavailable_after: 25 Jun 2999 15:00:00 PST, noai", []),
        ("", []),
        (",,:,", [":"]),
    ],
)
def test_directives_that_hold_for_us(tag, expected):
    assert [directive for directive in directives(tag) if directive != ":"] == [e for e in expected if e != ":"]


@pytest.mark.parametrize(
    ("headers", "tags", "status"),
    [
        ({}, [], None),
        ({}, ["nofollow, noarchive"], None),
        ({}, ["all", "noimageindex"], "opt_out_header"),
        ({}, ["none"], "opt_out_header"),
        ({}, ["googlebot: noindex"], None),
        ({}, ["googlebot: nofollow", "noml"], "opt_out_header"),
        ({}, ["unavailable_after: 25 Jun 1999 15:00:00 GMT"], "opt_out_header"),
        ({}, ["unavailable_after: 2999-01-01"], None),
        ({}, ["unavailable_after: someday"], None),
        ({"tdm-reservation": " 1 "}, [], "tdm_reserved"),
        ({"tdm-reservation": "0"}, [], None),
        ({"tdm-reservation": "1"}, ["noai"], "opt_out_header"),
    ],
)
def test_reservations(headers, tags, status):
    said = reserved(headers, tags)
    assert (said and said[0]) == status


def test_a_kept_header_can_be_shown():
    _, header = reserved({}, ["noai, \x00\x1b[31m" + "x" * 5000])
    assert header.isprintable()
    assert len(header) < 300


def test_settings_only_ever_make_a_policy_stricter():
    eager = PolitenessSettings(per_host=16, delay_s=0)
    for host, known in KNOWN.items():
        policy = policy_of(host, eager)
        assert policy.connections <= known.connections
        assert policy.delay_s >= known.delay_s
        assert policy.mbit_s == known.mbit_s
    patient = policy_of("upload.wikimedia.org", PolitenessSettings(per_host=1, delay_s=5))
    assert (patient.connections, patient.delay_s, patient.mbit_s) == (1, 5, 25)
    assert policy_of("example.org", eager).connections == 16


@pytest.mark.parametrize(
    ("host", "operator"),
    [
        ("upload.wikimedia.org:443", "wikimedia"),
        ("commons.wikimedia.org", "wikimedia"),
        ("images.metmuseum.org", "met"),
        ("api.si.edu", "smithsonian"),
        ("ids.si.edu", "smithsonian"),
        ("notmetmuseum.org", None),
        ("metmuseum.org.example", None),
        ("[::1]:80", None),
    ],
)
def test_a_host_has_the_policy_of_the_nearest_domain_above(host, operator):
    known = known_policy(host)
    assert (known and known.operator) == operator
    assert known_policy("api.si.edu").delay_s == 3.6
