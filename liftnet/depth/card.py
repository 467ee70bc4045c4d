"""A model's card: what it is, what it learnt from, how well it does, how to use it; from the run's own files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, read_json
from liftnet.core.log import get_logger
from liftnet.core.opening import read_text
from liftnet.core.tables import read_csv_table
from liftnet.depth.objectives import limits
from liftnet.depth.settings import TrainSettings
from liftnet.models.folder import Card, paragraph

LOG = get_logger("depth")
TABLES = ("depth_pairs", "depth_demo")  # of `depth evaluate`; their columns besides measures:
LABELS = ("method", "split", "n", "alignment")


def write_card(folder: Path, tables: Path | None = None, licence: str = "other") -> Path:
    """Write `README.md`, with the metadata block that model hubs read, and `training.png` into a model's folder.

    Args:
        folder: The model: config.json, and metrics.csv if it is there.
        tables: Folder with depth_pairs.* and depth_demo.* of this model, where it was evaluated.
        licence: Of the weights, as model hubs name it.

    Returns:
        The card.

    Raises:
        LiftnetError: config.json or a table cannot be read, or the folder cannot be written.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not {"network", "input", "sign"} <= config.keys():
        raise LiftnetError(folder / "config.json", "does not describe a model", "Train it with `depth train`")
    read = {name: _read_csv(tables / f"{name}.csv") for name in TABLES} if tables else {}
    results = {name: frame for name, frame in read.items() if frame is not None}
    metrics = _read_csv(folder / "metrics.csv")
    curves = metrics is not None and draw_curves(metrics, config, folder / "training.png")
    return Card(
        title="LiftNet: depth from one photograph",
        licence=licence,
        tags=("depth-estimation", "monocular-depth", "sculpture", "pytorch"),
        summary=_what(config),
        usage=_how_to_use(folder),
        training=_training(config, "![Loss over the steps of training](training.png)" if curves else ""),
        evaluation=_evaluation(results, tables),
        limits=_limits(config),
        settings=config.get("settings", {}),
        defaults=TrainSettings(),
        front={"pipeline_tag": "depth-estimation"} | _measured(folder, results),
    ).write(folder)


