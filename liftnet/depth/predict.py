"""Depth of photographs: the requested formats, batch by batch, skipping what is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import trimesh

from liftnet.core.devices import choose_device
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import atomic_path, write_json
from liftnet.core.log import duration, get_logger, progress
from liftnet.core.text import printable
from liftnet.core.types import BoolArray, Float32Array, UInt8Array
from liftnet.data.folders import InputImage, find_images
from liftnet.data.pictures import read_image, write_image
from liftnet.models.depth_input import CropBox, cut, cut_input, cut_mask, put_back
from liftnet.models.liftnet import DepthModel, load_model
from liftnet.models.photograph_masks import PhotographMasks

LOG = get_logger("depth")
LONG = 60.0  # seconds of work from which an estimate is given
CV2_NO_MEMORY = -4  # cv::Error::StsNoMem
MESH_SIDE = 256  # vertices along a side of the mesh's grid
RELIEF = 0.8  # range of depth on a mesh, in half widths: the loss leaves the scale of depth free
JUMP = 8.0  # a triangle is left out where depth changes by more than this many times the usual step
PNG_SCALE = 1 / 32767  # depth of a step of the 16-bit PNG: -1 is 1, 0 is 32768, 1 is 65535
PNG_SHIFT = -32768 / 32767
NOTES = "depth.json"  # written last: with it an image is done
FORMATS = {"png16": "depth.png", "npy": "depth.npy", "colour": "colour.png", "ply": "mesh.ply", "glb": "mesh.glb"}


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        mask: "auto" for masks by the segmenter, "none" for whole images, or a folder of masks.
        segmenter: Folder of the segmenter; None for the one beside the model.
        formats: Keys of `FORMATS`.
        batch_size: Images in one pass.
        force: Predict again what is there.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...
        threads: Threads of torch, and of reading and writing.
    """

    mask: str = "none"
    segmenter: Path | None = None
    formats: tuple[str, ...] = tuple(FORMATS)
    batch_size: int = 8
    force: bool = False
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class _Job:
    """A model with what it is to do."""

    model: DepthModel
    masks: PhotographMasks
    model_folder: Path
    options: PredictOptions
    device: torch.device


@dataclass(frozen=True)
class _Ready:
    """An image decoded and cut."""

    place: InputImage
    image: UInt8Array
    mask: BoolArray | None
    mask_file: Path | None
    crop: UInt8Array
    small_mask: BoolArray
    box: CropBox


def predict(inputs: Sequence[Path], model_folder: Path, out: Path, options: PredictOptions) -> int:
    """Predict depth of images and of all images in folders, which are mirrored below `out`.

    An image whose results in the requested formats are all there is skipped unless `force`. A file that is not a
    usable image is named in the log and left out. Where memory runs out the batch is halved and tried again.

    Args:
        inputs: Images and folders.
        model_folder: The trained model.
        out: Where results go.
        options: How to predict.

    Returns:
        Exit status: 0 if every image has its results, 1 if some were left out.

    Raises:
        LiftnetError: An input does not exist, the model or segmenter cannot be read, a result cannot be written, or
            memory does not suffice for a single image.
    """
    if options.batch_size < 1:
        raise LiftnetError(f"--batch-size {options.batch_size}", "is not a number of images", "Use 1 or more")
    torch.set_num_threads(options.threads)
    places = find_images(inputs, out)
    wanted = endings(options.formats)
    pending = [p for p in places if options.force or not all(p.result(ending).exists() for ending in wanted)]
    failed = 0
    if pending:
        device = choose_device(options.device)
        masks = PhotographMasks.open(options.mask, out, options.segmenter, model_folder, str(device), options.force)
        job = _Job(load_model(model_folder, str(device)), masks, model_folder, options, device)
        for reason in progress(_outcomes(pending, job), "depth", "predicting depth", len(pending)):
            if reason:
                failed += 1
                LOG.warning("left out: %s", reason)
    done, there = len(pending) - failed, len(places) - len(pending)
    LOG.info("predicted depth of %d images, %d were there already, %d left out; %s", done, there, failed, out)
    return 1 if failed else 0


def _outcomes(pending: list[InputImage], job: _Job) -> Iterator[str | None]:
    """Predict batch by batch; for each image in order why it was left out, None if it was not."""
    size, done = job.options.batch_size, 0
    with ThreadPoolExecutor(job.options.threads) as pool:
        while done < len(pending):
            batch, start = pending[done : done + size], time.monotonic()
            reasons = _try_batch(batch, job, pool)
            if reasons is None:
                size = len(batch) // 2
                LOG.warning(
                    "memory ran out with %d images at a time; continuing with %d. Next time: `--batch-size %d`",
                    len(batch),
                    size,
                    size,
                )
                continue
            left = (time.monotonic() - start) / len(batch) * (len(pending) - len(batch))
            if not done and left > LONG:
                LOG.info("%d images to predict, about %s", len(pending), duration(left))
            done += len(batch)
            yield from reasons


