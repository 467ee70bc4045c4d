"""What scores and rendered sets are made of, as Snakemake sees it: files in any folder, under any name."""

import os
from pathlib import Path

import pytest
import trimesh
from workflow_tools import copy_workflow, scheduled

pytestmark = pytest.mark.workflow
SMALL = {"metrics": ["chamfer_l1"], "points": 200}


def write_box(path: Path, width: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box((width, 0.6, 0.4)).export(path)


def test_scores_are_made_again_when_a_file_in_a_subfolder_comes_goes_or_is_replaced_by_an_older_one(tmp_path):
    workflow = copy_workflow(tmp_path)
    for folder in ("rec {set}", "truth {set}"):
        write_box(tmp_path / folder / "a {left}" / "box.ply", 1.0)
    (tmp_path / "rec {set}" / "broken.ply").write_bytes(b"ply")
    write_box(tmp_path / "truth {set}" / "broken.ply", 1.0)
    workflow.configure(
        drkfs={"shapes": "rec {set}", "shape_targets": "truth {set}", "score": SMALL},
        render={"sketchfab": {"folder": "truth {set}"}},
    )
    table = "results/tables/drkfs_scores.csv"

    def asked() -> dict[str, int]:
        return scheduled(workflow.run("-n", table))

    done = workflow.run(table)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / table).read_text().count(",ok,") == 1, "the broken one is a row"
    assert "score_shapes" not in asked()
    target = tmp_path / "truth {set}" / "a {left}" / "box.ply"
    write_box(target, 0.5)
    os.utime(target, (1, 1))
    assert asked()["score_shapes"] == 1
    assert workflow.run(table).returncode == 0
    for folder in ("rec {set}", "truth {set}"):
        write_box(tmp_path / folder / "new" / "other.ply", 1.0)
    assert asked()["score_shapes"] == 1
    rendered = workflow.run("-n", "results/renders/sketchfab/truth.parquet")
    assert scheduled(rendered)["render_set"] == 1, rendered.stderr[-2000:]
