"""Leave one work out: who is dealt where, what is scored, what the numbers mean; and the peer."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from liftnet.core.errors import LiftnetError
from liftnet.data.masks import write_mask
from liftnet.data.schemas import MASKS, read_table
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter, expected_iou
from liftnet.segment.cli import add_commands
from liftnet.segment.crossvalidate import deal_works
from liftnet.segment.evaluate import boundary_f, confidence_table, iou, summarise
from liftnet.segment.predict import ReferenceSegmenter
from liftnet.segment.samples import MaskedImage, all_masked_images, divide, masked_images
from liftnet.segment.settings import SegmentSettings


def run(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    parsed = parser.parse_args([str(argument) for argument in arguments])
    parsed.run(parsed)


def scores(values: dict[str, list[float]], method: str = "liftnet", confidence=None) -> pd.DataFrame:
    rows = [
        {"method": method, "work": work.upper(), "work_id": work, "image_id": f"{work}{i}", "iou": value,
         "accuracy": 1.0, "boundary_f": 0.5, "boundary_f_2": 0.4, "confidence": value}
        for work, of_work in values.items() for i, value in enumerate(of_work)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame if confidence is None else frame.assign(confidence=confidence)


@pytest.fixture(scope="module")
def bright_remover(tmp_path_factory):
    """An ONNX file whose foreground is what is bright: (1, 3, 32, 32) to (1, 1, 32, 32)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    path = tmp_path_factory.mktemp("peer") / "bright.onnx"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 32, 32])
        for name, channels in (("in", 3), ("out", 1))
    ]
    node = helper.make_node("ReduceMean", ["in"], ["out"], axes=[1], keepdims=1)
    graph = helper.make_graph([node], "bright", [ends[0]], [ends[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    onnx.checker.check_model(model)
    return path


@pytest.mark.slow
def test_works_are_scored_by_segmenters_that_have_not_seen_them(
    trained, tmp_path, make_results, bright_remover, tiny_settings
):
    pytest.importorskip("onnxruntime")
    rows = make_results(tmp_path / "r", [("a", "a1", "train", 3), ("b", "b1", "test", 3), ("c", "c1", "train", 2)])
    # every mask of c1 is a corrected one: it trains, and is not scored
    for image in masked_images(tmp_path / "r")[6:]:
        (tmp_path / "edited").mkdir(exist_ok=True)
        image.mask.rename(tmp_path / "edited" / image.mask.name)
    arguments = ["segment", "crossvalidate", "--root", tmp_path / "r", "--out", tmp_path / "folds", "--tables",
                 tmp_path / "t", "--settings", tiny_settings().model_dump_json(), "--train.iterations", 30,
                 "--train.validate-every", 15, "--threads", 1, "--data.extra-roots", trained / "results",
                 "--data.corrections", tmp_path / "edited",
                 "--reference-segmenter-onnx", bright_remover]  # fmt: skip
    run(*arguments)
    images = pd.read_csv(tmp_path / "t" / "segmentation_images.csv", dtype={"image_id": str})
    assert images.method.value_counts().to_dict() == {"liftnet": 6, "bright": 6}
    assert set(images.image_id) == {row["image_id"] for row in rows[:6]}
    for work in ("a1", "b1"):
        training = Segmenter.load(tmp_path / "folds" / work).notes["training"]
        assert "1 works held out" in training["held_out"]
        # three of the other work and two of c1, of which one chooses the checkpoint; extra roots are known here
        assert (training["images"], training["works"]) == (4, 2)
    table = pd.read_csv(tmp_path / "t" / "segmentation_folds.csv")
    assert table.work.tolist() == ["a1", "b1", "mean over works", "mean over images"] * 2
    mean = table[(table.method == "liftnet") & (table.work == "mean over images")].iloc[0]
    assert mean.iou == pytest.approx(images[images.method == "liftnet"].iou.mean())
    assert (table.iou_low <= table.iou).all()
    assert (table.iou <= table.iou_high).all()
    assert table[table.method == "bright"].iou.min() > 0.5  # the blobs are bright


def test_images_and_works_of_the_own_folder_are_not_taken_from_others(tmp_path, make_results):
    make_results(tmp_path / "r", [("a", "a1", "train", 2), ("b", "b1", "test", 2)])
    make_results(tmp_path / "o", [("b", "b1", "train", 6), ("c", "c1", "test", 2)])
    own, others = all_masked_images(tmp_path / "r", SegmentSettings(data={"extra_roots": [str(tmp_path / "o")]}))
    assert {image.work_id for image in others} == {"c1"}
    division = divide(own, SegmentSettings().data, 0, others)
    assert {image.work_id for image in division.heldout} == {"b1"}
    assert {image.collection for image in [*division.train, *division.validation]} == {"", "also 1"}


@given(st.integers(2, 9), st.integers(0, 12), st.integers(0, 5))
def test_every_work_is_in_one_fold(works, folds, seed):
    images = [
        MaskedImage(f"{10 * work + i:016x}", f"w{work}", "train", Path("image.jpg"), Path("mask.png"), (4, 3))
        for work in range(works)
        for i in range(2)
    ]
    dealt = deal_works(images, folds, seed)
    assert sorted(work for fold in dealt for work in fold) == sorted(f"w{work}" for work in range(works))
    assert len(dealt) == (works if folds in (0, *range(works, 13)) else folds)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_one_work_cannot_be_left_out(tmp_path, make_results):
    make_results(tmp_path, [("a", "a1", "train", 3)])
    with pytest.raises(LiftnetError, match="1 works with manual masks"):
        deal_works(masked_images(tmp_path), 0, 0)


def test_means_over_works_and_images_differ_and_intervals_cover_what_they_should():
    values = {"a": [0.9] * 30, "b": [0.5, 0.7]}
    table = summarise(scores(values), seed=0).set_index("work")
    assert table.loc["mean over works", "iou"] == pytest.approx(0.75)
    assert table.loc["mean over images", "iou"] == pytest.approx((27 + 1.2) / 32)
    assert table.loc["A", ["iou_low", "iou_high"]].tolist() == pytest.approx([0.9, 0.9])
    assert table.loc["B", ["iou_low", "iou_high"]].tolist() == pytest.approx([0.5, 0.7])
    assert table.loc["mean over works", ["iou_low", "iou_high"]].tolist() == pytest.approx([0.55, 0.9], abs=0.06)
    assert table.loc["mean over works", "n"] == 2


def test_confidence_is_judged_by_how_it_ranks():
    rng = np.random.default_rng(0)
    agreement = np.round(rng.uniform(0.5, 1, 60), 2)
    confidence = np.round(agreement + rng.normal(0, 0.1, 60), 1)  # with ties
    table = confidence_table(scores({"a": list(agreement)}, confidence=confidence)).iloc[0]
    assert table.spearman == pytest.approx(stats.spearmanr(agreement, confidence).statistic)
    bad = agreement < 0.8
    wins = stats.mannwhitneyu(confidence[~bad], confidence[bad]).statistic
    assert table.auroc == pytest.approx(wins / (bad.sum() * (~bad).sum()))
    assert table.n_bad == bad.sum()
    perfect = confidence_table(scores({"a": list(agreement)})).iloc[0]
    assert (perfect.spearman, perfect.auroc, perfect.bad_among_worst) == pytest.approx((1, 1, 1))
    assert np.isnan(confidence_table(scores({"a": [0.9, 0.95]})).iloc[0].auroc)


def test_expected_iou_is_the_mean_over_masks_drawn_from_the_probabilities():
    rng = np.random.default_rng(1)
    field = ndimage.gaussian_filter(rng.normal(0, 1, (60, 80)), 4) * 30
    probability = 1 / (1 + np.exp(-field))
    mask = probability >= 0.5
    drawn = [iou(mask, rng.random(mask.shape) < probability) for _ in range(200)]
    assert expected_iou(probability, mask) == pytest.approx(np.mean(drawn), abs=0.005)
    assert expected_iou(probability, np.zeros_like(mask)) == 0
    assert expected_iou(np.ones((4, 4)), np.ones((4, 4), bool)) == 1


def test_outline_measure_of_a_moved_square():
    mask = np.zeros((200, 200), bool)
    mask[50:150, 50:150] = True
    assert boundary_f(mask, mask) == 1
    assert boundary_f(np.roll(mask, 2, 1), mask) == pytest.approx(1, abs=0.01)  # the tolerance is 2.3 px
    moved = boundary_f(np.roll(mask, 20, 1), mask)
    assert moved == pytest.approx(0.42, abs=0.05)  # four fifths of two sides of four still touch
    assert boundary_f(~mask & False, mask) == 0
    assert boundary_f(~mask | True, ~mask | True) == 1  # no outline inside the picture


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_outline_measure_is_symmetric_and_at_most_one(seed):
    rng = np.random.default_rng(seed)
    first, second = (ndimage.gaussian_filter(rng.normal(0, 1, (30, 40)), 3) > 0 for _ in range(2))
    assert boundary_f(first, second) == pytest.approx(boundary_f(second, first))
    assert 0 <= boundary_f(first, second) <= 1


def test_proposed_masks_are_of_the_images_without_one(tmp_path, make_results, make_blob, bright_remover):
    pytest.importorskip("onnxruntime")
    rows = make_results(tmp_path, [("a", "a1", "train", 3)], masked=False)
    (tmp_path / "images" / rows[1]["file"]).write_bytes(b"<html>")
    run(
        "segment", "propose", "--root", tmp_path, "--reference-segmenter-onnx", bright_remover, "--out", tmp_path / "p"
    )
    table = read_table(tmp_path / "p" / "proposed.parquet", MASKS).to_pylist()
    assert [row["status"] for row in table] == ["ok", "not_image", "ok"]
    masks = all_masked_images(tmp_path, SegmentSettings(data={"corrections": str(tmp_path / "p")}))[0]
    assert [image.image_id for image in masks] == [rows[0]["image_id"], rows[2]["image_id"]]
    with pytest.raises(LiftnetError, match="--reference-segmenter-onnx"):
        run("segment", "propose", "--root", tmp_path, "--out", tmp_path / "p")


@pytest.mark.parametrize("how", ["absent", "damaged"])
def test_a_remover_that_cannot_be_used_is_named(tmp_path, how):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    if how == "damaged":
        path.write_bytes(b"not a network")
    with pytest.raises(LiftnetError, match=r"net\.onnx"):
        ReferenceSegmenter(path)


def test_scales_and_flips_at_test_time_are_averaged(trained, make_blob):
    segmenter = Segmenter.load(trained / "model")
    image = make_blob(4)[0]
    single = segmenter.predict(image, PredictionSettings(test_time_scales=[1.0]))
    twice = segmenter.predict(image, PredictionSettings(test_time_scales=[1.0, 1.0]))
    np.testing.assert_allclose(twice, single, atol=1e-6)
    both = segmenter.predict(image, PredictionSettings(test_time_scales=[1.0, 1.34]))
    assert not np.allclose(both, single, atol=1e-3)
    assert iou(both >= 0.5, make_blob(4)[1]) > 0.9


def test_a_stray_file_among_the_corrections_changes_nothing(tmp_path, make_results):
    make_results(tmp_path, [("a", "a1", "train", 2), ("b", "b1", "train", 2)])
    write_mask(tmp_path / "edited" / "nobody.png", np.ones((96, 128), bool))
    own, _ = all_masked_images(tmp_path, SegmentSettings(data={"corrections": str(tmp_path / "edited")}))
    assert not any(image.corrected for image in own)
