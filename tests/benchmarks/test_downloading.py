"""The benchmark of the downloader: what it serves, what it reads back, what it counts as asked for again."""

import importlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_pictures_are_as_wide_as_asked_and_not_alike(script):
    from liftnet.collect.normalise import normalise

    made = script("downloading_runs").pictures(2048, 4)
    assert [Image.open(BytesIO(data)).size for data in made] == [(2048, 1364)] * 4
    hashes = [int(normalise(data, "", 256, 64, 10**8).phash, 16) for data in made]
    assert all((a ^ b).bit_count() > 10 for a in hashes for b in hashes if a is not b)


def test_a_run_is_timed_and_what_became_of_urls_is_read(script, tmp_path):
    runs, server_module, answers = script("downloading_runs"), script("fault_server"), script("fault_answers")
    with server_module.FaultServer(server_module.addresses(2)) as server:
        urls = runs.served(server, runs.pictures(300, 3), "good")
        urls.append(server.add("/gone.jpg", answers.page("410 Gone")))
        cost = runs.timed(runs.liftnet(tmp_path, urls, server.hosts, max_side=128), tmp_path / "log.txt")
        became = runs.became_of(tmp_path, urls)
    assert [became[url].stored for url in urls] == [True] * 3 + [False]
    assert became[urls[3]].status == "http_410"
    assert cost.cpu_s > 0.1
    assert cost.memory_mb > 20
    with pytest.raises(RuntimeError, match="ended with 3"):
        runs.timed(["/bin/sh", "-c", "exit 3"], tmp_path / "log.txt")


@pytest.mark.slow
def test_what_is_sent_again_after_a_kill_is_counted(script, tmp_path):
    runs, faults = script("downloading_runs"), script("downloading_faults")
    row = faults._resumed("liftnet", lambda folder, urls, hosts: runs.liftnet(folder, urls, hosts), tmp_path)
    assert row["sent again"] <= 40, "no more than had a connection"
    assert row["images after it"] <= row["images after one more run"] == 300
