"""COLMAP depth regression, its first half: reconstruct each work, keep the sparse depth, count the works that fail.

The paper runs COLMAP on each cluster of photographs and regresses the depth of what it reconstructs (section 5.5);
77 % of its clusters failed. What is written here has the form of a rendered set's truth, so that
`depth train --method regression --targets` reads either.

Everything is COLMAP's default but for what makes it repeatable (a seed, one thread) and for one camera an image, since
the photographs of a work come from many cameras.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_json
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.parallel import map_threads
from liftnet.core.tables import write_tables
from liftnet.data.manifest import stored_images
from liftnet.data.schemas import SFM, TRUTH, write_table
from liftnet.data.truth import TrueView, load_truth, save_truth, truth_files
from liftnet.depth.crops import SMALLEST
from liftnet.depth.score import align_as_paper
from liftnet.depth.settings import SfmSettings
from liftnet.geometry.cameras import Camera

LOG = get_logger("depth")
Row = dict[str, Any]
HALF_PIXEL = 0.5  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)
_NEEDED = ("Database", "extract_features", "match_exhaustive", "incremental_mapping", "IncrementalPipelineOptions")


@dataclass(frozen=True)
class Work:
    """A work and its usable images."""

    work_id: str
    artist_id: str
    split: str
    images: list[SfmImage]
    urls: dict[str, str]  # image_url of each image id


@dataclass(frozen=True)
class SfmInputs:
    """Where things are.

    Attributes:
        root: Folder with manifest.parquet, images/ and masks/.
        out: Folder to write truth.parquet, truth/ and works.parquet to.
        tables: Folder of the tables.
        splits: Splits to reconstruct.
        truth: Folder with true depth (a museum or a rendered set), to measure the reconstructed depth; or None.
        threads: Works at a time; each has one thread.
    """

    root: Path
    out: Path
    tables: Path
    splits: tuple[str, ...]
    truth: Path | None
    threads: int


def reconstruct_works(inputs: SfmInputs, settings: SfmSettings, seed: int) -> None:
    """Write the sparse depth of all works that COLMAP can reconstruct, and tables/sfm.*; a stopped run resumes.

    Raises:
        LiftnetError: pycolmap or the manifest is missing, no work has two images, or a folder cannot be written.
    """
    pycolmap = load_pycolmap()
    works = list_works(inputs.root, inputs.splits, settings.masks)
    truths = truth_files(inputs.truth) if inputs.truth else {}

    def work_rows(work: Work) -> tuple[Row, list[Row]]:
        return _do_work(pycolmap, work, inputs.out, settings, seed, truths)

    rows: list[Row] = []
    views: list[Row] = []
    for row, found in map_threads(work_rows, works, inputs.threads, "depth", "reconstructing works"):
        rows.append(row)
        views += found
    write_table(inputs.out / "works.parquet", rows, SFM)
    write_table(inputs.out / "truth.parquet", views, TRUTH)
    table = sfm_table(pd.DataFrame(rows), measured=bool(truths))
    write_tables(table, inputs.tables / "sfm", caption(settings, measured=bool(truths)))
    failed = sum(row["status"] != "ok" for row in rows)
    LOG.info(
        "COLMAP failed for %d of %d works; sparse depth of %d images; %s", failed, len(rows), len(views), inputs.out
    )


def list_works(root: Path, splits: tuple[str, ...], masks: bool) -> list[Work]:
    """The works of some splits, by id.

    Raises:
        LiftnetError: The manifest cannot be read, or there is no work.
    """
    works: dict[str, Work] = {}
    for image in sorted(stored_images(root).values(), key=lambda image: (image.work_id, image.image_id)):
        if image.split not in splits:
            continue
        work = works.setdefault(image.work_id, Work(image.work_id, image.artist_id, image.split, [], {}))
        mask = root / "masks" / f"{image.image_id}.png"
        file = root / "images" / image.file
        work.images.append(SfmImage(image.image_id, file, mask if masks and mask.exists() else None))
        work.urls[image.image_id] = image.image_url
    if not works:
        raise LiftnetError(root / "manifest.parquet", f"has no work in the splits {', '.join(splits)}", "See --splits")
    return list(works.values())


def _do_work(
    pycolmap: ModuleType, work: Work, out: Path, settings: SfmSettings, seed: int, truths: dict[str, Path]
) -> tuple[Row, list[Row]]:
    """The row of a work and those of its images with depth, from its journal where it was done before."""
    journal = out / "journal" / f"{work.work_id}.json"
    names = [[image.image_id, image.mask is not None] for image in work.images]
    asked = json.dumps([names, settings.min_images, seed, pycolmap.__version__, sorted(truths)])
    identity = hashlib.sha256(asked.encode()).hexdigest()
    if journal.exists():
        done = read_json(journal)
        if done["identity"] == identity:
            return done["row"], done["views"]
    row: Row = {"work_id": work.work_id, "artist_id": work.artist_id, "split": work.split}
    row |= {"n_images": len(work.images), "n_models": 0, "n_registered": 0, "n_points": 0}
    views: list[Row] = []
    try:
        models = reconstruct(pycolmap, work.images, stable_seed(seed, "sfm", work.work_id))
    except (RuntimeError, ValueError) as error:
        row |= {"status": "colmap_failed", "reason": f"COLMAP stopped: {error}"}
    else:
        row |= _judge(models, settings.min_images)
        if row["status"] == "ok":
            views, errors = _keep(models, work, out, settings.min_images, truths)
            row |= errors
    write_json(journal, {"identity": identity, "row": row, "views": views})
    return row, views


def _judge(models: list[SfmModel], least: int) -> Row:
    """What became of a work; figures are those of its largest model."""
    if not models:
        return {"status": "no_model", "reason": "COLMAP found no pair of images to begin with"}
    first = models[0]
    row: Row = {"n_models": len(models), "n_registered": len(first.views), "n_points": first.n_points}
    row |= {"reprojection_px": first.reprojection_px}
    if len(first.views) < least:
        reason = f"the largest model has {len(first.views)} images, fewer than {least}"
        return row | {"status": "too_few_images", "reason": reason}
    return row | {"status": "ok", "reason": ""}


def _keep(
    models: list[SfmModel], work: Work, out: Path, least: int, truths: dict[str, Path]
) -> tuple[list[Row], dict[str, float]]:
    """Write the depth of the images of all models that are large enough; an image belongs to the largest it is in."""
    rows: list[Row] = []
    errors: list[tuple[float, float]] = []
    seen: set[str] = set()
    for model in models:
        for image_id, view in sorted(model.views.items()) if len(model.views) >= least else ():
            if image_id in seen or not view.mask.any():
                continue
            seen.add(image_id)
            name = f"truth/{work.work_id}/{image_id}.npz"
            save_truth(out / name, view)
            url = work.urls[image_id]
            rows.append({"image_url": url, "artist_id": work.artist_id, "work_id": work.work_id, "truth": name})
            if url in truths and (error := _depth_error(view, truths[url])):
                errors.append(error)
    if not errors:
        return rows, {}
    median = np.median(np.array(errors), axis=0)
    return rows, {"relative_error": float(median[0]), "correlation": float(median[1])}


def _depth_error(view: TrueView, path: Path) -> tuple[float, float] | None:
    """How far reconstructed depth is off at its points: rmse over the spread of the truth there, and correlation.

    Depth is aligned by median and scale; a plane of constant depth has a relative error of about 1. None where there
    are too few points to say.
    """
    true = load_truth(path).depth
    if true.shape != view.depth.shape:
        raise LiftnetError(path, "has another size than its image", "Give the truth of this run (--truth)")
    known = view.mask & np.isfinite(true)
    d, gt = view.depth[known].astype(np.float64), true[known].astype(np.float64)
    if len(gt) < SMALLEST or np.ptp(d) == 0 or np.ptp(gt) == 0:
        return None
    error = np.sqrt(np.mean(np.square(align_as_paper(d, gt) - gt)))
    return float(error / np.std(gt)), float(np.corrcoef(d, gt)[0, 1])


def sfm_table(works: pd.DataFrame, measured: bool) -> pd.DataFrame:
    """One row a split and one for all: how many works failed and what is left.

    Args:
        works: Rows of SFM.
        measured: Whether true depth is known.
    """
    groups = [(str(split), members) for split, members in works.groupby("split", sort=True)]
    rows = []
    for split, members in [*groups, ("all", works)] if len(groups) > 1 else groups:
        good = members[members["status"] == "ok"]
        row: Row = {
            "split": split,
            "works": len(members),
            "failed": len(members) - len(good),
            "failed_share": 1 - len(good) / len(members),
            "no_model_share": float((members["n_models"] == 0).mean()),
            "below_half_share": float((members["n_registered"] < members["n_images"] / 2).mean()),
            "images": int(members["n_images"].sum()),
            "registered_share": float(good["n_registered"].sum() / members["n_images"].sum()),
            "points_per_work": float(good["n_points"].median()),
        }
        if measured:
            found = good.reindex(columns=["relative_error", "correlation"]).astype(float).median()
            row |= {"relative_error": found["relative_error"], "correlation": found["correlation"]}
        rows.append(row)
    return pd.DataFrame(rows)


def caption(settings: SfmSettings, measured: bool) -> str:
    """What tables/sfm.* shows."""
    masks = "features on the mask" if settings.masks else "no masks"
    text = (
        f"Works that COLMAP (incremental, its defaults, {masks},"
        f" one camera an image) reconstructs. A work fails without a model of {settings.min_images} images (paper:"
        " 77 % of its clusters failed). no_model_share: works without any model; below_half_share: works whose largest"
        " model has fewer than half of the images; registered_share: images in the largest models kept."
    )
    if not measured:
        return text
    return text + (
        " relative_error: rmse of the points' depth after alignment by median and scale over the spread of the true"
        " depth, median over images and works; correlation: with true depth, likewise."
    )


@dataclass(frozen=True)
class SfmImage:
    """An image of a work.

    Attributes:
        image_id: Its id.
        path: Its file.
        mask: File of its foreground mask; None for none.
    """

    image_id: str
    path: Path
    mask: Path | None


@dataclass(frozen=True)
class SfmModel:
    """A model that COLMAP made of some images of a work.

    Attributes:
        views: Sparse depth and nominal camera (without distortion) of each image registered, by image id.
        n_points: 3D points.
        reprojection_px: Mean reprojection error of the points, px.
    """

    views: dict[str, TrueView]
    n_points: int
    reprojection_px: float


def load_pycolmap() -> ModuleType:
    """Import pycolmap and check that it has what is used here.

    Raises:
        LiftnetError: It is missing or too old; says how to install it.
    """
    remedy = "Install it with `pip install 'liftnet[colmap]'`"
    try:
        import pycolmap
    except ImportError as error:
        raise LiftnetError("pycolmap", f"cannot be imported ({error})", remedy) from error
    if any(not hasattr(pycolmap, name) for name in _NEEDED):
        raise LiftnetError("pycolmap", f"version {pycolmap.__version__} is too old", remedy)
    module: Any = pycolmap
    module.logging.minloglevel = int(module.logging.FATAL)  # a work that fails is a row of the table
    return pycolmap


def reconstruct(pycolmap: Any, images: Sequence[SfmImage], seed: int) -> list[SfmModel]:
    """Reconstruct a work.

    Args:
        pycolmap: What `load_pycolmap` gives.
        images: The images of the work.
        seed: Seed of COLMAP's RANSAC.

    Returns:
        The models, that of most images first; none where COLMAP finds no pair to begin with.

    Raises:
        RuntimeError: COLMAP fails.
        ValueError: COLMAP does not take an input.
    """
    with tempfile.TemporaryDirectory(prefix="liftnet-sfm-") as name:
        folder = Path(name)
        ids = _link(images, folder)
        _find_matches(pycolmap, folder, seed % 2**31)
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads = options.mapper.num_threads = 1
        options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed % 2**31
        options.extract_colors = False
        (folder / "models").mkdir()
        found = pycolmap.incremental_mapping(folder / "database.db", folder / "images", folder / "models", options)
        models = [_model(found[number], ids) for number in sorted(found)]
    return sorted(models, key=lambda model: (-len(model.views), -model.n_points))


def _link(images: Sequence[SfmImage], folder: Path) -> dict[str, str]:
    """Links to images and masks as COLMAP wants them named; the id of each name."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    ids = {}
    for image in images:
        link = folder / "images" / f"{image.image_id}{image.path.suffix}"
        link.symlink_to(image.path.resolve())
        ids[link.name] = image.image_id
        if image.mask is not None:
            (folder / "masks" / f"{link.name}.png").symlink_to(image.mask.resolve())
    return ids


