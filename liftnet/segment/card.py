"""The card of a trained segmenter, from its own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liftnet.models.folder import Card, paragraph
from liftnet.models.segmenter import Segmenter
from liftnet.segment.settings import SegmenterSettings

USAGE = """```python
from liftnet.data.pictures import read_image
from liftnet.models.segmentation_networks import PredictionSettings
from liftnet.models.segmenter import Segmenter, mask_image

segmenter = Segmenter.load("{folder}")
mask, confidence = mask_image(segmenter, read_image("photo.jpg"), PredictionSettings())  # (H, W) bool
```

From the command line:

    python -m liftnet segment images photo.jpg --model {folder} --out masks/"""
LIMITS = """It masks one sculpture that stands out: a second one that touches its outline is taken too. Photographs
    unlike those it learnt from may be masked worse, and its confidence ranks the masks of one work better than those
    of different works. The photographs keep their own licences."""


def segmenter_card(segmenter: Segmenter, name: str, table: Path | None = None) -> Card:
    """What the card of a segmenter says.

    Args:
        segmenter: The segmenter.
        name: Of its folder.
        table: segmentation.md of its held-out works, if there is one.
    """
    network, training = segmenter.settings, segmenter.notes.get("training")
    return Card(
        title="Foreground masks of sculptures",
        licence="other",
        summary=paragraph(
            f"Which pixels of a photograph show the sculpture: a {network.architecture} with the encoder "
            f"{network.encoder} and {network.channels} channels, trained at {network.image_size} px."
        ),
        tags=["image-segmentation", "sculpture", "pytorch"],
        usage=USAGE.format(folder=name),
        data=_data(training) if training else "",
        training=_training(training, segmenter.notes) if training else "",
        evaluation=table.read_text(encoding="utf-8") if table is not None and table.exists() else "",
        limits=paragraph(LIMITS),
        settings=segmenter.notes.get("settings", {}),
        defaults=SegmenterSettings(),
        front={"pipeline_tag": "image-segmentation"},
    )


def _data(training: Mapping[str, Any]) -> str:
    return paragraph(
        f"{training['images']:,} photographs of {training['works']:,} works with manual masks, and those that chose "
        f"the weights; {training['held_out']}. All {len(training['seen_works']):,} works that it has seen are named "
        "in config.json."
    )


def _training(training: Mapping[str, Any], notes: Mapping[str, Any]) -> str:
    start = "random weights" if training["encoder_weights"] == "none" else training["encoder_weights"]
    return paragraph(
        f"{training['iterations']:,} steps of {notes['settings']['train']['batch_size']} images; the encoder started "
        f"from {start}. Kept: step {training['best_iteration']:,}, with a validation IoU of "
        f"{training['validation_iou']:.4f}. Seed {notes['seed']}."
    )
