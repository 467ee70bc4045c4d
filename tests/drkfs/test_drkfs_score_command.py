"""`drkfs score` from files to a table and pictures, with the weights of the package."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    assert main(words) == 1, "two could not be compared"
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
    assert main([*words, "--lenient"]) == 0  # nothing but the lost picture is made again
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


def test_shapes_that_the_pictures_or_voxels_cannot_tell_are_said_in_their_rows(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 0.6, 0.4))
    for name, matrix in {"metres": 1.0, "millimetres": 1000.0, "beside": None, "larger": 2.0}.items():
        moved = box.copy().apply_translation((50, 0, 0)) if matrix is None else box.copy().apply_scale(matrix)
        write(moved, tmp_path / "given" / f"{name}.ply")
        write(box, tmp_path / "wanted" / f"{name}.ply")
    out = tmp_path / "scores.csv"
    words = ["drkfs", "score", str(tmp_path / "given"), str(tmp_path / "wanted"), "--out", str(out), *SMALL]
    assert main([*words, "--score.metrics", "drkfs", "iou"]) == 0
    table = pd.read_csv(out).set_index("name").fillna({"reason": ""})
    assert (table.status == "ok").all()
    assert table.reason["metres"] == ""
    assert "1,000 times as large as its target, as millimetres instead of metres" in table.reason["millimetres"]
    assert "drkfs: the shape is in none of the 3 pictures" in table.reason["beside"]
    assert "lies 50 sizes of the target away" in table.reason["beside"]
    assert np.isnan(table.drkfs["beside"])
    assert table.iou["beside"] == 0
    assert "2 times as large" in table.reason["larger"]
    assert "reaches out of 3 of the 3 pictures" in table.reason["larger"]


def test_a_target_that_is_overwritten_is_compared_again_even_if_it_is_as_long_and_as_old(tmp_path: Path) -> None:
    for folder in ("given", "wanted"):
        write(trimesh.creation.box((1, 0.6, 0.4)), tmp_path / folder / "a {b}" / "box.ply")
    out, target = tmp_path / "scores.csv", tmp_path / "wanted" / "a {b}" / "box.ply"
    words = ["drkfs", "score", str(tmp_path / "given"), str(tmp_path / "wanted"), "--out", str(out), *SMALL]
    words += ["--score.metrics", "chamfer_l1"]
    assert main(words) == 0
    first = pd.read_csv(out).chamfer_l1[0]
    before = target.stat()
    write(trimesh.creation.box((0.5, 0.6, 0.4)), target)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert target.stat().st_size == before.st_size
    assert main(words) == 0
    assert pd.read_csv(out).chamfer_l1[0] > 2 * first


def test_two_files_of_one_name_are_refused_before_anything_is_compared(shapes: Path, capsys) -> None:
    write(trimesh.creation.box(), shapes / "wanted" / "same.obj")
    words = ["drkfs", "score", str(shapes / "given"), str(shapes / "wanted"), "--out", str(shapes / "scores.csv")]
    assert main(words) == 1
    assert not (shapes / "scores.csv").exists()
    said = capsys.readouterr()
    assert "same.obj and same.ply" in said.out + said.err


def test_progress_moves_within_a_couple_and_ends_where_it_said(
    shapes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def counted(stage: str, doing: str, total: int) -> Iterator[Callable[[str], None]]:
        told.append(f"{total}")
        yield told.append

    monkeypatch.setattr("liftnet.drkfs.score.meter", counted)
    words = ["drkfs", "score", str(shapes / "given"), str(shapes / "wanted"), *SMALL]
    assert main([*words, "--score.metrics", "chamfer_l1", "drkfs", "--lenient"]) == 0
    couples = capsys.readouterr().out.count("\n") - 2
    total, *steps = told
    assert len(steps) == int(total) == couples * (1 + 2 * 3)
    assert steps.count(" (drkfs)") == 3 * 2 * 3  # three couples can be compared
    assert steps.count(" (chamfer_l1)") == 3
