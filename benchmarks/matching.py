"""Matching real SIFT descriptors: ours beside OpenCV, faiss, COLMAP, kornia, torch, OpenMVG and the bare product.

    python benchmarks/matching.py [--quick] [--photos DIR] [--openmvg-bin DIR]

Descriptors are those of our SIFT on the calibrated photographs of a plaster head; every method gets the same ones.
Time is CPU seconds on one thread, the median of several runs over all pairs. A match is right if it lies within 4 px
of the epipolar lines of the calibrated cameras, in both images; it is asked of the pairs whose optical axes differ by
less than 45 degrees. Writes benchmarks/matching.md and docs/figures/matching.png.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from measuring import (
    PHOTOS,
    bars,
    fundamental_of,
    line_distances,
    machine,
    measured,
    new_figure,
    one_thread,
    peer,
    save_figure,
    shown,
    viewing_angle,
    write_report,
)
from openmvg_programs import Scene

from liftnet.io.features import Features
from liftnet.io.images import read_image
from liftnet.match import match_descriptors
from liftnet.match.settings import MatchSettings
from liftnet.match.sift import extract_sift

RATIO, RUNS = 0.8, 5
OVERLAP_DEGREES, RIGHT_PX = 45.0, 4.0
SIZES = (1000, 2000, 4000, 8000)
OURS = "liftnet exact, mutual"
PACKAGES = ("numpy", "opencv-python", "faiss-cpu", "pycolmap", "kornia", "torch")
Matcher = Callable[[np.ndarray, np.ndarray], np.ndarray]  # two (N, 128) uint8 arrays -> (K, 2) indices


@dataclass(frozen=True)
class Method:
    """A way to match two sets of descriptors.

    Attributes:
        test: Which tests it applies, in words.
        match: Matches one pair; None where it only works on whole works.
        match_all: Matches all pairs at once; the returned function is what is measured.
    """

    test: str
    match: Matcher | None = None
    match_all: Callable[[], list[np.ndarray]] | None = None


@dataclass(frozen=True)
class Work:
    """The features of the photographs and their calibrated cameras, and which pairs are matched."""

    files: dict[str, Path]
    features: dict[str, Features]
    cameras: dict[str, np.ndarray]
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def descriptors(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Those of both images of each pair."""
        return [(self.features[a].descriptors, self.features[b].descriptors) for a, b in self.pairs]


def load_work(photos: Path, quick: bool) -> Work:
    """Extract the features of the calibrated photographs, once for all methods."""
    files = {path.name.split(".")[0]: path for path in sorted((photos / "buddha/images").glob("*.jpg"))}
    files = dict(list(files.items())[:5]) if quick else files
    features = {name: extract_sift(read_image(path), MatchSettings()) for name, path in files.items()}
    cameras = {name: np.loadtxt(photos / f"buddha/cameras/{path.stem}.txt") for name, path in files.items()}
    return Work(files, features, cameras, list(combinations(sorted(files), 2)))


ONE_WAY, MUTUAL, BOTH = "ratio of b", "ratio of a and mutual", "ratio of both and mutual"
"""What a method asks of a match; OpenMVG asks the ratio of the descriptors of image b, so ours does too beside it."""


def python_methods() -> dict[str, Method]:
    """Ours and the peers that are Python packages and are installed."""
    methods = {
        "liftnet exact": Method(ONE_WAY, lambda a, b: match_descriptors(b, a, RATIO, mutual=False)[:, ::-1]),
        OURS: Method(MUTUAL, lambda a, b: match_descriptors(a, b, RATIO)),
        "cv2 BFMatcher": Method(MUTUAL, lambda a, b: two_way(a, b, opencv_search(cv2.BFMatcher(cv2.NORM_L2)))),
        "cv2 FLANN (kd-trees 5, checks 50)": Method(
            MUTUAL,
            lambda a, b: two_way(
                a, b, opencv_search(cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 50}))
            ),
        ),
    }
    if faiss := peer("faiss"):

        def hnsw() -> object:
            index = faiss.IndexHNSWFlat(128, 16)
            index.hnsw.efSearch = 64
            return index

        methods["faiss flat"] = Method(
            MUTUAL, lambda a, b: two_way(a, b, lambda q, d: faiss_search(q, d, faiss.IndexFlatL2(128)))
        )
        methods["faiss HNSW (M 16, ef 64)"] = Method(
            MUTUAL, lambda a, b: two_way(a, b, lambda q, d: faiss_search(q, d, hnsw()))
        )
    if torch := peer("torch"):
        methods["torch matmul and topk"] = Method(MUTUAL, lambda a, b: torch_match(torch, a, b))
    if kornia := peer("kornia.feature"):
        methods["kornia match_smnn"] = Method(BOTH, lambda a, b: kornia_match(torch, kornia, a, b))
    if pycolmap := peer("pycolmap"):
        methods["pycolmap in memory"] = Method(BOTH, colmap_in_memory(pycolmap))
    return methods


