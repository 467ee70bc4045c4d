"""What DR-KFS learnt: HardNet beside HardTFeat and SIFT, the detector of points beside DoG, Harris and Shi-Tomasi.

    python benchmarks/drkfs_learning.py --root results --museum museum [--hardtfeat FILE] [--photographs results]

All on works that no training has seen. Descriptors: the same patches of verified points for all (SIFT found them, so
they suit SIFT), FPR95 and mean average precision of matching between two images. Detectors: the same number of
points on the sculpture for all, after the same suppression of neighbours; repeatability by the museum's true depth,
verified points found, and true corners of generated chairs in gray renders. CPU seconds on one thread. Writes
benchmarks/drkfs_learning.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from kornia.feature import HardNet
from measuring import machine, measured, one_thread, shown, spent, write_report
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from liftnet.data.codes import SPLITS
from liftnet.data.dataset import read_pairs
from liftnet.data.schemas import MANIFEST, read_table
from liftnet.data.truth import TrueView, load_truth, truth_files
from liftnet.drkfs.hardnet import (
    Patches,
    describe,
    false_positive_rate,
    hardest_in_batch,
    mean_matching_precision,
    new_hardnet,
)
from liftnet.drkfs.points import PointSet, load_points, read_gray
from liftnet.drkfs.settings import DescriptorSettings
from liftnet.drkfs.train import patches_of
from liftnet.experiments.drkfs.shapes import chair_of
from liftnet.models.folder import SHIPPED
from liftnet.models.patch_descriptors import load_descriptor
from liftnet.models.point_detector import PointDetector, load_detector
from liftnet.rasteriser import hemisphere, render_soft

PAGE = Path(__file__).with_suffix(".md")
MOST_PATCHES, MOST_PAIRS = 4000, 60
RADIUS = 3.0  # px: a point is found again within it, and suppresses its neighbours within it
POINTS_PHOTO, POINTS_CHAIR, CHAIRS, VIEWS = 200, 40, 4, 6
Describe = Callable[[np.ndarray], np.ndarray]
Detect = Callable[[np.ndarray], np.ndarray]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="a run's results")
    parser.add_argument("--museum", type=Path, required=True, help="its museum, for true depth")
    parser.add_argument("--hardtfeat", type=Path, help="weights of HardTFeat")
    parser.add_argument("--photographs", type=Path, help="results of a run on real photographs")
    return parser.parse_args()


def hardnet_without_training() -> HardNet:
    """HardNet of orthogonal weights whose batch statistics are those of nothing."""
    return new_hardnet(0).eval()


def sift_of_patches(pixels: np.ndarray) -> np.ndarray:
    """(N, 128) RootSIFT of (N, 32, 32) patches, its 4 x 4 cells over the whole patch, in the patch's own direction."""
    sift = cv2.SIFT_create()
    whole = cv2.KeyPoint(15.5, 15.5, 2 * 32 / 12, 0.0)  # cells are 3 standard deviations wide, sizes are diameters
    described = np.concatenate([sift.compute(patch, [whole])[1] for patch in pixels])
    return np.sqrt(described / np.maximum(described.sum(1, keepdims=True), 1e-9))


def by_network(network: torch.nn.Module) -> Describe:
    """A network as a function of uint8 patches."""

    @torch.no_grad()
    def describe(pixels: np.ndarray) -> np.ndarray:
        chunks = torch.from_numpy(pixels).split(512)
        return torch.cat([network(chunk.float() / 255) for chunk in chunks]).numpy()

    return describe


