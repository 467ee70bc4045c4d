"""The museum's cameras as truth for the angles that the dataset states."""

from itertools import combinations

import numpy as np

from liftnet.data.schemas import TRUTH, read_table
from liftnet.data.truth import load_truth
from liftnet.geometry.perspective import estimate_fundamental
from liftnet.geometry.rotations import View, rotation_angles, rotations_of_pairs
from liftnet.render.sets import correspondences

NOISE_PX, POINTS = 0.3, 150


def test_angles_between_the_museums_cameras(small_museum):
    rng = np.random.default_rng(0)
    works: dict[str, list] = {}
    for row in read_table(small_museum / "truth.parquet", TRUTH).to_pylist():
        works.setdefault(row["work_id"], []).append(load_truth(small_museum / row["truth"]))
    matrices, sides, focals, centres, counts, truth = [], ([], []), ([], []), ([], []), [], []
    for views in works.values():
        for pair in combinations(views, 2):
            points = correspondences(*pair)
            if len(points[0]) < POINTS:
                continue
            some = rng.choice(len(points[0]), POINTS, replace=False)
            seen = [p[some] + rng.normal(0, NOISE_PX, (POINTS, 2)) for p in points]
            matrices.append(estimate_fundamental(*seen, 1.5, rng).F)
            for k, view in enumerate(pair):
                sides[k].append(seen[k])
                focals[k].append(view.camera.intrinsics[0, 0])
                centres[k].append(view.camera.intrinsics[:2, 2])
            counts.append(POINTS)
            truth.append(float(rotation_angles(pair[1].camera.rotation @ pair[0].camera.rotation.T)))
    views = [View(np.concatenate(p), np.array(f), np.array(c)) for p, f, c in zip(sides, focals, centres, strict=True)]
    found = rotations_of_pairs(np.array(matrices), *views, np.array(counts))
    errors = np.abs(found - truth)[np.isfinite(found)]
    assert len(found) >= 15
    assert len(errors) >= 0.5 * len(found)
    assert np.median(errors) < 1.0
    assert np.mean(errors < 5) >= 0.9
