"""Jobs by host, what a plan promises, and the commands one after the other."""

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from collect_settings import changed, collect_settings
from werkzeug import Response

from liftnet.collect import decoding
from liftnet.collect.cli import add_commands
from liftnet.collect.collect import collect
from liftnet.collect.fetch.fetch import fetch_jobs
from liftnet.collect.fetch.jobs import (
    BUNDLES,
    MANY,
    bundle_of,
    read_jobs,
    read_requested,
    read_requests,
    requests_of,
    split_into_jobs,
    write_requested,
)
from liftnet.collect.fetch.journal import Journal
from liftnet.collect.fetch.plan import MEAN_BYTES, plan, shown
from liftnet.collect.manifest import make_manifest
from liftnet.collect.sources.directories import read_directory
from liftnet.collect.sources.lists import read_csv
from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.collect.web.download import Downloader
from liftnet.collect.web.politeness import KNOWN, HostThrottle, Lease, Policy, SharedHostLease
from liftnet.core.errors import LiftnetError
from liftnet.core.ids import SAFE_ID
from liftnet.data.locations import Location
from liftnet.data.schemas import FETCHED, MANIFEST, read_table

ROOT = Path(__file__).resolve().parents[2]


def sources_of(urls, **more):
    return Sources("list", Path("list"), tuple(SourceRecord("A", "W", Location(url), **more) for url in urls))


def many(host, count=MANY):
    return [f"https://{host}/{number}.jpg" for number in range(count)]


def rows_of(out):
    return read_table(out / "manifest.parquet", MANIFEST).to_pylist()


def command(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["collect", *map(str, words)])
    return arguments.run(arguments)


def test_no_host_and_no_operator_is_in_two_jobs():
    urls = [*many("big.example"), *many("big.example:8080", 3), "http://BIG.example./x.jpg"]
    urls += many("upload.wikimedia.org", 150) + many("commons.wikimedia.org", 150)
    urls += [f"https://small{number}.example/{name}.jpg" for number in range(60) for name in "ab"]
    urls += [
        "ftp://nowhere.example/x",
        "http://",
        "https://bücher.example/1.jpg",
        "https://xn--bcher-kva.example/2.jpg",
    ]
    requests = requests_of(sources_of(urls))
    jobs = split_into_jobs(requests)
    where = {}
    for job, members in jobs.items():
        assert SAFE_ID.fullmatch(job)
        for request in members:
            where.setdefault(request.host.partition(":")[0], set()).add(job)
    assert all(len(found) == 1 for found in where.values())
    assert where["upload.wikimedia.org"] == where["commons.wikimedia.org"] != where["big.example"]
    assert "bücher.example" not in where
    assert sum(map(len, jobs.values())) == len(requests) == len(set(urls))
    assert len(jobs) == 2 + BUNDLES


def test_a_file_asked_for_twice_is_one_request(tmp_path):
    rows = [
        SourceRecord("A", "W", Location("a"), Location("m")),
        SourceRecord("B", "V", Location("a"), Location("m")),
        SourceRecord("C", "U", Location("m")),
    ]
    assert [(r.what, r.place.given) for r in requests_of(Sources("csv", tmp_path, tuple(rows)))] == [
        ("image", "a"),
        ("mask", "m"),
        ("image", "m"),
    ]


def test_equal_relative_paths_of_two_lists_are_two_files(tmp_path):
    rows = tuple(SourceRecord("A", "W", Location("x.jpg", tmp_path / name / "x.jpg")) for name in "ab")
    assert len({request.id for request in requests_of(Sources("lists", tmp_path, rows))}) == 2


def test_rows_survive_being_kept(tmp_path):
    odd = Path(os.fsdecode(b"/photos/caf\xe9.jpg"))
    rows = (
        SourceRecord(None, None, Location("u"), problem=("bad_row", "no artist")),
        SourceRecord(
            "Ä", "W\n", Location("p", odd), Location("m"), "s", "u", "CC0", None, "me", None, ("path_refused", "no")
        ),
        SourceRecord(
            "A", "W", Location("u"), artist_wikidata="Q1", artist_died=-300, expected_bytes=2**40, credit="c"
        ),
    )
    sources = Sources("directory", odd.parent, rows)
    write_requested(tmp_path, sources)
    assert read_requested(tmp_path) == sources


