"""The folder of a trained model: model.safetensors, config.json and README.md, the same for every network.

config.json says what the weights are of: `format`, the version of this layout; `model`, the kind of model; `network`,
the settings that build the network, with `architecture` where there are several; `sha256` of the weights. What else a
kind of model notes (its settings, its training) stands beside them.
"""

from __future__ import annotations

import hashlib
import os
import textwrap
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

import pandas as pd
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_bytes, write_json, write_text
from liftnet.core.opening import sha256_of
from liftnet.core.settings import Settings, SettingsType
from liftnet.core.stored_arrays import open_tensors
from liftnet.core.tables import markdown_table
from liftnet.models.encoders import check_sha256, read_state_dict

FORMAT = 3
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OWN = ("format", "model", "network", "sha256")  # what this module writes into config.json
COUNTER = "num_batches_tracked"  # of batch normalisation: a file may leave it out, as nothing is computed from it
Network = TypeVar("Network", bound=nn.Module)
SHIPPED = Path(__file__).parent / "shipped"
PACKAGE = Path(__file__).parents[1]
SHIPPED_SHA256 = {  # of all weights that come with the package, by their places in it
    "models/shipped/detector/model.safetensors": "cc7dfa06e8a0debbac56fb3a3dcf32e92146e1c60acccf481b59cdb8cd18d8c4",
    "models/shipped/hardnet/model.safetensors": "9793b1fe6598c80478b580d924b832e5627cec45750e0dfacd6538e52b8ae194",
    "models/shipped/segmenter/model.safetensors": "8e11c04e4fc1be361a8cdf2622170700dfe1944f9a06cd97121ba265ba2055de",
    "shape/vocabulary.safetensors": "27b95142dd8b8c9f13539ea685beb77eaabc4ef88037d78eae9fe34465aadb82",
}
CARD = "README.md"
WIDTH = 110


class ModelConfig(BaseModel):
    """What every config.json says; what else a kind of model notes is checked by that kind."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    format: Literal[3]
    model: str = Field(max_length=100)
    network: dict[str, JsonValue] = Field(max_length=100)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


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
        head = ModelConfig.model_validate(config)
        settings = kind.settings.model_validate(head.network)
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise LiftnetError(folder / CONFIG, f"does not describe a network ({reason})", again) from error
    if sha256_of(weights) != head.sha256:
        raise LiftnetError(weights, f"is damaged, or does not belong to the {CONFIG} beside it", again)
    stored = tensor_shapes(weights)
    try:
        with torch.device("meta"):  # shapes without memory: what config.json asks for may be far larger than the file
            planned = _needed(kind.build(settings), stored)
    except (RuntimeError, ValueError) as error:  # of torch, at settings that no network can have
        reason = str(error).splitlines()[0]
        raise LiftnetError(folder / CONFIG, f"asks for a network that cannot be built ({reason})", again) from error
    _check_shapes(weights, stored, shapes_of(planned), f"a {kind.name}")
    network = kind.build(settings)
    network.load_state_dict(read_weights(weights, _needed(network, stored), f"a {kind.name}"), strict=False)
    notes = {name: value for name, value in config.items() if name not in OWN}
    return SavedModel(network.to(device).eval(), settings, notes)


def _needed(network: nn.Module, stored: Container[str]) -> dict[str, Tensor]:
    return {name: t for name, t in network.state_dict().items() if name in stored or not name.endswith(COUNTER)}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors by their names."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors of a safetensors file, by its head alone.

    Raises:
        LiftnetError: It is damaged.
    """
    try:
        with open_tensors(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise LiftnetError(path, f"cannot be read as weights ({error})", "Fetch the file again") from error


def _check_shapes(
    path: Path, stored: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], what: str
) -> None:
    wrong = next((name for name, shape in expected.items() if stored.get(name) != shape), None)
    if wrong is not None:
        reason = f"does not hold {what}: it has no tensor {wrong} of shape {expected[wrong]}"
        raise LiftnetError(path, reason, f"Give the weights of {what}")


def read_config(folder: Path, name: str, remedy: str) -> Mapping[str, Any]:
    """The config.json of a model's folder.

    Raises:
        LiftnetError: It is missing or damaged, or of another version or kind of model.
    """
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("model") != name:
        raise LiftnetError(folder / CONFIG, f"does not describe a {name} of format {FORMAT}", remedy)
    return config