def opencv_search(matcher: cv2.DescriptorMatcher):
    """Squared distances and indices of the two nearest, by one of OpenCV's matchers."""

    def search(queries: np.ndarray, data: np.ndarray):
        found = matcher.knnMatch(queries, data, k=2)
        numbers = np.array([[(m.distance, m.trainIdx) for m in two] for two in found])
        return numbers[:, :, 0] ** 2, numbers[:, :, 1].astype(np.int64)

    return search


def faiss_search(queries: np.ndarray, data: np.ndarray, index):
    """Squared distances and indices of the two nearest, by a new index of faiss."""
    index.add(data)
    return index.search(queries, 2)


def two_way(a: np.ndarray, b: np.ndarray, search) -> np.ndarray:
    """Ratio test from a to b and mutual check, by searching in both directions."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    distance, nearest = search(a, b)
    back = search(b, a)[1][:, 0]
    good = (distance[:, 0] < RATIO**2 * distance[:, 1]) & (back[nearest[:, 0]] == np.arange(len(a)))
    return np.column_stack([np.flatnonzero(good), nearest[good, 0]])


def torch_match(torch, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Ratio test and mutual check from one matrix product."""
    first, second = (torch.from_numpy(x.astype(np.float32)) for x in (a, b))
    similarity = first @ second.T
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * similarity
    two, nearest = squared.topk(2, dim=1, largest=False)
    back = squared.argmin(dim=0)
    good = (two[:, 0] < RATIO**2 * two[:, 1]) & (back[nearest[:, 0]] == torch.arange(len(a)))
    return np.column_stack([np.flatnonzero(good), nearest[good, 0]])