def test_the_commons_budget(tmp_path):
    """10,000 thumbs of .3 MB at 25 Mbit/s take 16 minutes; a setting cannot make it less."""
    rows = tuple(
        SourceRecord("A", "W", Location(f"https://upload.wikimedia.org/{number}.jpg"), expected_bytes=300_000)
        for number in range(10_000)
    )
    table = plan(Sources("list", Path("l"), rows), tmp_path, collect_settings(per_host=16, delay_s=0), write=False)
    (row,) = table.to_dict("records")
    assert row["hours"] == pytest.approx(10_000 * 300_000 * 8 / 25e6 / 3600)
    assert (row["connections"], row["mbit_s"], row["left"], row["robots"]) == (2, 25, 10_000, "unknown")
    assert row["expected_mb"] == pytest.approx(3_000)


def test_a_delay_counts_where_it_takes_longer(tmp_path):
    table = plan(sources_of(many("collectionapi.metmuseum.org", 3600)), tmp_path, collect_settings(), write=False)
    assert table["hours"].tolist() == [1.0]
    assert table["expected_mb"].tolist() == [3600 * MEAN_BYTES / 1e6]


def test_a_dry_run_asks_nobody_and_writes_its_table_alone(tmp_path, monkeypatch, caplog):
    listed = tmp_path / "list.csv"
    listed.write_text("artist,work,url\n" + "".join(f"A,W,https://h{n % 40}.example/{n}\n" for n in range(100)))

    def forbidden(*_, **__):
        raise AssertionError("a dry run must not use the network")

    monkeypatch.setattr("socket.getaddrinfo", forbidden)
    with caplog.at_level("INFO"):
        assert not command("plan", "--csv", listed, "--out", tmp_path / "out", "--dry-run")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["plan.csv"]
    table = pd.read_csv(tmp_path / "out/downloads/plan.csv")
    assert (len(table), table["left"].sum()) == (40, 100)
    assert "and 10 more hosts in plan.csv" in caplog.text
    assert "100 files to fetch; hosts: 40" in caplog.text


def test_a_plan_of_nothing_can_be_shown(tmp_path):
    empty = Sources("csv", tmp_path, (SourceRecord("A", None, Location("u"), problem=("bad_row", "no work")),))
    assert "0 files" in shown(plan(empty, tmp_path))
    assert fetch_jobs(tmp_path) == {}
    assert [row["status"] for row in rows_of_after(tmp_path)] == ["bad_row"]


def rows_of_after(out):
    make_manifest(out)
    return rows_of(out)


def test_an_unchanged_job_keeps_its_time_and_a_vanished_one_goes(tmp_path):
    folder = tmp_path / "downloads"
    plan(sources_of([*many("a.example"), *many("b.example")]), tmp_path)
    (a, b) = (job.name for job in read_jobs(folder))
    before = (folder / f"{a}.parquet").stat().st_mtime_ns
    time.sleep(0.02)
    plan(sources_of([*many("a.example"), *many("c.example")]), tmp_path)
    assert (folder / f"{a}.parquet").stat().st_mtime_ns == before
    assert not (folder / f"{b}.parquet").exists()
    assert len(read_requests(folder, a)) == MANY
    with pytest.raises(LiftnetError, match="has no job 'b'"):
        read_jobs(folder, ["b"])
    with pytest.raises(LiftnetError, match="collect plan"):
        read_jobs(tmp_path)


def test_commands_in_their_order_give_what_one_process_gives(tmp_path, jpeg, httpserver, write_csv, quick):
    for number in range(3):
        httpserver.expect_request(f"/{number}.jpg").respond_with_data(jpeg(number))
    (tmp_path / "4.jpg").write_bytes(jpeg(4))
    rows = [{"url": httpserver.url_for(f"/{number}.jpg")} for number in (0, 1, 2, 3)] + [{"url": "4.jpg"}]
    listed = write_csv(rows)
    options = ["--permissions.allow-host", "localhost", "--no-permissions.robots"]
    options += ["--politeness.delay-s", "0", "--politeness.retries", "0"]
    command("plan", "--csv", listed, "--out", tmp_path / "a", *options)
    with pytest.raises(LiftnetError, match="fetched"):
        command("manifest", "--out", tmp_path / "a")
    names = [job.name for job in read_jobs(tmp_path / "a/downloads")]
    assert names == [bundle_of("localhost"), "local"]
    for name in names:
        command("fetch", "--out", tmp_path / "a", "--job", name, *options)
    command("manifest", "--out", tmp_path / "a")
    command("run", "--csv", listed, "--out", tmp_path / "b", *options)
    a, b = ([row | {"fetched_at": None} for row in rows_of(tmp_path / name)] for name in "ab")
    assert a == b
    assert [row["status"] for row in a] == ["ok"] * 3 + ["http_500", "ok"]
    fetched = read_table(tmp_path / "a/fetched/local.parquet", FETCHED).to_pylist()
    assert [row["phash"] == row["phashes"][0] for row in fetched] == [True]
    assert len(fetched[0]["phashes"]) == 8


