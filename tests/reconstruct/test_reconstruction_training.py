"""Training from a set to a model: it learns, resumes bit for bit, goes on from a model, and says what it cannot."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import shapes_to_learn as toys
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.reconstruction_set import ReconstructionSet, ShapeTarget, target_path, write_target
from liftnet.learn import loop
from liftnet.models.reconstruction import RECONSTRUCTION, load_model
from liftnet.models.voxel_network import LEVELS, VoxelNetwork
from liftnet.reconstruct import train as training
from liftnet.reconstruct.settings import RenderingSettings, TrainSettings
from liftnet.reconstruct.shape_views import ShapeViews, divided
from liftnet.reconstruct.targets import ShapeTargets, read_tensors
from liftnet.reconstruct.weighted_losses import WeightedLosses

QUICK = TrainSettings(iterations=6, batch_size=3, validate_every=3, points=100, validation_shapes=2)
QUICK = changed(QUICK, **{"optimiser.learning_rate": 0.01, "rendering.image_size": 32, "rendering.views": 1})


@pytest.fixture(autouse=True)
def ball(monkeypatch):
    toys.use_ball(monkeypatch)


def with_losses(*names, **changes):
    return QUICK.model_copy(update={"losses": dict.fromkeys(names, 1.0), **changes})


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """Where rendered targets of the small set are kept for all tests."""
    return tmp_path_factory.mktemp("targets")


@pytest.fixture
def run(small_set, kept, tmp_path):
    """Train with settings into a folder; returns it."""

    def train(name, settings=QUICK, seed=0, root=small_set, targets=kept):
        training.train(training.TrainingInputs(root, tmp_path / name, targets, 1, seed, "cpu"), settings)
        return tmp_path / name

    return train


def weights(folder):
    return load_model(folder).network.state_dict()


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_network_learns_with_its_own_loss(run):
    folder = run("model", QUICK.model_copy(update={"iterations": 60, "validate_every": 20, "batch_size": 8}))
    losses = pd.read_csv(folder / "metrics.csv").train_loss
    assert losses.iloc[-1] < 0.8 * losses.iloc[0]


def test_what_the_folder_says_of_the_model(run):
    folder = run("model", with_losses("vertices", "drkfs"))
    config = json.loads((folder / "config.json").read_text())
    assert config["network"] == {"architecture": "shape_generator", "size": "small"}
    assert config["training"]["shapes"] == {"ball": 4, "box": 4}
    assert config["training"]["losses"] == {"vertices": 1.0, "drkfs": 1.0}
    card = (folder / "README.md").read_text()
    assert "Losses: 1 drkfs + 1 vertices." in card
    assert "8 shapes (ball 4, box 4)" in card
    metrics = pd.read_csv(folder / "metrics.csv")
    sums = metrics.vertices + metrics.drkfs
    np.testing.assert_allclose(metrics.train_loss, sums, rtol=1e-5)
    assert {"val_drkfs", "val_drkfs_left_out", "skipped_steps"} <= set(metrics.columns)
    camera = load_model(folder).camera
    assert camera.half_width == pytest.approx(np.tan(np.radians(15)))
    assert camera.distance == pytest.approx(np.hypot(2, 0.7))
    assert 0.6 < camera.fill <= 1


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_stopped_training_resumes_bit_for_bit(run, monkeypatch, stop):
    settings = with_losses("vertices", "drkfs")
    whole = weights(run("whole", settings))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    step = loop.train_step

    def stopping(state, batch):
        if state.state.step == stop:
            raise KeyboardInterrupt
        step(state, batch)

    monkeypatch.setattr(loop, "train_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        run("halves", settings)
    monkeypatch.setattr(loop, "train_step", step)
    assert same(whole, weights(run("halves", settings)))


def test_a_run_stopped_after_its_last_step_writes_the_model(run, monkeypatch):
    whole = weights(run("whole"))
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr(training, "save_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run("stopped")
    monkeypatch.setattr(loop, "train_step", None)  # a step would raise
    assert same(whole, weights(run("stopped")))


def test_another_seed_is_another_network(run):
    assert not same(weights(run("one")), weights(run("other", seed=1)))


def test_training_goes_on_from_a_model(run):
    first = run("first")
    settings = with_losses("drkfs", init_from=str(first), iterations=1, validate_every=1)
    settings = changed(settings, **{"optimiser.learning_rate": 1e-12, "freeze_statistics": True})
    second = run("second", settings)
    for name, value in weights(first).items():
        assert torch.allclose(value.float(), weights(second)[name].float(), atol=1e-9), name
    assert json.loads((second / "config.json").read_text())["training"]["start"]


def test_frozen_statistics_stay_and_others_do_not(run):
    first = run("first")
    for frozen in (True, False):
        settings = QUICK.model_copy(update={"init_from": str(first), "freeze_statistics": frozen})
        after, before = weights(run(f"frozen {frozen}", settings)), weights(first)
        assert torch.equal(after["code.1.running_mean"], before["code.1.running_mean"]) == frozen


def test_another_start_is_another_run(run, caplog):
    first, other = run("first"), run("other", seed=5)
    run("model", QUICK.model_copy(update={"init_from": str(first)}))
    with caplog.at_level("INFO"):
        run("model", QUICK.model_copy(update={"init_from": str(other)}))
    assert "training starts from scratch" in caplog.text


def test_a_model_of_another_network_is_no_start(run, monkeypatch):
    toys.use_ball(monkeypatch, "atlasnet")
    first = run("first", changed(QUICK, **{"network.architecture": "atlasnet"}))
    with pytest.raises(LiftnetError, match="first: is of another network: architecture atlasnet, not shape_generator"):
        run("second", QUICK.model_copy(update={"init_from": str(first)}))


def test_a_network_without_a_loss_of_its_own_has_to_be_given_one(run, monkeypatch):
    monkeypatch.setattr(toys.Ball, "own_losses", {})
    with pytest.raises(LiftnetError, match="shape_generator: has no loss of its own"):
        run("model")


def test_steps_whose_output_is_not_finite_are_left_out(run, monkeypatch):
    forward, calls = toys.Ball.forward, []

    def sometimes(self, views):
        calls.append(self.training)
        spoilt = self.training and sum(calls) == 2
        return forward(self, views) * (float("nan") if spoilt else 1)

    monkeypatch.setattr(toys.Ball, "forward", sometimes)
    folder = run("model", with_losses("drkfs"))
    assert pd.read_csv(folder / "metrics.csv").skipped_steps.tolist() == [1, 1]
    assert all(bool(value.isfinite().all()) for value in weights(folder).values())


class Blocks(VoxelNetwork):
    """Says of all voxels how likely they are in the shapes that it knows, with log-odds that are off by `shift`."""

    image_size = toys.SIDE

    def __init__(self, known, shift):
        super().__init__(32)
        probability = known.float().mean(0).clamp(0.01, 0.99)
        self.grid = torch.nn.Parameter(torch.logit(probability) + shift)

    def forward(self, views):
        return self.grid.expand(len(views.images), -1, -1, -1)

    def occupancy(self, prediction):
        return prediction


@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
def test_a_network_of_volumes_is_cut_where_the_held_out_shapes_say(small_set, tmp_path, shift):
    """Beside a search by hand through the same levels."""
    data = ReconstructionSet.open(small_set)
    learnt, validated = divided(data, TrainSettings(validation_shapes=4))
    known, truth = (
        torch.stack([torch.from_numpy(data.voxels(shape)) for shape in shapes]) for shapes in (learnt, validated)
    )
    network = Blocks(known, shift)
    targets = ShapeTargets(data, tmp_path, RenderingSettings())
    training.choose_level(network, ShapeViews(targets, validated, network, WeightedLosses({"drkfs": 1}), QUICK))
    probability = torch.sigmoid(network.grid.detach().double())

    def iou(level):
        inside = probability >= level
        return float(torch.stack([(inside & solid).sum() / (inside | solid).sum() for solid in truth]).mean())

    assert iou(float(network.level)) == pytest.approx(max(map(iou, LEVELS)), abs=1e-6)


# The set


def test_a_class_without_shapes_is_named(run):
    with pytest.raises(LiftnetError, match=r"no usable shapes of the class 'lamp'.*ball, box"):
        run("model", QUICK.model_copy(update={"classes": ["lamp"]}))


def test_some_classes_are_learnt_alone(small_set):
    learnt, validated = divided(
        ReconstructionSet.open(small_set), TrainSettings(classes=["box"], validation_shapes=10)
    )
    assert {shape.class_name for shape in [*learnt, *validated]} == {"box"}
    assert (len(learnt), len(validated)) == (4, 2)
    assert not {shape.shape_id for shape in learnt} & {shape.shape_id for shape in validated}


def test_a_set_without_validation_shapes_holds_some_out(tmp_path, run, caplog):
    root = toys.write_set(tmp_path / "set", train=2, val=0, views=1)
    learnt, validated = divided(ReconstructionSet.open(root), TrainSettings())
    assert (len(learnt), len(validated)) == (3, 1)
    assert validated[0] not in learnt
    assert "1 of the split train are held out instead" in caplog.text


def test_a_set_of_one_shape_is_learnt_with_a_warning(tmp_path, run, caplog):
    root = toys.write_set(tmp_path / "set", train=1, val=0, kinds=("box",), views=1)
    assert (run("model", root=root) / "README.md").exists()
    assert "there is one shape only" in caplog.text


def test_a_number_that_is_none_in_a_shapes_points_is_named(tmp_path, run):
    root = toys.write_set(tmp_path / "set", train=1, val=1, kinds=("box",), views=1)
    path = target_path(root, "box-000")
    points = np.full((5, 3), np.nan, np.float32)
    write_target(path, ShapeTarget(points, points, {}))
    with pytest.raises(LiftnetError, match=r"box-000.*points that are NaN or infinite"):
        run("model", root=root)


# What is kept of rendered shapes


def rendered(data, folder, workers=1, **settings):
    targets = ShapeTargets(data, folder, RenderingSettings(image_size=32, **settings))
    targets.prepare(data.all_shapes[:3], frozenset({"targets", "coverage"}), workers)
    return targets


@pytest.fixture(scope="module")
def data(small_set):
    return ReconstructionSet.open(small_set)


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def prepared(data, tmp_path_factory):
    return rendered(data, tmp_path_factory.mktemp("rendered"))


def test_targets_do_not_depend_on_the_number_of_workers(data, prepared, tmp_path):
    rendered(data, tmp_path, workers=3)
    assert files_of(tmp_path) == files_of(prepared.folder)
    assert len(files_of(tmp_path)) == 6


def test_targets_that_were_stopped_go_on(data, prepared, tmp_path, monkeypatch):
    drawn = []
    draw = ShapeTargets._draw_target

    def stopping(self, meshes):
        drawn.append(meshes)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return draw(self, meshes)

    monkeypatch.setattr(ShapeTargets, "_draw_target", stopping)
    with pytest.raises(KeyboardInterrupt):
        rendered(data, tmp_path)
    rendered(data, tmp_path)
    assert files_of(tmp_path) == files_of(prepared.folder)
    assert len(drawn) == 4  # one that was whole, one that was not, and the two that were missing


def test_what_another_training_has_drawn_meanwhile_is_not_drawn_again(data, prepared, tmp_path, monkeypatch):
    drawn, draw = [], ShapeTargets._draw_target

    def beside_another(self, meshes):
        drawn.append(meshes)
        shutil.copytree(prepared.folder, tmp_path, dirs_exist_ok=True)
        return draw(self, meshes)

    monkeypatch.setattr(ShapeTargets, "_draw_target", beside_another)
    rendered(data, tmp_path)
    assert files_of(tmp_path) == files_of(prepared.folder)
    assert len(drawn) == 1


def test_a_mesh_that_has_changed_is_drawn_anew(small_set, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(small_set, root)
    changing = ReconstructionSet.open(root)
    targets = rendered(changing, tmp_path / "kept")
    before = files_of(tmp_path / "kept")
    first, second = changing.all_shapes[:2]
    shutil.copy(changing.mesh_file(second), changing.mesh_file(first))
    rendered(changing, tmp_path / "kept")
    after = files_of(tmp_path / "kept")
    assert {path.stem for path in before if before[path] != after[path]} == {first.shape_id}
    assert torch.equal(targets.target(first).features, targets.target(second).features)


def test_a_damaged_file_is_made_anew(data, prepared, tmp_path, caplog):
    shutil.copytree(prepared.folder, tmp_path / "kept")
    path = next((tmp_path / "kept").rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:50])
    rendered(data, tmp_path / "kept")
    assert files_of(tmp_path / "kept") == files_of(prepared.folder)
    assert "is damaged" in caplog.text


def test_other_settings_have_files_of_their_own(prepared):
    shape = prepared.data.all_shapes[0]
    finer = ShapeTargets(prepared.data, prepared.folder, RenderingSettings(image_size=32, sigma=1e-4))
    with pytest.raises(LiftnetError, match="does not exist"):
        finer.target(shape)
    assert finer.views(shape, [0])["coverage"].shape == (1, 32, 32)  # which do not depend on it


def test_a_target_with_a_number_that_is_none_is_named(prepared, tmp_path):
    from safetensors.torch import save_file

    shutil.copytree(prepared.folder, tmp_path / "kept")
    moved = ShapeTargets(prepared.data, tmp_path / "kept", prepared.settings)
    shape = prepared.data.all_shapes[0]
    path = next(path for path in (tmp_path / "kept").rglob(f"{shape.shape_id}*") if "targets" in str(path.parent.name))
    tensors = read_tensors(path)
    tensors["weights"][0, 3] = float("nan")
    save_file(tensors, path)
    with pytest.raises(LiftnetError, match=r"holds numbers that are NaN or infinite\. Delete it"):
        moved.target(shape)


def test_views_are_sharp_and_those_of_the_hemisphere(prepared):
    """Beside the hard rasteriser: the covered area, counted at the finer size."""
    from liftnet.mesh.batch import Meshes
    from liftnet.mesh.reading import load_mesh
    from liftnet.rasteriser import hemisphere, render_silhouettes

    shape = prepared.data.all_shapes[0]
    views = prepared.views(shape, [4, 20])
    meshes = Meshes.of(load_mesh(prepared.data.mesh_file(shape)))
    cameras = hemisphere()
    hard = render_silhouettes(meshes.vertices[0], meshes.faces[0], cameras[torch.tensor([4, 20])], 128)
    expected = torch.as_tensor(hard).float().reshape(2, 32, 4, 32, 4).mean((2, 4))
    assert (views["coverage"] - expected).abs().max() < 0.3
    assert (views["coverage"] - expected).abs().mean() < 0.01
    inside = views["coverage"] == 1
    assert views["shaded"][inside].min() >= 0.5  # half Lambert
    assert (views["shaded"] <= views["coverage"] + 0.01).all()


def test_the_model_is_of_a_kind_of_its_own(run):
    from liftnet.models.segmenter import SEGMENTER

    assert RECONSTRUCTION.name == "reconstruction network"
    folder = run("model")
    from liftnet.models import folder as folders

    with pytest.raises(LiftnetError, match="does not describe a segmenter"):
        folders.load_model(folder, SEGMENTER)
