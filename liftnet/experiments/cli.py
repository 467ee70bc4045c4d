"""Commands of the papers' experiments."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command, add_stage
from liftnet.core.settings import settings_from
from liftnet.data.split_option import add_split
from liftnet.experiments.settings import DrkfsCommandSettings

DRKFS_EXPERIMENTS = ("legs", "bars", "shading", "sphere")
PLANS = Path("workflow/experiments")


def add_commands(stages: Subparsers) -> None:
    """Add the commands of the experiments to the command line."""
    commands = add_stage(stages, "experiments", "Compile the tables and draw the figures of the papers")
    table = add_command(
        commands,
        "table",
        _table,
        "Compile a table of the LiftNet paper from score files",
        example="liftnet experiments table --table 4 --plan workflow/experiments/depth.yaml --scores "
        "scores/*.parquet --out tables/depth_table4",
    )
    table.add_argument("--table", required=True, help="its name in the plan: 2, 3, 4, 5, ...")
    table.add_argument("--plan", type=Path, required=True, help="plan of the experiments (YAML)")
    table.add_argument("--scores", type=Path, nargs="+", required=True, help="score files")
    table.add_argument("--out", type=Path, required=True, help="path of the table without suffix")

    figure = add_command(
        commands,
        "figure",
        _figure,
        "Draw Figure 4 or 5 of the LiftNet paper as a page and a picture",
        example="liftnet experiments figure --figure 5 --models models/liftnet --roots renders/scanned "
        "--out figures/depth_figure5",
    )
    figure.add_argument("--figure", choices=("4", "5"), required=True, help="4: one model; 5: methods side by side")
    figure.add_argument("--models", type=Path, nargs="+", required=True, help="folders of the models, best first")
    figure.add_argument("--methods", nargs="+", help="what to call them (default: names of the folders)")
    figure.add_argument("--roots", type=Path, nargs="+", required=True, help="runs and rendered sets to choose from")
    add_split(figure, "images")
    figure.add_argument("--images", type=int, default=4, help="images of each root (default: 4)")
    figure.add_argument("--out", type=Path, required=True, help="path of the page and picture without suffix")

    drkfs = add_command(
        commands,
        "drkfs",
        _drkfs,
        "Run an experiment of the DR-KFS paper that needs no reconstruction network; a stopped run resumes",
        DrkfsCommandSettings,
        example="liftnet experiments drkfs legs --plan workflow/experiments/drkfs.yaml --out results",
    )
    drkfs.add_argument(
        "name", choices=DRKFS_EXPERIMENTS, help="legs: Figure 2; bars: Table 5; shading: Table 4; sphere: a fit"
    )
    drkfs.add_argument("--out", type=Path, required=True, help="folder of the results: tables/, figures/, drkfs/")
    drkfs.add_argument("--plan", type=Path, default=PLANS / "drkfs.yaml", help=f"plan (default: {PLANS}/drkfs.yaml)")

    compared = add_command(
        commands,
        "reconstruction-table",
        _reconstruction_table,
        "Compile a table of reconstruction networks from score files",
        example="liftnet experiments reconstruction-table --table reconstruction --plan "
        "workflow/experiments/reconstruction.yaml --scores scores/*.parquet --out "
        "tables/reconstruction",
    )
    compared.add_argument("--table", required=True, help="its name in the plan: reconstruction, ...")
    _add_scores(compared)
    compared.add_argument("--seeds", type=int, nargs="+", default=[], help="of the trainings that there should be")

    shown = add_command(
        commands,
        "reconstruction-figure",
        _reconstruction_figure,
        "Draw Figure 5 or 7 of the DR-KFS paper",
        example="liftnet experiments reconstruction-figure --figure 5 --plan "
        "workflow/experiments/reconstruction.yaml --root renders/reconstruction --scores "
        "scores/*.parquet --out figures/reconstruction_figure5",
    )
    shown.add_argument("--figure", required=True, help="its number in the plan: 5, 7")
    shown.add_argument("--root", type=Path, required=True, help="folder of the set of shapes")
    _add_scores(shown)

    page = add_command(
        commands,
        "reproduction",
        _reproduction,
        "Write the verdicts of docs/reproduction.md",
        example="liftnet experiments reproduction results",
    )
    page.add_argument("results", type=Path, help="folder of the results")
    page.add_argument("--page", type=Path, default=Path("docs/reproduction.md"), help="page to fill in")
    page.add_argument("--plans", type=Path, default=PLANS, help=f"folder of the plans (default: {PLANS})")

    picture = add_command(
        commands,
        "picture",
        _picture,
        "Draw held-out predictions beside their truth",
        example="liftnet experiments picture results --out result.jpg",
    )
    picture.add_argument("results", type=Path, help="folder of the results")
    picture.add_argument("--out", type=Path, default=Path("docs/result.jpg"), help="picture to write")


def _add_scores(parser: argparse.ArgumentParser) -> None:
    """What tables and figures of reconstruction networks are made of."""
    parser.add_argument("--plan", type=Path, default=PLANS / "reconstruction.yaml", help="plan of the experiments")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="what `reconstruct evaluate` wrote")
    parser.add_argument("--out", type=Path, required=True, help="path without suffix")


def _table(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.depth.tables import write_table_of

    write_table_of(arguments.table, arguments.plan, arguments.scores, arguments.out, arguments.seed)


def _figure(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.depth.figures import FigureInputs, write_figure

    names = arguments.methods or [folder.name for folder in arguments.models]
    inputs = FigureInputs(
        dict(zip(names, arguments.models, strict=False)), arguments.roots, arguments.split, arguments.images
    )
    write_figure(arguments.figure, inputs, arguments.out, arguments.threads)


def _drkfs(arguments: argparse.Namespace) -> None:
    import torch

    from liftnet.drkfs.metric import DRKFS
    from liftnet.experiments.drkfs import bars, fits, legs
    from liftnet.experiments.drkfs.experiment import Experiment
    from liftnet.experiments.plan import DrkfsPlan, read_plan

    torch.set_num_threads(arguments.threads)
    settings = settings_from(arguments, DrkfsCommandSettings)
    plan, metric = read_plan(arguments.plan, DrkfsPlan), DRKFS(settings.metric)
    experiment = Experiment(arguments.out, plan, settings.drkfs, metric, arguments.seed)
    programs = {"legs": legs.run, "bars": bars.run, "shading": fits.run_shading, "sphere": fits.run_sphere}
    programs[arguments.name](experiment)


def _reconstruction_table(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.reconstruction.tables import write_reconstruction_table

    write_reconstruction_table(
        arguments.table, arguments.plan, arguments.scores, arguments.out, arguments.seeds, arguments.seed
    )


def _reconstruction_figure(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.reconstruction.figures import write_reconstruction_figure

    write_reconstruction_figure(arguments.figure, arguments.plan, arguments.root, arguments.scores, arguments.out)


def _reproduction(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.reproduction import write_reproduction

    write_reproduction(arguments.page, arguments.plans, arguments.results)


def _picture(arguments: argparse.Namespace) -> None:
    from liftnet.experiments.reproduction import draw_result

    draw_result(arguments.results, arguments.out)
