"""A model in one file for other programs: ONNX or safetensors, with what is needed to use it, checked for equality."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from liftnet.core.documents import DocumentError, parse_json
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import atomic_path, read_json, write_json
from liftnet.core.log import get_logger
from liftnet.core.opening import open_file
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.types import Float32Array, UInt8Array
from liftnet.data.folders import find_images
from liftnet.data.pictures import read_image
from liftnet.models.depth_input import cut_input, network_input
from liftnet.models.liftnet import DepthModel, load_model, save_model

LOG = get_logger("depth")
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of depth in [-1, 1]; sums in another order differ by about 1e-6
RANDOM_CROPS, REAL_CROPS = 8, 8
CONFIG_KEY = "liftnet.config"  # in a safetensors file: config.json
INPUT_TEXT = "float32 (batch, 3, S, S), RGB of the square crop, value / 127.5 - 1, so in [-1, 1]"
OUTPUT_TEXT = (
    "float32 (batch, S, S) in [-1, 1], depth of each pixel of the crop, growing away from the viewer (the sign is "
    "applied); up to d -> a d + b x + c y + e with a > 0; no unit"
)
Predictor = Callable[[UInt8Array], Float32Array]


def export_model(
    folder: Path, out: Path, check: bool = True, images: Sequence[Path] = (), seed: int = 0, threads: int = 1
) -> dict[str, Any]:
    """Write a model as one file, and what it says about itself as JSON beside it.

    The suffix of `out` chooses: `.onnx` (dynamic batch; needs the packages of `liftnet[export]`), or `.safetensors`
    (the weights with config.json in the file's metadata).

    Args:
        folder: The trained model.
        out: The file to write. It appears only if it passes the check.
        check: Whether to compare its predictions with the model's: on random crops and, if there are any, on crops of
            photographs.
        images: Photographs and folders to compare on; those of the run that trained the model, if they lie where a
            run keeps them, when empty.
        seed: Of the random crops.
        threads: Threads of torch.

    Returns:
        What the JSON holds; `check` has the largest absolute differences.

    Raises:
        LiftnetError: The suffix is another, a package is missing, the network cannot be exported, the file cannot be
            written, or a difference is above `TOLERANCE`.
    """
    torch.set_num_threads(threads)
    writers = {".onnx": _write_onnx, ".safetensors": _write_safetensors}
    if out.suffix not in writers:
        raise LiftnetError(out, "is neither .onnx nor .safetensors", "Choose one by the suffix of --out")
    if out.suffix == ".onnx":
        require_packages()
    if out.resolve() == (folder / "model.safetensors").resolve():
        raise LiftnetError(out, "is the model itself", "Name another file")
    model = load_model(folder)
    about = describe(folder, model)
    crops = {"random": random_crops(model, seed), "real": real_crops(model, images or _images_of_run(folder))}
    with atomic_path(out) as temporary:
        predict = writers[out.suffix](temporary, model, about)
        if check:
            about["check"] = compare(out, model, predict, crops, exact=out.suffix == ".safetensors")
    write_json(out.with_suffix(".json"), about)
    LOG.info("exported %s to %s%s", folder, out, _check_in_words(about.get("check")))
    return about


def require_packages() -> None:
    """Check that the packages for ONNX are there.

    Raises:
        LiftnetError: One is not.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"ONNX needs packages that are not installed: {', '.join(missing)}"
        raise LiftnetError("depth export", reason, "Run `pip install liftnet[export]`")


def describe(folder: Path, model: DepthModel) -> dict[str, Any]:
    """What a user of the file must know: input, output, cropping, sign, and the model's config.json."""
    seen = model.input
    crop = {
        "mask": f"the smallest square around the mask with a margin of {seen.margin} of its longer side on "
        "each side; the border is repeated where it reaches beyond the image",
        "full": "the smallest square around the whole image, centred; the border is repeated",
    }
    return {
        "title": "LiftNet: depth from one photograph of a sculpture",
        "input": {"name": "image", "text": INPUT_TEXT, "size": seen.image_size},
        "output": {"name": "depth", "text": OUTPUT_TEXT},
        "crop": {
            "square": crop[seen.crop],
            "background": "grey, 128 of 255, off the mask" if seen.background == "grey" else "kept as it is",
            "resizing": f"to {seen.image_size} px, by area where it shrinks, else bilinear",
        },
        "sign": {"of_network": model.sign, "applied": True},
        "mask_prior_weight": {
            "of_model": model.mask_prior_weight,
            "applied": False,
            "text": "the model mixes the network's depth with the inflated mask; the file holds the network alone",
        },
        "config": read_json(folder / "config.json"),
    }


def random_crops(model: DepthModel, seed: int) -> UInt8Array:
    """(8, S, S, 3) crops of noise, a function of the seed."""
    size = model.input.image_size
    return np.random.default_rng(seed).integers(0, 256, (RANDOM_CROPS, size, size, 3), np.uint8)


def real_crops(model: DepthModel, images: Sequence[Path]) -> UInt8Array:
    """(n, S, S, 3) crops of the first photographs that can be read, at most 8; none without photographs.

    Raises:
        LiftnetError: A path does not exist or holds no images.
    """
    crops: list[UInt8Array] = []
    for place in find_images(images, Path("exported")) if images else []:
        try:
            crops.append(cut_input(read_image(place.image), None, model.input)[0])
        except BadImageError as error:
            LOG.warning("not compared on %s: %s", place.image, error.reason)
        if len(crops) == REAL_CROPS:
            break
    size = model.input.image_size
    return np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8)


