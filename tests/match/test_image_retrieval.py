"""Choosing pairs in large works: groups of views are found, by true neighbours and against plain references."""

import logging

import numpy as np
import pytest

from liftnet.core.settings import changed
from liftnet.data.features import Features, write_features
from liftnet.match import retrieval
from liftnet.match.retrieval import best_partners, most_similar, similar_pairs, vlad, vocabulary
from liftnet.match.work_features import Problem, WorkFeatures, WorkImage


def scenes(folder, groups=6, views=5, points=120):
    """Images of `groups` scenes, `views` each, that share noisy descriptors of their scene only."""
    rng = np.random.default_rng(0)
    images = {}
    for group in range(groups):
        shared = np.minimum(rng.gamma(0.6, 50, (points, 128)), 255)
        for view in range(views):
            values = np.clip(shared + rng.normal(0, 12, shared.shape), 0, 255).astype(np.uint8)
            other = np.minimum(rng.gamma(0.6, 50, (points // 2, 128)), 255).astype(np.uint8)
            descriptors = np.concatenate([values, other])
            n = len(descriptors)
            keypoints = rng.uniform(0, 100, (n, 2)).astype(np.float32)
            scales = rng.gamma(2, 2, n).astype(np.float32)
            features = Features(keypoints, scales, np.zeros(n, np.float32), descriptors)
            name = f"{view}{group}"  # so that neighbours in order are of different scenes
            write_features(folder / f"{name}.safetensors", features, {})
            images[name] = n
    work = WorkFeatures([WorkImage(name, folder / name) for name in images])
    work.files = {name: folder / f"{name}.safetensors" for name in images}
    work.counts = images
    return work


def test_views_of_one_scene_find_each_other(tmp_path):
    pairs = similar_pairs(scenes(tmp_path), neighbours=4)
    assert pairs == sorted(set(pairs))
    assert all(a < b for a, b in pairs)
    same = sum(a[1] == b[1] for a, b in pairs)
    assert same == 6 * 10  # every pair of every scene
    assert same == len(pairs)


def test_threads_and_order_change_nothing(tmp_path):
    work = scenes(tmp_path)
    once = similar_pairs(work, neighbours=2, threads=1, seed=3)
    again = similar_pairs(work, neighbours=2, threads=3, seed=3)
    assert once == again
    assert len(once) < 6 * 10


def test_an_unusable_image_stands_in_one_pair(tmp_path):
    work = scenes(tmp_path, groups=2, views=3)
    work.images["bad"] = WorkImage("bad", tmp_path / "bad")
    work.problems["bad"] = Problem("image_missing", "the image bad is missing")
    pairs = similar_pairs(work, neighbours=2)
    assert [pair for pair in pairs if "bad" in pair] == [("00", "bad")]
    alone = WorkFeatures([WorkImage("bad", tmp_path / "bad")])
    alone.problems["bad"] = work.problems["bad"]
    assert similar_pairs(alone, neighbours=2) == []


def test_vlad_equals_the_sums_written_out():
    rng = np.random.default_rng(1)
    descriptors = rng.integers(0, 256, (50, 128)).astype(np.uint8)
    centres = rng.uniform(0, 255, (7, 128)).astype(np.float32)
    sums = np.zeros((7, 128))
    for descriptor in descriptors.astype(float):
        word = np.linalg.norm(centres - descriptor, axis=1).argmin()
        sums[word] += descriptor - centres[word]
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = np.divide(sums, norms, out=sums, where=norms > 0)
    expected = (sums / np.linalg.norm(sums)).ravel()
    assert vlad(descriptors, centres) == pytest.approx(expected, abs=1e-5)


def test_best_partners_equal_a_plain_loop():
    rng = np.random.default_rng(2)
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12) if rng.random() < 0.6])
    counts = rng.integers(0, 5, len(pairs))
    wanted = set()
    for image in range(12):
        rows = [row for row in range(len(pairs)) if image in pairs[row]]
        rows.sort(key=lambda row: (-counts[row], row))
        wanted |= {tuple(pairs[row]) for row in rows[:3]}
    assert set(map(tuple, best_partners(pairs, counts, 12, 3))) == wanted


def test_few_descriptors_make_a_small_vocabulary():
    descriptors = np.arange(5 * 128).reshape(5, 128).astype(np.uint8)
    assert vocabulary([descriptors]).shape == (5, 128)
    assert most_similar(np.eye(3, dtype=np.float32), 9).shape == (3, 3)


def test_the_limit_decides_between_all_pairs_and_retrieval(two_views, textured, monkeypatch, caplog):
    from liftnet.match.match import match_work
    from liftnet.match.settings import MatchSettings

    caplog.set_level(logging.INFO)
    for k in range(4):
        two_views.add(f"c{k}", textured(seed=k // 2)[:, 10 * k :])
    run = {"root": two_views.path, "work": "a-work-123abc", "out": two_views.path / "m.parquet"}
    match_work(**run, settings=changed(MatchSettings(), exhaustive_images=6, neighbours=1))
    everything = {(row["image_a"], row["image_b"]): row for row in two_views.matches()}
    assert len(everything) == 15
    monkeypatch.setattr(retrieval, "SHORTLIST", 2)
    match_work(**run, settings=changed(MatchSettings(), exhaustive_images=5, neighbours=1))
    chosen = {(row["image_a"], row["image_b"]): row for row in two_views.matches()}
    assert 3 <= len(chosen) < 6
    assert ("c2", "c3") in chosen
    assert all({**row, "settings": 0} == {**everything[pair], "settings": 0} for pair, row in chosen.items())
    assert "choosing 1 partners of each" in caplog.text
