"""Comparing two meshes by name: shared samples, seeds, metrics that fail."""

import math
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from liftnet import shape
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import UserPath
from liftnet.mesh.mesh import TriangleMesh, sample_surface
from liftnet.shape import metrics
from liftnet.shape.described import Described
from liftnet.shape.metrics import METRICS, Pair, ShapeMetric, compare
from liftnet.shape.settings import STANDARD_METRICS, ComparisonSettings

DIRECT = [name for name in METRICS if name not in ("lfd", "shape_google", "mvcnn")]  # those without a descriptor
FEW = ComparisonSettings(points=2000, emd_points=200, voxels=16)


def mesh_of(shape: trimesh.Trimesh) -> TriangleMesh:
    return TriangleMesh(np.asarray(shape.vertices, np.float64), np.asarray(shape.faces, np.int64))


def ball(radius: float = 0.5) -> TriangleMesh:
    return mesh_of(trimesh.creation.icosphere(3, radius=radius))


def test_every_classic_metric_by_itself_and_together():
    target, mesh = ball(), mesh_of(trimesh.creation.box(extents=(0.8, 0.8, 0.8)))
    settings = FEW.model_copy(update={"align": "none"})
    together = compare(mesh, target, DIRECT, settings)
    assert set(DIRECT) >= {
        "chamfer_l1", "chamfer_l2", "accuracy", "completeness", "hausdorff", "f_score", "normal_consistency", "emd",
        "iou", "iou_points",
    }  # fmt: skip
    assert set(together.values) == set(DIRECT)
    assert together.reasons == {}
    alone = {name: METRICS[name].compute(Pair(mesh, target, settings)) for name in DIRECT}
    assert together.values == pytest.approx(alone)
    assert together.values["chamfer_l1"] == pytest.approx(
        (together.values["accuracy"] + together.values["completeness"]) / 2
    )
    assert compare(mesh, target, DIRECT, settings).values == together.values
    other = compare(mesh, target, DIRECT, settings, seed=1).values
    assert other["chamfer_l1"] != together.values["chamfer_l1"]
    assert other["chamfer_l1"] == pytest.approx(together.values["chamfer_l1"], rel=0.1)


def test_a_ball_in_a_ball_has_the_distances_of_their_radii():
    settings = ComparisonSettings(align="none", points=20_000, emd_points=500, voxels=40, f_threshold=0.11)
    values = compare(ball(0.4), ball(0.5), DIRECT, settings).values
    assert values["chamfer_l1"] == pytest.approx(0.1, abs=0.002)
    assert values["chamfer_l2"] == pytest.approx(0.02, abs=0.001)
    assert values["iou"] == pytest.approx(0.8**3, abs=0.02)
    assert values["iou_points"] == pytest.approx(0.8**3, abs=0.02)
    assert values["normal_consistency"] == pytest.approx(1, abs=0.01)
    assert values["f_score"] == pytest.approx(1, abs=0.01)
    assert 0.1 <= values["emd"] < 0.2


def test_a_better_shape_scores_better_by_every_metric():
    target = ball()
    near, far = ball(0.495), mesh_of(trimesh.creation.icosphere(3, radius=0.5).apply_scale((1, 0.5, 1)))
    better, worse = (compare(mesh, target, DIRECT, FEW).values for mesh in (near, far))
    for name in DIRECT:
        assert (better[name] > worse[name]) == METRICS[name].higher_is_better, name
        assert METRICS[name].as_distance(better[name]) < METRICS[name].as_distance(worse[name])


def test_equal_meshes_are_as_far_apart_as_neighbouring_points():
    values = compare(ball(), ball(), DIRECT, FEW).values
    assert values["iou"] == values["iou_points"] == 1
    # of N points on an area A the mean distance to the nearest is 1 / (2 sqrt(N / A))
    assert values["chamfer_l1"] == pytest.approx(0.5 / math.sqrt(2000 / math.pi), rel=0.05)


def test_nothing_is_cut_off_where_a_shape_is_much_larger():
    values = compare(ball(2.0), ball(0.5), ("iou", "iou_points"), ComparisonSettings(points=100_000, voxels=64)).values
    assert values["iou"] == pytest.approx(1 / 64, rel=0.2)
    assert values["iou_points"] == pytest.approx(1 / 64, rel=0.2)


def test_a_metric_that_fails_is_nan_with_a_reason_and_the_rest_goes_on(monkeypatch):
    def failing(pair):
        raise LiftnetError("weights", "the file is gone", "Train them")

    for name, compute in {
        "broken": failing, "undefined": lambda pair: math.nan, "faces": lambda pair: len(pair.mesh.faces)
    }.items():  # fmt: skip
        monkeypatch.setitem(metrics.METRICS, name, ShapeMetric(name, name, compute, 1.0))
    result = compare(ball(), ball(), ("broken", "chamfer_l1", "undefined", "faces"), FEW)
    assert math.isnan(result.values["broken"])
    assert math.isnan(result.values["undefined"])
    assert set(result.reasons) == {"broken", "undefined"}
    assert "the file is gone" in result.reasons["broken"]
    assert result.values["faces"] == 1280
    assert result.values["chamfer_l1"] > 0


