"""The folder of a trained model: model.safetensors, config.json and README.md, the same for every network.

config.json says what the weights are of: `format`, the version of this layout; `model`, the kind of model; `network`,
the settings that build the network, with `architecture` where there are several; `sha256` of the weights. What else a
kind of model notes (its settings, its training) stands beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_bytes, write_json
from liftnet.core.settings import SettingsType
from liftnet.models.weights import SHIPPED, read_weights

FORMAT = 3
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OWN = ("format", "model", "network", "sha256")  # what this module writes into config.json
COUNTER = "num_batches_tracked"  # of batch normalisation: a file may leave it out, as nothing is computed from it
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class ModelKind(Generic[SettingsType, Network]):
    """One kind of model: what its networks are, and who trains them.

    Attributes:
        name: As config.json has it.
        settings: What describes a network of this kind.
        build: From these to a network with random weights.
        command: What trains one, for remedies: "segment train".
    """

    name: str
    settings: type[SettingsType]
    build: Callable[[SettingsType], Network]
    command: str


@dataclass
class SavedModel(Generic[SettingsType, Network]):
    """What a folder holds.

    Attributes:
        network: The network with its weights, in evaluation mode.
        settings: What built it.
        notes: What else config.json says.
    """

    network: Network
    settings: SettingsType
    notes: dict[str, Any] = field(default_factory=dict)


def build_architecture(package: ModuleType, name: str, settings: SettingsType) -> Any:
    """The network of a module of a package, with random weights: what its function `build(settings)` gives."""
    return import_module(f"{package.__name__}.{name}").build(settings)


def model_folder(source: Path | str) -> Path:
    """The folder that a path or the name of a model that ships with the package means."""
    named = SHIPPED / str(source)
    return named if not Path(source).exists() and (named / CONFIG).exists() else Path(source)


def save_model(
    folder: Path, kind: ModelKind[SettingsType, Network], model: SavedModel[SettingsType, Network], half: bool = False
) -> None:
    """Write model.safetensors and config.json, each atomically.

    Args:
        folder: Where.
        kind: What kind of model it is.
        model: Network, settings and notes.
        half: Store the weights in half of the bits; they are loaded as what the network computes in.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    if half:
        weights = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    data = save(weights)  # `save_file` lets only its owner read the file
    own = {"format": FORMAT, "model": kind.name, "network": model.settings.model_dump(mode="json")}
    write_json(folder / CONFIG, model.notes | own | {"sha256": hashlib.sha256(data).hexdigest()})
    write_bytes(folder / WEIGHTS, data)


def load_model(
    source: Path | str, kind: ModelKind[SettingsType, Network], device: str = "cpu"
) -> SavedModel[SettingsType, Network]:
    """Read what `save_model` wrote.

    Args:
        source: The folder, or the name of a model that ships with the package.
        kind: What kind of model it must be.
        device: Where the network goes, as torch names it.

    Raises:
        LiftnetError: A file is missing, damaged or of another version or kind of model, or the two do not belong
            together.
    """
    folder, again = model_folder(source), f"Train it again with `{kind.command}`"
    config = read_config(folder, kind.name, again)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise LiftnetError(weights, "does not exist", again)
    try:
        settings = kind.settings.model_validate(config["network"])
    except (KeyError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise LiftnetError(folder / CONFIG, f"does not describe a network ({reason})", again) from error
    network = kind.build(settings)
    if hashlib.sha256(weights.read_bytes()).hexdigest() != config.get("sha256"):
        raise LiftnetError(weights, f"is damaged, or does not belong to the {CONFIG} beside it", again)
    with safe_open(weights, "pt") as file:
        stored = set(file.keys())
    needed = {name: t for name, t in network.state_dict().items() if name in stored or not name.endswith(COUNTER)}
    network.load_state_dict(read_weights(weights, needed, f"a {kind.name}"), strict=False)
    notes = {name: value for name, value in config.items() if name not in OWN}
    return SavedModel(network.to(device).eval(), settings, notes)


def read_config(folder: Path, name: str, remedy: str) -> Mapping[str, Any]:
    """The config.json of a model's folder.

    Raises:
        LiftnetError: It is missing or damaged, or of another version or kind of model.
    """
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("model") != name:
        raise LiftnetError(folder / CONFIG, f"does not describe a {name} of format {FORMAT}", remedy)
    return config
