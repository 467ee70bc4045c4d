"""Masks of sculptures that the segmenter has never seen: the one that ships, beside a general background remover.

    python benchmarks/unseen_works.py --photos DIR [--photos DIR ...] [--reference-onnx u2netp.onnx]

Each folder has sources.csv with columns work, image and mask. Masks are compared with the manual ones at the size of
the photograph. CPU seconds an image of one thread, from decoded pixels to the mask. Writes benchmarks/unseen_works.md.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import PHOTOS, machine, one_thread, shown, spent

from liftnet.core.files import write_text
from liftnet.data.pictures import picture_size
from liftnet.models.segmentation_networks import SHIPPED_SEGMENTER, PredictionSettings
from liftnet.models.segmenter import Segmenter, expected_iou, mask_image
from liftnet.segment.evaluate import confidence_table, score_images, summarise
from liftnet.segment.predict import Masker, ReferenceSegmenter
from liftnet.segment.samples import MaskedImage

PAGE = Path(__file__).with_suffix(".md")
DIGITS = dict.fromkeys(("iou", "iou_low", "iou_high", "accuracy", "boundary_f", "boundary_f_2", "s an image"), ".3f")


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, action="append")
    parser.add_argument("--reference-onnx", type=Path)
    parser.add_argument("--model", default=SHIPPED_SEGMENTER)
    arguments = parser.parse_args()
    images = [image for folder in arguments.photos or [PHOTOS] for image in masked_photographs(folder)]
    seconds: dict[str, list[float]] = {}
    with one_thread():
        maskers = {name: timed(name, masker, seconds) for name, masker in methods(arguments).items()}
        scores = pd.DataFrame(score_images(images, maskers))
    table = summarise(scores, seed=0)
    table["s an image"] = [np.median(seconds[method]) for method in table["method"]]
    text = f"""# Masks of works that the segmenter has never seen

`{command(arguments)}`; {len(images)} photographs, {machine("torch", "onnxruntime", "opencv-python")}.
`boundary_f` is the F measure of the outline of DAVIS (.008 of the diagonal), `boundary_f_2` that within 2 px of an
image of 1,000. Intervals are of 95 %, works first and images within them.

{shown(table, DIGITS)}

How well the confidence ranks:

{shown(confidence_table(scores), {"spearman": ".2f", "auroc": ".2f", "bad_among_worst": ".2f"})}
"""
    write_text(PAGE, text)
    print(text)


def command(arguments: argparse.Namespace) -> str:
    """What was called, without the places of this machine."""
    photos = " ".join(f"--photos {folder.name}" for folder in arguments.photos or [PHOTOS])
    onnx = f" --reference-onnx {arguments.reference_onnx.name}" if arguments.reference_onnx else ""
    return f"python benchmarks/unseen_works.py {photos}{onnx}"


def masked_photographs(folder: Path) -> Iterator[MaskedImage]:
    """The photographs of a folder that have a manual mask."""
    with (folder / "sources.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["mask"]:
                work = f"{row['work']} ({folder.name})"
                path = folder / row["image"]
                size = picture_size(path)
                yield MaskedImage(path.stem, work, "test", path, folder / row["mask"], size, work=work)


def methods(arguments: argparse.Namespace) -> dict[str, Masker]:
    """Ours, without its outlines drawn to edges too, and the background remover with its own threshold of one half."""
    segmenter = Segmenter.load(arguments.model, "cpu")
    drawn, plain = PredictionSettings(), PredictionSettings(outline_radius=0)
    found: dict[str, Masker] = {
        "liftnet": lambda image: mask_image(segmenter, image, drawn),
        "liftnet, outlines as predicted": lambda image: mask_image(segmenter, image, plain),
    }
    if arguments.reference_onnx:
        remover = ReferenceSegmenter(arguments.reference_onnx, threads=1)

        def removed(image: np.ndarray) -> tuple[np.ndarray, float]:
            probability = remover.predict(image)
            return probability >= 0.5, expected_iou(probability, probability >= 0.5)

        found[remover.name] = removed
    return found


def timed(name: str, masker: Masker, seconds: dict[str, list[float]]) -> Masker:
    """A masker that notes what it takes."""

    def masked(image: np.ndarray) -> tuple[np.ndarray, float]:
        start = spent()
        result = masker(image)
        seconds.setdefault(name, []).append(spent() - start)
        return result

    return masked


if __name__ == "__main__":
    main()
