"""Real photographs of a plaster head with known cameras: what verification keeps obeys the true epipolar geometry."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from liftnet.core.settings import changed
from liftnet.data.pictures import read_image
from liftnet.verify.fits import View
from liftnet.verify.settings import VerifySettings
from liftnet.verify.verify import PutativePair, verify_pair

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


VIEW = View(1024, 576, 600.0)


def decide(points_a, points_b, score, seed=0, views=(VIEW, VIEW), **settings):
    everywhere = np.ones(len(score), bool)
    rng = np.random.default_rng(seed)
    pair = PutativePair(points_a, points_b, score, everywhere, views)
    return verify_pair(pair, rng, changed(VerifySettings(), **settings))


def keypoints_of(picture):
    sift = cv2.SIFT_create(contrastThreshold=0.01, enable_precise_upscale=True)
    keypoints, descriptors = sift.detectAndCompute(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None)
    return cv2.KeyPoint_convert(keypoints), np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1))


def compressed(picture, quality):
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("model", ["affine", "perspective"])
def test_kept_matches_lie_on_the_true_epipolar_lines(features, model):
    kept_distances, before = [], []
    for first, second in NEIGHBOURS:
        a, b, score = putative(features, first, second)
        before.append(distance_to_true_line(first, second, a, b))
        decision = decide(a, b, score, model=model)
        if decision.kept:
            kept_distances.append(distance_to_true_line(first, second, a, b)[decision.inliers])
    assert len(kept_distances) == len(NEIGHBOURS)
    within = np.mean(np.concatenate(kept_distances) < 4)
    assert within >= 0.95
    assert within > np.mean(np.concatenate(before) < 4)


def test_perspective_model_keeps_more_of_near_views(features):
    """The board behind the head included, the scene is deep: affine cameras do not suffice."""
    counts = [decide(*putative(features, *pair)).numbers for pair in NEIGHBOURS]
    assert sum(n.n_p for n in counts) > 1.15 * sum(n.n_f for n in counts)


@pytest.mark.parametrize("kind", ["smaller and turned", "crop", "compressed", "mirrored"])
def test_copies_of_a_photograph_are_named(features, kind):
    """The same photograph, changed as web pages change it: many matches, no parallax."""
    picture = read_image(BUDDHA / "images/00046._c.jpg")
    height, width = picture.shape[:2]
    change = cv2.getRotationMatrix2D((width / 2, height / 2), 8, 0.75) if kind == "smaller and turned" else None
    if kind == "crop":
        change = np.array([[1.0, 0, -150], [0, 1, -80]])
    if change is not None:
        size = (width, height) if kind == "smaller and turned" else (600, 400)
        picture = cv2.warpAffine(picture, change, size, flags=cv2.INTER_AREA)
    picture = compressed(picture, 60)
    if kind == "mirrored":
        picture = picture[:, ::-1]
    copy = keypoints_of(np.ascontiguousarray(picture))
    if kind == "mirrored":  # SIFT does not match mirrored patches: take those of the copy, mirror the places
        copy = keypoints_of(np.ascontiguousarray(picture[:, ::-1]))
        copy[0][:, 0] = width - 1 - copy[0][:, 0]
    decision = decide(*putative({"a": features["00046"], "b": copy}, "a", "b"))
    assert decision.reason == "duplicate", decision
    assert decision.numbers.rho > 0.95
    assert decision.numbers.n_duplicate > 0.9 * decision.numbers.n_used
    if change is not None:
        np.testing.assert_allclose(decision.fits.homography.matrix, change, atol=0.6)


def test_different_views_are_no_copies(features):
    for pair in NEIGHBOURS:
        numbers = decide(*putative(features, *pair)).numbers
        assert numbers.n_duplicate < 0.5 * numbers.n_used
        assert max(numbers.n_watermark, numbers.n_stationary) < 0.4 * numbers.n_inliers


@pytest.mark.parametrize("where", ["corner", "across"])
def test_watermark_on_two_photographs_is_named(where):
    """Two heads from far apart sides share nothing but what was written on both pictures."""
    pictures = []
    for name in ("00006", "00052"):
        picture = read_image(BUDDHA / f"images/{name}._c.jpg").copy()
        place, size = ((560, 560), 1.0) if where == "corner" else ((180, 330), 2.0)
        cv2.putText(
            picture, "(c) Museum & Photographs 2019", place, cv2.FONT_HERSHEY_COMPLEX, size, (255, 255, 255), 2
        )
        pictures.append(keypoints_of(compressed(picture, 85)))
    decision = decide(*putative(dict(enumerate(pictures)), 0, 1))
    assert decision.reason == "watermark", decision
    assert decision.numbers.n_stationary > 0.7 * decision.numbers.n_inliers
    if where == "corner":
        assert decision.numbers.n_watermark > 0.7 * decision.numbers.n_inliers


def test_shuffled_matches_are_rejected(features):
    rng = np.random.default_rng(0)
    for first, second in NEIGHBOURS:
        a, b, score = putative(features, first, second)
        assert not decide(a, rng.permutation(b), score).kept
