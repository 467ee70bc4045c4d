"""Many URLs over fifty hosts with 5 % of each fault, killed at random: nothing is lost, doubled or wrong."""

import subprocess
import sys
import time

import pytest
from fault_answers import page, raw, redirect
from fault_server import FaultServer, addresses
from fault_storm import ROOT, RUN, check, make_storm, run_and_kill

from liftnet.collect.collect import collect
from liftnet.collect.fetch.plan import plan
from liftnet.collect.sources.lists import read_csv
from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import MANIFEST, read_table

URLS, KILLS = 10_000, 10


@pytest.mark.slow
def test_a_storm_of_faults_and_kills_ends_in_the_truth(tmp_path):
    with FaultServer((*addresses(50), "127.0.0.1")) as server:
        storm = make_storm(server, URLS)
        storm.write_list(tmp_path / "sources.csv")
        killed = run_and_kill(storm, tmp_path / "sources.csv", tmp_path / "out", KILLS)
        assert len(killed) == KILLS
        rows = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
        check(storm, rows, tmp_path / "out")


def test_two_runs_at_a_time_do_not_mix(tmp_path, quick, write_csv):
    with FaultServer(addresses(1)) as server:
        path = write_csv([{"url": server.add("/x.jpg", raw(9.0))}])
        settings = quick(allow_host=list(server.hosts), timeout_s=20, total_s=20)
        command = [sys.executable, "-c", RUN, str(path), str(tmp_path / "out"), settings.model_dump_json()]
        first = subprocess.Popen(command, cwd=ROOT)
        while not server.visits:
            assert first.poll() is None
            time.sleep(0.02)
        with pytest.raises(LiftnetError, match="another process is fetching"):
            collect(read_csv(path), tmp_path / "out", settings)
        first.kill()
        first.wait()
        server.add("/x.jpg", raw())
        collect(read_csv(path), tmp_path / "out", settings)  # a lock ends with its process
    (row,) = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
    assert row["status"] == "connection_error"


def test_jobs_side_by_side_share_the_host_they_are_sent_to(tmp_path, quick, write_csv, jpeg):
    """Files of eight hosts, in several jobs, all stand on one: together they are as polite to it as one."""
    with FaultServer(addresses(9)) as server:
        *doors, store = server.hosts

        async def slow(exchange):
            await exchange.hold(0.03)
            await page(body=jpeg(int(exchange.visit.path[1:-4])))(exchange)

        urls = []
        for number in range(40):
            target = server.add(f"/{number}.jpg", slow, store)
            urls.append(server.add(f"/{number}.jpg", redirect(target), doors[number % len(doors)]))
        out, settings = tmp_path / "out", quick(allow_host=list(server.hosts), per_host=1, delay_s=0.05)
        jobs = plan(read_csv(write_csv([{"url": url} for url in urls])), out, settings)["job"].unique()
        assert len(jobs) > 1
        options = [
            "--politeness.per-host",
            "1",
            "--politeness.delay-s",
            "0.05",
            "--permissions.allow-host",
            *server.hosts,
        ]
        command = [sys.executable, "-m", "liftnet", "collect", "fetch", "--out", str(out), *options, "--job"]
        running = [subprocess.Popen([*command, job], cwd=ROOT) for job in jobs]
        assert [process.wait() for process in running] == [0] * len(jobs)
    assert len({visit.path for visit in server.visits if visit.host == store}) == 41, "all files, and robots.txt"
    assert server.most[store] == 1
    assert server.most_within(1.0)[store] <= 23
