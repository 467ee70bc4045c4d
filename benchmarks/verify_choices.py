"""What decides `verify`'s defaults: estimator of the perspective F, thresholds, affine or perspective model.

    python benchmarks/verify_choices.py --museum-run RESULTS --photos-run RESULTS --cameras FOLDER [--every 3]

`--museum-run` is the results folder of a finished run of the built-in museum, where the true positions are known;
`--photos-run` one of the photographs with the calibrated head, and `--cameras` the folder of its projection matrices
(<image>.txt). Taken are the pairs with at least 20 matches on the predicted foreground of both images, of every
`--every`-th work of the museum. A match counts as true within 2 px: of its true and visible position in the museum, of
the true epipolar geometry (Sampson) on the photographs. Writes benchmarks/verify_choices.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from measuring import fundamental_of, machine, one_thread, peer, shown, spent, write_report

from liftnet.core.settings import changed
from liftnet.data.manifest import StoredImage, stored_images
from liftnet.data.truth import load_truth, truth_files
from liftnet.geometry import (
    Search,
    chance_floor,
    distinct_locations,
    estimate_affine_fundamental,
    estimate_affine_homography,
    estimate_fundamental,
    joint_extent,
)
from liftnet.geometry.perspective import fundamental_residuals
from liftnet.geometry.subspaces import fit_subspace, joint_points
from liftnet.verify.fits import PairNumbers, View, fit_pair
from liftnet.verify.inputs import MaskFolder, Matches, MatchTable
from liftnet.verify.settings import VerifySettings
from liftnet.verify.truth import transfer_errors
from liftnet.verify.verify import reasons

LEAST, TRUE_PX, NOISE_PX, SEARCH = 20, 2.0, 1.5, {"confidence": 0.999, "max_iterations": 2000}
Matrix = np.ndarray | None
Estimator = Callable[[np.ndarray, np.ndarray, int], Matrix]


@dataclass(frozen=True, eq=False)
class Case:
    """A pair's matches on the foreground at different locations, and which of them are true."""

    points_a: np.ndarray
    points_b: np.ndarray
    true: np.ndarray
    views: tuple[View, View]
    object_px: float
    image_px: float


def cases(
    run: Path, every: int, truth: Callable[[StoredImage, StoredImage, Matches], np.ndarray | None]
) -> Iterator[Case]:
    """The pairs of a run that have a truth."""
    images, masks = stored_images(run), MaskFolder(run / "masks")
    for path in sorted((run / "matches").glob("*.parquet"))[::every]:
        for pair in MatchTable(path):
            a, b = images.get(pair.image_a), images.get(pair.image_b)
            on = masks.both_on_foreground(pair, a, b) if a and b and pair.is_consistent else None
            if a is None or b is None or on is None:
                continue
            used = np.flatnonzero(on)
            used = used[distinct_locations(pair.points_a[used], pair.points_b[used], pair.score[used])]
            true = truth(a, b, pair) if len(used) >= LEAST else None
            if true is not None:
                views = tuple(View(i.width, i.height, masks.object_side(i)) for i in (a, b))
                points = (points[used].astype(np.float64) for points in (pair.points_a, pair.points_b))
                side = float(np.mean([view.object_px for view in views]))
                yield Case(*points, true[used], views, side, float(np.mean([max(i.width, i.height) for i in (a, b)])))


def museum_truth(run: Path) -> Callable[[StoredImage, StoredImage, Matches], np.ndarray | None]:
    """Within TRUE_PX of the true and visible position."""
    files = truth_files(run / "museum")
    view = lru_cache(64)(lambda url: load_truth(files[url]))

    def true(a: StoredImage, b: StoredImage, pair: Matches) -> np.ndarray | None:
        if a.image_url not in files or b.image_url not in files:
            return None
        distance, visible = transfer_errors(view(a.image_url), view(b.image_url), pair.points_a, pair.points_b)
        return visible & (distance <= TRUE_PX)

    return true


def camera_truth(folder: Path) -> Callable[[StoredImage, StoredImage, Matches], np.ndarray | None]:
    """Within TRUE_PX of the epipolar geometry of the calibrated cameras."""

    def true(a: StoredImage, b: StoredImage, pair: Matches) -> np.ndarray | None:
        files = [folder / f"{Path(image.image_url).stem}.txt" for image in (a, b)]
        if not all(file.is_file() for file in files):
            return None
        matrix = fundamental_of(*(np.loadtxt(file) for file in files))
        return fundamental_residuals(matrix, joint_points(pair.points_a, pair.points_b)) <= TRUE_PX

    return true


