"""The angle between two cameras: right where it is given, and not given where the points do not determine it."""

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from liftnet.data.pictures import read_image
from liftnet.geometry.perspective import estimate_fundamental
from liftnet.geometry.rotations import Calibrated, Trust, View, relative_poses, rotation_angles, rotations_of_pairs

FOCAL, CENTRE = 1000.0, np.array([319.5, 239.5])
BUDDHA = Path(__file__).resolve().parents[2] / "../shared/data/photos/buddha"


def turned(degrees, axis=(0.2, 1.0, 0.1)):
    axis = np.asarray(axis) / np.linalg.norm(axis)
    return cv2.Rodrigues(np.radians(degrees) * axis)[0]


def body(rng, n=120, flat=1.0):
    """Points on the side of a bumpy ball that faces the cameras."""
    points = rng.normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True) * (1 + 0.2 * rng.uniform(size=(n, 1)))
    points[:, 2] = -np.abs(points[:, 2]) * flat
    return points


def photographed(points, rotation, distance, focal, noise, rng):
    seen = points @ rotation.T + [0, 0, distance]
    return seen[:, :2] / seen[:, 2:] * focal + CENTRE + rng.normal(0, noise, (len(points), 2))


def pairs_of(angles, distance=5.0, focal=FOCAL, noise=0.3, n=120, flat=1.0, wrong=0.0, seed=0):
    """Fundamental matrices, views and counts of pairs whose cameras are turned by the given angles."""
    rng = np.random.default_rng(seed)
    sides, matrices = ([], []), []
    for angle in angles:
        points, half = body(rng, n, flat), turned(angle / 2)
        both = [photographed(points, r, distance, focal, noise, rng) for r in (half.T, half)]
        strangers = rng.uniform(size=n) < wrong
        both[1][strangers] += rng.normal(0, 6, (strangers.sum(), 2))
        matrices.append(estimate_fundamental(*both, 1.5, rng).F)
        for side, seen in zip(sides, both, strict=True):
            side.append(seen)
    views = [
        View(np.concatenate(side), np.full(len(angles), focal), np.tile(CENTRE, (len(angles), 1))) for side in sides
    ]
    return np.array(matrices), *views, np.full(len(angles), n)


ANGLES = np.array([4.0, 10, 15, 20, 25, 30, 35, 40, 50, 60])


def test_without_noise_the_angle_is_exact():
    matrices, a, b, counts = pairs_of(ANGLES, noise=0.0)
    np.testing.assert_allclose(rotations_of_pairs(matrices, a, b, counts), ANGLES, atol=1e-3)


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_with_noise_it_is_right_to_a_degree_or_left_out(wrong):
    truth = np.tile(ANGLES, 3)
    found = rotations_of_pairs(*pairs_of(truth, wrong=wrong))
    errors = np.abs(found - truth)[np.isfinite(found)]
    assert np.isfinite(found).mean() > 0.9
    assert np.median(errors) < 0.5
    assert errors.max() < 3


def test_the_standard_deviation_is_that_of_the_errors():
    truth = np.full(60, 25.0)
    matrices, a, b, counts = pairs_of(truth, noise=0.4)
    essentials = b.intrinsics.transpose(0, 2, 1) @ matrices @ a.intrinsics
    poses = relative_poses(essentials, Calibrated.of_pixels(a, b, counts))
    ratio = (poses.angles - truth) / poses.sigmas
    assert 0.6 < np.sqrt(np.mean(ratio**2)) < 1.5


def test_affine_views_do_not_determine_an_angle():
    """Sixty times as far with sixty times the focal length: the same images, but for the perspective."""
    found = rotations_of_pairs(*pairs_of(ANGLES, distance=300.0, focal=60 * FOCAL))
    assert np.isnan(found).all()


def answers_of_a_plane(a, b):
    """Angles of OpenCV's decompositions of the homography of rays (N, 2) for which all points lie before cameras."""
    homography, _ = cv2.findHomography(a, b)
    _, rotations, shifts, normals = cv2.decomposeHomographyMat(homography, np.eye(3))
    rays = np.column_stack([a, np.ones(len(a))])
    angles = set()
    for rotation, shift, normal in zip(rotations, shifts, normals, strict=True):
        distance = rays @ normal.ravel()
        moved = rays / distance[:, None] @ rotation.T + shift.ravel()
        if (distance > 0).all() and (moved[:, 2] > 0).all():
            angles.add(round(float(rotation_angles(rotation)), 1))
    return sorted(angles)


def test_a_plane_gives_no_angle_where_it_has_two_answers():
    rng = np.random.default_rng(1)
    outcomes = {"one": [], "two": []}
    for _ in range(60):
        rotation, tilt = (
            turned(rng.uniform(5, 40), rng.normal(size=3)),
            turned(rng.uniform(10, 50), rng.normal(size=3)),
        )
        points = body(rng, flat=0.0) @ tilt.T + np.array([0, 0, 5.0])
        shift = rng.normal(size=3) * [1, 1, 0.5]
        seen = [points, points @ rotation.T + shift]
        if min(side[:, 2].min() for side in seen) < 1:
            continue
        rays = [side[:, :2] / side[:, 2:] for side in seen]
        answers = answers_of_a_plane(*rays)
        views = [
            View(side * FOCAL + rng.normal(0, 0.2, side.shape), np.array([FOCAL]), np.zeros((1, 2))) for side in rays
        ]
        model = estimate_fundamental(*(view.points for view in views), 1.5, rng)
        found = rotations_of_pairs(model.F[None], *views, np.array([len(points)]))[0]
        if np.ptp(answers) > 6:
            outcomes["two"].append(found)
        elif len(answers) == 1:
            outcomes["one"].append(found - rotation_angles(rotation))
    assert len(outcomes["two"]) >= 5
    assert np.isnan(outcomes["two"]).all()
    assert len(outcomes["one"]) >= 5
    assert np.nanmax(np.abs(outcomes["one"])) < Trust().apart
    assert np.nanmedian(np.abs(outcomes["one"])) < 0.3


