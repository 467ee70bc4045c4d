"""The whole stage: every row has its status, nothing is fetched twice, nothing is lost."""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from collect_settings import collect_settings
from PIL import Image
from werkzeug import Response

from liftnet.collect.cli import add_commands
from liftnet.collect.collect import collect
from liftnet.collect.fetch.fetch import serve
from liftnet.collect.fetch.jobs import bundle_of
from liftnet.collect.fetch.journal import Journal
from liftnet.collect.sources.directories import read_directory
from liftnet.collect.sources.lists import read_csv, read_museum
from liftnet.core import files
from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_id
from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, read_table

ROOT = Path(__file__).resolve().parents[2]


def rows_of(out):
    return read_table(out / "manifest.parquet", MANIFEST).to_pylist()


def works_of(out):
    lines = (out / "works.tsv").read_text().splitlines()
    assert lines[0] == "work_id\tartist_id\tn_images\tsplit"
    return {
        line.split("\t")[0]: (*line.split("\t")[1:2], int(line.split("\t")[2]), line.split("\t")[3])
        for line in lines[1:]
    }


def put(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def check_stored(out, rows):
    """What the manifest says is what lies on the disk, and nothing else."""
    kept = [row for row in rows if row["status"] == "ok"]
    assert {path.name for path in (out / "images").glob("*")} == {row["file"] for row in kept}
    for row in kept:
        pixels = read_image(out / "images" / row["file"])
        assert pixels.shape == (row["height"], row["width"], 3)
        assert row["image_id"] == row["sha256"][:16] == Path(row["file"]).stem
    for row in rows:
        assert (row["image_id"] is None) == (row["status"] != "ok")
        assert row["status"] == "ok" or row["reason"]
        if row["mask_status"] == "ok":
            read_mask(out / "hand_masks" / f"{row['image_id']}.png", (row["width"], row["height"]))


def test_the_bad_inputs_all_become_rows(tmp_path, photo, jpeg, encode, quick, write_csv):
    rotated = Image.Exif()
    rotated[0x0112] = 6
    mask = encode(Image.fromarray((np.arange(90)[:, None] * np.ones((1, 120)) > 45).astype(np.uint8) * 255), "PNG")
    named = {
        "good.jpg": jpeg(1),
        "again.jpg": jpeg(1),
        "one/same.jpg": jpeg(2),
        "two/same.jpg": jpeg(3),
        "Käthe Kollwitz, Pietà #1 100%.jpg": jpeg(4),
        "grey.jpg": encode(photo(5).convert("L")),
        "cmyk.jpg": encode(photo(6).convert("CMYK")),
        "deep.png": encode(Image.fromarray(np.asarray(photo(7).convert("L")).astype(np.uint16) * 257), "PNG"),
        "rotated.jpg": encode(photo(8), exif=rotated),
        "alpha.webp": encode(photo(9).convert("RGBA"), "WEBP"),
        "scan.tif": encode(photo(10), "TIFF"),
        "page.jpg": b"<!DOCTYPE html><html>sorry</html>",
        "cut.jpg": jpeg(11)[:-500],
        "empty.jpg": b"",
        "small.jpg": jpeg(12, (40, 20)),
        "old.gif": encode(photo(13).convert("P"), "GIF"),
    }
    for name, data in named.items():
        put(tmp_path, name, data)
    put(tmp_path, "mask.png", mask)
    lines = [{"image": name} for name in (*named, "missing.jpg", ".", "ftp://example.org/x.jpg", "")]
    lines[0]["mask"] = "mask.png"
    lines[1]["mask"] = "mask.png"
    lines[2]["mask"] = "missing.png"
    lines[8]["mask"] = "mask.png"  # as the camera stored it, not as displayed
    lines[11]["mask"] = "mask.png"
    out = tmp_path / "out"
    result = collect(read_csv(write_csv(lines)), out, quick())
    rows = rows_of(out)
    check_stored(out, rows)
    status = {row["image_url"]: row["status"] for row in rows}
    assert len(rows) == len(lines)
    assert {name: state for name, state in status.items() if state != "ok"} == {
        "again.jpg": "dup_exact",
        "page.jpg": "not_image",
        "cut.jpg": "truncated",
        "empty.jpg": "empty_file",
        "small.jpg": "too_small",
        "old.gif": "unsupported_format",
        "missing.jpg": "missing_file",
        ".": "missing_file",
        "ftp://example.org/x.jpg": "unsupported_scheme",
        "": "bad_row",
    }
    by_name = {row["image_url"]: row for row in rows}
    assert by_name["good.jpg"]["image_id"] in by_name["again.jpg"]["reason"]
    assert "good.jpg" in by_name["again.jpg"]["reason"]
    assert by_name["good.jpg"]["sha256"] == by_name["good.jpg"]["sha256_raw"] == by_name["again.jpg"]["sha256"]
    assert (by_name["rotated.jpg"]["width"], by_name["rotated.jpg"]["exif_orientation"]) == (90, 6)
    assert [
        by_name[name]["mask_status"] for name in ("good.jpg", "again.jpg", "one/same.jpg", "rotated.jpg", "page.jpg")
    ] == [
        "ok",
        "not_fetched",
        "missing_file",
        "mask_wrong_size",
        "not_fetched",
    ]
    assert dict(result.counts) == Counter(status.values())
    assert sum(result.counts.values()) == len(lines)
    assert f"10 of {len(lines)} images" in repr(result)
    assert works_of(out) == {stable_id("A", "W"): (stable_id("A"), 10, "train")}


def test_faults_of_a_server_become_rows(tmp_path, httpserver, jpeg, quick, write_csv):
    httpserver.expect_request("/ok.jpg").respond_with_data(jpeg(1))
    httpserver.expect_request("/lies.jpg").respond_with_data(jpeg(2), content_type="text/html")
    httpserver.expect_request("/html.jpg").respond_with_data("<html>", content_type="image/jpeg")
    httpserver.expect_request("/gone.jpg").respond_with_data("", status=410)
    httpserver.expect_request("/busy.jpg").respond_with_data("", status=503)
    httpserver.expect_request("/short.jpg").respond_with_handler(
        lambda _: Response(iter([jpeg(3)[:900]]), headers={"Content-Length": str(len(jpeg(3)))})
    )
    httpserver.expect_request("/understated.jpg").respond_with_handler(
        lambda _: Response(iter([jpeg(4)]), headers={"Content-Length": "1500"})
    )
    httpserver.expect_request("/large.jpg").respond_with_data(b"\xff\xd8\xff" + b"x" * 200_000)
    httpserver.expect_request("/empty.jpg").respond_with_data(b"")
    redirect = {"Location": "http://10.0.0.1/x.jpg"}
    httpserver.expect_request("/inside.jpg").respond_with_data("", status=302, headers=redirect)
    expected = {
        "ok": "ok",
        "lies": "ok",
        "html": "not_image",
        "gone": "http_410",
        "absent": "http_500",  # what the test server says to a path it does not know
        "busy": "http_503",
        "short": "truncated",
        "understated": "truncated",
        "large": "too_large",
        "empty": "empty_file",
        "inside": "ssrf_blocked",
    }
    path = write_csv([{"url": httpserver.url_for(f"/{name}.jpg")} for name in expected])
    out = tmp_path / "out"
    collect(read_csv(path), out, quick(max_bytes=100_000))
    rows = rows_of(out)
    check_stored(out, rows)
    assert [row["status"] for row in rows] == list(expected.values())
    ok, busy = rows[0], rows[5]
    assert (ok["http_status"], ok["attempts"], ok["mime"], ok["bytes"]) == (200, 1, "image/jpeg", len(jpeg(1)))
    assert ok["final_url"] == ok["image_url"]
    assert ok["fetched_at"] is not None
    assert (busy["http_status"], busy["attempts"]) == (503, 2)
    assert "announced" in rows[6]["reason"] or "ended early" in rows[6]["reason"]
    assert (rows[7]["bytes"], rows[7]["attempts"]) == (1500, 1)


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path, jpeg, quick):
    for number in range(12):
        put(tmp_path / "photos", f"A{number % 4}/W/{number}.jpg", jpeg(number % 9))
    tables = []
    for threads in (1, 5):
        collect(read_directory(tmp_path / "photos"), tmp_path / f"out{threads}", quick(), threads)
        tables.append(read_table(tmp_path / f"out{threads}" / "manifest.parquet", MANIFEST).drop(["fetched_at"]))
    assert tables[0].equals(tables[1])
    assert (tmp_path / "out1/works.tsv").read_text() == (tmp_path / "out5/works.tsv").read_text()
    statuses = [row["status"] for row in tables[0].to_pylist()]
    assert statuses.count("dup_exact") == 3