def _try_batch(batch: list[InputImage], job: _Job, pool: ThreadPoolExecutor) -> list[str | None] | None:
    """What became of each image of a batch; None if memory ran out and a smaller batch may do."""
    try:
        return _predict_batch(batch, job, pool)
    except Exception as error:
        if isinstance(error, LiftnetError) or not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            return [f"{batch[0].image}: is too large for the memory"]
    if job.device.type == "cuda":  # after the exception, which held tensors of the failed pass
        torch.cuda.empty_cache()
    return None


def _predict_batch(batch: list[InputImage], job: _Job, pool: ThreadPoolExecutor) -> list[str | None]:
    """Read, predict and write a batch; the reason for each image that could not be read."""
    read = list(pool.map(_read, batch))
    if len(batch) > 1 and any(isinstance(one, BadImageError) and one.status == "out_of_memory" for one in read):
        raise MemoryError  # one at a time it may do
    prepare_all = map if job.masks.segmenter else pool.map  # the segmenter takes torch's threads itself
    prepared = list(prepare_all(lambda place, image: _prepare(place, image, job), batch, read))
    ready = [item for item in prepared if isinstance(item, _Ready)]
    if ready:
        depths = _run_network(ready, job)
        writes = [
            pool.submit(write_prediction, item.place, _prediction(item, small, job), job.options.formats)
            for item, small in zip(ready, depths, strict=True)
        ]
        for write in writes:
            write.result()
    return [str(item) if isinstance(item, BadImageError) else None for item in prepared]


def _read(place: InputImage) -> UInt8Array | BadImageError:
    try:
        return read_image(place.image)
    except BadImageError as error:
        return error


def _prepare(place: InputImage, image: UInt8Array | BadImageError, job: _Job) -> _Ready | BadImageError:
    """Cut an image out around its mask; why it or its mask cannot be read if one cannot."""
    if isinstance(image, BadImageError):
        return image
    try:
        mask_file, mask = job.masks.mask_of(place, image)
        return _Ready(place, image, mask, mask_file, *cut_input(image, mask, job.model.input))
    except BadImageError as error:
        return error
    except Exception as error:  # what nobody has foreseen of one image ends no batch
        if isinstance(error, LiftnetError) or is_out_of_memory(error):
            raise
        LOG.exception("%s: an unforeseen error", printable(place.image))
        return BadImageError(place.image, "internal_error", f"{type(error).__name__}: {error}")


def _run_network(ready: list[_Ready], job: _Job) -> np.ndarray:
    """(n, S, S) depth of the images' crops in one pass."""
    crops, masks = np.stack([item.crop for item in ready]), np.stack([item.small_mask for item in ready])
    try:
        return job.model.predict(crops, masks, batch_size=len(ready))
    except (MemoryError, RuntimeError) as error:
        if len(ready) > 1 or not is_out_of_memory(error):
            raise
        size = job.model.input.image_size
        remedy = "Free some memory" + ("" if job.device.type == "cpu" else ", or use `--device cpu`")
        reason = f"memory does not suffice for the network on one image of {size} px (`--batch-size 1`)"
        raise LiftnetError(f"--device {job.device}", reason, remedy) from error


def _prediction(item: _Ready, small: np.ndarray, job: _Job) -> Prediction:
    notes = {
        "image": printable(item.place.image),
        "mask": printable(item.mask_file) if item.mask_file else None,
        "model": str(job.model_folder),
    }
    return Prediction(item.image, item.mask, item.box, small, notes)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of Python, NumPy, OpenCV, or of torch on any device."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, cv2.error):
        return error.code == CV2_NO_MEMORY
    return isinstance(error, Exception) and should_reduce_batch_size(error)


@dataclass(frozen=True)
class Prediction:
    """A photograph and its depth.

    Attributes:
        image: (H, W, 3) uint8.
        mask: (H, W) bool, the foreground; None for all of the image.
        box: Where the crop lies in the image.
        small: (S, S) float32 in [-1, 1], the crop's depth, growing away from the viewer.
        notes: What the notes shall say besides: model, mask, image.
    """

    image: UInt8Array
    mask: BoolArray | None
    box: CropBox
    small: Float32Array
    notes: dict[str, str | None]


def parse_formats(text: str) -> tuple[str, ...]:
    """The formats in a list such as `png16,npy,glb`.

    Raises:
        LiftnetError: One is unknown, or there is none.
    """
    formats = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        reason = f"has no format {', '.join(unknown)}" if unknown else "names no format"
        raise LiftnetError(f"--format {text}", reason, f"Known are {', '.join(FORMATS)}")
    return formats


def endings(formats: Sequence[str]) -> list[str]:
    """Endings of the files that belong to formats; the notes come last."""
    return [*(FORMATS[name] for name in formats), NOTES]