def _find_matches(pycolmap: Any, folder: Path, seed: int) -> None:
    """Features of the foreground and their verified matches, into the database."""
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.num_threads, extraction.use_gpu = 1, False
    reader = pycolmap.ImageReaderOptions()
    if any((folder / "masks").iterdir()):
        reader.mask_path = folder / "masks"
    pycolmap.extract_features(
        folder / "database.db",
        folder / "images",
        camera_mode=pycolmap.CameraMode.PER_IMAGE,
        reader_options=reader,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads, matching.use_gpu = 1, False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    pycolmap.match_exhaustive(
        folder / "database.db",
        matching_options=matching,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def _model(reconstruction: Any, ids: dict[str, str]) -> SfmModel:
    views = {}
    for number in reconstruction.reg_image_ids():
        image = reconstruction.image(number)
        views[ids[image.name]] = _view(reconstruction, image)
    return SfmModel(views, reconstruction.num_points3D(), float(reconstruction.compute_mean_reprojection_error()))


def _view(reconstruction: Any, image: Any) -> TrueView:
    """Depth of the points that an image sees, at the pixels where it sees them."""
    camera = reconstruction.cameras[image.camera_id]
    pose = image.cam_from_world()
    matrix = camera.calibration_matrix()
    matrix[:2, 2] -= HALF_PIXEL
    nominal = Camera(matrix, pose.rotation.matrix(), np.asarray(pose.translation))
    observed = image.get_observation_points2D()
    pixels = np.array([point.xy for point in observed]).reshape(-1, 2) - HALF_PIXEL
    world = np.array([reconstruction.points3D[point.point3D_id].xyz for point in observed]).reshape(-1, 3)
    depth = nominal.project(world)[1] if len(world) else np.empty(0)
    return TrueView(sparse_depth(pixels, depth, (camera.height, camera.width)), nominal)


def sparse_depth(
    pixels: npt.NDArray[np.floating], depth: npt.NDArray[np.floating], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """A depth map that is known at a few pixels.

    Args:
        pixels: (N, 2), px.
        depth: (N,); points that do not lie before the camera are dropped.
        shape: (H, W).

    Returns:
        (H, W) float32, NaN where unknown; the nearest of the points in a pixel.
    """
    columns, rows = np.rint(pixels).astype(int).T
    seen = (depth > 0) & (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    nearest = np.full(shape, np.inf)
    np.minimum.at(nearest, (rows[seen], columns[seen]), depth[seen])
    return np.where(np.isfinite(nearest), nearest, np.nan).astype(np.float32)
