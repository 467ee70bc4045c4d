"""The angle between the cameras of a pair: from its fundamental matrix, refined, where believed; beside OpenCV.

    python benchmarks/camera_angles.py --run results --museum museum [--photos DIR]

The museum's kept pairs (their stored fundamental matrices and correspondences) with the true focal lengths, and with
focal lengths 10 % too long, as EXIF may be wrong; the photographs of the plaster head with their true focal lengths
(SIFT, ratio test, our fundamental matrix; the principal point is taken to be the centre of the image). OpenCV finds an
essential matrix by its five-point RANSAC from the same points and recovers the pose. Errors are in the angle of the
rotation between the cameras. CPU seconds on one thread. Writes benchmarks/camera_angles.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from measuring import PHOTOS, machine, one_thread, shown, spent, write_report

from liftnet.data.pictures import read_image
from liftnet.data.schemas import MANIFEST, PAIRS, read_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.geometry.perspective import estimate_fundamental
from liftnet.geometry.rotations import Calibrated, View, decompose, relative_poses, rotation_angles

PAGE = Path(__file__).with_suffix(".md")
FAR_OFF = 5.0  # degrees
COLUMNS = ["image_a", "image_b", "width_a", "height_a", "width_b", "height_b", "f_perspective", "x1", "y1", "x2", "y2"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of one collection: fundamental matrices (P, 3, 3), views, points of each, true angles in degrees."""

    matrices: np.ndarray
    a: View
    b: View
    counts: np.ndarray
    truth: np.ndarray

    def with_focals(self, factor: float) -> Pairs:
        """The same with all focal lengths multiplied."""
        a, b = (replace(view, focals=view.focals * factor) for view in (self.a, self.b))
        return replace(self, a=a, b=b)

    @property
    def essentials(self) -> np.ndarray:
        """(P, 3, 3)."""
        return self.b.intrinsics.transpose(0, 2, 1) @ self.matrices @ self.a.intrinsics

    @property
    def calibrated(self) -> Calibrated:
        """The points in the cameras."""
        return Calibrated.of_pixels(self.a, self.b, self.counts)


def of_museum(run: Path, museum: Path) -> Pairs:
    """The kept pairs of a run of the museum."""
    files = truth_files(museum)
    rows = read_table(run / "manifest.parquet", MANIFEST).select(["image_id", "image_url", "status"]).to_pylist()
    cameras = {
        row["image_id"]: load_truth(files[row["image_url"]]).camera
        for row in rows
        if row["status"] == "ok" and row["image_url"] in files
    }
    tables = [read_table(path, PAIRS) for path in sorted((run / "pairs").glob("*.parquet"))]
    kept = pa.concat_tables([t.filter(t.column("kept")).select(COLUMNS) for t in tables])
    kept = kept.filter(pc.is_valid(kept.column("f_perspective"))).combine_chunks()
    flat = {name: pc.list_flatten(kept.column(name)).to_numpy().astype(float) for name in COLUMNS[6:]}
    ends = [[cameras[image] for image in kept.column(name).to_pylist()] for name in ("image_a", "image_b")]
    views = [
        View(
            np.column_stack([flat[x], flat[y]]),
            np.array([camera.intrinsics[0, 0] for camera in side]),
            (np.column_stack([kept.column(f"{size}_{end}").to_numpy() for size in ("width", "height")]) - 1) / 2,
        )
        for side, x, y, end in zip(ends, ("x1", "x2"), ("y1", "y2"), "ab", strict=True)
    ]
    turns = np.array([b.rotation @ a.rotation.T for a, b in zip(*ends, strict=True)])
    counts = pc.list_value_length(kept.column("x1")).to_numpy().astype(np.int64)
    return Pairs(flat["f_perspective"].reshape(-1, 3, 3), *views, counts, rotation_angles(turns))


def of_photographs(folder: Path) -> Pairs:
    """All pairs of the plaster head with at least 20 inliers of a fundamental matrix."""
    sift = cv2.SIFT_create(nfeatures=3000, contrastThreshold=0.01)
    names = sorted(path.stem for path in (folder / "cameras").iterdir())
    features, cameras = {}, {}
    for name in names:
        picture = read_image(folder / f"images/{name}.jpg")
        keypoints, descriptors = sift.detectAndCompute(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None)
        features[name] = cv2.KeyPoint_convert(keypoints).astype(float), descriptors
        intrinsics, rotation, *_ = cv2.decomposeProjectionMatrix(np.loadtxt(folder / f"cameras/{name}.txt"))
        cameras[name] = intrinsics[0, 0] / intrinsics[2, 2], rotation
    centre = (np.array(picture.shape[1::-1]) - 1) / 2
    rng, found = np.random.default_rng(0), []
    for first, second in combinations(names, 2):
        matches = cv2.BFMatcher().knnMatch(features[first][1], features[second][1], k=2)
        good = [m for m, n in matches if m.distance < 0.8 * n.distance]
        a = features[first][0][[m.queryIdx for m in good]]
        b = features[second][0][[m.trainIdx for m in good]]
        model = estimate_fundamental(a, b, 1.5, rng)
        if model.inliers.sum() >= 20:
            turn = float(rotation_angles(cameras[second][1] @ cameras[first][1].T))
            found.append((model.F, a[model.inliers], b[model.inliers], cameras[first][0], cameras[second][0], turn))
    matrices, a, b, focal_a, focal_b, truth = zip(*found, strict=True)
    centres = np.tile(centre, (len(found), 1))
    views = [View(np.concatenate(p), np.array(f), centres) for p, f in ((a, focal_a), (b, focal_b))]
    return Pairs(np.array(matrices), *views, np.array([len(points) for points in a]), np.array(truth))


