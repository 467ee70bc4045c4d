"""Commands for people who have a model: `depth predict`, `depth export` and `depth card`."""

from __future__ import annotations

import argparse
from pathlib import Path

from liftnet.core.command import Subparsers, add_command

FORMATS = "png16,npy,colour,ply,glb"


def add_user_commands(commands: Subparsers) -> None:
    """Add the commands to those of the stage `depth`."""
    predict = add_command(commands, "predict", _predict, "Predict depth and a mesh of images and folders of images")
    predict.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="image, or folder of images")
    predict.add_argument("--model", type=Path, required=True, help="folder of the model")
    predict.add_argument("--out", type=Path, required=True, help="folder of the results; folders are mirrored in it")
    predict.add_argument(
        "--mask",
        default="auto",
        help="what is sculpture: auto (by the segmenter), none (the whole image), or a folder of masks named as the "
        "images, .png (default: auto)",
    )
    predict.add_argument(
        "--segmenter", type=Path, help="folder of the segmenter for --mask auto (default: beside the model)"
    )
    predict.add_argument("--format", default=FORMATS, help=f"formats to write, by commas (default: {FORMATS})")
    predict.add_argument("--batch-size", type=int, default=8, help="images in one pass (default: 8)")
    predict.add_argument("--force", action="store_true", help="predict again what is there already")
    predict.add_argument(
        "--device", default="auto", help="where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1"
    )

    export = add_command(
        commands, "export", _export, "Write a model as ONNX or as one safetensors file, and check that it is equal"
    )
    export.add_argument("--model", type=Path, required=True, help="folder of the model")
    export.add_argument("--out", type=Path, required=True, help="file to write: .onnx or .safetensors")
    export.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare predictions of the file with the model's (default: yes)",
    )
    export.add_argument(
        "--images", type=Path, nargs="+", default=[], help="images and folders to compare on, beside random ones"
    )

    card = add_command(commands, "card", _card, "Write a model's card: README.md and training.png in its folder")
    card.add_argument("--model", type=Path, required=True, help="folder of the model")
    card.add_argument("--tables", type=Path, help="folder of the tables that `depth evaluate` wrote for it")
    card.add_argument(
        "--license", default="other", help="licence of the weights, as model hubs name it (default: other)"
    )


def _predict(arguments: argparse.Namespace) -> int:
    from liftnet.depth.predicting.outputs import parse_formats
    from liftnet.depth.predicting.predict import PredictOptions, predict

    options = PredictOptions(
        arguments.mask,
        arguments.segmenter,
        parse_formats(arguments.format),
        arguments.batch_size,
        arguments.force,
        arguments.device,
        arguments.threads,
    )
    return predict(arguments.inputs, arguments.model, arguments.out, options)


def _export(arguments: argparse.Namespace) -> None:
    from liftnet.depth.predicting.export import export_model

    export_model(arguments.model, arguments.out, arguments.check, arguments.images, arguments.seed, arguments.threads)


def _card(arguments: argparse.Namespace) -> None:
    from liftnet.depth.predicting.card import write_card

    write_card(arguments.model, arguments.tables, arguments.license)
