"""Recall of keypoints and of the visible surface, against the geometry of two balls."""

import argparse

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import KDTree

from liftnet.data.features import Features, write_features
from liftnet.verify.cli import add_commands
from liftnet.verify.settings import VerifySettings
from liftnet.verify.truth import NEARBY_FRACTION, Oracle, count_matchable, true_positions, visible_surface
from liftnet.verify.verify import verify_matches


def first_hits(camera, world, balls):
    """Distance along each ray from the camera to a world point (1 = the point) at which it meets a ball first."""
    centre = -camera.rotation.T @ camera.translation
    rays, first = world - centre, np.full(len(world), np.inf)
    for middle, radius in balls:
        offset = centre - middle
        a, b, c = (rays**2).sum(1), rays @ offset, offset @ offset - radius**2
        root = np.maximum(b**2 - a * c, 0)
        hit = np.where(b**2 > a * c, (-b - np.sqrt(root)) / a, np.inf)
        first = np.minimum(first, hit)
    return first


@pytest.mark.parametrize("other", ["v1", "v3"])
def test_the_visible_surface_is_what_rays_from_the_other_camera_meet(run, tools, other):
    a, b = run.views["v0"], run.views[other]
    rows, columns = np.nonzero(a.mask)
    pixels = np.column_stack([columns, rows]).astype(float)
    world = a.camera.unproject(pixels, a.depth[rows, columns])
    position, _ = b.camera.project(world)
    width, height = tools.size
    inside = ((position >= 0) & (position <= [width - 1, height - 1])).all(axis=1)
    seen = inside & (first_hits(b.camera, world, tools.balls) > 1 - 1e-4)
    samples = {tuple(point) for point in visible_surface(a, b, 1.0)}
    found = np.array([tuple(point) in samples for point in pixels])
    assert 0.2 < seen.mean() < 0.99
    assert (found | ~seen).mean() > 0.995  # what the ray meets is found, but for silhouettes
    assert (found & ~seen).mean() < 0.03  # just behind a limb, less than SAME_SURFACE of the distance deeper
    assert samples <= set(map(tuple, pixels))


def planted(run, tools):
    """Keypoints of v0 and v1: 80 that can be matched, 60 whose nearest keypoint of v1 is 3 px off, and hidden ones."""
    rng = np.random.default_rng(1)
    a, b = tools.matches(run.views["v0"], run.views["v1"], 4000, rng)
    apart = [0]
    for k in range(len(a)):
        if np.hypot(*(b[apart] - b[k]).T).min() > 8:
            apart.append(k)
    a, b = a[apart[:140]], b[apart[:140]]
    assert len(a) == 140
    angle = rng.uniform(0, 2 * np.pi, 140)
    away = np.where(np.arange(140) < 80, 1.9, 3.0)
    moved = b + np.column_stack([np.cos(angle), np.sin(angle)]) * away[:, None]
    rows, columns = np.nonzero(run.views["v0"].mask)
    rim = np.column_stack([columns, rows]).astype(float)
    true_rim, visible = true_positions(run.views["v0"], run.views["v1"], rim)
    hidden, there = rim[~visible][::40], true_rim[~visible][::40]
    far = KDTree(moved).query(there)[0] > 6
    background = np.array([[2.0, 2.0], [3.0, 5.0]])
    keypoints_a = np.vstack([a, a[:30], hidden[far], background])  # 30 places with two orientations
    keypoints_b = np.vstack([moved, there[far], background])
    assert far.sum() > 3
    return keypoints_a, keypoints_b, a, moved


def test_keypoints_that_could_have_been_matched_are_counted_once_a_place(run, tools):
    keypoints_a, keypoints_b, _, _ = planted(run, tools)
    views = run.views["v0"], run.views["v1"]
    assert count_matchable(*views, keypoints_a, KDTree(keypoints_b)) == 80
    assert count_matchable(*views, keypoints_a, KDTree(np.empty((0, 2)))) == 0
    assert count_matchable(*views, np.empty((0, 2)), KDTree(keypoints_b)) == 0