def opencv(method: int) -> Estimator:
    """One of OpenCV's named estimators; None where its assertions fail."""

    def run(a: np.ndarray, b: np.ndarray, seed: int) -> Matrix:
        cv2.setRNGSeed(seed)
        try:
            matrix, _ = cv2.findFundamentalMat(a, b, method, NOISE_PX, *SEARCH.values())
        except cv2.error:
            return None
        return matrix if matrix is not None and matrix.shape == (3, 3) else None

    return run


def estimators() -> dict[str, Estimator]:
    """Ours (`estimate_fundamental`), OpenCV's by name and, where installed, PoseLib."""

    def ours(a: np.ndarray, b: np.ndarray, seed: int) -> Matrix:
        found = estimate_fundamental(a, b, NOISE_PX, np.random.default_rng(seed))
        return found.F if found.found else None

    names = ("USAC_DEFAULT", "USAC_FAST", "USAC_ACCURATE", "USAC_MAGSAC", "USAC_PROSAC")
    found: dict[str, Estimator] = {"OpenCV MSAC, graph cut, least squares (`estimate_fundamental`)": ours}
    found |= {f"OpenCV {name}": opencv(getattr(cv2, name)) for name in names}
    poselib = peer("poselib")
    if poselib is not None:
        options = {"max_epipolar_error": NOISE_PX, "max_iterations": 2000, "success_prob": 0.999}
        found["PoseLib"] = lambda a, b, seed: poselib.estimate_fundamental(a, b, {**options, "seed": seed}, {})[0]
    return found


def compare_estimators(name: str, pairs: list[Case]) -> pd.DataFrame:
    """Inliers at NOISE_PX of each estimator of the perspective F, where there are at least LEAST; and the affine F."""
    rows = []
    for method, estimate in (("affine F", None), *estimators().items()):
        kept = true = 0
        start = spent()
        for seed, case in enumerate(pairs, 1):
            if estimate is None:
                rng = np.random.default_rng(seed)
                inliers = estimate_affine_fundamental(case.points_a, case.points_b, NOISE_PX, rng).inliers
            else:
                matrix, joint = (
                    estimate(case.points_a, case.points_b, seed),
                    joint_points(case.points_a, case.points_b),
                )
                residuals = np.inf if matrix is None else fundamental_residuals(np.asarray(matrix), joint)
                inliers = np.broadcast_to(residuals < NOISE_PX, len(joint))
            if inliers.sum() >= LEAST:
                kept, true = kept + int(inliers.sum()), true + int((inliers & case.true).sum())
        cpu = 1000 * (spent() - start) / len(pairs)
        rows.append({"data": name, "estimator": method, **shares(kept, true, pairs), "CPU ms a pair": cpu})
    return pd.DataFrame(rows)


def shares(kept: int, true: int, pairs: list[Case]) -> dict[str, float]:
    """Precision, and recall of all true matches of the pairs."""
    everything = sum(int(case.true.sum()) for case in pairs)
    return {"matches": kept, "precision": true / max(kept, 1), "recall": true / max(everything, 1)}


def compare_settings(name: str, pairs: list[Case], variants: dict[str, VerifySettings]) -> pd.DataFrame:
    """What the whole rule keeps with other thresholds, and how far an affine camera is from what is kept."""
    rows = []
    for variant, settings in variants.items():
        kept = true = n_pairs = 0
        misfits = []
        for seed, case in enumerate(pairs):
            rng, known = np.random.default_rng(seed), PairNumbers(len(case.true), len(case.true), len(case.true))
            fits = fit_pair(case.points_a, case.points_b, case.views, known, rng, settings)
            if reasons({key: [value] for key, value in vars(fits.numbers).items()}, settings.thresholds)[0] != "kept":
                continue
            n_pairs, kept = n_pairs + 1, kept + fits.numbers.n_inliers
            true += int((fits.inliers & case.true).sum())
            points = joint_points(case.points_a[fits.inliers & case.true], case.points_b[fits.inliers & case.true])
            flat = fit_subspace(points, 1) if len(points) > 4 else None
            if flat is not None:
                misfits.append(flat.residuals(points) / case.object_px)
        misfit = 100 * float(np.sqrt(np.mean(np.concatenate(misfits) ** 2)))
        rows.append(
            {
                "data": name,
                "settings": variant,
                "pairs": n_pairs,
                **shares(kept, true, pairs),
                "affine misfit %": misfit,
            }
        )
    return pd.DataFrame(rows)


