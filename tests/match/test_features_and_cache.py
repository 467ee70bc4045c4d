"""Features: one file an image, found once, damaged files found again; variants; any features to any matcher."""

import logging

import cv2
import numpy as np
import pytest
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.features import Features, read_features, write_features
from liftnet.match import batched
from liftnet.match.feature_cache import recipe
from liftnet.match.match import match_work
from liftnet.match.methods import opencv
from liftnet.match.methods.opencv import OpencvSettings, extract_sift
from liftnet.match.settings import MatchSettings


def run(root, out="m.parquet", **changes):
    match_work(root.path, "a-work-123abc", root.path / out, changed(MatchSettings(), **changes))
    return {(row["image_a"], row["image_b"]): row for row in root.matches(out)}


def cached(root):
    return sorted(root.path.glob("features/*/*"))


def some_features(count=7):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(count, 4)).astype(np.float32)
    return Features(numbers[:, :2], numbers[:, 2], numbers[:, 3], rng.integers(0, 256, (count, 128)).astype(np.uint8))


class TestFile:
    @pytest.mark.parametrize("count", [0, 1, 7])
    def test_what_is_written_is_read(self, tmp_path, count):
        features = some_features(count)
        write_features(tmp_path / "f.safetensors", features, {"max_side": 5})
        read = read_features(tmp_path / "f.safetensors")
        for name in ("keypoints", "scales", "orientations", "descriptors"):
            assert np.array_equal(getattr(read, name), getattr(features, name))
            assert getattr(read, name).dtype == getattr(features, name).dtype

    @pytest.mark.parametrize("damage", ["cut", "empty", "html", "other", "nan", "missing"])
    def test_a_damaged_file_is_named(self, tmp_path, damage):
        path = tmp_path / "f.safetensors"
        features = some_features()
        if damage == "nan":
            features.scales[3] = np.nan
        write_features(path, features, {})
        data = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "other":
            path.write_bytes(data.replace(b"liftnet.features.1", b"liftnet.features.0"))
        elif damage != "nan":
            path.write_bytes({"cut": data[:-100], "empty": b"", "html": b"<!doctype html><p>Not found"}[damage])
        with pytest.raises(LiftnetError, match=r"f\.safetensors"):
            read_features(path)

    def test_lengths_must_agree(self):
        features = some_features()
        with pytest.raises(ValueError, match="7 keypoints"):
            Features(features.keypoints, features.scales[:5], features.orientations, features.descriptors)


class TestCache:
    def test_an_image_is_looked_at_once(self, two_views, textured, monkeypatch):
        first = run(two_views)
        assert [path.stem for path in cached(two_views)] == ["a0", "b1"]
        seen = []
        monkeypatch.setattr(opencv, "extract_sift", lambda *image: seen.append(1) or extract_sift(*image))
        assert run(two_views, out="again.parquet") == first
        run(two_views, out="other.parquet", ratio=0.7, matcher="colmap", neighbours=3)
        assert not seen
        two_views.add("c2", textured(seed=2))
        assert run(two_views, out="more.parquet")["a0", "b1"] == first["a0", "b1"]
        assert len(seen) == 1

    def test_other_settings_other_files(self, two_views):
        run(two_views)
        run(two_views, contrast_threshold=0.02)
        run(two_views, **{"features.opencv.max_side": 300})
        assert len({path.parent for path in cached(two_views)}) == 3
        default = recipe(MatchSettings())
        assert default.startswith("opencv-")
        assert recipe(changed(MatchSettings(), **{"features.opencv.upright": True})) != default
        assert recipe(changed(MatchSettings(), extractor="openmvg")).startswith("openmvg-")
        for other in ({"features.colmap.max_side": 99}, {"preset": "ULTRA"}, {"ratio": 0.5, "matcher": "openmvg"}):
            assert recipe(changed(MatchSettings(), **other)) == default

    def test_a_damaged_file_is_found_again(self, two_views, caplog):
        caplog.set_level(logging.WARNING)
        before = run(two_views)
        path = cached(two_views)[0]
        path.write_bytes(path.read_bytes()[:500])
        assert run(two_views) == before
        assert str(path) in caplog.text
        assert len(read_features(path)) > 100


