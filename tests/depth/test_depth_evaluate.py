import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.depth import evaluate as module
from liftnet.depth.crops import CropStore, true_crop
from liftnet.depth.evaluate import EvaluationInputs, Example, choose_examples, evaluate
from liftnet.depth.score import depth_errors
from liftnet.depth.settings import EvaluateSettings, TrainSettings
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

OPTIONS = InputSettings(image_size=32, background="keep")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    settings = TrainSettings(input={"image_size": 32}, network={"levels": 3, "width": 4}).model_dump()
    save_model(
        folder, DepthModel(initial_network(NetworkSettings(levels=3, width=4), 0), OPTIONS, 1, {"settings": settings})
    )
    return folder


def run(root, model_folder, out, museum=True, dataset=None, **settings):
    inputs = EvaluationInputs(
        root, dataset or root / "dataset", model_folder, out, root / "museum" if museum else None, 1
    )
    evaluate(inputs, EvaluateSettings(**settings), seed=0)


@pytest.fixture(scope="module")
def evaluated(run_folder, model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(run_folder, root)
    run(root, model_folder, root / "tables", n_examples=2)
    return root


def test_both_tables_have_liftnet_beside_the_priors(evaluated):
    pairs, demo = (pd.read_csv(evaluated / "tables" / f"depth_{name}.csv") for name in ("pairs", "demo"))
    assert demo.columns.tolist() == ["method", "n", "l1", "rmse", "rel_l1", "rel_sq", "rmse_affine", "alignment"]
    assert demo["method"].tolist() == pairs["method"].tolist() == ["liftnet", "constant", "inflated"]
    assert (demo["n"] == 3).all()
    assert (pairs["n"] == 3).all()
    assert (pairs["split"] == "test").all()
    assert demo.notna().all().all()
    for name in ("pairs", "demo"):
        for suffix in (".md", ".tex"):
            assert (evaluated / "tables" / f"depth_{name}{suffix}").stat().st_size > 100


def test_a_rounded_object_is_nearer_to_its_inflated_mask_than_to_a_plane(evaluated):
    demo = pd.read_csv(evaluated / "tables" / "depth_demo.csv").set_index("method")
    assert demo.loc["inflated", "rmse"] < 0.6 * demo.loc["constant", "rmse"]
    pairs = pd.read_csv(evaluated / "tables" / "depth_pairs.csv").set_index("method")
    assert pairs.loc["inflated", "robust_loss"] < pairs.loc["constant", "robust_loss"]
    assert pairs.loc["inflated", "median_px"] < pairs.loc["constant", "median_px"]


def test_the_table_holds_the_means_over_the_test_views(evaluated, run_views):
    views = [view for view in run_views if view.split == "test"]
    store = CropStore(evaluated, [view.image_id for view in views], OPTIONS)
    errors = []
    for view in views:
        row = store.index[view.image_id]
        truth = true_crop(view.truth, store.boxes[row], 32)
        errors.append(depth_errors(np.zeros((32, 32)), truth, np.isfinite(truth)).rmse)
    demo = pd.read_csv(evaluated / "tables" / "depth_demo.csv").set_index("method")
    assert demo.loc["constant", "rmse"] == pytest.approx(np.mean(errors))


def test_true_depth_as_prediction_has_no_error_and_explains_the_pairs(
    run_folder, run_views, model_folder, tmp_path, monkeypatch
):
    """The whole evaluation, with a method that knows the truth."""
    views = {view.image_id: view for view in run_views}

    def knows(store):
        depth = np.zeros((len(store), 32, 32), np.float32)
        for image_id, row in store.index.items():
            depth[row] = np.nan_to_num(true_crop(views[image_id].truth, store.boxes[row], 32), nan=3.5)
        return depth

    real = module.depth_methods
    monkeypatch.setattr(module, "depth_methods", lambda model: {**real(model), "liftnet": knows})
    monkeypatch.setattr(module, "write_examples", lambda *_: 0)
    run(run_folder, model_folder, tmp_path)
    demo = pd.read_csv(tmp_path / "depth_demo.csv").set_index("method")
    assert demo.loc["liftnet", ["l1", "rmse", "rel_l1", "rel_sq", "rmse_affine"]].max() < 1e-6
    pairs = pd.read_csv(tmp_path / "depth_pairs.csv").set_index("method")
    assert pairs.loc["liftnet", "median_px"] < 0.8 * pairs.loc["inflated", "median_px"]


def test_examples_for_the_report(evaluated):
    index = json.loads((evaluated / "predictions" / "index.json").read_text())
    assert len(index) == 2
    for entry in index:
        assert entry["truth"]
        assert entry["split"] == "test"
        assert set(entry["metrics"]) == {"liftnet", "constant", "inflated"}
        with np.load(evaluated / "predictions" / entry["npz"], allow_pickle=False) as data:
            assert data["rgb"].shape == (32, 32, 3)
            assert {name: data[name].dtype.name for name in ("mask", "depth", "inflated", "truth")} == {
                "mask": "bool",
                "depth": "float32",
                "inflated": "float32",
                "truth": "float32",
            }
            agreement = np.corrcoef(
                data["inflated"][np.isfinite(data["truth"])], data["truth"][np.isfinite(data["truth"])]
            )
            assert agreement[0, 1] > 0.5
    assert len(list((evaluated / "predictions").glob("*.npz"))) == 2


def test_examples_take_works_in_turn():
    examples = [Example(name, "test") for name in ("a1", "a2", "a3", "b1", "c1", "c2")]
    works = {example.image_id: example.image_id[0] for example in examples}
    assert [e.image_id for e in choose_examples(examples, works, 5)] == ["a1", "b1", "c1", "a2", "c2"]
    assert choose_examples([], {}, 5) == []


def test_without_a_museum_there_is_no_table_of_true_depth(run_folder, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "write_examples", lambda *_: 0)
    run(run_folder, model_folder, tmp_path, museum=False)
    assert (tmp_path / "depth_pairs.csv").exists()
    assert not (tmp_path / "depth_demo.csv").exists()


@pytest.mark.parametrize(("missing", "split", "n"), [(("test",), "val", 3), (("test", "val"), "held-out works", 3)])
def test_held_out_pairs_are_taken_where_they_are(run_folder, model_folder, tmp_path, monkeypatch, missing, split, n):
    monkeypatch.setattr(module, "write_examples", lambda *_: 0)
    dataset = tmp_path / "dataset"
    shutil.copytree(run_folder / "dataset", dataset)
    for name in missing:
        (dataset / f"{name}-00000-of-00001.parquet").unlink()
    run(run_folder, model_folder, tmp_path, museum=False, dataset=dataset)
    pairs = pd.read_csv(tmp_path / "depth_pairs.csv")
    assert set(pairs["split"]) == {split}
    assert set(pairs["n"]) == {n}


def test_a_missing_model_is_named(run_folder, tmp_path):
    with pytest.raises(LiftnetError, match=r"config\.json.*does not exist"):
        run(run_folder, tmp_path / "no-model", tmp_path)


def test_the_sign_is_applied_to_predictions(model_folder):
    network = initial_network(NetworkSettings(levels=3, width=4), 0)
    crops, masks = torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8).numpy(), np.ones((1, 32, 32), bool)
    plus, minus = (DepthModel(network, OPTIONS, sign).predict(crops, masks) for sign in (1, -1))
    np.testing.assert_array_equal(plus, -minus)
    assert isinstance(network, nn.Module)
