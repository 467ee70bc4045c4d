"""The rows of an evaluation: a perfect reconstruction, none at all, and a run that was stopped."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from trivial_set import SHAPES, mesh_of, write_set

from liftnet.core.errors import LiftnetError
from liftnet.data.reconstruction_set import ReconstructionSet
from liftnet.data.schemas import RECONSTRUCTION_SCORES, read_table
from liftnet.drkfs import DRKFS
from liftnet.drkfs.settings import MetricSettings
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import TriangleMesh, normalise
from liftnet.mesh.reading import load_mesh
from liftnet.models.reconstruction import ReconstructionNetwork
from liftnet.reconstruct import evaluate as evaluation
from liftnet.reconstruct.cases import Case, Reconstruction
from liftnet.reconstruct.evaluate import EvaluationRequest, NetworkSource, describe, evaluate
from liftnet.reconstruct.settings import EvaluateSettings, PlaceSettings
from liftnet.shape.metrics import METRICS

SMALL = EvaluateSettings(
    metrics=[
        "chamfer_l2",
        "emd",
        "iou",
        "iou_flood",
        "f_score_2",
        "normal_consistency",
        "lfd",
        "shape_google",
        "drkfs",
    ],
    comparison=PlaceSettings(points=2000, emd_points=200),
    metric=MetricSettings(image_size=64, views=2),
)
FAST = SMALL.model_copy(update={"metrics": ["chamfer_l2", "iou"]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluation")
    write_set(root, views=2)
    return root


def truth(cases):
    by_name = {given.name: given for given in SHAPES}
    return [Reconstruction(mesh_of(by_name[case.shape.shape_id])) for case in cases]


def rows_of(folder, out, source, settings=FAST, **more):
    request = EvaluationRequest(folder, out / "rows.parquet", name="toy", **more)
    return evaluate(request, settings, source=source)


def test_the_truth_gets_the_best_that_there_is(folder, tmp_path):
    rows = rows_of(folder, tmp_path, truth, SMALL).set_index("class")
    assert rows["status"].tolist() == ["ok", "ok"]
    assert rows["work_id"].tolist() == ["ball-t", "box-t"]
    assert rows["iou"].tolist() == rows["iou_flood"].tolist() == [1, 1]
    assert rows["lfd"].tolist() == [0, 0]
    assert rows["drkfs"].to_numpy() == pytest.approx(0, abs=1e-6)
    for name in rows.index:  # of N points on an area A the mean squared distance to the nearest is A / (pi N)
        mesh = normalise(mesh_of(next(given for given in SHAPES if given.name == f"{name}-t")))
        area = 0.5 * np.linalg.norm(np.cross(*np.diff(mesh.corners, axis=1).transpose(1, 0, 2)), axis=1).sum()
        assert rows.loc[name, "chamfer_l2"] == pytest.approx(2 * area / (math.pi * 2000), rel=0.1)
        found = 1 - math.exp(-2000 * math.pi * 0.02**2 / area)  # no point of 2,000 within .02
        assert rows.loc[name, "f_score_2"] == pytest.approx(found, rel=0.1)
    assert (rows["normal_consistency"] > 0.9).all()
    assert (rows["shape_google"] < 0.2).all()


def test_a_worse_reconstruction_is_worse_by_every_metric(folder, tmp_path):
    def shrunk(cases):
        made = truth(cases)
        return [Reconstruction(TriangleMesh(one.mesh.vertices * (0.6, 1, 1), one.mesh.faces)) for one in made]

    names = ["chamfer_l2", "emd", "iou", "iou_flood", "f_score_2", "drkfs"]
    settings = SMALL.model_copy(update={"metrics": names})
    better, worse = (rows_of(folder, tmp_path / n, s, settings) for n, s in (("a", truth), ("b", shrunk)))
    for name in names:
        sign = -1 if name != "drkfs" and METRICS[name].higher_is_better else 1
        assert (sign * (worse[name] - better[name]) > 1e-3).all(), name


def test_what_is_no_mesh_gets_penalties_and_is_counted(folder, tmp_path):
    flat = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0, 0]], float)

    def broken(cases):
        nothing = Reconstruction.of_arrays(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
        line = Reconstruction.of_arrays(flat, np.array([[0, 1, 2]]))
        return [nothing, line][: len(cases)]

    settings = SMALL.model_copy(update={"metrics": [name for name in SMALL.metrics if name != "lfd"]})
    rows = rows_of(folder, tmp_path, broken, settings)
    assert rows["status"].tolist() == ["empty", "penalised"]
    assert rows["reason"][0] == "the network gave no surface"
    assert "area" in rows["reason"][1]
    first = rows.iloc[0]
    assert (first["iou"], first["f_score_2"], first["normal_consistency"]) == (0, 0, -1)
    assert (first["chamfer_l2"], first["emd"]) == pytest.approx((6, 3**0.5))
    assert first["shape_google"] == 2
    assert rows[list(settings.metrics)].notna().all().all()
    assert not (tmp_path / "rows" / "ball-t-000.ply").exists()


def test_showing_nothing_costs_more_than_an_empty_picture(folder, tmp_path):
    """The penalty of DR-KFS is the largest that the target's patches can cost; blank views find some alike."""
    settings = SMALL.model_copy(update={"metrics": ["drkfs"]})
    rows = rows_of(folder, tmp_path, lambda cases: [Reconstruction(None, "none")] * len(cases), settings)
    metric = DRKFS(settings.metric)
    data = ReconstructionSet.open(folder)
    for row in rows.itertuples():
        shape = next(shape for shape in data.all_shapes if shape.shape_id == row.work_id)
        target = metric.prepare(Meshes.of(load_mesh(data.mesh_file(shape))))
        assert row.drkfs == pytest.approx(float(target.weights.sum()) * 4 / 128, rel=1e-3)
        assert row.drkfs > float(metric.compare_images(torch.zeros_like(target.views), target))