def test_a_sheet_without_inside_has_no_intersection():
    sheet = TriangleMesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 0.7, 0.1]]), np.array([[0, 1, 2]]))
    result = compare(sheet, sheet, ("iou", "chamfer_l1", "iou_points"), FEW)
    assert math.isnan(result.values["iou"])
    assert "not defined" in result.reasons["iou"]
    assert result.values["chamfer_l1"] > 0


def test_every_metric_says_what_it_is_called_and_which_way_is_better():
    assert {name for name, metric in METRICS.items() if metric.higher_is_better} >= {
        "f_score", "normal_consistency", "iou", "iou_points"
    }  # fmt: skip
    assert not any(METRICS[name].higher_is_better for name in ("chamfer_l1", "hausdorff", "emd", "lfd", "mvcnn"))
    assert all(metric.name == name and metric.title for name, metric in METRICS.items())
    assert METRICS["iou"].distance_title == "1 - IoU"
    assert METRICS["iou"].as_distance(0.75) == 0.25
    assert METRICS["lfd"].as_distance(300.0) == 300.0
    assert set(STANDARD_METRICS) < set(METRICS)


def test_every_setting_that_names_a_file_is_of_a_metric():
    files = {name for name, field in ComparisonSettings.model_fields.items() if field.annotation == UserPath | None}
    assert files == {name for metric in METRICS.values() for name in metric.weights}


def test_unknown_names_are_refused():
    with pytest.raises(LiftnetError, match=r"there is no psnr\. Use chamfer_l1"):
        compare(ball(), ball(), ("psnr",), FEW)


def test_public_names_are_loaded_when_used_and_torch_only_for_what_needs_it():
    code = (
        "import sys, liftnet.shape as shape\n"
        "assert 'numpy' not in sys.modules\n"
        "shape.compare, shape.align\n"
        "assert 'torch' not in sys.modules\n"
        "assert all(getattr(shape, name) is not None for name in shape.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="mesh_of"):
        shape.mesh_of  # noqa: B018


def test_a_mesh_without_a_surface_is_worse_than_any_other_by_every_metric():
    for metric in METRICS.values():
        assert metric.as_distance(metric.penalty) >= 1, metric.name
    assert METRICS["chamfer_l1"].penalty == pytest.approx(3**0.5)  # those of Occupancy Networks
    assert METRICS["chamfer_l2"].penalty == pytest.approx(6)
    assert (METRICS["iou"].penalty, METRICS["normal_consistency"].penalty, METRICS["f_score"].penalty) == (0, -1, 0)


def test_the_second_f_score_doubles_the_distance():
    settings = ComparisonSettings(align="none", points=20_000, f_threshold=0.03)
    values = compare(ball(0.45), ball(0.5), ("f_score", "f_score_2"), settings).values
    assert values["f_score"] == 0  # all points are .05 away
    assert values["f_score_2"] == pytest.approx(1, abs=0.01)


def test_what_is_known_of_a_target_is_not_made_again(monkeypatch):
    names, settings = ("lfd", "shape_google", "chamfer_l1"), ComparisonSettings(align="none", points=2000)
    shape, target = mesh_of(trimesh.creation.box(extents=(0.8, 0.5, 0.3))), ball()
    once = compare(shape, target, names, settings)
    arrays = Described(target, settings).arrays(("lfd", "shape_google"))
    known = Described(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)), settings, known=arrays)
    again = compare(shape, known, names[:2], settings)
    assert again.values == {name: once.values[name] for name in names[:2]}


def test_points_that_are_given_stand_for_the_surface():
    """A ball in a ball: only the outer one is seen."""
    both = mesh_of(trimesh.util.concatenate([trimesh.creation.icosphere(3, radius=r) for r in (0.5, 0.25)]))
    outer = sample_surface(ball(), 4000, 1)
    settings = ComparisonSettings(align="target", size="sphere", points=4000, emd_points=100)
    names = ("completeness", "emd", "normal_consistency", "shape_google")
    drawn = compare(ball(), both, names, settings).values
    given = compare(ball(), Described(both, settings, surface=(outer.points, outer.normals)), names, settings).values
    apart = 0.5 / math.sqrt(4000 / math.pi)  # neighbouring points
    assert drawn["completeness"] == pytest.approx(
        0.25 / 5 + apart * 4 / 5, rel=0.05
    )  # a fifth of the area lies inside
    assert given["completeness"] == pytest.approx(apart, rel=0.05)
    assert given["emd"] < drawn["emd"]
    assert given["shape_google"] < drawn["shape_google"]
    far = TriangleMesh(both.vertices * 3 + 1, both.faces)
    moved = Described(far, settings, surface=(outer.points * 3 + 1, outer.normals))
    placed = compare(TriangleMesh(ball().vertices * 3 + 1, ball().faces), moved, names, settings).values
    assert placed == pytest.approx(given, rel=1e-6)
