"""Figures 5 and 7: which panels stand beside which, and that pictures show the meshes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from trivial_set import SHAPES, mesh_of, write_set

from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import RECONSTRUCTION_SCORES, write_table
from liftnet.experiments.reconstruction import figures
from liftnet.experiments.reconstruction.figures import write_reconstruction_figure
from liftnet.mesh.writing import write_mesh

PLAN = {
    "runs": {
        "net": {"network": "shape_generator", "losses": {"drkfs": 1}},
        "other": {"network": "shape_generator", "losses": {"drkfs": 1}},
        "later": {"network": "atlasnet", "losses": {"drkfs": 1}},
    },
    "tables": {
        "one": {
            "caption": "One.",
            "metrics": ["lfd"],
            "rows": [
                {"run": "net", "network": "Net", "training": "original"},
                {"run": "other", "network": "Net", "training": "DR-KFS"},
            ],
        }
    },
    "figures": {"7": {"caption": "All.", "runs": {"Net": ["net", "other"], "Later": ["later"]}}},
    "demo": {"networks": ["shape_generator"]},
}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The set, the plan, scores of two runs, of which the second has no mesh of the box."""
    write_set(tmp_path / "set", points=50)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    for run in ("net", "other"):
        rows = []
        for given in (given for given in SHAPES if given.split == "test"):
            empty = run == "other" and given.kind == "box"
            name = f"{given.name}-000"
            rows.append(
                {"run": run, "seed": 0, "class": given.kind, "work_id": given.name, "image_id": name, "lfd": 1234.0,
                 "status": "empty" if empty else "ok"}
            )  # fmt: skip
            if not empty:
                write_mesh(tmp_path / run / f"{name}.ply", mesh_of(given))
        write_table(tmp_path / f"{run}.parquet", rows, RECONSTRUCTION_SCORES)
    strips = []
    write = figures.write_page
    monkeypatch.setattr(figures, "write_page", lambda *words: (strips.extend(words[-1]), write(*words)))
    files = [tmp_path / "net.parquet", tmp_path / "other.parquet"]
    write_reconstruction_figure("7", tmp_path / "plan.yaml", tmp_path / "set", files, tmp_path / "figure")
    return tmp_path, strips


def covered(panel):
    return float((np.asarray(panel.pixels).min(-1) < 250).mean())


def test_a_shape_of_each_class_stands_beside_its_reconstructions(drawn):
    folder, strips = drawn
    assert [strip.title for strip in strips] == ["ball, ball-t", "box, box-t"]
    ((name, panels),) = strips[0].rows  # a network without scores has no row
    assert name == "Net"
    captions = ["picture", "true shape", "", "original, LFD 1,234", "", "DR-KFS, LFD 1,234", ""]
    assert [panel.caption for panel in panels] == captions
    ball, side = np.pi * 0.42**2 / 1.1**2, 200
    for panel in panels[1:]:
        assert np.shape(panel.pixels) == (side, side, 3)
        assert covered(panel) == pytest.approx(ball, rel=0.03)
    assert covered(panels[0]) == pytest.approx(ball, rel=0.06)  # 32 px
    assert (folder / "figure.html").read_text().count("<img") == 14
    assert Image.open(folder / "figure.png").width > 500


def test_where_there_is_no_mesh_the_panel_says_so(drawn):
    ((_, panels),) = drawn[1][1].rows
    assert [panel.caption for panel in panels[-2:]] == ["DR-KFS: no surface"] * 2
    assert covered(panels[-1]) == 0
    assert covered(panels[3]) > 0.1


def test_a_figure_needs_scores_and_a_place_in_the_plan(drawn):
    folder = Path(drawn[0])
    with pytest.raises(LiftnetError, match="Choose one of 7"):
        write_reconstruction_figure("9", folder / "plan.yaml", folder / "set", [], folder / "x")
    with pytest.raises(LiftnetError, match="no run of the figure has scores"):
        write_reconstruction_figure("7", folder / "plan.yaml", folder / "set", [], folder / "x")