def kornia_match(torch, kornia, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kornia's matcher, which asks the ratio in both directions."""
    first, second = (torch.from_numpy(x.astype(np.float32)) for x in (a, b))
    return kornia.match_smnn(first, second, RATIO)[1].numpy()


def colmap_in_memory(pycolmap) -> Matcher:
    """COLMAP's brute force on arrays; it asks the ratio in both directions."""
    options = pycolmap.FeatureMatchingOptions(use_gpu=False, num_threads=1)
    options.sift.cpu_brute_force_matcher = True
    matcher = pycolmap.FeatureMatcher.create(options, pycolmap.Device.cpu)
    kind, no_keypoints = pycolmap.FeatureExtractorType.SIFT, pycolmap.FeatureKeypoints()

    def match(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        first, second = (pycolmap.FeatureDescriptors(type=kind, data=x) for x in (a, b))
        return np.asarray(matcher.match(no_keypoints, first, no_keypoints, second), np.int64)

    return match


def colmap_database(pycolmap, work: Work, folder: Path) -> Method:
    """COLMAP through its database, with its faiss index; writing the features is not measured."""
    path = folder / "database.db"
    numbers = {}
    with pycolmap.Database.open(path) as database:
        for name, features in work.features.items():
            camera = pycolmap.Camera(model="SIMPLE_PINHOLE", width=1024, height=576, params=[1000, 512, 288])
            number = database.write_image(pycolmap.Image(name=name, camera_id=database.write_camera(camera)))
            database.write_keypoints(number, features.keypoints + 0.5)
            kind = pycolmap.FeatureExtractorType.SIFT
            database.write_descriptors(number, pycolmap.FeatureDescriptors(type=kind, data=features.descriptors))
            numbers[name] = number
    options = pycolmap.FeatureMatchingOptions(use_gpu=False, num_threads=1, skip_geometric_verification=True)

    def match_all() -> list[np.ndarray]:
        with pycolmap.Database.open(path) as database:
            database.clear_matches()
        pycolmap.match_exhaustive(path, matching_options=options, device=pycolmap.Device.cpu)
        with pycolmap.Database.open(path) as database:
            read = [database.read_matches(numbers[a], numbers[b]) for a, b in work.pairs]
        return [np.asarray(found, np.int64).reshape(-1, 2) for found in read]

    return Method(BOTH, match_all=match_all)


def openmvg_methods(programs: Path, work: Work, folder: Path) -> dict[str, Method]:
    """OpenMVG's matching program; its time holds reading the features, which it does anew each time."""
    scene = Scene(folder / "openmvg", programs, work.files)
    scene.find_features("NORMAL")
    for name, features in work.features.items():
        scene.give_features(name, features)

    def match_all(method: str) -> list[np.ndarray]:
        found = scene.match(method, work.pairs, RATIO)
        return [found.get(pair, np.empty((0, 2), np.int64)) for pair in work.pairs]

    names = {"AUTO": "AUTO (cascade hashing)", "HNSWL2": "HNSWL2", "BRUTEFORCEL2": "BRUTEFORCEL2"}
    return {
        f"OpenMVG {label}": Method(ONE_WAY, match_all=lambda method=method: match_all(method))
        for method, label in names.items()
    }


def bare_product(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Callable[[], None]:
    """The matrix products alone, on numbers that are ready in single precision and with the room for the result."""
    ready = [(a.astype(np.float32), np.ascontiguousarray(b.astype(np.float32).T)) for a, b in pairs]
    room = np.empty(max(a.shape[0] * b.shape[1] for a, b in ready), np.float32)

    def run() -> None:
        for a, b in ready:
            np.matmul(a, b, out=room[: a.shape[0] * b.shape[1]].reshape(a.shape[0], b.shape[1]))

    return run


def quality(work: Work, matches: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """Matches of all pairs at different places; of the overlapping pairs, how many, and how many are right."""
    total = overlapping = right = 0
    for (name_a, name_b), found in zip(work.pairs, matches, strict=True):
        a, b = work.features[name_a].keypoints[found[:, 0]], work.features[name_b].keypoints[found[:, 1]]
        places = np.unique(np.hstack([a, b]), axis=0).astype(np.float64)
        total += len(places)
        cameras = work.cameras[name_a], work.cameras[name_b]
        if viewing_angle(*cameras) < OVERLAP_DEGREES and len(places):
            overlapping += len(places)
            right += int((line_distances(fundamental_of(*cameras), places[:, :2], places[:, 2:]) < RIGHT_PX).sum())
    return total, overlapping, right


def compare(work: Work, methods: dict[str, Method], runs: int) -> pd.DataFrame:
    """Time and quality of each method on all pairs, and the bare product."""
    descriptors = work.descriptors()
    floor = bare_product(descriptors)
    floor()
    rows = [{"method": "bare matrix product", "test": "none", "cpu_s": measured(floor, max(runs, 5))[1]}]
    ours: dict[str, list[np.ndarray]] = {}
    for name, method in methods.items():

        def run(method: Method = method) -> list[np.ndarray]:
            return method.match_all() if method.match_all else [method.match(a, b) for a, b in descriptors]

        if method.match:
            method.match(*(x[:500] for x in descriptors[0]))  # compiled and loaded before it is measured
        found, seconds, done = measured(run, runs, enough=30)
        if name.startswith("liftnet"):
            ours[method.test] = found
        total, overlapping, right = quality(work, found)
        precision = right / overlapping if overlapping else float("nan")
        same = agreement(found, ours[ONE_WAY if method.test == ONE_WAY else MUTUAL])
        rows.append({"method": name, "test": method.test, "cpu_s": seconds, "runs": done, "matches": total})
        rows[-1] |= {"right": right, "precision": precision, "also ours": same}
        print(f"{name}: {seconds:.2f} CPU s", flush=True)
    frame = pd.DataFrame(rows)
    frame.insert(3, "times ours", frame["cpu_s"] / frame.set_index("method").loc[OURS, "cpu_s"])
    return frame.sort_values("cpu_s", ignore_index=True)


def agreement(found: Sequence[np.ndarray], ours: Sequence[np.ndarray]) -> float:
    """Share of a method's matches that ours of the same test has too (in either direction of the ratio test)."""
    same = total = 0
    for theirs, mine in zip(found, ours, strict=True):
        total += len(theirs)
        same += len(set(map(tuple, theirs.tolist())) & set(map(tuple, mine.tolist())))
    return same / total if total else float("nan")


def by_size(work: Work, methods: dict[str, Method], sizes: Sequence[int], runs: int) -> pd.DataFrame:
    """CPU ms of one pair of N x N real descriptors, drawn from two halves of the photographs."""
    names = sorted(work.features)
    halves = [np.vstack([work.features[n].descriptors for n in names[part::2]]) for part in (0, 1)]
    rows = []
    for size in sizes:
        if size > min(map(len, halves)):
            continue
        rng = np.random.default_rng(0)
        a, b = (half[rng.choice(len(half), size, replace=False)] for half in halves)
        times = {"bare matrix product": measured(bare_product([(a, b)]), max(runs, 9))[1] * 1e3}
        for name, method in methods.items():
            if method.match:
                times[name] = measured(partial(method.match, a, b), runs, enough=10)[1] * 1e3
        rows += [{"N": size, "method": name, "cpu_ms": value} for name, value in times.items()]
    return pd.DataFrame(rows)


def draw(frame: pd.DataFrame, sizes: pd.DataFrame, title: str) -> None:
    """CPU seconds with matches and precision; and time against the number of descriptors."""
    figure, (left, right) = new_figure(2, 4.6, width_ratios=[1.7, 1])
    labels = [
        f"{row.cpu_s:.2f} s" + ("" if pd.isna(row.right) else f"  {row.right:,.0f} right, {row.precision:.3f}")
        for row in frame.itertuples()
    ]
    bars(left, frame["method"].tolist(), frame["cpu_s"].tolist(), labels, "CPU seconds, one thread")
    left.set_title(title, loc="left")
    for name, group in sizes.groupby("method", sort=False):
        mine = name == OURS
        colour = "#c2410c" if mine else "#a8a29e" if name.startswith("bare") else None
        right.plot(group["N"], group["cpu_ms"], "o-", ms=3, lw=2.2 if mine else 1.1, color=colour, label=name)
    right.set(xscale="log", yscale="log", xlabel="descriptors in each image", ylabel="CPU ms for a pair")
    right.set_xticks(sorted(sizes["N"].unique()), [f"{n:,}" for n in sorted(sizes["N"].unique())])
    right.minorticks_off()
    right.legend(fontsize=7, frameon=False)
    right.grid(color="#e2e8f0", linewidth=0.7)
    right.spines[["top", "right"]].set_visible(False)
    right.set_title("One pair of N x N real descriptors", loc="left")
    save_figure(figure, "matching")


def main() -> None:
    """Measure every method on the same descriptors and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS, help="folder with buddha/images and buddha/cameras")
    parser.add_argument("--openmvg-bin", type=Path, help="folder of the openMVG_main_* programs")
    parser.add_argument("--quick", action="store_true", help="five photographs, one run, no slow peers")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    work = load_work(arguments.photos, arguments.quick)
    runs, sizes = (1, SIZES[:2]) if arguments.quick else (RUNS, SIZES)
    if pycolmap := peer("pycolmap", silent=True):
        pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    methods = python_methods()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        if pycolmap:
            methods["pycolmap database (faiss)"] = colmap_database(pycolmap, work, Path(folder))
        if arguments.openmvg_bin:
            methods |= openmvg_methods(arguments.openmvg_bin, work, Path(folder))
        frame = compare(work, methods, runs)
        single = by_size(work, methods, sizes, runs)
    report(arguments, work, frame, single)


def report(arguments: argparse.Namespace, work: Work, frame: pd.DataFrame, single: pd.DataFrame) -> None:
    """Write the tables and, for a full run, the figure."""
    counts = [len(features) for features in work.features.values()]
    title = f"{len(work.pairs)} pairs of {len(counts)} photographs, {min(counts):,} to {max(counts):,} descriptors"
    wide = single.pivot(index="method", columns="N", values="cpu_ms")
    wide = wide.loc[wide.iloc[:, -1].sort_values().index]
    wide.columns = [f"{n:,}" for n in wide.columns]
    absent = "" if arguments.openmvg_bin else " OpenMVG's programs were not given and are left out."
    write_report(
        arguments.out,
        [
            "# Matching real descriptors",
            f"`python benchmarks/{Path(__file__).name}`; {title} (SIFT of liftnet on calibrated photographs, 1024 px "
            f"wide). {machine(*PACKAGES)}.{absent} CPU seconds on one thread, median of the runs. Right: within "
            f"{RIGHT_PX:.0f} px of the true epipolar lines, counted and divided for pairs whose optical axes differ "
            f"by at most {OVERLAP_DEGREES:.0f} degrees; matches of one place to one place count once. Also ours: "
            "share of a method's matches that `liftnet exact` has (with the ratio of b for OpenMVG, else mutual).",
            shown(
                frame,
                {"cpu_s": ".2f", "times ours": ".2f", "runs": ".0f", "matches": ",.0f", "right": ",.0f"}
                | {"precision": ".3f", "also ours": ".3f"},
            ),
            "CPU milliseconds for one pair of N x N descriptors, drawn from two halves of the photographs:",
            shown(wide.reset_index(), dict.fromkeys(wide.columns, ",.1f")),
        ],
    )
    if not arguments.quick:
        draw(frame, single, title)


if __name__ == "__main__":
    main()
