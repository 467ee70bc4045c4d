"""Prediction, tables and the command line of the stage."""

import argparse

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from liftnet.core.errors import LiftnetError
from liftnet.data.masks import read_mask, write_mask
from liftnet.data.pictures import write_image
from liftnet.data.schemas import MANIFEST, MASKS, TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter
from liftnet.segment.cli import add_commands
from liftnet.segment.evaluate import evaluate_heldout, evaluate_truth, iou
from liftnet.segment.predict import predict_artist
from liftnet.segment.samples import masked_images


def run(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    parsed = parser.parse_args([str(argument) for argument in arguments])
    parsed.run(parsed)


@pytest.fixture
def bad_results(tmp_path, make_results):
    """An artist with a good, a grey, a truncated, a missing and an empty image, and an artist with one image."""
    rows = make_results(tmp_path, [("a", "a1", "test", 5), ("b", "b1", "test", 1)], masked=False)
    paths = [tmp_path / "images" / row["file"] for row in rows]
    Image.open(paths[1]).convert("L").save(paths[1])
    paths[2].write_bytes(paths[2].read_bytes()[:700])
    paths[3].unlink()
    write_image(paths[4], np.full((96, 128, 3), (40, 60, 90), np.uint8))
    failed = rows[0] | {"image_id": None, "status": "http_404", "file": None}
    write_table(tmp_path / "manifest.parquet", [*rows, failed], MANIFEST)
    return tmp_path, [row["image_id"] for row in rows]


def test_every_stored_image_gets_a_row_and_the_good_ones_a_mask(trained, bad_results, make_blob):
    root, ids = bad_results
    write_mask(root / "masks" / f"{ids[2]}.png", np.ones((96, 128), bool))  # left by an earlier run
    run("segment", "predict", "--root", root, "--model", trained / "model", "--artist", "a", "--out",
        root / "masks" / "a.parquet", "--threads", 1)  # fmt: skip
    rows = {row["image_id"]: row for row in read_table(root / "masks" / "a.parquet", MASKS).to_pylist()}
    assert list(rows) == ids[:5]
    statuses = [rows[image_id]["status"] for image_id in ids[:5]]
    assert statuses == ["ok", "ok", "truncated", "missing", "no_foreground"]
    assert all(bool(row["reason"]) == (row["status"] != "ok") for row in rows.values())
    assert {path.stem for path in (root / "masks").glob("*.png")} == set(ids[:2])
    for number in (0, 1):
        mask = read_mask(root / "masks" / f"{ids[number]}.png", (128, 96))
        assert rows[ids[number]]["coverage"] == pytest.approx(mask.mean(), abs=1e-6)
        assert 0.5 <= rows[ids[number]]["confidence"] <= 1
    assert iou(read_mask(root / "masks" / f"{ids[0]}.png"), make_blob(0)[1]) > 0.9


def test_an_artist_with_one_image_is_masked(trained, bad_results):
    root, ids = bad_results
    counts = predict_artist(root, Segmenter.load(trained / "model"), "b", root / "masks" / "b.parquet",
                            PredictionSettings())  # fmt: skip
    assert counts == (1, 1)
    assert (root / "masks" / f"{ids[5]}.png").exists()


def test_an_artist_whose_images_all_failed_gets_an_empty_table(trained, tmp_path, make_results):
    rows = make_results(tmp_path, [("a", "a1", "train", 1)])
    write_table(tmp_path / "manifest.parquet", [rows[0] | {"status": "not_image", "image_id": None}], MANIFEST)
    out = tmp_path / "masks" / "a.parquet"
    assert predict_artist(tmp_path, Segmenter.load(trained / "model"), "a", out, PredictionSettings()) == (0, 0)
    assert read_table(out, MASKS).num_rows == 0


def test_unknown_artist_is_an_error(trained, bad_results):
    root, _ = bad_results
    with pytest.raises(LiftnetError, match="'nobody'"):
        predict_artist(root, Segmenter.load(trained / "model"), "nobody", root / "x.parquet", PredictionSettings())


def test_a_file_in_place_of_the_folder_is_a_clear_error(trained, bad_results):
    root, _ = bad_results
    (root / "masks").write_text("not a folder")
    with pytest.raises(LiftnetError, match="cannot be written"):
        predict_artist(
            root, Segmenter.load(trained / "model"), "b", root / "masks" / "b.parquet", PredictionSettings()
        )


def test_prediction_does_not_depend_on_the_number_of_threads(trained, make_blob):
    segmenter = Segmenter.load(trained / "model")
    image, _ = make_blob(50, 300, 211)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(segmenter.predict(image, PredictionSettings(test_time_scales=[1.0])))
    finally:
        torch.set_num_threads(before)
    assert results[0].shape == (300, 211)
    assert np.array_equal(results[0] >= 0.5, results[1] >= 0.5)
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def test_flip_averaging_makes_the_prediction_mirror_symmetric(trained, make_blob):
    segmenter = Segmenter.load(trained / "model")
    image, _ = make_blob(7)
    flipping = PredictionSettings(test_time_flip=True)
    mirrored = segmenter.predict(np.ascontiguousarray(image[:, ::-1]), flipping)[:, ::-1]
    np.testing.assert_allclose(segmenter.predict(image, flipping), mirrored, atol=1e-4)


@pytest.mark.parametrize("damage", ["truncated", "absent", "other", "format"])
def test_a_damaged_segmenter_is_named(trained, tmp_path, damage):
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    text, data = (trained / "model" / "config.json").read_text(), (trained / "model" / weights.name).read_bytes()
    config.write_text(text.replace('"format": 3', '"format": 2') if damage == "format" else text)
    if damage == "other":
        config.write_text(text.replace('"channels": 16', '"channels": 24'))
    if damage != "absent":
        weights.write_bytes(data[:999] if damage == "truncated" else data)
    with pytest.raises(LiftnetError, match=r"config\.json" if damage == "format" else r"model\.safetensors"):
        Segmenter.load(tmp_path)


def test_table_has_a_row_a_work_and_one_for_all(trained, tmp_path):
    segmenter = Segmenter.load(trained / "model")
    images = masked_images(trained / "results")
    table = evaluate_heldout(segmenter, images, PredictionSettings(), tmp_path / "segmentation", "note")
    written = pd.read_csv(tmp_path / "segmentation.csv")
    assert list(written.columns) == ["split", "work", "n", "iou", "accuracy", "resolution"]
    assert written.work.tolist() == ["c1", "a1", "b1", "all"]
    assert written.n.tolist() == [3, 6, 6, 15]
    parts = table.iloc[:-1]
    assert table.iloc[-1].iou == pytest.approx(np.average(parts.iou, weights=parts.n))


def test_without_a_manual_mask_the_segmenter_of_the_package_masks(tmp_path, make_results, caplog):
    caplog.set_level("INFO")
    make_results(tmp_path, [("a", "a1", "train", 2)], masked=False)
    run("segment", "train", "--root", tmp_path, "--model", tmp_path / "m", "--tables", tmp_path / "t")
    assert "no image has a manual mask: the segmenter that comes with liftnet masks them" in caplog.text
    given, shipped = Segmenter.load(tmp_path / "m", "cpu"), Segmenter.load("shipped", "cpu")
    assert given.notes["copied_from"] == "shipped"
    assert all(map(torch.equal, given.network.state_dict().values(), shipped.network.state_dict().values()))


def test_given_weights_need_no_mask(tmp_path, trained, make_results, caplog):
    caplog.set_level("INFO")
    make_results(tmp_path, [("a", "a1", "train", 2)], masked=False)
    run("segment", "train", "--root", tmp_path, "--model", tmp_path / "m", "--tables", tmp_path / "t",
        "--weights", trained / "model", "--threads", 1)  # fmt: skip
    assert pd.read_csv(tmp_path / "t" / "segmentation.csv").n.tolist() == [0]
    assert "nothing held out" in caplog.text
    assert Segmenter.load(tmp_path / "m").notes["copied_from"] == str(trained / "model")


def test_truth_table_counts_a_missing_mask_as_empty(tmp_path, make_results, make_blob):
    rows = make_results(tmp_path, [("a", "a1", "train", 2), ("b", "b1", "test", 1)])
    museum = tmp_path / "museum"
    camera = Camera(np.eye(3), np.eye(3), np.array([0.0, 0.0, 1.0]))
    for number, row in enumerate(rows):
        mask = make_blob(number)[1]
        (museum / "truth").mkdir(parents=True, exist_ok=True)
        save_truth(museum / "truth" / f"{number}.npz", TrueView(np.where(mask, 1.0, np.nan), camera))
        if number:
            write_mask(tmp_path / "masks" / f"{row['image_id']}.png", mask)
    truth = [
        {"image_url": row["image_url"], "artist_id": row["artist_id"], "work_id": row["work_id"],
         "truth": f"truth/{number}.npz"} for number, row in enumerate(rows)
    ]  # fmt: skip
    write_table(museum / "truth.parquet", truth, TRUTH)
    run("segment", "evaluate", "--root", tmp_path, "--museum", museum, "--tables", tmp_path / "tables")
    table = pd.read_csv(tmp_path / "tables" / "segmentation_truth.csv").set_index("split")
    assert table.n.to_dict() == {"train": 2, "test": 1, "all": 3}
    assert table.n_without_mask.to_dict() == {"train": 1, "test": 0, "all": 1}
    assert table.iou.to_dict() == pytest.approx({"train": 0.5, "test": 1.0, "all": 2 / 3})
    evaluate_truth(tmp_path, museum, tmp_path / "tables" / "again")
    assert (tmp_path / "tables" / "again.tex").exists()