def draw_curves(metrics: pd.DataFrame, config: dict[str, Any], path: Path) -> bool:
    """Draw training and validation loss over steps; False, and no picture, where metrics.csv has none."""
    from matplotlib.figure import Figure

    columns = {"train_loss": "training", "val_loss": "validation"}
    if metrics.empty or not {"iteration", *columns} <= set(metrics.columns):
        return False
    figure = Figure(figsize=(5, 3), dpi=120, layout="constrained")
    axes = figure.subplots()
    for column, label in columns.items():
        axes.plot(metrics["iteration"], metrics[column], label=label)
    best = config.get("training", {}).get("best_iteration")
    if best is not None:
        axes.axvline(best, color="0.6", linestyle=":", label="kept")
    axes.set(xlabel="steps", ylabel="loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return True


def _measured(folder: Path, results: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The measures of this model as a model hub reads them; nothing where it was not evaluated."""
    values = {name: row for name, frame in results.items() if (row := _own_row(frame)) is not None}
    measures = [key for row in values.values() for key in _measures(row)]
    if not measures:
        return {}
    entries = [
        {
            "task": {"type": "depth-estimation"},
            "dataset": {"name": _dataset_name(name, row), "type": name},
            "metrics": [{"type": key, "value": float(row[key])} for key in _measures(row)],
        }
        for name, row in values.items()
    ]
    index = [{"name": folder.resolve().name, "results": entries}]
    return {"metrics": list(dict.fromkeys(measures)), "model-index": index}


def _own_row(frame: pd.DataFrame) -> pd.Series | None:
    own = frame[frame["method"] == "liftnet"] if "method" in frame else frame.iloc[:0]
    return None if own.empty else own.iloc[0]


def _measures(row: pd.Series) -> list[str]:
    return [str(key) for key in row.index if key not in LABELS and math.isfinite(float(row[key]))]


def _dataset_name(name: str, row: pd.Series) -> str:
    split = f", {row['split']}" if "split" in row else ""
    kind = "held-out pairs of photographs" if name == "depth_pairs" else "held-out views with true depth"
    return f"{int(row['n'])} {kind}{split}"


def _what(config: dict[str, Any]) -> str:
    network, options = config["network"], config["input"]
    shape = f"{network['architecture']}, width {network['width']}"
    size = options["image_size"]
    crop = "the square around the mask" if options["crop"] == "mask" else "the square around the whole image"
    margin = f", with a margin of {options['margin']:.0%} on each side" if options["crop"] == "mask" else ""
    background = "painted grey" if options["background"] == "grey" else "left as it is"
    return paragraph(
        f"Depth of a single photograph of a sculpture. The network ({shape}) sees {size} x {size} pixels: {crop}"
        f"{margin}; the background is {background}. It gives a number in [-1, 1] for each pixel, growing away from "
        "the viewer."
    )


def _how_to_use(folder: Path) -> str:
    name = folder.resolve().name
    return f"""```python
from pathlib import Path

import numpy as np

from liftnet.models import load_model
from liftnet.data.pictures import read_image

model = load_model(Path("{name}"))
image = read_image("photo.jpg")  # (H, W, 3) uint8
mask = np.ones(image.shape[:2], bool)  # True where the sculpture is: give its mask for a good result
depth = model.predict_image(image, mask)  # (H, W) float32, growing away from the viewer, NaN off the mask
```

From the command line, with masks by the segmenter that lies beside the model:

    python -m liftnet depth predict photo.jpg --model {name} --out depth/
"""


def _training(config: dict[str, Any], picture: str) -> str:
    training, settings = config.get("training", {}), config.get("settings", {})
    if "items" not in training:
        return "The model's configuration does not say what it was trained on."
    if not {"learnt_from", "item"} <= training.keys():
        raise LiftnetError("config.json", "does not say what the model was learnt from", "Train it with `depth train`")
    best = f"{training['best_iteration']:,}, with a validation loss of {training['best_validation_loss']:.4f}"
    return f"""- Learnt from {training["learnt_from"]}.
- {training["items"]:,} {training["item"]} of {training["works"]:,} works.
- Validated on {training["validation_items"]:,} ({training["validated_on"]}).
- {training["iterations"]:,} steps of {settings.get("batch_size", "?")}; kept: step {best}. Seed {config.get("seed")}.

{picture}"""


def _evaluation(results: dict[str, pd.DataFrame], tables: Path | None) -> str:
    if not results or tables is None:
        return "Not evaluated yet: `depth evaluate`, then `depth card --tables`."
    parts = ["constant and inflated are priors that see the mask alone.\n"]
    for name in results:
        text = tables / f"{name}.md"
        try:
            parts.append(read_text(text))
        except OSError as error:
            raise LiftnetError(text, f"cannot be read ({error.strerror})", "Run `depth evaluate` again") from error
    return "\n".join(parts)


def _limits(config: dict[str, Any]) -> str:
    try:
        settings = TrainSettings.model_validate(config.get("settings", {}))
    except ValidationError as error:
        reason = f"has other settings than `depth train` ({'.'.join(map(str, error.errors()[0]['loc']))})"
        raise LiftnetError("config.json", reason, "Train it with `depth train`") from error
    lines = [
        *limits(settings),
        "- **What it has seen.** Objects like those of its training photographs, each alone and whole in the picture, "
        "with a mask. Other objects, groups and close-ups are outside of that.",
        "- The photographs it learnt from keep their own licences; what they show may be protected too.",
    ]
    return "\n".join(lines)


def _read_csv(path: Path) -> pd.DataFrame | None:
    """A table; None if it is not there."""
    try:
        return read_csv_table(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", "Run `depth evaluate` again") from error