def compare(
    out: Path, model: DepthModel, predict: Predictor, crops: dict[str, UInt8Array], exact: bool
) -> dict[str, Any]:
    """Compare predictions of a file with the model's, in batches of one, three and all.

    Returns:
        Of each kind of crops their number and the largest absolute difference; whether the model written as
        safetensors and read again predicts the same bits.

    Raises:
        LiftnetError: A difference is above `TOLERANCE`, or, where it must be exact, above 0.
    """
    found: dict[str, Any] = {"tolerance": 0.0 if exact else TOLERANCE}
    for kind, pixels in crops.items():
        sizes = sorted({min(size, len(pixels)) for size in (1, 3, len(pixels))} - {0})
        parts = [pixels[:size] for size in sizes]  # one size for both: torch sums differently in other batches
        largest = [float(np.abs(predict(part) - _predict(model, part)).max()) for part in parts]
        found[kind] = {"crops": len(pixels), "max_abs_difference": max(largest) if largest else None}
        if largest and not max(largest) <= found["tolerance"]:
            reason = f"differs from the model by {max(largest):.2e} on {kind} crops, above {found['tolerance']:.0e}"
            raise LiftnetError(out, reason, "The file was not written; another version of torch or onnx may help")
    with tempfile.TemporaryDirectory() as name:
        save_model(Path(name), model)
        found["safetensors_reloaded_bit_equal"] = bool(
            np.array_equal(_predict(load_model(Path(name)), crops["random"]), _predict(model, crops["random"]))
        )
    if not found["safetensors_reloaded_bit_equal"]:
        raise LiftnetError(out, "the model read again from safetensors predicts other bits", "Train it again")
    return found


class _Signed(nn.Module):
    """The network with the model's sign."""

    def __init__(self, model: DepthModel) -> None:
        super().__init__()
        self.network, self.sign = model.network, float(model.sign)

    def forward(self, image: Tensor) -> Tensor:
        return self.sign * self.network(image)


def _write_onnx(path: Path, model: DepthModel, about: dict[str, Any]) -> Predictor:
    import onnx
    import onnxruntime

    size = model.input.image_size
    sample = (torch.zeros(2, 3, size, size),)
    batch = torch.export.Dim("batch")
    try:
        program = torch.onnx.export(
            _Signed(model).eval(),
            sample,
            dynamo=True,
            input_names=["image"],
            output_names=["depth"],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        raise LiftnetError(path, f"the network cannot be exported ({reason})", "Use .safetensors") from error
    assert program is not None
    proto = program.model_proto
    _clean(proto)
    proto.producer_name = "liftnet"
    proto.doc_string = about["title"]
    proto.graph.input[0].doc_string, proto.graph.output[0].doc_string = INPUT_TEXT, OUTPUT_TEXT
    about["opset"] = max(entry.version for entry in proto.opset_import if entry.domain == "")
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    onnx.helper.set_model_props(proto, flat)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda crops: session.run(
        ["depth"], {"image": network_input(torch.from_numpy(crops)).contiguous().numpy()}
    )[0]


def _clean(proto: Any) -> None:
    """Drop the exporter's notes on source files and calls: they name folders of this machine."""
    graph = proto.graph
    for part in itertools.chain([graph], graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        del part.metadata_props[:]
    for function in proto.functions:
        for part in (function, *function.node):
            del part.metadata_props[:]


def _write_safetensors(path: Path, model: DepthModel, about: dict[str, Any]) -> Predictor:
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    path.write_bytes(save(weights, {CONFIG_KEY: json.dumps(about["config"]), "about": json.dumps(about)}))
    read = load_model_file(path)
    return lambda crops: _predict(read, crops)


def load_model_file(path: Path) -> DepthModel:
    """Read the one safetensors file that `export_model` wrote.

    Raises:
        LiftnetError: The file is missing, damaged, or not of this kind.
    """
    from safetensors import SafetensorError

    remedy = "Write it with `depth export`"
    try:
        with open_tensors(path, "pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", remedy) from error
    except (SafetensorError, OSError) as error:
        raise LiftnetError(path, f"is damaged ({error})", remedy) from error
    if CONFIG_KEY not in metadata:
        raise LiftnetError(path, "does not carry the configuration of a model", remedy)
    try:
        config = parse_json(metadata[CONFIG_KEY], finite=False)
        if not isinstance(config, dict):
            raise DocumentError("is no JSON object")
    except DocumentError as error:
        raise LiftnetError(path, f"its configuration {error}", remedy) from error
    with open_file(path) as weights:
        config["sha256"] = hashlib.file_digest(weights, "sha256").hexdigest()
    with tempfile.TemporaryDirectory() as name:
        write_json(Path(name) / "config.json", config)
        (Path(name) / "model.safetensors").symlink_to(path.resolve())
        return load_model(Path(name))


def _predict(model: DepthModel, crops: UInt8Array) -> Float32Array:
    return model.network_depth(crops, batch_size=max(len(crops), 1))


def _images_of_run(folder: Path) -> list[Path]:
    images = folder.resolve().parent.parent / "images"
    return [images] if images.is_dir() and any(images.iterdir()) else []


def _check_in_words(check: dict[str, Any] | None) -> str:
    if check is None:
        return ", not compared with the model"
    differences = [
        f"{check[kind]['max_abs_difference']:.1e} on {check[kind]['crops']} {kind} crops"
        for kind in ("random", "real")
        if check[kind]["crops"]
    ]
    return "; largest difference from the model " + ", ".join(differences)