def test_splits_go_by_artist_with_an_image(tmp_path, jpeg, quick, caplog):
    for number in range(5):
        put(tmp_path / "photos", f"Artist {number}/W/1.jpg", jpeg(number))
    put(tmp_path / "photos", "All failing/W/1.jpg", b"<html>")
    put(tmp_path / "photos", "All failing/V/1.jpg", b"")
    sources = read_directory(tmp_path / "photos")
    result = collect(sources, tmp_path / "out", quick(test_artists=["Artist 3"], val_artists=["All failing"]))
    splits = {row["artist"]: row["split"] for row in rows_of(tmp_path / "out")}
    assert splits["Artist 3"] == "test"
    assert splits["All failing"] is None
    assert Counter(splits.values())["train"] == 4
    assert dict(result.splits) == {"train": 4, "test": 1}
    assert "manifest.parquet has no artists in the split val" in caplog.text
    assert "Collect three artists at least" in caplog.text
    assert len(works_of(tmp_path / "out")) == 5
    with pytest.raises(LiftnetError, match=r"test_artists.*'Artist 9' is no artist"):
        collect(sources, tmp_path / "out", quick(test_artists=["Artist 9"]))


def test_equal_titles_by_two_artists_stay_two_works(tmp_path, jpeg, quick):
    put(tmp_path / "photos", "A/Torso/1.jpg", jpeg(1))
    put(tmp_path / "photos", "B/Torso/1.jpg", jpeg(2))
    collect(read_directory(tmp_path / "photos"), tmp_path / "out", quick())
    assert len(works_of(tmp_path / "out")) == 2


