"""Real photographs of a plaster head with known cameras: what verification keeps obeys the true epipolar geometry."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from liftnet.io.images import read_image
from liftnet.verify.decide import verify_pair
from liftnet.verify.settings import VerifySettings

BUDDHA = Path(__file__).resolve().parents[2] / "../shared/data/photos/buddha"
NEIGHBOURS = [("00046", "00047"), ("00042", "00049"), ("00006", "00028"), ("00010", "00018")]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not BUDDHA.is_dir(), reason=f"the photographs are not at {BUDDHA}"),
]


@pytest.fixture(scope="module")
def features():
    sift = cv2.SIFT_create(contrastThreshold=0.01, enable_precise_upscale=True)
    found = {}
    for name in sorted({name for pair in NEIGHBOURS for name in pair}):
        grey = cv2.cvtColor(read_image(BUDDHA / f"images/{name}._c.jpg"), cv2.COLOR_RGB2GRAY)
        keypoints, descriptors = sift.detectAndCompute(grey, None)
        found[name] = cv2.KeyPoint_convert(keypoints), np.sqrt(descriptors / descriptors.sum(1, keepdims=True))
    return found


def putative(features, first, second):
    (points_a, descriptors_a), (points_b, descriptors_b) = features[first], features[second]
    similarity = descriptors_a @ descriptors_b.T
    best = similarity.argmax(1)
    two = -np.partition(-similarity, 1, axis=1)[:, :2]
    ratio = np.sqrt(np.maximum(2 - 2 * two[:, 0], 0) / np.maximum(2 - 2 * two[:, 1], 1e-9))
    good = (ratio < 0.8) & (similarity.argmax(0)[best] == np.arange(len(best)))
    return points_a[good].astype(float), points_b[best[good]].astype(float), 1 - ratio[good]


def true_fundamental(first, second):
    camera_a, camera_b = (np.loadtxt(BUDDHA / f"cameras/{name}._c.txt") for name in (first, second))
    centre = np.linalg.svd(camera_a)[2][-1]
    x, y, z = camera_b @ centre
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ camera_b @ np.linalg.pinv(camera_a)


def distance_to_true_line(first, second, points_a, points_b):
    lines = np.column_stack([points_a, np.ones(len(points_a))]) @ true_fundamental(first, second).T
    homogeneous = np.column_stack([points_b, np.ones(len(points_b))])
    return np.abs((lines * homogeneous).sum(1)) / np.hypot(lines[:, 0], lines[:, 1])


def decide(points_a, points_b, score, seed=0):
    everywhere = np.ones(len(score), bool)
    return verify_pair(points_a, points_b, score, everywhere, 1024, np.random.default_rng(seed), VerifySettings())


def test_kept_matches_lie_on_the_true_epipolar_lines(features):
    kept_distances, before = [], []
    for first, second in NEIGHBOURS:
        a, b, score = putative(features, first, second)
        before.append(distance_to_true_line(first, second, a, b))
        decision = decide(a, b, score)
        if decision.kept:
            kept_distances.append(distance_to_true_line(first, second, a, b)[decision.inliers])
    assert len(kept_distances) == len(NEIGHBOURS)
    within = np.mean(np.concatenate(kept_distances) < 4)
    assert within >= 0.95
    assert within > np.mean(np.concatenate(before) < 4)


def test_copies_of_a_photograph_are_rejected(features):
    """The same photograph, made smaller, turned and compressed: many matches, no parallax."""
    picture = read_image(BUDDHA / "images/00046._c.jpg")
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 0.75)
    small = cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])
    sift = cv2.SIFT_create(contrastThreshold=0.01, enable_precise_upscale=True)
    keypoints, descriptors = sift.detectAndCompute(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), None)
    copy = cv2.KeyPoint_convert(keypoints), np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1))
    decision = decide(*putative({"a": features["00046"], "b": copy}, "a", "b"))
    assert decision.reason == "affine_homography", decision
    assert decision.rho > 0.95
    np.testing.assert_allclose(decision.homography.matrix, turn, atol=0.5)


def test_shuffled_matches_are_rejected(features):
    rng = np.random.default_rng(0)
    for first, second in NEIGHBOURS:
        a, b, score = putative(features, first, second)
        assert not decide(a, rng.permutation(b), score).kept
