"""Cameras of real photographs from pycolmap's incremental reconstruction, kept as a reference for other measurements.

    python benchmarks/reference_cameras.py --run results --cache reference [--work ID ...] [--masked ID ...]

Each work of a run (manifest.parquet and images/) is reconstructed once: COLMAP's own SIFT, all pairs matched, its
two-view geometry and bundle adjustment. Works turned before a still background need their masks (`--masked`), all
others are better off with the background, which is rigid with the sculpture. What it gives is a reference, not truth:
its cameras were fitted to COLMAP's own matches. Written below `--cache/<work>`: the database, each model as COLMAP
text files, and summary.json with images, points, reprojection error and CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from measuring import line_distances

from liftnet.core.files import write_text
from liftnet.data.masks import read_mask
from liftnet.data.pictures import encode_image
from liftnet.data.schemas import MANIFEST, read_table

HALF_PIXEL = 0.5  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Reference:
    """The reconstructed cameras of a work.

    Attributes:
        models: Its models, the largest first; cameras of different models cannot be compared.
        summary: What summary.json holds.
    """

    models: tuple[pycolmap.Reconstruction, ...]
    summary: dict

    def distances(self, image_a: str, image_b: str, points_a: np.ndarray, points_b: np.ndarray) -> np.ndarray | None:
        """Distances of matched points from the epipolar lines of the reference, the larger of both images.

        Lens distortion is taken off first, so the distances are in pixels of the undistorted images.

        Args:
            image_a: Id of image a.
            image_b: Id of image b.
            points_a: (N, 2) px, (0, 0) the centre of the top-left pixel.
            points_b: (N, 2) px.

        Returns:
            (N,) px; None where no model holds both images.
        """
        for model in self.models:
            images = {Path(image.name).stem: image for image in model.images.values() if image.has_pose}
            if image_a in images and image_b in images:
                return _distances(model, images[image_a], images[image_b], points_a, points_b)
        return None

    def registered(self) -> set[frozenset[str]]:
        """The pairs of image ids that lie in one model."""
        names = [sorted(Path(i.name).stem for i in model.images.values() if i.has_pose) for model in self.models]
        return {frozenset((a, b)) for group in names for k, a in enumerate(group) for b in group[k + 1 :]}


def reconstruct(run: Path, work: str, cache: Path, masked: bool, threads: int = 1, limit: int | None = None) -> None:
    """Reconstruct a work and keep it below `cache`; what is there already is not made again.

    Args:
        run: Folder with manifest.parquet, images/ and, for `masked`, hand_masks/ or masks/.
        work: The work_id.
        cache: Folder to keep it in.
        masked: Whether features are sought on the foreground only.
        threads: Threads of COLMAP.
        limit: Use every k-th image so that at most this many are left.
    """
    folder = cache / work
    if (folder / SUMMARY).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "database.db"
    database.unlink(missing_ok=True)
    rows = [row for row in read_table(run / "manifest.parquet", MANIFEST).to_pylist() if row["work_id"] == work]
    rows = sorted((row for row in rows if row["status"] == "ok"), key=lambda row: row["image_url"])
    step = 1 if limit is None else -(-len(rows) // limit)
    cpu = {"features": _extract(database, folder, run, rows[::step], masked, threads)}
    start = time.process_time()
    matching = pycolmap.FeatureMatchingOptions(num_threads=threads, use_gpu=False)
    pycolmap.match_exhaustive(database, matching_options=matching, device=pycolmap.Device.cpu)
    cpu["matching and two-view geometry"] = time.process_time() - start
    start = time.process_time()
    options = pycolmap.IncrementalPipelineOptions(num_threads=threads, min_model_size=5, random_seed=0)
    models = pycolmap.incremental_mapping(database, folder / "images", folder, options=options)
    cpu["reconstruction"] = time.process_time() - start
    summary = {
        "images": len(rows[::step]),
        "images_of_the_work": len(rows),
        "masked": masked,
        "registered": [model.num_reg_images() for model in models.values()],
        "points": [model.num_points3D() for model in models.values()],
        "reprojection_error_px": [model.compute_mean_reprojection_error() for model in models.values()],
        "cpu_s": cpu,
        "pycolmap": pycolmap.__version__,
    }
    write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")


def load(cache: Path, work: str) -> Reference:
    """Read what `reconstruct` kept."""
    folder = cache / work
    models = [pycolmap.Reconstruction(path.parent) for path in sorted(folder.glob("*/cameras.bin"))]
    models.sort(key=lambda model: -model.num_reg_images())
    return Reference(tuple(models), json.loads((folder / SUMMARY).read_text()))


def read_correspondences(cache: Path, work: str) -> dict[tuple[str, str], np.ndarray]:
    """COLMAP's own correspondences, after its two-view geometry, by pair (a, b) with a < b.

    Returns:
        (K, 4) px each: x and y in image a, x and y in image b, (0, 0) the centre of the top-left pixel.
    """
    found = {}
    with pycolmap.Database.open(cache / work / "database.db") as database:
        names = {image.image_id: Path(image.name).stem for image in database.read_all_images()}
        points = {number: database.read_keypoints(number)[:, :2] - HALF_PIXEL for number in names}
        for pair, geometry in zip(*database.read_two_view_geometries(), strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair)
            matches = np.asarray(geometry.inlier_matches, np.int64).reshape(-1, 2)
            joint = points[first][matches[:, 0]], points[second][matches[:, 1]]
            turned = names[first] > names[second]
            key = (names[second], names[first]) if turned else (names[first], names[second])
            found[key] = np.hstack(joint[::-1] if turned else joint)
    return found


def _extract(database: Path, folder: Path, run: Path, rows: Sequence[dict], masked: bool, threads: int) -> float:
    """Extract the features, one camera for each size and focal length; the CPU seconds it took."""
    images, masks = folder / "images", folder / "masks"
    groups: dict[tuple, list[str]] = {}
    for row in rows:
        key = row["width"], row["height"], row["focal_mm"]
        groups.setdefault(key, []).append(row["image_id"])
        target = images / f"{row['width']}x{row['height']}_{row['focal_mm']}" / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to((run / "images" / row["file"]).resolve())
        if masked:
            source = next(run / name / f"{row['image_id']}.png" for name in ("hand_masks", "masks"))
            mask = masks / target.parent.name / f"{target.name}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask.write_bytes(encode_image(read_mask(source).astype(np.uint8) * 255))
    start = time.process_time()
    reader = pycolmap.ImageReaderOptions()
    if masked:
        reader.mask_path = masks
    pycolmap.extract_features(
        database,
        images,
        camera_mode=pycolmap.CameraMode.PER_FOLDER,
        reader_options=reader,
        extraction_options=pycolmap.FeatureExtractionOptions(num_threads=threads, use_gpu=False),
        device=pycolmap.Device.cpu,
    )
    return time.process_time() - start


def _distances(
    model: pycolmap.Reconstruction,
    image_a: pycolmap.Image,
    image_b: pycolmap.Image,
    points_a: np.ndarray,
    points_b: np.ndarray,
) -> np.ndarray:
    rays, focal, pose = [], [], []
    for image, points in ((image_a, points_a), (image_b, points_b)):
        camera = model.cameras[image.camera_id]
        rays.append(camera.cam_from_img(np.asarray(points, np.float64).reshape(-1, 2) + HALF_PIXEL))
        focal.append(camera.mean_focal_length())
        pose.append(image.cam_from_world())
    relative = pose[1] * pose[0].inverse()
    x, y, z = relative.translation
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative.rotation.matrix()
    scale_a, scale_b = (np.diag([1 / f, 1 / f, 1]) for f in focal)
    return line_distances(scale_b @ essential @ scale_a, rays[0] * focal[0], rays[1] * focal[1])


def main() -> None:
    """Reconstruct the works of a run, the smallest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--work", nargs="*", default=[], help="only the works whose id holds one of these words")
    parser.add_argument("--masked", nargs="*", default=["ethiopian"], help="works to reconstruct on their masks only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, help="most images of a work")
    arguments = parser.parse_args()
    pycolmap.logging.minloglevel = int(pycolmap.logging.WARNING)
    frame = read_table(arguments.run / "manifest.parquet", MANIFEST).select(["work_id", "status"]).to_pandas()
    sizes = frame[frame["status"] == "ok"]["work_id"].value_counts(ascending=True)
    for work in sizes.index:
        if arguments.work and not any(word in work for word in arguments.work):
            continue
        masked = any(word in work for word in arguments.masked)
        reconstruct(arguments.run, work, arguments.cache, masked, arguments.threads, arguments.limit)
        summary = load(arguments.cache, work).summary
        print(f"{work}: {summary['registered']} of {summary['images']} images, {summary['cpu_s']}", flush=True)


if __name__ == "__main__":
    main()