def variants() -> dict[str, VerifySettings]:
    """The defaults, and what they were chosen from."""
    defaults = VerifySettings()

    def but(**changes: object) -> VerifySettings:
        return changed(defaults, **changes)

    found = {"affine (default)": defaults, "perspective": but(model="perspective")}
    found["perspective, projective check"] = but(model="perspective", projective_check=True)
    for share in (0.0025, 0.004, 0.008, 0.01):
        found[f"affine, {share:.2%} of the object"] = but(threshold_fraction=share)
    for share in (0.0025, 0.004):
        found[f"affine, {share:.2%} of the image"] = but(threshold_fraction=share, threshold_of="image")
    for noise in (1.0, 2.0):
        found[f"affine, noise {noise:g} px"] = but(min_threshold_px=noise)
    found["affine, noise 2 px, 0.25% of the image"] = but(
        min_threshold_px=2.0, threshold_fraction=0.0025, threshold_of="image"
    )
    return found


def coupled(name: str, pairs: list[Case]) -> pd.DataFrame:
    """As `compare_settings`, with homographies held to 1.249 times the affine threshold of a pair, not the noise."""
    rows = []
    rules = {"0.25% of the image or 2 px": (0.0025, False, 2.0), "0.60% of the object or 1.5 px": (0.006, True, 1.5)}
    for variant, (share, of_object, least) in rules.items():
        kept = true = n_pairs = 0
        for seed, case in enumerate(pairs):
            threshold = max(least, share * (case.object_px if of_object else case.image_px))
            rng = np.random.default_rng(seed)
            inliers = estimate_affine_fundamental(case.points_a, case.points_b, threshold, rng).inliers
            a, b, n = case.points_a[inliers], case.points_b[inliers], int(inliers.sum())
            explained = estimate_affine_homography(a, b, 1.249 * threshold, rng, Search(0.999, 64)).n_inliers
            floor = chance_floor(len(case.true), threshold, joint_extent(case.points_a, case.points_b))
            if n >= max(LEAST, 1.5 * floor) and explained <= 0.8 * n:
                n_pairs, kept, true = n_pairs + 1, kept + n, true + int((inliers & case.true).sum())
        text = f"affine, {variant}, homographies 1.249 times that"
        rows.append({"data": name, "settings": text, "pairs": n_pairs, **shares(kept, true, pairs)})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure on what is given and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--museum-run", type=Path, help="results folder of a run of the museum")
    parser.add_argument("--photos-run", type=Path, help="results folder of a run with the calibrated photographs")
    parser.add_argument("--cameras", type=Path, help="folder with their projection matrices")
    parser.add_argument("--every", type=int, default=3, help="of the museum's works take every n-th")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    data = {}
    if arguments.museum_run:
        data["museum"] = list(cases(arguments.museum_run, arguments.every, museum_truth(arguments.museum_run)))
    if arguments.photos_run and arguments.cameras:
        data["head"] = list(cases(arguments.photos_run, 1, camera_truth(arguments.cameras)))
    if not data:
        parser.error("give --museum-run, or --photos-run and --cameras")
    with one_thread():
        for pairs in data.values():  # compiled and loaded before anything is timed
            compare_estimators("", pairs[:1])
        by_estimator = pd.concat(compare_estimators(name, pairs) for name, pairs in data.items())
        chosen = [compare_settings(name, pairs, variants()) for name, pairs in data.items()]
        by_settings = pd.concat([*chosen, *(coupled(name, pairs) for name, pairs in data.items())])
    sizes = "; ".join(f"{name}: {len(p)} pairs, {sum(int(c.true.sum()) for c in p)} true" for name, p in data.items())
    formats = {"precision": ".3f", "recall": ".3f"}
    write_report(
        arguments.out,
        [
            "# Choices of `verify`",
            f"By `python benchmarks/verify_choices.py` on {machine('opencv-python', 'poselib')}. Pairs with at least "
            f"{LEAST} matches on the foreground ({sizes}). A true match lies within {TRUE_PX:g} px.",
            f"Estimators at {NOISE_PX:g} px, pairs with at least {LEAST} inliers:",
            shown(by_estimator, {**formats, "CPU ms a pair": ".2f"}),
            "The whole rule. The affine misfit is what a least-squares affine F leaves of the true matches kept, root "
            "mean square, in % of the object's long side:",
            shown(by_settings, {**formats, "affine misfit %": ".2f"}),
        ],
    )


if __name__ == "__main__":
    main()
