"""Results of cases: computed once, and again when something that they depend on has changed."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from liftnet.core.settings import Settings
from liftnet.experiments.drkfs.experiment import ResultCache, digest_of


def test_a_case_is_computed_once_and_again_when_something_else_counts(tmp_path):
    calls = []

    def row():
        calls.append("row")
        return {"value": 1.5, "edit": "none"}

    def arrays():
        calls.append("arrays")
        return {"frames": np.arange(6, dtype=np.float32).reshape(2, 3)}

    for _ in range(2):
        cache = ResultCache(tmp_path, digest_of({"sigma": 1e-5, "strengths": (0.1, 0.2)}))
        assert cache.row("one", row) == {"value": 1.5, "edit": "none"}
        np.testing.assert_array_equal(cache.arrays("one", arrays)["frames"], arrays()["frames"])
    assert calls.count("row") == 1
    assert calls.count("arrays") == 3  # twice by the test itself
    other = ResultCache(tmp_path, digest_of({"sigma": 1e-4}))
    other.row("one", row)
    other.arrays("one", arrays)
    assert calls.count("row") == 2
    assert calls.count("arrays") == 4
    (tmp_path / "one.json").write_text("{")  # cut off
    (tmp_path / "one.safetensors").write_bytes(b"broken")
    other.row("one", row)
    other.arrays("one", arrays)
    assert calls.count("row") == 3
    assert json.loads((tmp_path / "one.json").read_text())["row"]["value"] == 1.5


def test_a_digest_follows_the_weights():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3)
    before = digest_of(network)
    assert before == digest_of(network)
    with torch.no_grad():
        network.bias[0] += 1e-6
    assert digest_of(network) != before


class Fit(Settings):
    steps: int = 3
    rate: float = 0.1


@dataclass(frozen=True)
class Case:
    chair: int
    corners: np.ndarray


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Fit(), Fit(rate=0.2)),
        (np.array([1.0, -1.0]), np.array([-1.0, 1.0])),  # of one sum of absolute values
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (Case(0, np.zeros(2)), Case(0, np.ones(2))),
        ("a", ["a"]),
        (None, 0),
    ],
)
def test_contents_that_differ_have_different_digests(one, other):
    assert digest_of(one) != digest_of(other)
    assert ResultCache("folder", "key").of(one) != ResultCache("folder", "key").of(other)


def test_equal_contents_have_equal_digests():
    assert digest_of(Fit(), Case(1, np.arange(3))) == digest_of(Fit(steps=3), Case(1, np.arange(3)))
    assert digest_of({"a": 1, "b": (2, 3)}) == digest_of({"b": [2, 3], "a": 1})
