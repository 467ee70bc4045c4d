"""The segmenter as it ships with the package: weights of half the bits, and a card with what it was measured on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liftnet.core.log import get_logger
from liftnet.models.folder import WEIGHTS, paragraph
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter
from liftnet.segment.evaluate import evaluate_heldout
from liftnet.segment.samples import divide, masked_images
from liftnet.segment.settings import DataSettings
from liftnet.segment.train import segmenter_card

LICENCE = "apache-2.0"
STORED = f"Apache-2.0. `{WEIGHTS}` holds numbers of 16 bits; the network computes in 32."


def release_segmenter(root: Path, model: Path, out: Path, seed: int) -> None:
    """Write a trained segmenter as it ships, measured anew on the masked works that its training held out.

    Args:
        root: Folder with manifest.parquet, images/ and hand_masks/ that it was trained on.
        model: Folder of the trained segmenter.
        out: Folder of what ships, with tables of the held-out works in evaluation.{csv,md,tex}.
        seed: Of the training.

    Raises:
        LiftnetError: A file is missing or damaged.
    """
    segmenter = Segmenter.load(model, "cpu")
    segmenter.save(out, half=True)
    images = masked_images(root)
    sources = paragraph(
        f"{len(images):,} photographs of sculptures that liftnet made and rendered itself, with their true masks; no "
        "photograph of anybody's."
    )
    division = divide(images, DataSettings(), seed)
    shipped = Segmenter.load(out, "cpu")
    table = evaluate_heldout(shipped, division.heldout, PredictionSettings(), out / "evaluation", division.note)
    card = segmenter_card(shipped, "shipped", out / "evaluation.md")
    replace(card, licence=LICENCE, data=f"{sources}\n\n{card.data}", weights=STORED).write(out)
    get_logger("segment").info(
        "the segmenter as it ships is in %s: IoU %.3f on %d images held out", out, table.iloc[-1].iou, table.iloc[-1].n
    )
