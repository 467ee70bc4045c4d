"""Meshes of the generated classes as files: closed, upright, the same for the same seed, those of the rendered set."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import trimesh

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.render.classes import CLASSES, make_shape, make_surface
from liftnet.render.settings import SetSettings, ShapenetSettings
from liftnet.render.shapes import shapes_of, write_shapes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes")
    write_shapes(out, [], 3, seed=5)
    return out


def digests(folder):
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.ply")}


def test_every_class_has_its_meshes_and_the_table_lists_them(folder):
    table = pd.read_csv(folder / "shapes.csv")
    assert table.groupby("class").size().to_dict() == dict.fromkeys(CLASSES, 3)
    assert {"train", "test"} <= set(table["split"]) <= {"train", "val", "test"}
    for row in table.itertuples():
        assert len(trimesh.load(folder / row[1] / f"{row.name}.ply", process=False).faces) == row.faces


@pytest.mark.parametrize("name", CLASSES)
def test_meshes_are_closed_and_face_outward(folder, name):
    for path in sorted((folder / name).glob("*.ply")):
        mesh = trimesh.load(path, process=False)
        edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
        there = {(a, b) for a, b in edges.tolist()}
        assert all((b, a) in there for a, b in there), path.name
        assert mesh.volume > 0
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1, abs=1e-6)


def test_up_is_y_and_the_front_is_towards_positive_z(folder):
    bus = trimesh.load(next(iter(sorted((folder / "bus").glob("*.ply")))), process=False)
    long, high, wide = bus.extents[[2, 1, 0]]
    assert long > 1.5 * high  # a bus is longest along its drive, which is z
    assert long > 2 * wide
    chair = trimesh.load(next(iter(sorted((folder / "chair").glob("*.ply")))), process=False)
    back = chair.vertices[chair.vertices[:, 1] > np.quantile(chair.bounds[:, 1], 0.9)]
    assert back[:, 2].mean() < 0  # the back of a chair stands away from its front


def test_the_shapes_are_those_of_the_rendered_set(folder):
    settings = SetSettings(shapenet=ShapenetSettings(shapes_per_class=3))
    shape = next(shape for shape in shapes_of("shapenet", settings, seed=5) if shape.class_name == "lamp")
    rendered = np.unique(shape.make().mesh.vertices, axis=0)
    written = trimesh.load(folder / "lamp" / f"{shape.shape_id}.ply", process=False).vertices
    turned = np.unique(np.column_stack([written[:, 0], -written[:, 2], written[:, 1]]).astype(np.float32), axis=0)
    assert np.allclose(turned.min(0), rendered.min(0), atol=1e-5)
    assert np.allclose(turned.max(0), rendered.max(0), atol=1e-5)
    assert len(turned) == pytest.approx(len(rendered), rel=0.02)


def test_the_same_seed_gives_the_same_files(folder, tmp_path):
    write_shapes(tmp_path / "again", ["lamp", "table"], 3, seed=5)
    write_shapes(tmp_path / "other", ["lamp", "table"], 3, seed=6)
    again, first, other = digests(tmp_path / "again"), digests(folder), digests(tmp_path / "other")
    assert len(again) == 6
    assert all(first[path] == digest for path, digest in again.items())
    assert all(again[path] != digest for path, digest in other.items())


def test_surface_and_mesh_have_the_same_area():
    for name in ("airplane", "sofa"):
        mesh, surface = make_shape(name, 7), make_surface(name, 7)
        areas = [trimesh.Trimesh(s.vertices, s.faces, process=False).area for s in (mesh, surface)]
        assert areas[0] == pytest.approx(areas[1], rel=1e-4)
        assert len(surface.vertices) < len(mesh.vertices)


def test_the_command_and_its_refusals(tmp_path, capsys):
    assert main(["render", "shapes", "--out", str(tmp_path), "--meshes-per-class", "1", "--classes", "lamp"]) == 0
    assert len(list(tmp_path.rglob("*.ply"))) == 1
    with pytest.raises(LiftnetError, match="not a class"):
        write_shapes(tmp_path, ["unicorn"], 1, 0)
    with pytest.raises(LiftnetError, match="no shapes"):
        write_shapes(tmp_path, [], 0, 0)
