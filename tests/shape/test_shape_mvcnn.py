"""MVCNN: views around a shape, a network whatever the order of views, training that can be killed, files."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import trimesh

from liftnet.core.errors import LiftnetError
from liftnet.learn import loop
from liftnet.learn.checkpoint import read_checkpoint
from liftnet.learn.task import Part
from liftnet.mesh.mesh import TriangleMesh
from liftnet.models.mvcnn import ViewNetwork
from liftnet.shape import mvcnn_training as module
from liftnet.shape.collection import labelled_meshes
from liftnet.shape.mvcnn import (
    classify,
    describe,
    distance,
    load_mvcnn,
    ring_of_cameras,
    shaded_views,
    untrained_mvcnn,
)
from liftnet.shape.mvcnn_training import train_mvcnn
from liftnet.shape.settings import MvcnnSettings

TINY = MvcnnSettings(init_from=[], views=3, step_views=2, image_size=32, single_epochs=2, multi_epochs=2, batch_size=3)
WEDGE = TriangleMesh(
    np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, 0.6]], float),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Boxes and balls of several proportions, as `render shapes` lays them out."""
    out, rows = tmp_path_factory.mktemp("shapes"), []
    for number, split in enumerate(("train", "train", "train", "val", "test")):
        for label, mesh in (("box", trimesh.creation.box()), ("ball", trimesh.creation.icosphere(2))):
            (out / label).mkdir(exist_ok=True)
            mesh.apply_scale([1, 1 + 0.1 * number, 1]).export(out / label / f"{label}-{number}.ply")
            rows.append((label, f"{label}-{number}", split, len(mesh.faces)))
    pd.DataFrame(rows, columns=["class", "name", "split", "faces"]).to_csv(out / "shapes.csv", index=False)
    return out


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    model = tmp_path_factory.mktemp("model")
    train_mvcnn(folder, model, TINY, seed=1)
    return model