def descriptor_table(points: PointSet, patches: Patches, methods: dict[str, Describe]) -> pd.DataFrame:
    """FPR95, matching and CPU time of each method on the same patches."""
    generator = np.random.default_rng(0)
    pairs = patches.rows(MOST_PATCHES, generator)
    rows = []
    for name, method in methods.items():
        start = spent()
        described = method(patches.pixels)
        seconds = spent() - start
        precision, images = mean_matching_precision(described, points, MOST_PAIRS)
        rate = false_positive_rate(described[pairs[0]], described[pairs[1]])
        row = {"descriptor": name, "FPR95, %": 100 * rate, "matching AP": precision}
        rows.append(row | {"pairs of images": images, "CPU ms a patch": 1000 * seconds / len(patches.pixels)})
    return pd.DataFrame(rows)


def some_images(points: PointSet, most: int) -> PointSet:
    """The points of up to `most` images, whole works at a time."""
    works = np.array(points.works)
    order = np.random.default_rng(0).permutation(np.unique(works))
    chosen = np.zeros(len(works), np.bool_)
    for work in order:
        if chosen.sum() < most:
            chosen |= works == work
    return points.of_images(chosen)


def peaks(response: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """(N, 2) x, y of the `count` highest local maxima of a map (H, W) where it is allowed."""
    size = 2 * int(RADIUS) + 1
    highest = (response == maximum_filter(response, size)) & allowed & (response > response.min())
    row, column = np.nonzero(highest)
    order = np.argsort(-response[row, column], kind="stable")[:count]
    return np.stack([column[order], row[order]], axis=1).astype(np.float64)


def dog(gray: np.ndarray) -> np.ndarray:
    """Strength of SIFT's keypoints at their nearest pixels, 0 elsewhere."""
    found = cv2.SIFT_create(contrastThreshold=0.0).detect((gray * 255).round().astype(np.uint8), None)
    response = np.zeros(gray.shape)
    for point in found:
        column, row = round(point.pt[0]), round(point.pt[1])
        if 0 <= row < gray.shape[0] and 0 <= column < gray.shape[1]:
            response[row, column] = max(response[row, column], point.response)
    return response


def by_detector(detector: PointDetector) -> Detect:
    """A detector as a function of one gray image."""

    @torch.no_grad()
    def detect(gray: np.ndarray) -> np.ndarray:
        return detector.scores(torch.from_numpy(gray)[None])[0].double().numpy()

    return detect


def detectors() -> dict[str, Detect]:
    """All that are compared, each a map of an image."""
    return {
        "liftnet": by_detector(load_detector(SHIPPED / "detector" / "model.safetensors")),
        "the same form, untrained": by_detector(PointDetector().randomise(0)),
        "DoG (SIFT)": dog,
        "Harris": lambda gray: cv2.cornerHarris(gray, 3, 3, 0.04).astype(np.float64),
        "Shi-Tomasi": lambda gray: cv2.cornerMinEigenVal(gray, 3).astype(np.float64),
        "anywhere": lambda gray: np.random.default_rng(0).random(gray.shape),
    }


def found_again(first: np.ndarray, a: TrueView, second: np.ndarray, b: TrueView) -> float:
    """Share of points of one view, of those that the other sees, with a point of the other within RADIUS."""
    row, column = first[:, 1].astype(int), first[:, 0].astype(int)
    moved, depth = b.camera.project(a.camera.unproject(first, a.depth[row, column].astype(np.float64)))
    height, width = b.depth.shape
    at = np.rint(moved).astype(int)
    inside = (at >= 0).all(1) & (at[:, 0] < width) & (at[:, 1] < height)
    at = at.clip(0, [width - 1, height - 1])
    seen = inside & (np.abs(b.depth[at[:, 1], at[:, 0]] - depth) < 0.02 * depth)
    if not seen.any() or not len(second):
        return float("nan")
    distance, _ = cKDTree(second).query(moved[seen])
    return float((distance <= RADIUS).mean())


def repeatability(options: argparse.Namespace, points: PointSet) -> pd.DataFrame:
    """Repeatability and share of verified points found, on pairs of held-out views of the museum."""
    files = truth_files(options.museum)
    rows = read_table(options.root / "manifest.parquet", MANIFEST).select(["image_id", "image_url"]).to_pylist()
    urls = {row["image_id"]: row["image_url"] for row in rows}
    pairs = list(read_pairs(options.root / "dataset", "test"))
    chosen = [pairs[i] for i in np.sort(np.random.default_rng(0).permutation(len(pairs))[:MOST_PAIRS])]
    images = sorted({image for pair in chosen for image in (pair.image_a, pair.image_b)})
    truth = {image: load_truth(files[urls[image]]) for image in images}
    gray = {image: read_gray(options.root / "images" / f"{image}.jpg").numpy() for image in images}
    number = {image: index for index, image in enumerate(points.images)}
    table = []
    for name, detect in detectors().items():
        start = spent()
        found = {image: peaks(detect(gray[image]), truth[image].mask, POINTS_PHOTO) for image in images}
        seconds = (spent() - start) / len(images)
        again = [
            np.nanmean(
                [
                    found_again(found[a], truth[a], found[b], truth[b]),
                    found_again(found[b], truth[b], found[a], truth[a]),
                ]
            )
            for a, b in ((pair.image_a, pair.image_b) for pair in chosen)
        ]
        verified = []
        for image in images:
            known = points.xy[points.image == number[image]]
            verified.append((cKDTree(found[image]).query(known)[0] <= RADIUS).mean())
        mean_count = float(np.mean([len(value) for value in found.values()]))
        row = {"detector": name, "points": mean_count, "repeatability": float(np.nanmean(again))}
        table.append(row | {"verified points found": float(np.mean(verified)), "CPU ms an image": 1000 * seconds})
    return pd.DataFrame(table)


def chair_views() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gray renders of chairs of boxes, their silhouettes and the visible corners (N, 2) px."""
    cameras = hemisphere(VIEWS)
    for index in range(CHAIRS):
        mesh = chair_of(0, index).mesh()
        vertices = torch.from_numpy(np.array(mesh.vertices, np.float32))
        vertices = vertices - (vertices.amax(0) + vertices.amin(0)) / 2
        vertices = vertices / vertices.norm(dim=1).amax() / 2
        faces = torch.from_numpy(np.array(mesh.faces, np.int64))
        images = render_soft(vertices, faces, cameras)
        corner = vertices[corners_of(vertices.numpy(), faces.numpy())]
        pixels = (cameras.project(corner)[..., :2] * 256 + 255) / 2
        depth = cameras.in_camera(corner)[..., 2]
        for view in range(VIEWS):
            place = pixels[view].round().long().clamp(1, 254)
            around = torch.stack(
                [images.depth[view, place[:, 1] + y, place[:, 0] + x] for x in (-1, 0, 1) for y in (-1, 0, 1)]
            )
            seen = (around - depth[view]).abs().amin(0) < 0.01
            yield images.gray[view].numpy(), images.silhouette[view].numpy() > 0.5, pixels[view][seen].double().numpy()


def corners_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices at which faces across all three axes meet."""
    triangle = vertices[faces]
    normal = np.abs(np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]))
    axis = normal.argmax(axis=1)
    meets = np.zeros((len(vertices), 3), np.bool_)
    meets[faces.reshape(-1), np.repeat(axis, 3)] = True
    return meets.all(axis=1)