def by_opencv(pairs: Pairs) -> np.ndarray:
    """Degrees, by the five-point algorithm and RANSAC, threshold 1 px; NaN where it fails."""
    ends = np.cumsum(pairs.counts)
    calibrated, angles = pairs.calibrated, []
    for k, (start, end) in enumerate(zip(ends - pairs.counts, ends, strict=True)):
        a, b = (rays[start:end, :2] for rays in (calibrated.rays_a, calibrated.rays_b))
        focal = (pairs.a.focals[k] + pairs.b.focals[k]) / 2
        matrix, inliers = cv2.findEssentialMat(a, b, np.eye(3), cv2.RANSAC, 0.999, 1 / focal, maxIters=1000)
        if matrix is None or matrix.shape != (3, 3):
            angles.append(np.nan)
            continue
        _, rotation, _, _ = cv2.recoverPose(matrix, a, b, np.eye(3), mask=inliers)
        angles.append(float(rotation_angles(rotation)))
    return np.array(angles)


def by_decomposition(pairs: Pairs) -> np.ndarray:
    """Degrees, from the fundamental matrix alone."""
    return rotation_angles(decompose(pairs.essentials, pairs.calibrated)[0])


def refined(pairs: Pairs) -> np.ndarray:
    """Degrees, the best minimum of every pair, believed or not."""
    return relative_poses(pairs.essentials, pairs.calibrated).angles


def believed(pairs: Pairs) -> np.ndarray:
    """Degrees, as the dataset has them; NaN where not believed."""
    poses = relative_poses(pairs.essentials, pairs.calibrated)
    return np.where(poses.believed, poses.angles, np.nan)


METHODS: dict[str, Callable[[Pairs], np.ndarray]] = {
    "F decomposed": by_decomposition,
    "OpenCV, five points and RANSAC": by_opencv,
    "liftnet, refined, all pairs": refined,
    "liftnet, where believed (rotation_deg)": believed,
}


def measure(name: str, pairs: Pairs) -> list[dict[str, object]]:
    """A row for each method."""
    rows = []
    for method, function in METHODS.items():
        start = spent()
        angles = function(pairs)
        seconds = spent() - start
        errors = np.abs(angles - pairs.truth)[np.isfinite(angles)]
        rows.append(
            {
                "pairs of": name,
                "method": method,
                "pairs": len(angles),
                "with an angle": len(errors) / len(angles),
                "median error": np.median(errors),
                "90 % below": np.quantile(errors, 0.9),
                f"off by over {FAR_OFF:.0f}": np.mean(errors > FAR_OFF),
                "CPU ms a pair": 1000 * seconds / len(angles),
            }
        )
    return rows


def main() -> None:
    """Measure both collections and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run of the museum: manifest.parquet and pairs/")
    parser.add_argument("--museum", type=Path, required=True)
    parser.add_argument("--photos", type=Path, default=PHOTOS / "buddha")
    parser.add_argument("--report", type=Path, default=PAGE)
    arguments = parser.parse_args()
    with one_thread():
        museum = of_museum(arguments.run, arguments.museum)
        by_decomposition(museum)
        rows = measure("the museum", museum)
        rows += measure("the museum, focal lengths 10 % too long", museum.with_focals(1.1))
        if arguments.photos.is_dir():
            rows += measure("the plaster head", of_photographs(arguments.photos))
    formats = {"with an angle": ".3f", "median error": ".2f", "90 % below": ".2f", "CPU ms a pair": ".2f"}
    page = [
        "# Angles between cameras",
        "Written by `python benchmarks/camera_angles.py --run RUN --museum MUSEUM`, which see. Errors in degrees; the "
        f"museum's pairs are turned by {np.median(museum.truth):.0f} degrees in the median.",
        machine("opencv-python", "numpy"),
        shown(pd.DataFrame(rows), formats | {f"off by over {FAR_OFF:.0f}": ".3f", "pairs": ",.0f"}),
    ]
    write_report(arguments.report, page)


if __name__ == "__main__":
    main()
