"""Retrieval scores by hand and by chance; folders of labelled meshes and their splits."""

import numpy as np
import pytest
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.shape.collection import labelled_meshes, retrieval


def test_scores_of_a_small_case_by_hand():
    labels = ["a", "a", "a", "b", "b", "c"]
    positions = np.array([0.0, 1, 5, 4, 5.5, 100])
    scores = retrieval(np.abs(positions[:, None] - positions), labels)
    # ranks of the own class: 1 and 3 for the first and second a, 3 and 4 for the third, 2 for each b
    precisions = [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2, (1 / 3 + 2 / 4) / 2, 1 / 2, 1 / 2]
    assert scores.mean_average_precision == pytest.approx(np.mean(precisions))
    assert scores.nearest == pytest.approx(2 / 5)
    assert scores.first_tier == pytest.approx(np.mean([1 / 2, 1 / 2, 0, 0, 0]))
    assert scores.queries == 5


def test_a_perfect_distance_scores_one_and_noise_the_share_of_the_class():
    labels = np.repeat(list("abcd"), 25)
    perfect = (labels[:, None] != labels).astype(float)
    assert retrieval(perfect, labels).mean_average_precision == 1
    noise = np.random.default_rng(0).random((100, 100))
    assert retrieval(noise, labels).mean_average_precision == pytest.approx(24 / 99, abs=0.04)


def test_shapes_of_another_set_query():
    found = retrieval(np.array([[3.0, 1, 2], [1, 2, 3], [1, 2, 3]]), ["a", "b", "a"], ["a", "b", "none"])
    assert found.mean_average_precision == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 2) / 2)
    assert (found.nearest, found.queries) == (0, 2)
    assert found.first_tier == pytest.approx((1 / 2 + 0) / 2)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="labels"):
        retrieval(np.zeros((2, 3)), ["a", "a"])
    with pytest.raises(ValueError, match="nothing can be found"):
        retrieval(np.zeros((2, 2)), ["a", "b"])


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.box().export(folder / name)


def test_splits_come_from_the_table_or_from_a_stable_hash(tmp_path):
    write(tmp_path, "chair/a.ply", "chair/b.obj", "lamp/a.ply")
    before = labelled_meshes(tmp_path)
    assert [(shape.label, shape.name) for shape in before] == [("chair", "a"), ("chair", "b"), ("lamp", "a")]
    write(tmp_path, "lamp/z.ply")
    after = {(shape.label, shape.name): shape.split for shape in labelled_meshes(tmp_path)}
    assert all(after[shape.label, shape.name] == shape.split for shape in before)
    (tmp_path / "shapes.csv").write_text("class,name,split,faces\nlamp,z,test,12\nchair,a,train,12\n")
    assert [(s.label, s.name, s.split) for s in labelled_meshes(tmp_path)] == [
        ("chair", "a", "train"),
        ("lamp", "z", "test"),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("class,name\nchair,a\n", "lacks the column"),
        ("class,name,split\nchair,a,practice\n", "names the split"),
        ("class,name,split\nchair,b,train\n", "not there"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, table, message):
    write(tmp_path, "chair/a.ply")
    (tmp_path / "shapes.csv").write_text(table)
    with pytest.raises(LiftnetError, match=message):
        labelled_meshes(tmp_path)


def test_meshes_without_a_class_are_refused(tmp_path):
    write(tmp_path, "a.ply")
    with pytest.raises(LiftnetError, match="folders of classes"):
        labelled_meshes(tmp_path)