def read_weights(
    path: str | Path, expected: Mapping[str, Tensor], what: str, sha256: str | None = None
) -> dict[str, Tensor]:
    """The tensors of a file that a network needs.

    Args:
        path: `.safetensors`, or `.pth`/`.pt` that holds tensors only (nothing else in it is unpickled).
        expected: State dict of the network; what else the file holds is left out.
        what: The network's name, for the error.
        sha256: If given, the SHA-256 of the file in hexadecimal digits.

    Returns:
        The tensors by the names of `expected`, in the types of `expected`.

    Raises:
        LiftnetError: The file is missing, damaged, of another checksum or of another network, or not all is finite.
    """
    path = Path(path)
    if not path.exists():
        raise LiftnetError(path, f"does not exist; weights of {what} were expected there", "Correct the path")
    check_sha256(path, sha256)
    check_shipped(path)
    given = read_state_dict(path)
    _check_shapes(path, shapes_of(given), shapes_of(expected), what)
    chosen = {key: given[key].to(value.dtype) for key, value in expected.items()}
    unusable = [key for key, value in chosen.items() if not bool(value.isfinite().all())]
    if unusable:
        raise LiftnetError(path, f"holds numbers that are not finite, in {unusable[0]}", "Train or fetch it again")
    return chosen


def check_shipped(path: Path) -> None:
    """Refuse weights in the package that are not those it came with; files elsewhere are not looked at.

    Raises:
        LiftnetError: They are others, or none that came with it.
    """
    place = Path(os.path.abspath(path))
    if place.is_relative_to(PACKAGE):
        check_sha256(path, SHIPPED_SHA256.get(place.relative_to(PACKAGE).as_posix(), "none that is known"))


@dataclass(frozen=True)
class Card:
    """What a card says; texts are Markdown, and a section without text is left out.

    Attributes:
        title: Of the page.
        licence: Of the weights, as model hubs name it.
        tags: As model hubs have them.
        summary: What the model is.
        usage: How to use it.
        data: What it was trained on.
        training: How it was trained.
        evaluation: How well it does, and on what.
        limits: What it is not for.
        settings: A tree of the settings of its training, if they are to be listed.
        defaults: The same by default, to be shown beside values that differ.
        weights: Of what licence, how stored, and their SHA-256.
        front: What the metadata says besides.
    """

    title: str
    licence: str
    tags: Sequence[str]
    summary: str = ""
    usage: str = ""
    data: str = ""
    training: str = ""
    evaluation: str = ""
    limits: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    defaults: Settings | None = None
    weights: str = ""
    front: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the card into a model's folder, atomically; returns its path.

        Raises:
            LiftnetError: The folder cannot be written.
        """
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("liftnet.models", "."), undefined=StrictUndefined, trim_blocks=True
        )
        text = environment.get_template("card.md.j2").render(
            title=self.title,
            front=yaml.safe_dump(self._metadata(), sort_keys=False),
            summary=self.summary.strip(),
            sections=[(heading, body.strip()) for heading, body in self._sections() if body.strip()],
        )
        write_text(folder / CARD, text.rstrip("\n") + "\n")
        return folder / CARD

    def _metadata(self) -> dict[str, Any]:
        block: dict[str, Any] = {"license": self.licence, "library_name": "liftnet", "tags": list(self.tags)}
        if self.licence == "other":
            block["license_name"] = "as-its-trainer-says"
        return block | dict(self.front)

    def _sections(self) -> Iterator[tuple[str, str]]:
        yield "How to use it", self.usage
        yield "Data", self.data
        yield "Training", self.training
        yield "Evaluation", self.evaluation
        yield "Limits", self.limits
        yield "Settings", settings_table(self.settings, self.defaults) if self.settings else ""
        yield "Licence", self.weights


def paragraph(text: str) -> str:
    """Text in lines of one width, whatever its own line breaks."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table; numbers that are not whole with four digits."""
    return markdown_table(
        pd.DataFrame(rows).map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))
    )


def settings_table(settings: Mapping[str, Any], defaults: Settings | None = None) -> str:
    """A Markdown table of a tree of settings by their dotted names.

    Args:
        settings: The tree.
        defaults: The same by default; given, the default of a value that differs is in a third column.

    >>> print(settings_table({"train": {"iterations": 10}, "points": 5}))
    | setting | value |
    | --- | --- |
    | `train.iterations` | 10 |
    | `points` | 5 |
    """
    flat = _flat(settings)
    table = pd.DataFrame({"setting": [f"`{name}`" for name in flat], "value": list(flat.values())})
    if defaults is None:
        return markdown_table(table, marked_up=["setting"])
    usual = _flat(defaults.model_dump(mode="json"))
    table["default"] = ["" if usual.get(name) == value else usual.get(name, "") for name, value in flat.items()]
    return f"The default is given where a value differs from it.\n\n{markdown_table(table, marked_up=['setting'])}"


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{above}{name}.") if inner else {above + name: "null" if value is None else str(value)}
    return flat
