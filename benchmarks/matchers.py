"""Ways to match real descriptors: ours and every peer's, for benchmarks/matching.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from measuring import peer
from openmvg_programs import Scene

from liftnet.data.features import Features
from liftnet.match import match_descriptors

RATIO = 0.8
OURS = "liftnet exact, mutual"
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


def openmvg_methods(programs: Path, build: str, work: Work, folder: Path) -> dict[str, Method]:
    """OpenMVG's matching program; its time holds reading the features, which it does anew each time."""
    scene = Scene(folder / f"openmvg {build}", programs, work.files)
    scene.find_features("NORMAL")
    for name, features in work.features.items():
        scene.give_features(name, features)

    def match_all(method: str) -> list[np.ndarray]:
        found = scene.match(method, work.pairs, RATIO)
        return [found.get(pair, np.empty((0, 2), np.int64)) for pair in work.pairs]

    names = {"AUTO": "AUTO (cascade hashing)", "HNSWL2": "HNSWL2", "BRUTEFORCEL2": "BRUTEFORCEL2"}
    return {
        f"OpenMVG {label} {build}".rstrip(): Method(ONE_WAY, match_all=partial(match_all, method))
        for method, label in names.items()
    }