def test_surface_recall_is_the_share_of_samples_near_a_correct_match(run, tools):
    a, _ = tools.matches(run.views["v0"], run.views["v1"], 40, np.random.default_rng(3))
    oracle = Oracle(run.views["v0"], run.views["v1"], None, None)
    correct = np.arange(40) < 15
    found = oracle.recall(a, correct)
    distance = np.hypot(*(oracle.surface[:, None] - a[correct]).transpose(2, 0, 1)).min(axis=1)
    assert found.covered == (distance <= NEARBY_FRACTION * 400).sum()
    assert 0 < found.covered < found.surface == len(oracle.surface)
    assert found.matched == 15
    assert found.matchable is None
    assert oracle.recall(a, np.zeros(40, bool)).covered == 0
    assert oracle.recall(oracle.surface, np.ones(found.surface, bool)).covered == found.surface


def test_the_grid_does_not_decide_the_share(run, tools):
    """A finer grid gives the same share: the samples stand for area."""
    a, _ = tools.matches(run.views["v0"], run.views["v1"], 25, np.random.default_rng(4))
    shares = []
    for step in (1.0, 3.3):
        surface = visible_surface(run.views["v0"], run.views["v1"], step)
        shares.append((KDTree(a).query(surface)[0] <= 8).mean())
    assert shares[0] == pytest.approx(shares[1], abs=0.02)


def features_of(points):
    n = len(points)
    return Features(
        points.astype(np.float32), np.ones(n, np.float32), np.zeros(n, np.float32), np.zeros((n, 128), np.uint8)
    )


def evaluated(run, tools, recipes):
    """60 of the 80 matchable keypoints of v0 and v1 are matched, and 30 others wrongly; features as in `recipes`."""
    keypoints_a, keypoints_b, a, b = planted(run, tools)
    wrong_a, wrong_b = a[80:110], b[110:140]
    rows = [tools.row("v0", "v1", np.vstack([a[:60], wrong_a]), np.vstack([b[:60], wrong_b]))]
    matches = run.match("balls", rows)
    verify_matches(run.root, matches, run.root / "pairs" / "balls.parquet", VerifySettings())
    stored = {"v0": keypoints_a, "v1": keypoints_b}
    for name, change in recipes.items():
        for image_id, points in stored.items():
            write_features(run.root / f"features/{name}/{image_id}.safetensors", features_of(points + change), {})
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    words = ["verify", "evaluate", "--root", run.root, "--tables", run.root / "tables", "--museum", run.museum]
    arguments = parser.parse_args([*map(str, words)])
    arguments.run(arguments)
    table = pd.read_csv(run.root / "tables/correspondences_truth.csv")
    return table[table["split"] == "all"].set_index("matches")


def test_matching_recall_is_of_the_keypoints_that_were_matched(run, tools):
    table = evaluated(run, tools, {"a-other-recipe": 0.5, "b-recipe": 0.0})
    assert table.loc["putative", "matching_recall"] == pytest.approx(60 / 80)
    assert table.loc["on the foreground", "matching_recall"] == pytest.approx(60 / 80)
    assert table["matching_recall"].iloc[3] <= table["matching_recall"].iloc[2] <= 60 / 80
    assert table["matching_recall"].iloc[3] > 0.45
    assert (table["surface_recall"].diff().dropna() <= 0).all()


def test_pairs_that_were_never_matched_count_as_not_found(run, tools):
    table = evaluated(run, tools, {})
    surface = {}
    for first, second in [("v0", "v1"), ("v0", "v2"), ("v0", "v3"), ("v1", "v2"), ("v1", "v3"), ("v2", "v3")]:
        surface[first, second] = len(Oracle(run.views[first], run.views[second], None, None).surface)
    points = pd.read_parquet(run.root / "matches/balls.parquet").iloc[0]
    a, b = (np.column_stack([points[f"x{k}"], points[f"y{k}"]]) for k in (1, 2))
    true_b, visible = true_positions(run.views["v0"], run.views["v1"], a)
    correct = visible & (np.hypot(*(true_b - b).T) <= 2)
    covered = Oracle(run.views["v0"], run.views["v1"], None, None).recall(a, correct).covered
    assert table.loc["putative", "surface_recall"] == pytest.approx(covered / sum(surface.values()))


@pytest.mark.parametrize("recipes", [{}, {"other-recipe": 0.5}])
def test_without_the_matched_keypoints_the_column_is_empty(run, tools, recipes, caplog):
    caplog.set_level("INFO")
    table = evaluated(run, tools, recipes)
    assert table["matching_recall"].isna().all()
    assert table["surface_recall"].notna().all()
    assert "matching recall is not measured" in caplog.text
