"""The simulated collection is what its table says, and goes through the real stages."""

import importlib
from pathlib import Path

import pytest

from liftnet.data.schemas import MANIFEST, PAIRS, read_table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_shares_have_the_same_kind_of_works(script):
    collection = script("scale_collection").collection
    whole, tenth = collection(1), collection(0.1)
    assert len(whole) == 1187
    assert sum(work.pairs for work in whole) == pytest.approx(182_000, rel=0.01)
    assert len({work.work_id for work in whole}) == 1187
    assert len({image for work in whole for image in work.images}) == sum(len(work.images) for work in whole)
    assert {work.split for work in tenth} == {"train", "val", "test"}
    images = [sum(len(work.images) for work in works) / len(works) for works in (whole, tenth)]
    assert images[1] == pytest.approx(images[0], rel=0.05)


def test_simulated_works_are_matched_and_kept(script, tmp_path):
    simulated, scale = script("scale_collection"), script("scale")
    works = sorted(simulated.collection(0.01), key=lambda work: work.pairs)[2:5]
    simulated.write_lists(tmp_path, works)
    simulated.write_pictures(tmp_path, works)
    for task in (scale.features_of_all, scale.match_all, scale.verify_all):
        task(tmp_path, works)
    assert len(read_table(tmp_path / "manifest.parquet", MANIFEST)) == sum(len(work.images) for work in works)
    for work in works:
        pairs = read_table(tmp_path / "pairs" / f"{work.work_id}.parquet", PAIRS).to_pandas()
        assert len(pairs) == work.pairs
        assert pairs.kept.mean() > 0.8
        assert pairs.n_inliers[pairs.kept].median() > 40


@pytest.mark.slow
@pytest.mark.workflow
def test_the_benchmark_runs_on_two_works(script, tmp_path):
    row = script("scale").measure(tmp_path, 2 / 1187)
    assert row["works"] == 2
    assert row["kept"] > 0
    assert min(value for name, value in row.items() if name.endswith(("cpu", "memory"))) > 0
