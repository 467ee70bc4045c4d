"""`drkfs score` from files to a table and pictures, with the weights of the package."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import trimesh

from liftnet.__main__ import main

SMALL = ["--metric.image-size", "64", "--metric.views", "3", "--score.points", "2000", "--threads", "1"]


def write(mesh: trimesh.Trimesh | trimesh.Scene, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.export(path)
    return path


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Folders `given` and `wanted`: equal shapes of other formats, a scene of parts, and files that are no shapes."""
    box, ball = trimesh.creation.box((1, 0.6, 0.4)), trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    write(box, tmp_path / "given" / "same.obj")
    write(box, tmp_path / "wanted" / "same.ply")
    write(ball, tmp_path / "given" / "other.stl")
    write(box, tmp_path / "wanted" / "other.ply")
    write(trimesh.Scene([box.copy(), ball.copy()]), tmp_path / "given" / "parts.glb")
    write(trimesh.util.concatenate([box, ball]), tmp_path / "wanted" / "parts.ply")
    broken = box.copy()
    broken.vertices[3] = np.nan
    write(broken, tmp_path / "given" / "broken.ply")
    write(box, tmp_path / "wanted" / "broken.ply")
    (tmp_path / "given" / "text.off").write_text("no mesh")
    write(box, tmp_path / "wanted" / "text.ply")
    return tmp_path


def test_folders_become_a_table_with_pictures(shapes: Path) -> None:
    out, pictures = shapes / "scores.csv", shapes / "pictures"
    words = ["drkfs", "score", str(shapes / "given"), str(shapes / "wanted"), "--out", str(out), *SMALL]
    words += ["--pictures", str(pictures), "--score.metrics", "chamfer_l1", "drkfs"]
    assert main(words) == 0
    table = pd.read_csv(out).set_index("name")
    assert table.columns.tolist() == ["status", "reason", "chamfer_l1", "drkfs"]
    assert table.status.to_dict() == {
        "broken": "failed", "other": "ok", "parts": "ok", "same": "ok", "text": "failed"
    }  # fmt: skip
    assert "finite" in table.reason["broken"]
    assert table.drkfs["same"] == pytest.approx(0, abs=1e-5)
    assert table.drkfs["parts"] == pytest.approx(0, abs=1e-5)  # a scene of parts is the same as one mesh of them
    assert table.drkfs["other"] > 0.01
    assert sorted(path.name for path in pictures.iterdir()) == ["other.png", "parts.png", "same.png"]
    first = out.read_bytes()
    (pictures / "same.png").unlink()
    assert main(words) == 0  # nothing but the lost picture is made again
    assert (pictures / "same.png").is_file()
    assert out.read_bytes() == first


def test_two_files_are_printed(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(shapes / "given" / "other.stl"), str(shapes / "wanted" / "other.ply")]
    assert main(["drkfs", "score", *pair, *SMALL, "--score.metrics", "drkfs", "iou"]) == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert set(shown) == {"drkfs", "iou"}
    assert 0 < float(shown["iou"]) < 1


def test_a_file_that_is_no_shape_fails_in_words(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(shapes / "given" / "text.off"), str(shapes / "wanted" / "text.ply")]
    assert main(["drkfs", "score", *pair, *SMALL]) == 1
    assert "text.off" in capsys.readouterr().out


def test_an_unknown_metric_is_refused_before_anything_is_read(shapes: Path) -> None:
    pair = [str(shapes / "given" / "same.obj"), str(shapes / "wanted" / "same.ply")]
    assert main(["drkfs", "score", *pair, *SMALL, "--score.metrics", "beauty"]) == 1
