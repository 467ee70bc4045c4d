"""The model card says what the run's files say."""

import json
import re
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from liftnet.__main__ import main as command_line
from liftnet.core.errors import LiftnetError
from liftnet.core.tables import write_tables
from liftnet.depth.card import write_card
from liftnet.depth.settings import TrainSettings
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

METRICS = "iteration,train_loss,val_loss\n100,0.5,0.6\n200,0.4,0.55\n300,0.3,0.57\n"


def make_model(folder, **settings):
    values = TrainSettings(**settings).model_dump(mode="json")
    method = import_module(f"liftnet.depth.objectives.{values['method']}")
    training = {"items": 1234, "works": 55, "validation_items": 163, "validated_on": "pairs of the val artists"}
    training |= {"best_iteration": 200, "best_validation_loss": 0.55, "iterations": 300}
    training |= {"learnt_from": method.LEARNT_FROM, "item": method.ITEMS}
    notes = {"settings": values, "seed": 3, "training": training}
    save_model(
        folder,
        DepthModel(
            initial_network(NetworkSettings(levels=3, width=4), 0),
            InputSettings(image_size=32),
            1,
            notes,
        ),
    )
    (folder / "metrics.csv").write_text(METRICS)
    return folder


@pytest.fixture
def model_folder(tmp_path):
    return make_model(tmp_path / "liftnet", batch_size=8)


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    names = ["liftnet", "constant"]
    pairs = {"method": names, "split": "test", "n": 232, "median_px": [0.34364, 0.46459], "alignment": "affine"}
    demo = {"method": names, "n": 120, "rmse": [0.19086, 0.22512], "rmse_affine": [0.10241, 0.14303], "alignment": "m"}
    write_tables(pd.DataFrame(pairs), folder / "depth_pairs", "Reprojection, px.")
    write_tables(pd.DataFrame(demo), folder / "depth_demo", "Depth, half widths.")
    return folder


def front_matter(text):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def test_the_card_has_the_figures_of_the_run_s_files(model_folder, tables):
    assert command_line(["depth", "card", "--model", str(model_folder), "--tables", str(tables)]) == 0
    text = (model_folder / "README.md").read_text()
    for figure in (
        "1,234 pairs of photographs of 55 works",
        "Validated on 163 (pairs of the val artists)",
        "300 steps of 8",
    ):
        assert figure in text
    assert "kept: step 200, with a validation loss of 0.5500. Seed 3." in text
    assert "| liftnet | test | 232 | 0.344 |" in text
    assert "| constant | 120 | 0.225 | 0.143 |" in text
    assert "Depth, half widths." in text
    assert "| `batch_size` | 8 | 16 |" in text
    assert "| `network.width` | 16 |  |" in text
    assert "a d + b x + c y + e" in text


def test_a_model_hub_reads_its_metadata(model_folder, tables):
    hub = pytest.importorskip("huggingface_hub", reason="comes with accelerate")
    card = hub.ModelCard.load(write_card(model_folder, tables, "cc-by-4.0"))
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == "depth-estimation"
    assert {"rmse", "rmse_affine", "median_px"} <= set(card.data.metrics)
    found = {(r.dataset_type, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert found == {
        ("depth_pairs", "median_px"): 0.34364,
        ("depth_demo", "rmse"): 0.19086,
        ("depth_demo", "rmse_affine"): 0.10241,
    }


def test_the_curve_is_drawn_from_the_metrics(model_folder):
    write_card(model_folder)
    assert "](training.png)" in (model_folder / "README.md").read_text()
    first = np.asarray(Image.open(model_folder / "training.png").convert("RGB"))
    assert first.std() > 5
    (model_folder / "metrics.csv").write_text(METRICS.replace("0.57", "0.9"))
    write_card(model_folder)
    assert not np.array_equal(first, np.asarray(Image.open(model_folder / "training.png").convert("RGB")))


def test_what_is_not_there_is_not_claimed(model_folder):
    (model_folder / "metrics.csv").unlink()
    text = write_card(model_folder).read_text()
    assert "Not evaluated yet" in text
    assert "training.png" not in text
    assert not (model_folder / "training.png").exists()
    assert "model-index" not in front_matter(text)


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        ({"loss": {"camera": "orthographic"}}, "scaled orthographic cameras", "a shear are free"),
        ({"loss": {"orthography_weight": 1.0}}, "scaled orthographic cameras", "a shear are free"),
        ({"method": "regression"}, "given depth, by the squared error", "The sign was chosen"),
        ({"method": "ordinal"}, "**Ambiguity.** Scale and offset of depth are free", "**Camera.**"),
        ({"method": "photometric"}, "1,234 pairs of photographs", "explain the same correspondences"),
    ],
)
def test_limits_are_those_of_the_method(tmp_path, settings, said, unsaid):
    text = write_card(make_model(tmp_path / "model", **settings)).read_text()
    assert said in text
    assert unsaid not in text


def test_the_snippet_runs(model_folder, tables, monkeypatch):
    text = write_card(model_folder, tables).read_text()
    Image.new("RGB", (30, 20), (9, 9, 9)).save(model_folder.parent / "photo.jpg")
    monkeypatch.chdir(model_folder.parent)
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], names)
    assert names["depth"].shape == (20, 30)
    assert np.isfinite(names["depth"]).all()


def test_bad_files_are_named(model_folder, tables, tmp_path):
    with pytest.raises(LiftnetError, match=r"config\.json: does not exist"):
        write_card(tmp_path / "none")
    (tables / "depth_demo.md").unlink()
    with pytest.raises(LiftnetError, match=r"depth_demo\.md: cannot be read"):
        write_card(model_folder, tables)
    (tables / "depth_demo.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LiftnetError, match=r"depth_demo\.csv: cannot be read"):
        write_card(model_folder, tables)
    config = json.loads((model_folder / "config.json").read_text())
    del config["training"]["learnt_from"]
    (model_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LiftnetError, match="does not say what the model was learnt from"):
        write_card(model_folder)
    config["settings"]["loss"]["tau"] = "wide"
    config["training"] = {}
    (model_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LiftnetError, match=r"other settings than `depth train` \(loss\.tau\)"):
        write_card(model_folder)