@pytest.mark.parametrize(
    ("vertices", "faces", "reason"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), np.int64), "the network gave no surface"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "the network gave vertices that are not finite"),
    ],
)
def test_a_reconstruction_needs_a_surface(vertices, faces, reason):
    made = Reconstruction.of_arrays(vertices, faces)
    assert (made.mesh, made.reason) == (None, reason)


def test_vertices_that_no_face_uses_may_be_anything():
    vertices = np.concatenate([np.eye(3), np.full((1, 3), np.nan)])
    assert Reconstruction.of_arrays(vertices, np.array([[0, 1, 2]])).mesh is not None


def test_a_stopped_run_goes_on_where_it_was(folder, tmp_path):
    asked = []

    def until(count):
        def source(cases):
            asked.extend(case.name for case in cases)
            if len(asked) > count:
                raise KeyboardInterrupt
            return truth(cases)

        return source

    settings = FAST.model_copy(update={"views": 2, "batch_size": 1})
    with pytest.raises(KeyboardInterrupt):
        rows_of(folder, tmp_path, until(2), settings)
    assert not (tmp_path / "rows.parquet").exists()
    journal = tmp_path / "rows.parquet.journal.jsonl"
    journal.write_text(journal.read_text() + '\n{"image_id": "box-t-000", "row": {"io')  # cut off by a kill
    asked.clear()
    rows = rows_of(folder, tmp_path, until(9), settings)
    assert asked == ["box-t-000", "box-t-001"]
    assert rows["image_id"].tolist() == ["ball-t-000", "ball-t-001", "box-t-000", "box-t-001"]
    stored = read_table(tmp_path / "rows.parquet", RECONSTRUCTION_SCORES).to_pandas()
    assert stored["iou"].tolist() == rows["iou"].tolist()
    assert {path.name for path in (tmp_path / "rows").iterdir()} == {f"{name}.ply" for name in rows["image_id"]}
    asked.clear()
    rows_of(folder, tmp_path, until(9), settings)
    assert asked == []
    rows_of(folder, tmp_path, until(9), settings.model_copy(update={"metrics": ["iou"]}))
    assert len(asked) == 4  # other settings, other rows


def test_the_same_seed_gives_the_same_rows_on_any_number_of_threads(folder, tmp_path):
    settings = SMALL.model_copy(update={"metrics": ["chamfer_l2", "drkfs"], "views": 2})
    columns = ["image_id", *settings.metrics]
    one, two = (rows_of(folder, tmp_path / str(n), truth, settings, threads=n)[columns] for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_true_shapes_are_described_once(folder, tmp_path, monkeypatch):
    settings = SMALL.model_copy(update={"metrics": ["lfd", "drkfs"]})
    describe(folder, settings, "test", threads=1)
    monkeypatch.setattr(DRKFS, "prepare", lambda *_: pytest.fail("a target is prepared again"))
    again = rows_of(folder, tmp_path, truth, settings)
    assert again["drkfs"].to_numpy() == pytest.approx(0, abs=1e-6)
    other = settings.model_copy(update={"metric": MetricSettings(image_size=96, views=2)})
    with pytest.raises(pytest.fail.Exception):
        rows_of(folder, tmp_path / "other", truth, other)  # other settings, other targets


class Turned(ReconstructionNetwork):
    """Knows a tetrahedron, and says it in the frame of the camera."""

    image_size, frame = 32, "view"
    vertices = torch.tensor([[0.4, 0, 0], [0, 0.3, 0], [0, 0, 0.2], [0, 0, 0]])

    def forward(self, views):
        return self.vertices @ views.rotation.transpose(1, 2)

    def surfaces(self, prediction):
        return [(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])) for vertices in prediction]


def test_a_networks_shape_is_turned_back_from_its_camera(folder):
    data = ReconstructionSet.open(folder)
    shape = data.shapes("test", ["box"])[0]
    made = NetworkSource(Turned().eval(), data, torch.device("cpu"))([Case(shape, 0), Case(shape, 1)])
    for one in made:
        assert one.mesh.vertices == pytest.approx(Turned.vertices.numpy(), abs=1e-6)


def test_metrics_that_are_not_known_are_named(folder, tmp_path):
    with pytest.raises(LiftnetError, match="there is no beauty"):
        rows_of(folder, tmp_path, truth, FAST.model_copy(update={"metrics": ["beauty"]}))


def test_without_a_network_for_mvcnn_it_is_left_out(folder, tmp_path, caplog):
    rows = rows_of(folder, tmp_path, truth, FAST.model_copy(update={"metrics": ["iou", "mvcnn"]}))
    assert "mvcnn" not in rows
    assert "mvcnn is left out" in caplog.text
    assert rows["status"].tolist() == ["ok", "ok"]


def test_long_work_says_how_long_it_takes_before_it_begins(folder, tmp_path, caplog):
    caplog.set_level("INFO")
    rows_of(folder, tmp_path, truth)
    assert "2 of 2 reconstructions to measure" in caplog.text
    assert evaluation.SECONDS.keys() <= {*METRICS, "drkfs"}
