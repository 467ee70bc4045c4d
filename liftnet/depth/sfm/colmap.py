"""One work through COLMAP by pycolmap: features, exhaustive matching, incremental mapping, sparse depth of each view.

Everything is COLMAP's default but for what makes it repeatable (a seed, one thread) and for one camera an image, since
the photographs of a work come from many cameras.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import Camera

HALF_PIXEL = 0.5  # COLMAP calls the centre of the top-left pixel (0.5, 0.5)
_NEEDED = ("Database", "extract_features", "match_exhaustive", "incremental_mapping", "IncrementalPipelineOptions")


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
