"""Scores of models and priors, image by image."""

import shutil

import numpy as np
import pandas as pd
import pytest

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.data.schemas import SCORES, read_table
from liftnet.data.truth import TrueView
from liftnet.depth.crops import CropStore, true_crop
from liftnet.depth.score import Method, Scored, depth_errors, prior_method, score_rows, true_depth, write_scores
from liftnet.depth.settings import TrainSettings
from liftnet.geometry.cameras import Camera
from liftnet.models.depth_networks import InputSettings, NetworkSettings
from liftnet.models.liftnet import DepthModel, initial_network, save_model

OPTIONS = InputSettings(image_size=32, background="keep")


def scored(root, **changes):
    return Scored(
        **{"root": root, "truth": root / "museum", "name": "demo", "split": "test", "unit": "half width"} | changes
    )


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "liftnet-demo-s3"
    notes = {
        "settings": TrainSettings(input={"image_size": 32}, network={"levels": 3, "width": 4}).model_dump(),
        "seed": 3,
    }
    save_model(folder, DepthModel(initial_network(NetworkSettings(levels=3, width=4), 0), OPTIONS, 1, notes))
    return folder


def knows(views):
    by_id = {view.image_id: view for view in views}

    def predict(store):
        depth = np.zeros((len(store), 32, 32), np.float32)
        for image_id, row in store.index.items():
            depth[row] = 7 - 2.5 * np.nan_to_num(true_crop(by_id[image_id].truth, store.boxes[row], 32), nan=9.0)
        return depth

    return Method("truth", 0, OPTIONS, predict)


def test_the_truth_up_to_scale_sign_and_shift_has_no_error(run_folder, run_views):
    rows = score_rows(knows(run_views), scored(run_folder), 1)
    assert len(rows) == 3
    for row in rows:
        assert row["status"] == "ok"
        assert max(row[name] for name in ("l1", "rmse", "rel_l1", "rel_sq", "rmse_affine")) < 1e-5


def test_a_row_holds_the_errors_of_its_image(run_folder, run_views):
    rows = score_rows(prior_method("constant", OPTIONS), scored(run_folder), 2)
    views = {view.image_id: view for view in run_views if view.split == "test"}
    assert [row["image_id"] for row in rows] == sorted(views)
    store = CropStore(run_folder, list(views), OPTIONS)
    for row in rows:
        view = views[row["image_id"]]
        truth = true_crop(view.truth, store.boxes[store.index[view.image_id]], 32)
        expected = depth_errors(np.zeros((32, 32)), truth, np.isfinite(truth))
        assert row["rmse"] == pytest.approx(expected.rmse)
        assert row["rel_sq"] == pytest.approx(expected.rel_sq)
        assert row["n_pixels"] == np.isfinite(truth).sum()
        assert (row["class"], row["work_id"]) == (view.artist_id, view.work_id)


@pytest.mark.parametrize("prior", ["constant", "inflated", "ellipsoid"])
def test_the_command_gives_the_same_file_whatever_the_threads(run_folder, tmp_path, prior):
    for threads in (1, 3):
        main(
            f"depth score --prior {prior} --root {run_folder} --truth {run_folder}/museum --set demo"
            f" --image-size 32 --out {tmp_path}/{threads}.parquet --threads {threads}".split()
        )
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "3.parquet").read_bytes()
    table = read_table(tmp_path / "1.parquet", SCORES).to_pandas()
    assert set(table["run"]) == {prior}
    assert set(table["set"]) == {"demo"}
    assert table["rmse"].notna().all()


def test_the_command_names_model_and_seed(run_folder, model_folder, tmp_path):
    out = tmp_path / "scores.parquet"
    arguments = ["depth", "score", "--model", str(model_folder), "--run", "liftnet-demo", "--root", str(run_folder)]
    main([*arguments, "--truth", str(run_folder / "museum"), "--out", str(out), "--threads", "1"])
    table = read_table(out, SCORES).to_pandas()
    assert (table["run"] == "liftnet-demo").all()
    assert (table["seed"] == 3).all()
    assert (table["resolution"] == 32).all()
    assert (table["unit"] == "half width").all()


def test_an_image_that_cannot_be_read_or_whose_truth_is_damaged_is_a_row_with_a_reason(
    run_folder, run_views, tmp_path
):
    root = tmp_path / "run"
    shutil.copytree(run_folder, root)
    unreadable, damaged = (view.image_id for view in run_views[-2:])
    (root / "images" / f"{unreadable}.png").write_bytes(b"no image")
    (root / "museum" / "truth" / f"{damaged}.npz").write_bytes(b"no truth")
    out = tmp_path / "scores.parquet"
    write_scores(out, prior_method("inflated", OPTIONS), scored(root), 1)
    table = read_table(out, SCORES).to_pandas().set_index("image_id")
    assert table.loc[unreadable, "status"] == "image"
    assert table.loc[damaged, "status"] == "truth"
    assert table.loc[[unreadable, damaged], "reason"].str.len().min() > 10
    assert table.loc[[unreadable, damaged], "rmse"].isna().all()
    assert (table["status"] == "ok").sum() == 1


def test_a_split_without_truth_is_refused(run_folder, tmp_path):
    with pytest.raises(LiftnetError, match="no image of the split 'none' with true depth"):
        score_rows(prior_method("constant", OPTIONS), scored(run_folder, split="none"), 1)


def test_an_unknown_prior_is_refused():
    with pytest.raises(LiftnetError, match=r"pyramid.*constant, inflated"):
        prior_method("pyramid", OPTIONS)


def test_centimetres_stay_as_they_are():
    """A plane 150 cm away, seen twice as finely as the crop shows it."""
    from liftnet.models.depth_input import CropBox

    camera = Camera(np.array([[100.0, 0, 31.5], [0, 100.0, 31.5], [0, 0, 1]]), np.eye(3), np.zeros(3))
    depth = np.full((64, 64), 150.0, np.float32)
    depth[:, 32:] = 160.0
    box = CropBox(0, 0, 64)
    crop = true_depth(TrueView(depth, camera, "cm"), box, 32, "cm")
    assert sorted(np.unique(crop)) == [150.0, 160.0]
    predicted = np.zeros((32, 32))
    errors = depth_errors(predicted, crop, np.isfinite(crop))
    middle = np.median(crop)  # half of the pixels at each distance: 155 cm
    assert errors.l1 == pytest.approx(5.0)
    assert middle == 155.0
    assert errors.rel_l1 == pytest.approx((5 / 150 + 5 / 160) / 2)
    assert errors.rel_sq == pytest.approx((25 / 150 + 25 / 160) / 2)
    with pytest.raises(LiftnetError, match="--unit"):
        true_depth(TrueView(depth, camera), box, 32, "cm")


def test_rows_are_of_the_schema(run_folder, tmp_path):
    out = tmp_path / "scores.parquet"
    write_scores(out, prior_method("constant", OPTIONS), scored(run_folder), 1)
    frame = read_table(out, SCORES).to_pandas()
    assert not frame.drop(columns="reason").isna().any().any()
    assert isinstance(frame, pd.DataFrame)