class TestVariants:
    def test_upright_features_do_not_turn(self, textured):
        image = textured()
        turned = np.ascontiguousarray(np.rot90(image))
        free, upright = OpencvSettings(), OpencvSettings(upright=True)
        features = extract_sift(image, upright)
        assert not features.orientations.any()
        places = np.column_stack([features.keypoints, features.scales])
        assert len(np.unique(places, axis=0)) == len(places)
        assert len(features) <= len(extract_sift(image, free))
        matches = {}
        for name, setting in (("free", free), ("upright", upright)):
            a, b = (extract_sift(picture, setting).descriptors for picture in (image, turned))
            matches[name] = len(batched_matches(a, b))
        assert matches["free"] > 10 * max(matches["upright"], 1)

    def test_more_layers_find_more(self, textured):
        image = textured()
        counts = [len(extract_sift(image, OpencvSettings(octave_layers=layers))) for layers in (2, 3, 5)]
        assert counts == sorted(counts)
        assert counts[2] > 1.1 * counts[1]

    def test_affine_shape_matches_a_strong_tilt(self, root, textured):
        pytest.importorskip("pycolmap")
        image = textured(300, 400, seed=4)
        root.add("a0", image)
        root.add("b1", cv2.resize(image, (400, 120), interpolation=cv2.INTER_AREA))
        right = {}
        for affine in (False, True):
            row = run(root, extractor="colmap", affine_shape=affine)["a0", "b1"]
            down = 0.4 * np.array(row["y1"]) - 0.3  # pixel centres: (y + .5) 120 / 300 - .5
            right[affine] = (np.hypot(np.subtract(row["x2"], row["x1"]), row["y2"] - down) < 2).sum()
        assert right[True] > 5 * right[False] > 0

    def test_scales_and_orientations_are_those_of_the_image(self, textured):
        """A picture of twice the size, turned by a quarter: twice the scales, orientations turned with it."""
        image = textured()
        larger = np.rot90(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), -1)
        a, b = (extract_sift(np.ascontiguousarray(picture), OpencvSettings()) for picture in (image, larger))
        matches = batched_matches(a.descriptors, b.descriptors)
        ratio = b.scales[matches[:, 1]] / a.scales[matches[:, 0]]
        turn = np.angle(np.exp(1j * (b.orientations[matches[:, 1]] - a.orientations[matches[:, 0]])))
        assert len(matches) > 50
        assert np.median(ratio) == pytest.approx(2, rel=0.03)
        assert np.median(turn) == pytest.approx(np.pi / 2, abs=0.02)


def batched_matches(a, b):
    return next(batched.match_pairs_with_ratios([(a, b)], 0.8, True, "cpu"))[0]


class TestCombinations:
    @pytest.mark.parametrize(("features", "matcher"), [("opencv", "colmap"), ("colmap", "exact")])
    def test_any_features_to_any_matcher(self, two_views, motion, features, matcher):
        pytest.importorskip("pycolmap")
        row = run(two_views, extractor=features, matcher=matcher)["a0", "b1"]
        first, second = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
        errors = np.linalg.norm(motion[:, :2] @ first + motion[:, 2:] - second, axis=0)
        assert len(errors) > 80
        assert (errors < 1).mean() > 0.95

    def test_colmap_finds_nearly_the_matches_of_the_exact_matcher(self, two_views):
        """Same features: its index is approximate, so a few may differ."""
        pytest.importorskip("pycolmap")
        ours, theirs = (
            run(two_views, out=f"{name}.parquet", matcher=name)["a0", "b1"] for name in ("exact", "colmap")
        )
        places = [set(zip(row["x1"], row["y1"], row["x2"], row["y2"], strict=True)) for row in (ours, theirs)]
        assert len(places[0] & places[1]) > 0.9 * len(places[0] | places[1])

    def test_a_graphics_card_gives_the_same_table(self, two_views, textured, monkeypatch):
        two_views.add("c2", textured(seed=2))
        expected = run(two_views)
        on_cpu = batched.match_pairs_with_ratios
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(batched, "match_pairs_with_ratios", lambda *a: on_cpu(*a[:-1], "cpu"))
        assert run(two_views, out="cuda.parquet", device="cuda") == expected

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"matcher": "colmap", "device": "cuda"}, "not offered by the matcher colmap"),
        ],
    )
    def test_settings_that_do_not_go_together(self, two_views, changes, words):
        with pytest.raises(LiftnetError, match=words):
            run(two_views, **changes)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
    def test_no_graphics_card(self, two_views):
        with pytest.raises(LiftnetError, match="no GPU can be used by this torch"):
            run(two_views, device="cuda")