def test_a_turn_in_the_image_plane_counts():
    rng = np.random.default_rng(3)
    points, rotation = body(rng), turned(20, (0, 1, 0))
    roll = turned(90, (0, 0, 1)) @ rotation
    a, b = (photographed(points, r, 5.0, FOCAL, 0.2, rng) for r in (np.eye(3), roll))
    views = [View(seen, np.array([FOCAL]), CENTRE[None]) for seen in (a, b)]
    found = rotations_of_pairs(estimate_fundamental(a, b, 1.5, rng).F[None], *views, np.array([len(a)]))
    assert found[0] == pytest.approx(float(rotation_angles(roll)), abs=1)


def test_a_pair_alone_gives_what_it_gives_among_others_and_the_order_of_its_images_does_not_matter():
    matrices, a, b, counts = pairs_of(ANGLES)
    together = rotations_of_pairs(matrices, a, b, counts)
    k, rows = 4, slice(4 * 120, 5 * 120)
    one_a, one_b = (View(v.points[rows], v.focals[k : k + 1], v.centres[k : k + 1]) for v in (a, b))
    alone = rotations_of_pairs(matrices[k : k + 1], one_a, one_b, counts[k : k + 1])
    assert alone[0] == pytest.approx(together[k], abs=1e-4)
    swapped = rotations_of_pairs(matrices.transpose(0, 2, 1), b, a, counts)
    np.testing.assert_allclose(swapped, together, atol=0.05)


def test_what_is_not_known_gives_no_angle():
    matrices, a, b, counts = pairs_of(ANGLES[:5])
    a.focals[0], b.focals[1] = np.nan, 0.0
    matrices[2, 1, 1] = np.nan
    found = rotations_of_pairs(matrices, a, b, counts)
    assert np.isnan(found).tolist() == [True, True, True, False, False]
    assert np.isnan(rotations_of_pairs(matrices, a, b, counts, Trust(points=1000))).all()


def test_pairs_without_points_are_passed_over():
    matrices, a, b, counts = pairs_of(ANGLES[:2])
    counts = np.array([0, 120, 120])
    views = [View(v.points, np.full(3, FOCAL), np.tile(CENTRE, (3, 1))) for v in (a, b)]
    found = rotations_of_pairs(np.concatenate([matrices[:1], matrices]), *views, counts)
    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()


def calibrated(name):
    """K, R of a photograph of the plaster head."""
    intrinsics, rotation, *_ = cv2.decomposeProjectionMatrix(np.loadtxt(BUDDHA / f"cameras/{name}._c.txt"))
    return intrinsics / intrinsics[2, 2], rotation


@pytest.mark.real
@pytest.mark.skipif(not BUDDHA.is_dir(), reason=f"the photographs are not at {BUDDHA}")
def test_real_photographs_with_known_cameras():
    sift = cv2.SIFT_create(nfeatures=3000, contrastThreshold=0.01)
    names = ["00006", "00028", "00042", "00046", "00047", "00049", "00052", "00055"]
    features = {}
    for name in names:
        grey = cv2.cvtColor(read_image(BUDDHA / f"images/{name}._c.jpg"), cv2.COLOR_RGB2GRAY)
        keypoints, descriptors = sift.detectAndCompute(grey, None)
        features[name] = cv2.KeyPoint_convert(keypoints).astype(float), descriptors
    matcher, rng = cv2.BFMatcher(), np.random.default_rng(0)
    errors, tried = [], 0
    for first, second in combinations(names, 2):
        found = matcher.knnMatch(features[first][1], features[second][1], k=2)
        good = [m for m, n in found if m.distance < 0.8 * n.distance]
        a = features[first][0][[m.queryIdx for m in good]]
        b = features[second][0][[m.trainIdx for m in good]]
        model = estimate_fundamental(a, b, 1.5, rng)
        if model.inliers.sum() < 30:
            continue
        (k_a, r_a), (k_b, r_b) = calibrated(first), calibrated(second)
        centre = np.array([[511.5, 287.5]])
        views = [View(p[model.inliers], k[:1, 0], centre) for p, k in ((a, k_a), (b, k_b))]
        angle = rotations_of_pairs(model.F[None], *views, np.array([model.inliers.sum()]))[0]
        truth = float(rotation_angles(r_b @ r_a.T))
        tried += 1
        if np.isfinite(angle):
            errors.append(abs(angle - truth))

    assert tried >= 6
    assert len(errors) >= tried / 2
    assert np.median(errors) < 0.5
    assert max(errors) < 2
