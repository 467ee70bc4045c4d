"""LiftNet as in the paper beside what goes beyond it: trains each variant with several seeds. Writes a table.

    python benchmarks/depth_variants.py --set museum=results:results/museum --set sketchfab=results/renders/sketchfab
        --models FOLDER [--seeds 3] [--steps 1000] [-- further settings of `depth train`]

A set is NAME=ROOT, or NAME=ROOT:TRUTH where true depth lies in another folder; the dataset is in ROOT/dataset. All
variants are trained through the command line, on the same pairs for the same steps, and measured on the views of
the test split whose depth is known. Models lie in FOLDER; those that are finished are not trained again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from measuring import ONE_THREAD, machine, shown, write_report

from liftnet.io.schemas import SCORES, read_table

BASE = "affine camera (paper)"
LITE = ["--encoder", "tu-tf_efficientnet_lite0"]
VARIANTS: dict[str, tuple[str, list[str]]] = {  # name in the table: folder, settings
    BASE: ("affine", []),
    "affine camera, self-calibration 1": ("cal1", ["--calibration", "1"]),
    "scaled orthographic camera": ("ortho", ["--camera", "orthographic"]),
    "affine camera, pretrained encoder": ("enc_affine", LITE),
    "scaled orthographic camera, pretrained encoder": ("enc_ortho", ["--camera", "orthographic", *LITE]),
}
PRIORS = ("constant", "inflated")
ERRORS = ("rmse", "rmse_affine")


class Set(NamedTuple):
    """Where a set lies."""

    name: str
    root: Path
    truth: Path

    @classmethod
    def parse(cls, text: str) -> Set:
        """Read NAME=ROOT[:TRUTH]."""
        name, _, folders = text.partition("=")
        root, _, truth = folders.partition(":")
        return cls(name, Path(root), Path(truth or root))


def run(*arguments: object) -> None:
    """Run a command of the stage depth on one thread; its lines are shown."""
    command = [sys.executable, "-m", "liftnet", "depth", *map(str, arguments), "--threads", "1"]
    subprocess.run(command, check=True, env=os.environ | ONE_THREAD)


def scores(data: Set, source: list[object], out: Path) -> pd.DataFrame:
    """The errors of a model or prior on the set's test views, one row a view."""
    if not out.exists():
        place = ["--root", data.root, "--truth", data.truth, "--set", data.name, "--split", "test", "--out", out]
        run("score", *source, *place)
    table = read_table(out, SCORES).to_pandas()
    return table[table.status == "ok"]


def trained(data: Set, folder: Path, settings: list[str], seed: int, steps: int) -> pd.DataFrame:
    """Train one model and measure it."""
    if not (folder / "model.safetensors").exists():
        length = ["--iterations", steps, "--validate-every", max(steps // 10, 1), "--seed", seed, "--channels-last"]
        place = ["--root", data.root, "--dataset", data.root / "dataset", "--model", folder]
        run("train", *place, *length, *settings)
    return scores(data, ["--model", folder], folder / "scores.parquet")


def image_size(settings: list[str]) -> list[str]:
    """The settings that priors need too."""
    found = [k for k, name in enumerate(settings) if name in ("--image-size", "--levels")]
    return [part for k in found for part in settings[k : k + 2]]


def variant_row(name: str, found: list[pd.DataFrame]) -> dict[str, object]:
    """Mean over views of each seed, then mean and standard deviation over seeds."""
    row: dict[str, object] = {"variant": name, "seeds": len(found), "views": len(found[0])}
    for error in ERRORS:
        means = [float(table[error].mean()) for table in found]
        row[error] = np.mean(means)
        row[f"sd {error}"] = np.std(means, ddof=1) if len(means) > 1 else np.nan
    return row


def set_table(data: Set, plan: argparse.Namespace) -> pd.DataFrame:
    """A row for each variant and prior, with its distance from the paper's camera."""
    rows = []
    for name, (folder, settings) in VARIANTS.items():
        if folder in plan.variants:
            places = [plan.models / data.name / f"{folder}-s{seed}" for seed in range(plan.seeds)]
            options = [*plan.settings, *settings]
            rows.append(variant_row(name, [trained(data, p, options, s, plan.steps) for s, p in enumerate(places)]))
    for prior in PRIORS:
        out = plan.models / data.name / f"{prior}.parquet"
        source = ["--prior", prior, *image_size(plan.settings)]
        rows.append(variant_row(f"{prior} (from the mask)", [scores(data, source, out)]))
    table = pd.DataFrame(rows)
    base = table[table.variant == BASE]
    for error in ERRORS:
        change = table[error] - float(base[error].iloc[0])
        spread = np.maximum(table[f"sd {error}"], float(base[f"sd {error}"].iloc[0]))
        table[f"{error} against the paper's"] = [
            "" if np.isnan(s) or c == 0 else f"{c:+.4f}, {'more' if abs(c) > s else 'less'} than the spread"
            for c, s in zip(change, spread, strict=True)
        ]
    return table


def main() -> None:
    """Train, measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Set.parse, action="append", required=True, dest="sets", metavar="NAME=ROOT")
    parser.add_argument("--models", type=Path, required=True, help="folder of the models")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    folders = [folder for folder, _ in VARIANTS.values()]
    parser.add_argument("--variants", nargs="+", choices=folders, default=folders)
    parser.add_argument("settings", nargs="*", help="settings of `depth train` for all variants, after --")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    others = " ".join(arguments.settings) or "none"
    paragraphs = [
        "# Beyond the paper: camera and encoder",
        f"`python benchmarks/depth_variants.py`; {machine('torch', 'segmentation-models-pytorch')}.",
        f"{arguments.steps} steps of 16 pairs. Settings of all variants beside the defaults: `{others}`. Errors in"
        " half widths of the crop: means over the test split's views, then mean and standard deviation (sd) over the"
        " seeds. rmse: after the paper's alignment (median and scale of each image); rmse_affine: after the best"
        " a d + b x + c y + e.",
    ]
    formats = {name: ".4f" for error in ERRORS for name in (error, f"sd {error}")}
    for data in arguments.sets:
        table = set_table(data, arguments)
        paragraphs += [f"## {data.name}", shown(table, formats)]
    write_report(arguments.out, paragraphs)


if __name__ == "__main__":
    main()