def test_a_collection_without_one_usable_image_still_ends_well(tmp_path, quick, write_csv, caplog):
    result = collect(read_csv(write_csv([{"image": "none.jpg"}])), tmp_path / "out", quick())
    assert result.images == 0
    assert works_of(tmp_path / "out") == {}
    assert "not one image" in caplog.text


def test_a_second_run_asks_only_for_what_failed(tmp_path, httpserver, jpeg, quick, write_csv):
    state = {"b": 403}

    def answer(request):
        name = request.path[1:2]
        return Response("", state[name]) if name in state else Response(jpeg(ord(name)))

    for name in "abc":
        httpserver.expect_request(f"/{name}.jpg").respond_with_handler(answer)
    sources = read_csv(write_csv([{"url": httpserver.url_for(f"/{name}.jpg")} for name in "abc"]))
    out = tmp_path / "out"
    collect(sources, out, quick())
    assert [row["status"] for row in rows_of(out)] == ["ok", "http_403", "ok"]
    state.clear()
    httpserver.log.clear()
    before = {row["image_url"]: row["fetched_at"] for row in rows_of(out)}
    collect(sources, out, quick())
    assert [request.path for request, _ in httpserver.log] == ["/b.jpg"]
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert rows[0]["fetched_at"] == before[rows[0]["image_url"]]
    (out / "images" / rows[2]["file"]).unlink()
    httpserver.log.clear()
    collect(sources, out, quick())
    assert [request.path for request, _ in httpserver.log] == ["/c.jpg"], "a stored file that is gone is fetched again"
    check_stored(out, rows_of(out))


