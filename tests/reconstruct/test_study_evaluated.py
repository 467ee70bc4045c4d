"""Items of a set and of evaluations on it."""

import math

import numpy as np
import pytest
from shapes_to_learn import write_set

from liftnet.core.errors import LiftnetError
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.data.schemas import RECONSTRUCTION_SCORES, write_table
from liftnet.mesh.reading import load_mesh
from liftnet.mesh.voxels import iou
from liftnet.mesh.writing import write_mesh
from liftnet.reconstruct.study.evaluated import ModelPair, items_of_set
from liftnet.reconstruct.study.items import best_items
from liftnet.reconstruct.study.views import placement_of, shape_views, shown_picture
from liftnet.render.reconstruction import render_reconstruction_set
from liftnet.render.settings import SetSettings

NAMES = [f"{shape}-{view:03d}" for shape in ("ball-000", "box-001") for view in range(2)]


def small_set_of(folder):
    """A ball and a box of the test split, two pictures each."""
    return ReconstructionSet.open(write_set(folder / "set", train=0, val=0, test=1, views=2))


def evaluated(data, folder, name, scores=(0.0, 1.0, 2.0, 3.0), names=NAMES, empty=()):
    """A table of an evaluation that has found every shape as it is, but for those without a surface."""
    rows = []
    for picture, score in zip(names, scores, strict=False):
        status = "empty" if picture in empty else "ok"
        rows.append(
            {"run": name, "image_id": picture, "status": status}
            | dict.fromkeys(("lfd", "shape_google", "mvcnn"), score)
        )
        shape = next(one for one in data.shapes() if one.shape_id == picture[:-4])
        if status == "ok":
            write_mesh(folder / name / f"{picture}.ply", load_mesh(data.mesh_file(shape)))
    write_table(folder / f"{name}.parquet", rows, RECONSTRUCTION_SCORES)
    return folder / f"{name}.parquet"


def test_items_are_the_pictures_that_both_models_have_seen(tmp_path):
    data = small_set_of(tmp_path)
    original = evaluated(data, tmp_path, "original")
    drkfs = evaluated(data, tmp_path, "drkfs", scores=(5, 6, 7), names=NAMES[1:], empty=[NAMES[2]])
    items = items_of_set(tmp_path / "set", [ModelPair("net", original, drkfs)])
    assert [item.name for item in items] == ["net/ball-000/001", "net/box-001/000", "net/box-001/001"]
    assert [item.class_name for item in items] == ["ball", "box", "box"]
    assert [item.drkfs for item in items] == [
        tmp_path / "drkfs" / "ball-000-001.ply",
        None,
        tmp_path / "drkfs" / "box-001-001.ply",
    ]
    np.testing.assert_array_equal(items[0].scores, [[1] * 3, [5] * 3])
    assert all(item.picture.is_file() and item.truth.is_file() and item.original.is_file() for item in items)


def test_the_first_view_of_the_truth_is_the_picture_that_the_network_saw(tmp_path):
    small = {"classes": ["airplane", "chair"], "train_per_class": 1, "val_per_class": 1, "test_per_class": 1}
    small |= {"views": 2, "picture_size": 128, "points": 100, "voxels": [16]}
    render_reconstruction_set(tmp_path / "set", SetSettings.model_validate({"reconstruction": small}), 0, 1)
    data = ReconstructionSet.open(tmp_path / "set")
    names = [f"{shape.shape_id}-{view:03d}" for shape in data.shapes("test") for view in range(2)]
    table = evaluated(data, tmp_path, "net", names=names)
    items = items_of_set(tmp_path / "set", [ModelPair("net", table, table)])
    assert len(items) == 4
    for item in items:
        first, other = shape_views(item.drkfs, placement_of(item.truth), (item.pose, item.pose.turned(120)), 128)
        seen = data.pictures(next(one for one in data.shapes() if one.shape_id == item.shape), [int(item.view)])
        covered = seen.images[0, 3] > 10
        agreeing, turned = (iou(view < 245, covered) for view in (first, other))
        assert agreeing > 0.9
        assert turned < 0.8
        assert (shown_picture(item.picture, 128)[seen.images[0, 3] == 0] == 255).all()


def test_a_measure_that_nobody_took_is_named_before_items_are_ranked_by_it(tmp_path):
    data = small_set_of(tmp_path)
    tables = [evaluated(data, tmp_path, name, scores=(None,) * 4) for name in ("original", "drkfs")]
    items = items_of_set(tmp_path / "set", [ModelPair("net", *tables)])
    assert all(math.isnan(value) for value in items[0].scores.ravel())
    with pytest.raises(LiftnetError, match="net: lfd: was not measured"):
        best_items(items, 0.2)


def test_what_does_not_belong_together_is_named(tmp_path):
    data = small_set_of(tmp_path)
    first, second = evaluated(data, tmp_path, "a", names=NAMES[:2]), evaluated(data, tmp_path, "b", names=NAMES[2:])
    with pytest.raises(LiftnetError, match="Evaluate both models on this set"):
        items_of_set(tmp_path / "set", [ModelPair("net", first, second)])
    (tmp_path / "a" / f"{NAMES[0]}.ply").unlink()
    with pytest.raises(LiftnetError, match="has measured it"):
        items_of_set(tmp_path / "set", [ModelPair("net", first, first)])


def test_pairs_of_models_are_read_as_they_are_typed():
    pair = ModelPair.parsed("net=scores/a.parquet,scores/b.parquet")
    assert (pair.network, str(pair.original), str(pair.drkfs)) == ("net", "scores/a.parquet", "scores/b.parquet")
    for text in ("net", "net=a", "=a,b", "net=,b"):
        with pytest.raises(LiftnetError, match="names no network"):
            ModelPair.parsed(text)
