"""The made-up dataset of the benchmark is what it says, and three ways to count it agree."""

import importlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from liftnet.data.codes import SPLITS
from liftnet.data.dataset import shard_paths

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("dataset_statistics")


def test_a_small_one(script, tmp_path):
    works = script.made_works(12, 120)
    assert sum(work.pairs for work in works) == 120
    script.make(tmp_path, works)
    tables = [pq.read_table(path) for split in SPLITS for path in shard_paths(tmp_path / "dataset", split)]
    assert sum(len(table) for table in tables) == 120
    tried = pq.read_table(tmp_path / "dataset" / "tried.parquet")
    assert len(tried) == 120 * (1 + script.REJECTED)
    views = {image: k for work in works for k, image in enumerate(work.images)}
    errors = []
    for row in (row for table in tables for row in table.to_pylist()):
        if row["rotation_deg"] is not None:
            truth = script.TURN * (views[row["image_b"]] - views[row["image_a"]])
            errors.append(abs(row["rotation_deg"] - truth))
    assert len(errors) > 10
    assert np.median(errors) < 0.5
    table = script.compared(tmp_path / "dataset", 1)  # fails where the ways disagree
    assert len(table) >= 2