def test_a_host_that_outgrows_its_bundle_takes_its_files_along(tmp_path, jpeg, httpserver, quick):
    data = jpeg()
    httpserver.expect_request("/x.jpg").respond_with_data(data)
    httpserver.expect_request("/gone.jpg").respond_with_data("", status=404)
    first = [httpserver.url_for("/x.jpg"), httpserver.url_for("/gone.jpg")]
    collect(sources_of(first), tmp_path, quick())
    rest = [httpserver.url_for(f"/gone.jpg?{number}") for number in range(MANY)]
    plan(sources_of([*first, *rest]), tmp_path, quick())
    (job,) = read_jobs(tmp_path / "downloads")
    assert job.name != bundle_of("localhost")
    httpserver.log.clear()
    counts = fetch_jobs(tmp_path, [job.name], quick())
    assert counts == {"http_404": MANY + 1, "ok": 1}
    assert len(httpserver.log) == MANY
    plan(sources_of(first), tmp_path, quick())
    assert [kept.name for kept in read_jobs(tmp_path / "downloads")] == [job.name], "and it stays a job of its own"


def test_two_processes_share_a_host(tmp_path, jpeg, httpserver):
    """Two jobs are redirected to one third host: together they keep to its connections and its distance."""
    now, most, starts, lock = Counter(), [], [], threading.Lock()

    def answer(request):
        with lock:
            now["all"] += 1
            most.append(now["all"])
            starts.append(time.monotonic())
        time.sleep(0.03)
        with lock:
            now["all"] -= 1
        return Response(jpeg())

    httpserver.expect_request("/x.jpg").respond_with_handler(answer)
    program = (
        "import sys; from pathlib import Path; from concurrent.futures import ThreadPoolExecutor\n"
        "from liftnet.collect.web.download import Downloader; from liftnet.collect.settings import CollectSettings\n"
        "s = CollectSettings(permissions={'allow_host': ['localhost'], 'robots': False}, "
        "politeness={'per_host': 2, 'delay_s': 0.02})\n"
        "d = Downloader(s, folder=Path(sys.argv[1]))\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(d.fetch, [sys.argv[2]] * 15))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path), httpserver.url_for("/x.jpg")]
    processes = [subprocess.Popen(words, cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(starts) == 30
    assert max(most) <= 2
    assert sorted(starts)[-1] - sorted(starts)[0] >= 29 * 0.02 - 0.05


def test_a_rest_outlasts_the_run(tmp_path, httpserver, quick):
    httpserver.expect_request("/x").respond_with_data("", status=429, headers={"Retry-After": "3600"})
    for _ in range(2):
        one = Downloader(quick(max_wait_s=1), folder=tmp_path)
        with pytest.raises(Exception, match=r"3600 s|another 3[56]"):
            one.fetch(httpserver.url_for("/x"))
        one.close()
    assert len(httpserver.log) == 1


def test_a_clock_set_back_and_torn_files_do_no_harm(tmp_path):
    throttle = HostThrottle(Policy(2, 1.0), SharedHostLease(2, tmp_path, "h"))
    SharedHostLease(2, tmp_path, "h").change(lambda turn: Lease(time.time() + 1e6, time.time() + 1e9, 429))
    assert throttle.turn("u", 60) <= 3
    (file,) = tmp_path.glob("*.turn")
    file.write_text("1.5 no")
    assert throttle.turn("u", 60) == 0


def test_bytes_are_taken_at_the_rate_of_the_policy():
    throttle = HostThrottle(Policy(2, 0.0, mbit_s=8.0))
    waits = [throttle.pay(100_000) for _ in range(10)]
    assert waits[-1] == pytest.approx(1.0, abs=0.05)
    assert HostThrottle(Policy(2, 0.0)).pay(10**9) == 0


def test_two_connections_together_keep_to_the_rate(httpserver, quick, monkeypatch):
    monkeypatch.setitem(KNOWN, "localhost", Policy(2, 0.0, mbit_s=8.0))
    httpserver.expect_request("/x").respond_with_data(b"x" * 400_000)
    one = Downloader(quick())
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        received = list(pool.map(one.fetch, [httpserver.url_for("/x")] * 2))
    assert [len(file.data) for file in received] == [400_000] * 2
    assert time.monotonic() - began >= 0.75, "800 kB at a megabyte a second"
    one.close()


def test_a_host_that_takes_no_connection_is_left_alone(quick, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/{number}" for number in range(300)]
    settings = quick(retries=2, backoff_s=0.1, per_host=1)
    assert fetch_planned(sources_of(urls), tmp_path, settings) == {"connection_error": 300}
    entries = [json.loads(line) for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert sum("10 files in a row" in entry.get("reason", "") for entry in entries) == 290


def fetch_planned(sources, out, settings):
    plan(sources, out, settings)
    return fetch_jobs(out, (), settings)


def test_dead_links_are_remembered_and_failures_come_first(tmp_path, httpserver, jpeg, quick):
    status = {"/0": 404, "/1": 410, "/2": 503, "/3": 403, "/4": 200, "/5": 200}
    httpserver.expect_request("/5").respond_with_data(jpeg(5), headers={"X-Robots-Tag": "noai"})
    for path in list(status)[:5]:
        httpserver.expect_request(path).respond_with_handler(
            lambda request: Response(jpeg(4), status=status[request.path])
        )
    sources = sources_of([httpserver.url_for(path) for path in status])
    settings = quick(retries=0, per_host=1)
    collect(sources, tmp_path, settings)
    rows = rows_of(tmp_path)
    assert [row["status"] for row in rows] == ["http_404", "http_410", "http_503", "http_403", "ok", "opt_out_header"]
    assert rows[5]["opt_out"] == "X-Robots-Tag: noai"
    httpserver.log.clear()
    httpserver.expect_request("/6").respond_with_data(jpeg(6))
    longer = sources_of([httpserver.url_for(f"/{number}") for number in (6, 0, 1, 2, 3, 4, 5)])
    collect(longer, tmp_path, settings)
    assert [request.path for request, _ in httpserver.log] == ["/2", "/3", "/6"]
    assert [row["status"] for row in rows_of(tmp_path)][1:3] == ["http_404", "http_410"]
    httpserver.log.clear()
    collect(longer, tmp_path, changed(settings, max_side=100))
    assert "/0" not in [request.path for request, _ in httpserver.log], "whatever else has changed"
    httpserver.log.clear()
    collect(longer, tmp_path, changed(settings, max_side=100, dead_days=0.0))
    assert sorted(request.path for request, _ in httpserver.log) == ["/0", "/1", "/2", "/3", "/5"]


def test_a_refresh_is_sent_only_what_has_changed(tmp_path, httpserver, jpeg, quick):
    version, seen = {"/a": 1, "/b": 2, "/c": 3, "/d": 4}, []

    def answer(request):
        seen.append((request.path, request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")))
        number = version[request.path]
        if number is None:
            return Response("", 410)
        if number == 0:
            return Response("", 503)
        dated = (
            {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"} if request.path == "/c" else {"ETag": f'"v{number}"'}
        )
        if request.headers.get("If-None-Match") == f'"v{number}"' or request.headers.get("If-Modified-Since"):
            return Response("", 304, dated)
        return Response(jpeg(number), headers=dated)

    for path in version:
        httpserver.expect_request(path).respond_with_handler(answer)
    sources = sources_of([httpserver.url_for(path) for path in version])
    settings = quick(retries=0, per_host=1)
    collect(sources, tmp_path, settings)
    before = rows_of(tmp_path)
    seen.clear()
    collect(sources, tmp_path, settings)
    assert seen == []
    version |= {"/b": 20, "/d": 0}
    refresh = changed(settings, refresh=True)
    collect(sources, tmp_path, refresh)
    assert seen == [
        ("/a", '"v1"', None),
        ("/b", '"v2"', None),
        ("/c", None, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("/d", '"v4"', None),
    ]
    after = rows_of(tmp_path)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert (after[1]["etag"], after[1]["status"]) == ('"v20"', "ok")
    assert {path.name for path in (tmp_path / "images").iterdir()} == {row["file"] for row in after}
    version["/a"] = None
    collect(sources, tmp_path, refresh)
    assert [row["status"] for row in rows_of(tmp_path)] == ["http_410", "ok", "ok", "ok"], "its owner took it back"
    assert len(list((tmp_path / "images").iterdir())) == 3


def test_files_that_are_touched_only_leave_every_byte_of_the_manifest(tmp_path, jpeg, quick):
    photos = tmp_path / "photos" / "A" / "W"
    photos.mkdir(parents=True)
    for number in range(3):
        (photos / f"{number}.jpg").write_bytes(jpeg(number))
    out = tmp_path / "out"

    def manifest():
        collect(read_directory(tmp_path / "photos"), out, quick())
        return (out / "manifest.parquet").read_bytes()

    first = manifest()
    for path in photos.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert manifest() == first
    (photos / "1.jpg").write_bytes(jpeg(7))
    before, changed_one = pd.read_parquet(out / "manifest.parquet"), manifest()
    assert changed_one != first
    after = pd.read_parquet(out / "manifest.parquet")
    assert (before["fetched_at"] == after["fetched_at"]).tolist() == [True, False, True]
    (photos / "1.jpg").write_bytes(b"<html>")
    assert manifest() != changed_one, "a file that is no picture any more has its row"


def test_a_killed_run_does_not_ask_again_for_what_it_has_been_refused(tmp_path):
    with pytest.raises(RuntimeError), Journal(tmp_path / "j.jsonl") as journal:
        journal.add({"key": "a", "status": "http_503"})
        raise RuntimeError
    with Journal(tmp_path / "j.jsonl") as journal:
        assert journal.run == journal.entries["a"]["run"] == 1
    with Journal(tmp_path / "j.jsonl") as journal:
        assert (journal.run, journal.entries["a"]["run"]) == (2, 1)


def test_an_unforeseen_error_is_a_row_and_is_told(tmp_path, jpeg, quick, monkeypatch, caplog):
    for name in "ab":
        path = tmp_path / "photos" / "A" / "W" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(ord(name)))
    (tmp_path / "photos" / "A" / "W" / "a.jpg").write_bytes(jpeg(ord("a")) + b"CLUMSY")
    monkeypatch.setattr(decoding, "TARGET", "hanging_decoder:answer")
    collect(read_directory(tmp_path / "photos"), tmp_path / "out", quick())
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["internal_error", "ok"]
    assert "ZeroDivisionError" in caplog.text


def test_masks_come_by_the_job_of_their_own_host(tmp_path, httpserver, jpeg, encode, photo, quick, write_csv):
    mask = encode(photo(1).convert("L").point(lambda value: 255 * (value > 127)), "PNG")
    httpserver.expect_request("/m.png").respond_with_data(mask)
    (tmp_path / "x.jpg").write_bytes(jpeg(1))
    listed = write_csv([{"image": "x.jpg", "mask": httpserver.url_for("/m.png")}])
    collect(read_csv(listed), tmp_path / "out", quick())
    (row,) = rows_of(tmp_path / "out")
    assert row["mask_status"] == "ok"
    assert (tmp_path / "out/hand_masks" / f"{row['image_id']}.png").exists()
    raw = list((tmp_path / "out/downloads/masks").iterdir())
    assert [path.read_bytes() for path in raw] == [mask]
    httpserver.log.clear()
    collect(read_csv(write_csv([{"image": "x.jpg"}])), tmp_path / "out", quick())
    assert httpserver.log == []
    assert list((tmp_path / "out/downloads/masks").iterdir()) == []
    assert list((tmp_path / "out/hand_masks").iterdir()) == []


def test_what_killed_writers_left_behind_goes(tmp_path, jpeg, quick):
    path = tmp_path / "photos/A/W/1.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(jpeg(1))
    collect(read_directory(tmp_path / "photos"), tmp_path / "out", quick())
    old, young = (tmp_path / f"out/images/.{name}.part-x.jpg" for name in ("aaaa0000", "bbbb0000"))
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    collect(read_directory(tmp_path / "photos"), tmp_path / "out", quick())
    assert (old.exists(), young.exists()) == (False, True)


def test_hosts_that_are_waited_for_take_no_connection(tmp_path, httpserver, jpeg, quick, monkeypatch):
    """Eight hosts with half a second between requests, two connections: waiting is not downloading."""
    now, most, lock = Counter(), [], threading.Lock()

    def answer(request):
        with lock:
            now["all"] += 1
            most.append(now["all"])
        time.sleep(0.02)
        with lock:
            now["all"] -= 1
        return Response(jpeg(1))

    hosts = [f"127.0.0.{number}" for number in range(2, 10)]
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real("127.0.0.1", *rest, **named))
    urls = [f"http://{host}:{httpserver.port}/x.jpg?{number}" for number in range(3) for host in hosts]
    httpserver.expect_request("/x.jpg").respond_with_handler(answer)
    plan(sources_of(urls), tmp_path, settings := quick(allow_host=hosts, delay_s=0.5, connections=2))
    assert fetch_jobs(tmp_path, (), settings, 2) == {"ok": 24}
    assert max(most) <= 2
    first = {request.host for request, _ in httpserver.log[:8]}
    assert len(first) > 4, "two threads would begin with two hosts"