def test_changed_files_and_settings_are_noticed(tmp_path, jpeg, encode, quick, write_csv):
    path = write_csv([{"image": "x.jpg", "mask": "m.png"}, {"image": "y.jpg"}])
    put(tmp_path, "x.jpg", jpeg(1))
    put(tmp_path, "y.jpg", jpeg(3))
    put(tmp_path, "m.png", encode(half_mask(), "PNG"))
    out = tmp_path / "out"
    collect(read_csv(path), out, quick())
    first = rows_of(out)
    put(tmp_path, "x.jpg", jpeg(2))
    collect(read_csv(path), out, quick())
    second = rows_of(out)
    assert first[0]["image_id"] != second[0]["image_id"]
    assert first[1] == second[1]
    check_stored(out, second)  # the old picture is gone
    assert [path.stem for path in (out / "hand_masks").iterdir()] == [second[0]["image_id"]]
    collect(read_csv(path), out, quick(max_side=64))
    third = rows_of(out)
    assert [row["width"] for row in third] == [64, 64]
    check_stored(out, third)


def test_files_that_are_not_ours_are_left_alone(tmp_path, jpeg, quick, write_csv):
    mine = put(tmp_path, "out/images/holiday.jpg", jpeg(9))
    put(tmp_path, "x.jpg", jpeg(1))
    collect(read_csv(write_csv([{"image": "x.jpg"}])), tmp_path / "out", quick())
    assert mine.exists()


def test_a_url_asked_for_twice_is_fetched_once(tmp_path, httpserver, jpeg, quick, write_csv):
    httpserver.expect_request("/x.jpg").respond_with_data(jpeg())
    url = httpserver.url_for("/x.jpg")
    collect(read_csv(write_csv([{"url": url}, {"url": url, "work": "V"}])), tmp_path / "out", quick())
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["ok", "dup_exact"]
    assert len(httpserver.log) == 1


RUN = "import sys; from pathlib import Path; from liftnet.collect.collect import collect\n"
RUN += "from liftnet.collect.sources.lists import read_csv; from liftnet.collect.settings import CollectSettings\n"
RUN += "permissions = {'allow_host': ['localhost'], 'robots': False}\n"
RUN += "settings = CollectSettings(permissions=permissions, politeness={'delay_s': 0})\n"
RUN += "collect(read_csv(Path(sys.argv[1])), Path(sys.argv[2]), settings)"


def test_a_killed_run_goes_on_where_it_was(tmp_path, httpserver, jpeg, write_csv):
    def answer(request):
        time.sleep(0.05)
        return Response(jpeg(int(request.path[1:-4])))

    names = [f"/{number}.jpg" for number in range(40)]
    for name in names:
        httpserver.expect_request(name).respond_with_handler(answer)
    path = write_csv([{"url": httpserver.url_for(name)} for name in names])
    out = tmp_path / "out"
    command = [sys.executable, "-c", RUN, str(path), str(out)]
    process = subprocess.Popen(command, cwd=ROOT)
    journal = out / "downloads" / f"{bundle_of('localhost')}.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count("\n") >= 8):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.parquet").exists()
    done = {json.loads(line)["asked"] for line in journal.read_text().splitlines() if line.endswith("}")}
    assert 8 <= len(done) < 40
    with open(journal, "a") as file:
        file.write('{"key": "torn')
    for unfinished in (out / "images").glob(".*.part-*"):  # that of another run, if young, would be left alone
        os.utime(unfinished, (0, 0))
    httpserver.log.clear()
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    asked_again = {httpserver.url_for(request.path) for request, _ in httpserver.log}
    assert not asked_again & done
    assert len(asked_again) + len(done) == 40
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["ok"] * 40
    check_stored(out, rows)


