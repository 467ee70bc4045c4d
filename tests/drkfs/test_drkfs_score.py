"""Couples of shapes are found, scored once, and kept through a kill."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.drkfs.score import (
    Couple,
    ScoreRequest,
    ShapeMeasure,
    find_couples,
    score_couples,
    score_table,
    write_scores,
)
from liftnet.drkfs.settings import ScoreCommandSettings
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape.metrics import METRICS


def write_box(path: Path, width: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box((width, 1, 1)).export(path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name, width in [("a/one", 1), ("a/two", 2), ("b/three", 3)]:
        write_box(tmp_path / "shapes" / f"{name}.obj", width)
    for name, width in [("a/one", 1), ("b/three", 5), ("b/four", 4)]:
        write_box(tmp_path / "targets" / f"{name}.ply", width)
    return tmp_path / "shapes", tmp_path / "targets"


class Widths:
    """Measures the difference of widths and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, shape: TriangleMesh, target: TriangleMesh, name: str) -> tuple[dict[str, float], str]:
        self.asked.append(name)
        return {"width": float(np.ptp(shape.vertices[:, 0]) - np.ptp(target.vertices[:, 0]))}, ""


def test_folders_are_paired_by_name(folders: tuple[Path, Path]) -> None:
    scores = score_couples(find_couples(*folders), Widths(), "test")
    assert [(score.name, score.status) for score in scores] == [
        ("a/one", "ok"),
        ("a/two", "no_partner"),
        ("b/four", "no_partner"),
        ("b/three", "ok"),
    ]
    assert [score.values.get("width") for score in scores] == pytest.approx([0, None, None, -2])
    assert "target" in scores[1].reason
    assert "shape" in scores[2].reason


def test_a_folder_against_one_target(folders: tuple[Path, Path]) -> None:
    couples = find_couples(folders[0], folders[1] / "a" / "one.ply")
    assert [couple.name for couple in couples] == ["a/one", "a/two", "b/three"]
    assert [s.values["width"] for s in score_couples(couples, Widths(), "test")] == pytest.approx([0, 1, 2])


def test_what_cannot_be_read_is_a_row_and_the_rest_goes_on(folders: tuple[Path, Path]) -> None:
    (folders[0] / "a" / "one.obj").write_text("not a mesh")
    scores = score_couples(find_couples(*folders), Widths(), "test")
    assert [score.status for score in scores] == ["failed", "no_partner", "no_partner", "ok"]
    assert "one.obj" in scores[0].reason
    table = score_table(scores)
    assert list(table.columns) == ["name", "status", "reason", "width"]
    assert math.isnan(table.width[0])


def test_a_stopped_run_goes_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out, first = tmp_path / "out" / "scores.csv", Widths()
    couples = find_couples(*folders)
    score_couples(couples[:1], first, "test", out)
    journal = out.with_name("scores.csv.journal.jsonl")
    journal.write_text(journal.read_text() + '\n{"name": "b/thr')  # a kill in the middle of a line
    second = Widths()
    scores = score_couples(couples, second, "test", out)
    assert (first.asked, second.asked) == (["a/one"], ["b/three"])
    write_scores(scores, out)
    fresh = Widths()
    again = score_couples(couples, fresh, "test", out)
    assert fresh.asked == []
    assert again == scores
    assert next(json.loads(line)["name"] for line in journal.read_text().split("\n") if line.endswith("}")) == "a/one"


def test_a_changed_file_or_recipe_is_scored_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out, couples = tmp_path / "scores.csv", find_couples(*folders)
    score_couples(couples, Widths(), "test", out)
    write_box(folders[0] / "b" / "three.obj", 7)
    changed = Widths()
    assert score_couples(couples, changed, "test", out)[3].values["width"] == pytest.approx(2)
    assert changed.asked == ["b/three"]
    other = Widths()
    score_couples(couples, other, "other", out)
    assert other.asked == ["a/one", "b/three"]


def test_inputs_that_do_not_fit_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LiftnetError, match="not there"):
        find_couples(tmp_path / "nothing", folders[1])
    with pytest.raises(LiftnetError, match="is a folder"):
        find_couples(folders[0] / "a" / "one.obj", folders[1])
    with pytest.raises(LiftnetError, match="no file whose name"):
        find_couples(folders[0] / "a", folders[1] / "b")
    assert find_couples(folders[0] / "a" / "one.obj", folders[1] / "a" / "one.ply") == [
        Couple("one", folders[0] / "a" / "one.obj", folders[1] / "a" / "one.ply")
    ]


def test_the_recipe_has_the_contents_of_every_weights_file(tmp_path: Path) -> None:
    names = [f"score.{name}" for metric in METRICS.values() for name in metric.weights]
    names += ["metric.detector", "metric.descriptor_weights"]
    assert {"score.vocabulary", "score.mvcnn"} < set(names)
    files = {name: tmp_path / f"{name}.safetensors" for name in names}
    for file in files.values():
        file.write_bytes(b"first")
    settings = changed(ScoreCommandSettings(), **{name: str(file) for name, file in files.items()})
    request = ScoreRequest(tmp_path, tmp_path)
    recipes = [ShapeMeasure(settings, request).recipe()]
    assert ShapeMeasure(settings, request).recipe() == recipes[0]
    for file in files.values():
        file.write_bytes(b"other")
        recipes.append(ShapeMeasure(settings, request).recipe())
    assert len(set(recipes)) == 1 + len(files)
