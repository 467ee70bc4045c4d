"""The reader of reconstruction sets: what was written comes back, what is damaged is named."""

from pathlib import Path

import numpy as np
import pytest

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.data.pictures import write_image
from liftnet.data.reconstruction_set import (
    ReconstructionSet,
    ShapeTarget,
    picture_path,
    read_target,
    target_path,
    write_target,
)
from liftnet.data.schemas import RECONSTRUCTION_SHAPES, VIEWS, write_table

IDS = {"a": ("chair", "train"), "b": ("chair", "test"), "c": ("lamp", "train")}


def target_of(seed: int) -> ShapeTarget:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.5, 0.5, (50, 3)).astype(np.float32)
    normals = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return ShapeTarget(points, normals, {size: rng.random((size,) * 3) < 0.3 for size in (5, 8)})


def image_of(seed: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 4), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    rows = [
        {"shape_id": name, "class": kind, "split": split, "source": "generated", "status": "ok", "n_views": 2}
        for name, (kind, split) in IDS.items()
    ]
    bad = {
        "shape_id": "d",
        "class": "lamp",
        "split": "test",
        "source": "d.obj",
        "status": "unreadable",
        "n_views": None,
    }
    write_table(tmp_path / "shapes.parquet", [*rows, bad], RECONSTRUCTION_SHAPES)
    views = []
    for number, name in enumerate(IDS):
        write_target(target_path(tmp_path, name), target_of(number))
        for view in range(2):
            write_image(picture_path(tmp_path, name, view), image_of(10 * number + view))
            turn = (np.arange(9) + 100 * number + 10 * view).tolist()
            views.append(
                {"shape_id": name, "view": view, "rotation": turn, "distance": number + 2, "half_width": view}
            )
    write_table(tmp_path / "views.parquet", views, VIEWS)
    return tmp_path


def test_what_was_written_comes_back(folder):
    data = ReconstructionSet.open(folder)
    assert data.classes == ("chair", "lamp")
    assert [shape.shape_id for shape in data.all_shapes] == ["a", "b", "c"]
    assert [shape.shape_id for shape in data.shapes("train")] == ["a", "c"]
    assert [shape.shape_id for shape in data.shapes(classes=["chair"])] == ["a", "b"]
    for number, shape in enumerate(data.all_shapes):
        written, (points, normals) = target_of(number), data.surface(shape)
        np.testing.assert_array_equal(points, written.points)
        np.testing.assert_array_equal(normals, written.normals)
        for size in (5, 8):
            np.testing.assert_array_equal(data.voxels(shape, size), written.voxels[size])
            np.testing.assert_array_equal(data.target(shape).voxels[size], written.voxels[size])
        pictures = data.pictures(shape, [1, 0, 1])
        assert pictures.images.shape == (3, 4, 12, 12)
        for place, view in enumerate((1, 0, 1)):
            np.testing.assert_array_equal(pictures.images[place].transpose(1, 2, 0), image_of(10 * number + view))
            np.testing.assert_array_equal(
                pictures.rotation[place].ravel(), np.arange(9, dtype=np.float32) + 100 * number + 10 * view
            )
        assert pictures.distance.tolist() == [number + 2] * 3
        assert pictures.half_width.tolist() == [1, 0, 1]
        assert len(data.pictures(shape)) == 2


def test_the_same_target_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_target(tmp_path / name, target_of(3))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_not_there_is_named(folder):
    data = ReconstructionSet.open(folder)
    shape = data.all_shapes[0]
    with pytest.raises(LiftnetError, match="no usable shapes of the class 'lamp' in the split test"):
        data.shapes("test")
    with pytest.raises(LiftnetError, match=r"class 'sofa'.*It has chair, lamp"):
        data.shapes(classes=["sofa"])
    with pytest.raises(LiftnetError, match=r"no voxels of the resolution 32\. It has 5, 8; add 32 to"):
        data.voxels(shape, 32)
    with pytest.raises(ValueError, match="views 0 to 1"):
        data.pictures(shape, [2])


def test_damage_is_named_with_its_file_and_remedy(folder):
    data = ReconstructionSet.open(folder)
    one, two, three = data.all_shapes
    broken = target_of(0)
    broken.points[7, 1] = np.nan
    write_target(target_path(folder, "a"), broken)
    with pytest.raises(LiftnetError, match=r"a/target.safetensors: has points that are NaN.*Delete it and run"):
        data.surface(one)
    with pytest.raises(LiftnetError, match="NaN"):
        read_target(target_path(folder, "a"))
    whole = target_path(folder, "b").read_bytes()
    target_path(folder, "b").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LiftnetError, match=r"b/target.safetensors: is not a readable file of targets"):
        data.voxels(two, 5)
    target_path(folder, "c").unlink()
    with pytest.raises(LiftnetError, match=r"c/target.safetensors: does not exist"):
        data.surface(three)
    cut = picture_path(folder, "a", 0).read_bytes()
    picture_path(folder, "a", 0).write_bytes(cut[: len(cut) - 60])
    with pytest.raises(BadImageError, match=r"a/000.png"):
        data.pictures(one, [0])
    write_image(picture_path(folder, "b", 0), image_of(0, size=9))
    with pytest.raises(LiftnetError, match="pictures of several sizes"):
        data.pictures(two)


def test_tables_that_disagree_or_hold_nothing_are_refused(folder):
    views = folder / "views.parquet"
    write_table(views, [], VIEWS)
    with pytest.raises(LiftnetError, match=r"views.parquet: does not list the views"):
        ReconstructionSet.open(folder)
    write_table(folder / "shapes.parquet", [{"shape_id": "a", "status": "no_faces"}], RECONSTRUCTION_SHAPES)
    with pytest.raises(LiftnetError, match="none of its 1 shapes is usable"):
        ReconstructionSet.open(folder)
    views.unlink()
    with pytest.raises(LiftnetError, match=r"views.parquet: does not exist"):
        ReconstructionSet.open(folder)