def turned(mesh, degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return TriangleMesh(mesh.vertices @ turn.T, mesh.faces)


def test_cameras_stand_around_the_shape_at_their_elevation():
    cameras = ring_of_cameras(12, 30)
    eyes = -torch.einsum("nji,nj->ni", cameras.rotation, cameras.translation)
    radius = eyes.norm(dim=1)
    assert torch.allclose(radius, radius[:1].expand(12))
    assert torch.allclose(torch.rad2deg(torch.asin(eyes[:, 1] / radius)), torch.full((12,), 30.0), atol=1e-3)
    assert eyes[0, 2] > 0
    assert abs(float(eyes[0, 0])) < 1e-5
    steps = torch.rad2deg(torch.atan2(eyes[:, 0], eyes[:, 2])).diff() % 360
    assert torch.allclose(steps, torch.full((11,), 30.0), atol=1e-2)


def test_place_and_size_change_no_view_and_a_turn_moves_the_ring():
    settings = MvcnnSettings(image_size=48)
    ball = trimesh.creation.icosphere(1)  # its bounding box turns with it by quarter turns alone
    mesh = TriangleMesh(ball.vertices * [1, 1.5, 0.5], np.asarray(ball.faces))
    views = shaded_views(mesh, settings).astype(int)
    assert views.shape == (12, 48, 48)
    assert (views > 0).mean() > 0.1
    assert views[:, 0].max() == views[:, :, 0].max() == 0  # the unit sphere fits into the image
    moved = shaded_views(TriangleMesh(mesh.vertices * 40 + [7, 8, 9], mesh.faces), settings).astype(int)
    assert np.abs(moved - views).mean() < 0.1
    quarter = shaded_views(turned(mesh, 90), settings).astype(int) > 0
    assert (quarter != (np.roll(views, 3, axis=0) > 0)).mean() < 0.01


def test_the_descriptor_does_not_know_the_order_of_the_views():
    model = untrained_mvcnn(TINY, ("a", "b"))
    views = shaded_views(WEDGE, TINY)
    first, probabilities = model.describe_views(views)
    again, _ = model.describe_views(views[[2, 0, 1]])
    assert first == pytest.approx(again, abs=1e-5)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert distance(first, first) == 0
    with pytest.raises(ValueError, match="same shape"):
        distance(first, first[:5])


def test_vgg_has_the_published_sizes():
    with torch.device("meta"):  # 129 million weights that nobody needs here
        network = ViewNetwork("vgg11", 40)
        assert network(torch.zeros(2, 12, 224, 224)).shape == (2, 40)
        assert network.describe(torch.zeros(1, 12, 224, 224)).shape == (1, 4096)
    names = set(network._body("file").state_dict())
    assert {"features.0.weight", "features.18.bias", "classifier.0.weight", "classifier.3.bias"} <= names
    assert sum(parameter.numel() for parameter in network.parameters()) == 132_863_336 - 960 * 4097
    with pytest.raises(ValueError, match="backbone"):
        ViewNetwork("lenet", 2)


def test_training_writes_a_model_that_tells_its_classes_apart(folder, trained):
    assert {path.name for path in trained.iterdir()} == {
        "model.safetensors",
        "config.json",
        "metrics.csv",
        "README.md",
        "checkpoint.pt",
        "single-checkpoint.pt",
    }
    metrics = pd.read_csv(trained / "metrics.csv")
    assert metrics["stage"].tolist() == ["single", "single", "multi", "multi"]
    assert metrics["epoch"].tolist() == [0, 1, 2, 3]
    assert metrics["loss"].iloc[1:].min() < metrics["loss"].iloc[0]  # six shapes, random weights: not in every epoch
    config = json.loads((trained / "config.json").read_text())
    assert config["network"]["classes"] == ["ball", "box"]
    model = load_mvcnn(trained)
    assert "ball, box" in (trained / "README.md").read_text()
    assert set(classify(WEDGE, model)) == {"ball", "box"}
    again = load_mvcnn(trained / "model.safetensors")
    assert np.array_equal(describe(WEDGE, model), describe(WEDGE, again))


@pytest.mark.parametrize("stage", ["single", "multi"])
def test_a_training_that_was_killed_resumes_as_if_it_had_not_been(folder, trained, tmp_path, monkeypatch, stage):
    save = loop.save

    def killed(training):
        save(training)
        if training.task.stage == stage:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train_mvcnn(folder, tmp_path, TINY, seed=1)
    assert not (tmp_path / "model.safetensors").exists()
    monkeypatch.setattr(loop, "save", save)
    train_mvcnn(folder, tmp_path, TINY, seed=1)
    for name in ("model.safetensors", "metrics.csv", "README.md"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes(), name


def test_other_settings_do_not_go_on_from_an_old_checkpoint(folder, trained):
    known = [shape for shape in labelled_meshes(folder) if shape.split != "test"]
    views = module.ViewSet(np.zeros((3, 3, 32, 32), np.uint8), torch.zeros(3, dtype=torch.int64))
    other = TINY.model_copy(update={"learning_rate": 1e-2})
    for settings, same in ((TINY, True), (other, False)):
        task = module.MvcnnTask(ViewNetwork("efficientnet_lite0", 2), views, views, settings, 1, "multi")
        held = read_checkpoint(trained / "checkpoint.pt")
        assert (held.identity == module.run_of(task, trained, known).identity) is same


def test_an_epoch_shows_each_shape_once_and_the_next_in_another_order():
    """Views are told apart by their value; a shape that is left alone in its step is left out."""
    views = np.arange(5 * 3, dtype=np.uint8).reshape(5, 3, 1, 1) * np.ones((32, 32), np.uint8)
    shapes = module.ViewSet(views, torch.arange(5))
    settings = TINY.model_copy(update={"batch_size": 2})
    orders = []
    for stage, size in (("multi", (2, 2, 32, 32)), ("single", (4, 1, 32, 32))):
        task = module.MvcnnTask(ViewNetwork("efficientnet_lite0", 5), shapes, shapes, settings, 1, stage)
        assert task.steps == 2
        for epoch in range(2):
            batches = [task.batch(2 * epoch + step, Part()) for step in range(2)]
            assert all(shown.shape == size for shown, _ in batches)
            for shown, labels in batches:
                of_shape = shown.flatten(1)[:, 0] // 3  # a view of shape n has a value from 3 n to 3 n + 2
                assert torch.equal(of_shape.long(), labels)
            seen = torch.cat([labels for _, labels in batches]).tolist()
            assert len(set(seen)) == 4
            orders.append(tuple(dict.fromkeys(seen)))
    assert len(set(orders)) > 1
    again = task.batch(2, Part())
    assert all(torch.equal(*pair) for pair in zip(again, batches[0], strict=True))


def test_what_cannot_be_trained_or_loaded_is_refused(folder, trained, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes()[:5000])
    (tmp_path / "config.json").write_bytes((trained / "config.json").read_bytes())
    with pytest.raises(LiftnetError, match="is damaged"):
        load_mvcnn(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(LiftnetError, match=r"model.safetensors: does not exist.*drkfs train mvcnn"):
        load_mvcnn(tmp_path)
    with pytest.raises(LiftnetError, match=r"config.json"):
        load_mvcnn(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LiftnetError, match="does not describe a mvcnn"):
        load_mvcnn(tmp_path / "model.safetensors")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "box").symlink_to(folder / "box", target_is_directory=True)
    lone = tmp_path / "lone" / "box"
    lone.mkdir(parents=True)
    (lone / "a.ply").write_bytes((folder / "box" / "box-0.ply").read_bytes())
    with pytest.raises(LiftnetError, match="classes to train on"):
        train_mvcnn(tmp_path / "lone", tmp_path / "out", TINY)


def test_a_mesh_that_cannot_be_read_is_left_out(folder, tmp_path, caplog):
    broken = tmp_path / "box"
    broken.mkdir()
    (broken / "a.ply").write_text("no mesh")
    shape = labelled_meshes(tmp_path)[0]
    views = module.render_all([shape], ("box",), TINY, shape.split)
    assert len(views) == 0
    assert "left out" in caplog.text


def test_it_is_a_metric_where_a_trained_network_is_named(trained):
    from liftnet.shape.metrics import METRICS, Pair, compare
    from liftnet.shape.settings import ComparisonSettings

    other = TriangleMesh(WEDGE.vertices * [1, 2, 1], WEDGE.faces)
    found = compare(WEDGE, other, ["mvcnn"], ComparisonSettings(mvcnn=str(trained)))
    assert 0 < found.values["mvcnn"] <= 2
    assert METRICS["mvcnn"].compute(Pair(WEDGE, WEDGE, ComparisonSettings(mvcnn=str(trained)))) == 0
    without = compare(WEDGE, other, ["mvcnn"])
    assert np.isnan(without.values["mvcnn"])
    assert "drkfs train mvcnn" in without.reasons["mvcnn"]
