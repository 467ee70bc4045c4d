"""Depth of photographs: 16-bit PNG, .npy, a coloured picture and a mesh for each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from liftnet.depth.crops import cut, cut_mask
from liftnet.depth.mesh import depth_mesh
from liftnet.depth.model import DepthModel, load_model
from liftnet.io.errors import LiftnetError
from liftnet.io.files import atomic_path, write_json
from liftnet.io.images import UInt8Array, read_image, read_mask, write_image
from liftnet.io.log import get_logger, progress

LOG = get_logger("depth")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
MESH_SIDE = 256  # vertices along a side of the mesh's grid
Float32Array = npt.NDArray[np.float32]
OUTPUTS = (
    "depth.npy",
    "depth.png",
    "colour.png",
    "mesh.ply",
    "mesh.glb",
    "depth.json",
)  # the last one is written last


@dataclass(frozen=True)
class Task:
    """An image to predict.

    Attributes:
        image: Its file.
        stem: Path of its results without their endings.
    """

    image: Path
    stem: Path

    def result(self, ending: str) -> Path:
        """The path of one of `OUTPUTS`."""
        return self.stem.with_name(f"{self.stem.name}.{ending}")


def predict(
    inputs: Sequence[Path],
    model_folder: Path,
    out: Path,
    masks: Path | None = None,
    force: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> int:
    """Predict depth of images and of all images in folders, which are mirrored below `out`.

    An image whose results are all there is skipped unless `force`. A file that is not a usable image is named in the
    log and left out.

    Args:
        inputs: Images and folders.
        model_folder: The trained model.
        out: Where results go.
        masks: Folder of foreground masks, `<stem>.png`, mirrored or flat; the whole image is foreground without one.
        force: Predict again what is there.
        device: Where to compute.
        threads: Threads of torch.

    Returns:
        Exit status: 0 if every image has its results, 1 if some were left out.

    Raises:
        LiftnetError: An input does not exist, the model cannot be read, memory runs out.
    """
    torch.set_num_threads(threads)
    tasks = list_tasks(inputs, out)
    pending = [t for t in tasks if force or not all(t.result(ending).exists() for ending in OUTPUTS)]
    failed = 0
    if pending:
        model = load_model(model_folder, _checked_device(device))
        for task in progress(pending, "depth", "predicting depth"):
            try:
                predict_one(task, model, _find_mask(task, masks, out))
            except LiftnetError as error:
                failed += 1
                LOG.warning("left out: %s", error)
            except torch.OutOfMemoryError as error:
                raise LiftnetError(device, "memory ran out", "Use `--device cpu`") from error
    done, there = len(pending) - failed, len(tasks) - len(pending)
    LOG.info("predicted depth of %d images, %d were there already, %d left out; %s", done, there, failed, out)
    return 1 if failed else 0


def list_tasks(inputs: Sequence[Path], out: Path) -> list[Task]:
    """The images named or found in folders; two of one stem in a folder keep their suffix in the results' names.

    Raises:
        LiftnetError: An input does not exist, or there is no image at all.
    """
    found: dict[Path, Path] = {}  # result path with suffix -> image
    for given in inputs:
        if given.is_dir():
            images = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            found |= {out / image.relative_to(given): image for image in images}
        elif given.exists():
            found[out / given.name] = given
        else:
            raise LiftnetError(given, "does not exist", "Name an image or a folder of images")
    if not found:
        raise LiftnetError(", ".join(map(str, inputs)), "holds no images", f"Known are {', '.join(sorted(SUFFIXES))}")
    stems = Counter(path.with_suffix("") for path in found)
    return [
        Task(image, path.with_suffix("") if stems[path.with_suffix("")] == 1 else path)
        for path, image in found.items()
    ]


def predict_one(task: Task, model: DepthModel, mask_file: Path | None) -> None:
    """Predict one image and write its results.

    Raises:
        LiftnetError: The image or mask cannot be read, or a result cannot be written.
    """
    image = read_image(task.image, upright=True)
    height, width = image.shape[:2]
    mask = read_mask(mask_file, (width, height)) if mask_file else np.ones((height, width), bool)
    crop, small_mask, box = model.options.apply(image, mask)
    small = model.predict(crop[None], small_mask[None])[0]
    depth = np.full((height, width), np.nan, np.float32)
    square = cv2.resize(small, (box.side, box.side), interpolation=cv2.INTER_LINEAR)
    top, left = max(box.top, 0), max(box.left, 0)
    part = square[top - box.top : height - box.top, left - box.left : width - box.left]
    depth[top : top + part.shape[0], left : left + part.shape[1]] = part
    depth[~mask] = np.nan
    scale, shift = write_depth(task, depth)
    write_image(task.result("colour.png"), colour_depth(depth))
    side = min(MESH_SIDE, box.side)
    surface = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    mesh = depth_mesh(surface, cut_mask(mask, box, side), cut(image, box, side))
    for ending in ("mesh.ply", "mesh.glb"):
        with atomic_path(task.result(ending)) as temporary:
            mesh.export(temporary)
    write_json(
        task.result("depth.json"),
        {
            "convention": "depth grows away from the viewer, up to d -> a d + b x + c y + e with a > 0; no unit",
            "npy": "float32, size of the image, NaN where there is no foreground",
            "png": {"scale": scale, "shift": shift, "depth": "scale * value + shift; value 0 means no depth"},
            "crop": {"left": box.left, "top": box.top, "side": box.side},
            "mesh": "x right, y up, z towards the viewer, in half widths of the crop",
            "mask": str(mask_file) if mask_file else None,
            "image": str(task.image),
        },
    )


def write_depth(task: Task, depth: Float32Array) -> tuple[float, float]:
    """Write depth as .npy and as a 16-bit PNG of values 1 to 65535, 0 where there is none; returns scale and shift."""
    known = np.isfinite(depth)
    low, high = (float(depth[known].min()), float(depth[known].max())) if known.any() else (0.0, 0.0)
    scale = (high - low) / 65534 or 1.0
    shift = low - scale
    values = np.where(known, np.rint((np.where(known, depth, low) - shift) / scale), 0).astype(np.uint16)
    with atomic_path(task.result("depth.npy")) as temporary, open(temporary, "wb") as file:
        np.save(file, depth, allow_pickle=False)
    write_image(task.result("depth.png"), values)
    return scale, shift


def colour_depth(depth: Float32Array) -> UInt8Array:
    """(H, W) depth as a picture: blue further away, yellow nearer, as in the paper; white where there is none."""
    from matplotlib import colormaps

    known = np.isfinite(depth)
    picture = np.full((*depth.shape, 3), 255, np.uint8)
    if known.any():
        low, high = np.percentile(depth[known], [1, 99])
        nearness = np.clip((high - depth[known]) / max(high - low, 1e-6), 0, 1)
        picture[known] = (colormaps["viridis"](nearness)[:, :3] * 255).round().astype(np.uint8)
    return picture


def _find_mask(task: Task, masks: Path | None, out: Path) -> Path | None:
    """The mask of an image: mirrored as the results are, or flat; None, with a word in the log, if there is none."""
    if masks is None:
        return None
    mirrored = (masks / task.stem.relative_to(out)).parent / f"{task.image.stem}.png"
    for candidate in (mirrored, masks / f"{task.image.stem}.png"):
        if candidate.exists():
            return candidate
    LOG.warning("%s has no mask in %s; the whole image is taken", task.image, masks)
    return None


def _checked_device(device: str) -> str:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LiftnetError(f"--device {device}", "is not there", "Use `--device cpu`") from error
    return device
