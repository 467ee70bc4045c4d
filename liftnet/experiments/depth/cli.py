"""Commands `depth score`, `depth table` and `depth figure`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command
from liftnet.core.settings import settings_from
from liftnet.data.codes import SPLITS
from liftnet.depth.settings import DepthSettings

CROP = (
    "background",
    "crop",
    "crop_margin",
    "encoder",
    "image_size",
    "levels",
)  # what a prior sees; a model knows its own


def add_experiment_commands(commands: Subparsers) -> None:
    """Add the commands of the experiments to those of the stage."""
    score = add_command(
        commands,
        "score",
        _score,
        "Measure a model or a prior where depth is known, image by image",
        DepthSettings,
        CROP,
    )
    what = score.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="folder of the model")
    what.add_argument("--prior", help="constant, inflated or ellipsoid: depth from the mask alone")
    score.add_argument(
        "--run", dest="run_name", metavar="NAME", help="name in the rows (default: of the model's folder or the prior)"
    )
    score.add_argument("--root", type=Path, required=True, help="folder with manifest.parquet, images/ and masks/")
    score.add_argument("--truth", type=Path, help="folder with truth.parquet (default: ROOT)")
    score.add_argument("--set", metavar="NAME", help="name of the set in the rows (default: that of ROOT)")
    score.add_argument("--split", choices=SPLITS, default="test", help="images (default: test)")
    score.add_argument(
        "--unit", choices=("half width", "cm"), default="half width", help="of errors (default: half width)"
    )
    score.add_argument("--out", type=Path, required=True, help="Parquet file to write")

    table = add_command(commands, "table", _table, "Compile a table of the paper from score files")
    table.add_argument("--table", required=True, help="its name in the plan: 2, 3, 4, 5, ...")
    _add_plan(table)
    table.add_argument("--scores", type=Path, nargs="+", required=True, help="score files")
    table.add_argument("--out", type=Path, required=True, help="path of the table without suffix")

    figure = add_command(commands, "figure", _figure, "Draw Figure 4 or 5 of the paper as a page and a picture")
    figure.add_argument("--figure", choices=("4", "5"), required=True, help="4: one model; 5: methods side by side")
    figure.add_argument("--models", type=Path, nargs="+", required=True, help="folders of the models, best first")
    figure.add_argument("--methods", nargs="+", help="what to call them (default: names of the folders)")
    figure.add_argument("--roots", type=Path, nargs="+", required=True, help="runs and rendered sets to choose from")
    figure.add_argument("--split", choices=SPLITS, default="test", help="images (default: test)")
    figure.add_argument("--images", type=int, default=4, help="images of each root (default: 4)")
    figure.add_argument("--out", type=Path, required=True, help="path of the page and picture without suffix")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiments", type=Path, required=True, help="plan of the experiments (YAML)")


def _score(arguments: argparse.Namespace) -> None:
    from liftnet.depth.data.store import CropOptions
    from liftnet.experiments.depth.score import Scored, prior_method, trained_method, write_scores

    if arguments.model:
        method = trained_method(arguments.model, arguments.run_name)
    else:
        settings = settings_from(arguments, DepthSettings)
        crop = CropOptions(settings.image_size, settings.crop, settings.crop_margin, settings.background)
        method = prior_method(arguments.prior, crop, arguments.run_name)
    name = arguments.set or arguments.root.resolve().name
    scored = Scored(arguments.root, arguments.truth or arguments.root, name, arguments.split, arguments.unit)
    write_scores(arguments.out, method, scored, arguments.threads)


def _table(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.depth.tables import write_table_of

    write_table_of(arguments.table, arguments.experiments, arguments.scores, arguments.out, arguments.seed)


def _figure(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.depth.figures import FigureInputs, write_figure

    names = arguments.methods or [folder.name for folder in arguments.models]
    inputs = FigureInputs(
        dict(zip(names, arguments.models, strict=False)), arguments.roots, arguments.split, arguments.images
    )
    write_figure(arguments.figure, inputs, arguments.out, arguments.threads)