def write_prediction(place: InputImage, prediction: Prediction, formats: Sequence[str]) -> None:
    """Write a prediction in the requested formats, each file atomically, and `depth.json` last.

    Raises:
        LiftnetError: The folder cannot be written.
    """
    height, width = prediction.image.shape[:2]
    depth = put_back(prediction.small, prediction.box, (height, width))
    if prediction.mask is not None:
        depth[~prediction.mask] = np.nan
    if "png16" in formats:
        write_image(place.result(FORMATS["png16"]), encode_depth(depth))
    if "npy" in formats:
        with atomic_path(place.result(FORMATS["npy"])) as temporary, open(temporary, "wb") as file:
            np.save(file, depth, allow_pickle=False)
    if "colour" in formats:
        write_image(place.result(FORMATS["colour"]), colour_depth(depth))
    if "ply" in formats or "glb" in formats:
        _write_meshes(place, prediction, formats)
    write_json(place.result(NOTES), _notes(prediction))


def encode_depth(depth: Float32Array) -> npt.NDArray[np.uint16]:
    """(H, W) depth in [-1, 1] as values 1 to 65535, 0 where there is none; the same scale for every image."""
    known = np.isfinite(depth)
    values = np.rint((np.clip(np.where(known, depth, 0), -1, 1) - PNG_SHIFT) / PNG_SCALE)
    return np.where(known, values, 0).astype(np.uint16)


def colour_depth(depth: Float32Array) -> UInt8Array:
    """(H, W) depth as a picture: blue further away, yellow nearer, as in the paper; white where there is none."""
    from matplotlib import colormaps

    known = np.isfinite(depth)
    picture = np.full((*depth.shape, 3), 255, np.uint8)
    if known.any():
        low, high = np.percentile(depth[known], [1, 99])
        nearness = np.clip((high - depth[known]) / max(high - low, 1e-6), 0, 1)
        picture[known] = colormaps["viridis"](nearness, bytes=True)[:, :3]
    return picture


def _write_meshes(place: InputImage, prediction: Prediction, formats: Sequence[str]) -> None:
    image, box = prediction.image, prediction.box
    mask = prediction.mask if prediction.mask is not None else np.ones(image.shape[:2], bool)
    side = min(MESH_SIDE, box.side)
    surface = cv2.resize(prediction.small, (side, side), interpolation=cv2.INTER_LINEAR)
    mesh = depth_mesh(np.asarray(surface, np.float32), cut_mask(mask, box, side), cut(image, box, side))
    for name in ("ply", "glb"):
        if name in formats:
            with atomic_path(place.result(FORMATS[name])) as temporary:
                mesh.export(temporary)


def _notes(prediction: Prediction) -> dict[str, object]:
    box = prediction.box
    return {
        "convention": "depth grows away from the viewer, up to d -> a d + b x + c y + e with a > 0; no unit",
        "npy": "float32, size of the image, NaN where there is no foreground",
        "png": {"scale": PNG_SCALE, "shift": PNG_SHIFT, "depth": "scale * value + shift; value 0 means no depth"},
        "crop": {"left": box.left, "top": box.top, "side": box.side},
        "mesh": "x right, y up, z towards the viewer, in half widths of the crop",
        **prediction.notes,
    }


def depth_mesh(depth: Float32Array, mask: BoolArray, colours: UInt8Array, relief: float = RELIEF) -> trimesh.Trimesh:
    """The visible surface as a mesh.

    Args:
        depth: (S, S), growing away from the viewer, of any scale.
        mask: (S, S) bool, the foreground.
        colours: (S, S, 3) uint8.
        relief: Distance between the 2nd and the 98th percentile of depth on the mesh.

    Returns:
        Vertices in half widths of the crop, x right, y up, z towards the viewer, centred on the crop and on the
        median depth; triangles face the viewer; one colour per vertex. Without triangles where the mask is too thin.
    """
    size = depth.shape[0]
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(int(mask.sum()))
    rows, columns = np.nonzero(mask)
    height = np.zeros(mask.shape)
    if len(rows):
        low, middle, high = np.percentile(depth[mask], [2, 50, 98])
        height = -(depth - middle) * (relief / (high - low) if high > low else 0.0)
    half = size / 2
    vertices = np.column_stack(
        [(columns - (size - 1) / 2) / half, ((size - 1) / 2 - rows) / half, height[rows, columns]]
    )
    return trimesh.Trimesh(
        vertices, _triangles(number, height), vertex_colors=colours[rows, columns], process=False, validate=False
    )


def _triangles(number: npt.NDArray[np.intp], height: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """(F, 3) vertex numbers, counter-clockwise as seen by the viewer; two triangles for each square of pixels."""
    corners = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    heights = height[:-1, :-1], height[:-1, 1:], height[1:, :-1], height[1:, 1:]
    faces, spans = [], []
    for a, b, c in ((0, 2, 1), (1, 2, 3)):  # top left, bottom left, top right; top right, bottom left, bottom right
        triangle = np.stack([corners[a], corners[b], corners[c]], -1)
        three = np.stack([heights[a], heights[b], heights[c]], -1)
        whole = (triangle >= 0).all(-1)
        faces.append(triangle[whole])
        spans.append(np.ptp(three[whole], axis=-1))
    triangles, span = np.concatenate(faces), np.concatenate(spans)
    usual = max(float(np.median(span)) if len(span) else 0.0, 1 / max(height.shape))
    return triangles[span <= JUMP * usual]