def test_one_host_is_not_crowded_while_others_go_on(tmp_path, httpserver, jpeg, quick, write_csv):
    now, most, lock = Counter(), Counter(), threading.Lock()

    def answer(request):
        host = request.host.split(":")[0]
        with lock:
            now[host] += 1
            now["all"] += 1
            for key in (host, "all"):
                most[key] = max(most[key], now[key])
        time.sleep(0.05)
        with lock:
            now[host] -= 1
            now["all"] -= 1
        return Response(jpeg(int(request.path[1:-4])))

    urls = []
    for number in range(16):
        httpserver.expect_request(f"/{number}.jpg").respond_with_handler(answer)
        host = ("localhost", "127.0.0.1")[number % 2]
        urls.append({"url": f"http://{host}:{httpserver.port}/{number}.jpg"})
    result = collect(read_csv(write_csv(urls)), tmp_path / "out", quick(per_host=2), threads=2)
    assert result.images == 16
    assert most["localhost"] == most["127.0.0.1"] == 2
    assert most["all"] > 2


def half_mask():
    mask = Image.new("L", (120, 90), 0)
    mask.paste(255, (0, 0, 60, 90))
    return mask


def make_museum(folder, jpeg, encode):
    mask = encode(half_mask(), "PNG")
    lines = ["artist,work,image,mask,license,attribution,source"]
    for number in range(6):
        image = f"images/märta h/w{number % 3}/{number} #.jpg"
        put(folder, image, jpeg(number))
        put(folder, f"masks/{number}.png", mask)
        lines.append(
            f"Märta H,W{number % 3},{image},{f'masks/{number}.png' if number % 2 else ''},CC0-1.0,made,museum"
        )
    lines += ["Märta H,W0,images/none.jpg,,,,museum", "Märta H,W0,../secret.jpg,,,,museum"]
    (folder / "sources.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_the_museum_is_scraped_over_http(tmp_path, jpeg, encode):
    museum = make_museum(tmp_path / "museum", jpeg, encode)
    put(tmp_path, "secret.jpg", jpeg(99))
    tables = []
    for name in ("a", "b"):
        collect(read_museum(museum), tmp_path / name, collect_settings(retries=0))
        rows = rows_of(tmp_path / name)
        check_stored(tmp_path / name, rows)
        tables.append([row | {"fetched_at": None} for row in rows])
    assert tables[0] == tables[1], "no port and no other chance in the manifest"
    statuses = [row["status"] for row in tables[0]]
    assert statuses == ["ok"] * 6 + ["http_404", "path_refused"]
    first = tables[0][0]
    assert first["image_url"] == first["final_url"] == "images/märta h/w0/0 #.jpg"
    assert first["http_status"] == 200
    assert [row["mask_status"] for row in tables[0][:6]] == [None, "ok"] * 3


def test_the_museum_serves_its_folder_only(tmp_path, jpeg):
    import requests

    put(tmp_path, "museum/in.jpg", jpeg(1))
    secret = put(tmp_path, "secret.jpg", jpeg(2))
    (tmp_path / "museum/link.jpg").symlink_to(secret)
    with serve(tmp_path / "museum") as base:
        assert base.startswith("http://127.0.0.1:")
        assert requests.get(f"{base}/in.jpg", timeout=5).content == jpeg(1)
        for path in ("/", "/link.jpg", "/%2e%2e/secret.jpg", "/..%2fsecret.jpg", f"/{secret}"):
            assert requests.get(base + path, timeout=5).status_code == 404
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/in.jpg", timeout=1)


def test_a_full_disk_is_told_plainly(tmp_path, jpeg, quick, write_csv, monkeypatch):
    put(tmp_path, "x.jpg", jpeg())

    real = os.fsync

    def full(descriptor):
        if "/images/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(LiftnetError, match="disk is full"):
        collect(read_csv(write_csv([{"image": "x.jpg"}])), tmp_path / "out", quick())
    assert not (tmp_path / "out/manifest.parquet").exists()
    assert list((tmp_path / "out/images").iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device /dev/full")
def test_a_journal_on_a_full_disk_is_told_plainly(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal, open("/dev/full", "ab", buffering=0) as full:
        own, journal._file = journal._file, full
        with pytest.raises(LiftnetError, match="disk is full"):
            journal.add({"key": "a"})
        journal._file = own


def test_an_unwritable_folder_is_told_plainly(tmp_path, jpeg, quick, write_csv):
    put(tmp_path, "x.jpg", jpeg())
    sources = read_csv(write_csv([{"image": "x.jpg"}]))
    with pytest.raises(LiftnetError, match="a file stands where a folder is needed"):
        collect(sources, put(tmp_path, "file", b""), quick())
    put(tmp_path, "out/images", b"")
    with pytest.raises(LiftnetError, match="a file stands where a folder is needed"):
        collect(sources, tmp_path / "out", quick())


def test_a_journal_keeps_the_last_word_and_drops_torn_lines(tmp_path, caplog):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"key": "a", "n": 1}\n[]\n{"key": "a", "n": 2}\nnull\n{"key": "b"')
    with Journal(path) as journal:
        assert journal.entries == {"a": {"key": "a", "n": 2}}
        journal.add({"key": "c"})
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["a", "c", "run-ended"]
    assert caplog.text.count("damaged line") == 3


def command(*words):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["collect", *map(str, words)])
    return arguments.run(arguments)


def test_the_command_ends_with_a_summary(tmp_path, jpeg, caplog):
    put(tmp_path / "photos", "A/W/1.jpg", jpeg(1))
    put(tmp_path / "photos", "A/W/2.jpg", b"")
    with caplog.at_level("INFO"):
        assert not command(
            "run", "--directory", tmp_path / "photos", "--out", tmp_path / "out", "--pictures.max-side", 64
        )
    assert "1 of 2 images of 1 works by 1 artists" in caplog.messages[-1]
    assert "1 empty_file" in caplog.messages[-1]
    assert rows_of(tmp_path / "out")[0]["width"] == 64


def test_the_command_reaches_loopback_only_if_allowed(tmp_path, httpserver, jpeg, write_csv):
    httpserver.expect_request("/x.jpg").respond_with_data(jpeg())
    path = write_csv([{"url": f"http://127.0.0.1:{httpserver.port}/x.jpg"}])
    with pytest.raises(LiftnetError, match=r"(?s)not one of 1 images could be used.*ssrf_blocked"):
        command("run", "--csv", path, "--out", tmp_path / "out")
    assert rows_of(tmp_path / "out")[0]["status"] == "ssrf_blocked"
    command(
        "run",
        "--csv",
        path,
        "--out",
        tmp_path / "out",
        "--permissions.allow-host",
        "127.0.0.1",
        "--no-permissions.robots",
    )
    assert rows_of(tmp_path / "out")[0]["status"] == "ok"


def test_the_command_refuses_wrong_settings(tmp_path):
    with pytest.raises(LiftnetError, match=r"--pictures\.max-side"):
        command("run", "--directory", tmp_path, "--out", tmp_path / "out", "--pictures.max-side", 9000)


def test_the_stored_bytes_are_those_received(tmp_path, jpeg, quick, write_csv):
    put(tmp_path, "x.jpg", jpeg(5))
    collect(read_csv(write_csv([{"image": "x.jpg"}])), tmp_path / "out", quick())
    (row,) = rows_of(tmp_path / "out")
    assert (tmp_path / "out/images" / row["file"]).read_bytes() == jpeg(5)
    assert Image.open(BytesIO(jpeg(5))).size == (row["width"], row["height"])