def corner_table() -> pd.DataFrame:
    """Share of true corners near a detected point, and of detected points near a true corner."""
    views = list(chair_views())
    rows = []
    for name, detect in detectors().items():
        recall, precision = [], []
        for gray, silhouette, corners in views:
            near = cv2.dilate(silhouette.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            found = peaks(detect(gray), near, POINTS_CHAIR)
            recall.append((cKDTree(found).query(corners)[0] <= RADIUS).mean())
            precision.append((cKDTree(corners).query(found)[0] <= RADIUS).mean())
        rows.append({"detector": name, "corners found": np.mean(recall), "points at corners": np.mean(precision)})
    return pd.DataFrame(rows)


def photograph_tables(
    root: Path, settings: DescriptorSettings, methods: dict[str, Describe], formats: dict[str, str]
) -> list[str]:
    """A heading and a table for each split of a run that has pairs."""
    parts = []
    for split in SPLITS:
        if next(read_pairs(root / "dataset", split), None) is None:
            continue
        some = some_images(load_points(root, root / "dataset", split), 60)
        table = descriptor_table(some, patches_of(some, root, settings), methods)
        works = ", ".join(sorted(set(some.works)))
        parts += [
            f"## Descriptors, photographs ({split})\n\n{len(some):,} patches of {some.tracks:,} verified points in "
            f"{len(some.images)} real photographs of {works}. Our weights have seen no photographs of cameras.",
            shown(table, formats),
        ]
    return parts


def precision_table() -> pd.DataFrame:
    """CPU time of a training step's forward and backward pass in both precisions."""
    network, patches = new_hardnet(0).train(), torch.rand(1024, 32, 32)

    def step(precision: str) -> None:
        hardest_in_batch(*describe(network, patches, precision).chunk(2)).backward()

    rows = []
    for precision in ("float32", "bfloat16"):
        step(precision)
        _, seconds, runs = measured(partial(step, precision), 3)
        rows.append({"precision": precision, "CPU s a step": seconds, "runs": runs})
    return pd.DataFrame(rows)


def main() -> None:
    """Measure and write the page."""
    options = arguments()
    settings = DescriptorSettings()
    methods = {"HardNet (liftnet)": by_network(load_descriptor())}
    methods["HardNet, untrained"] = by_network(_plain(hardnet_without_training()))
    if options.hardtfeat is not None:
        methods["HardTFeat (its authors')"] = by_network(load_descriptor("hardtfeat", options.hardtfeat))
    methods["RootSIFT of the patch"] = sift_of_patches
    formats = {"FPR95, %": ".2f", "matching AP": ".3f", "CPU ms a patch": ".2f"}
    points = load_points(options.root, options.root / "dataset", "test")
    few = some_images(points, 40)
    parts = [
        f"# What DR-KFS learnt\n\n{__doc__.splitlines()[0]} By `python benchmarks/drkfs_learning.py`, on "
        f"{machine('torch', 'kornia', 'opencv-python')}."
    ]
    with one_thread():
        table = descriptor_table(few, patches_of(few, options.root, settings), methods)
        parts += [
            f"## Descriptors, museum\n\n{len(few):,} patches of {few.tracks:,} verified points in "
            f"{len(few.images)} held-out images, in SIFT's scale and direction.",
            shown(table, formats),
        ]
        if options.photographs:
            parts += photograph_tables(options.photographs, settings, methods, formats)
        formats = dict.fromkeys(("repeatability", "verified points found"), ".3f") | {
            "points": ".0f",
            "CPU ms an image": ".0f",
        }
        parts += [
            f"## Detectors, museum\n\n{MOST_PAIRS} pairs of held-out views, the {POINTS_PHOTO} strongest points "
            f"on the sculpture, found again within {RADIUS:.0f} px by the true depth.",
            shown(repeatability(options, points), formats),
        ]
        parts += [
            f"## Detectors, gray renders\n\n{CHAIRS} chairs of boxes in {VIEWS} views of 256 px, the {POINTS_CHAIR} "
            f"strongest points; a true corner is one where three faces meet and that is seen.",
            shown(corner_table(), dict.fromkeys(("corners found", "points at corners"), ".3f")),
        ]
        parts += [
            "## Training HardNet\n\nForward and backward pass of 512 points, two patches each; the median.",
            shown(precision_table(), {"CPU s a step": ".2f"}),
        ]
    write_report(PAGE, parts)


def _plain(network: HardNet) -> torch.nn.Module:
    class WithChannel(torch.nn.Module):
        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return network(patches[:, None])

    return WithChannel().eval()


if __name__ == "__main__":
    main()
