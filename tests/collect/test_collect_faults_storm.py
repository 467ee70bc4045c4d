"""Many URLs over fifty hosts with 5 % of each fault, killed at random: nothing is lost, doubled or wrong."""

from fault_server import FaultServer, addresses
from fault_storm import check, make_storm, run_and_kill

from liftnet.io.schemas import MANIFEST, read_table

URLS, KILLS = 1500, 4  # benchmarks/downloading.py does the same with 10,000 URLs and ten kills


def test_a_storm_of_faults_and_kills_ends_in_the_truth(tmp_path):
    with FaultServer((*addresses(50), "127.0.0.1")) as server:
        storm = make_storm(server, URLS)
        storm.write_list(tmp_path / "sources.csv")
        killed = run_and_kill(storm, tmp_path / "sources.csv", tmp_path / "out", KILLS)
        assert len(killed) == KILLS
        rows = read_table(tmp_path / "out" / "manifest.parquet", MANIFEST).to_pylist()
        check(storm, rows, tmp_path / "out")
