"""The stage on real photographs and with real weights, where they lie beside the project."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from liftnet.data.masks import read_mask
from liftnet.data.pictures import read_image
from liftnet.models.encoders import build_encoder, start_encoder
from liftnet.segment.evaluate import iou
from liftnet.segment.predict import ReferenceSegmenter

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
WEIGHTS = DATA / "weights"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not WEIGHTS.exists(), reason="the real photographs and weights are not beside the project"),
]


def test_the_encoder_starts_from_a_file_of_weights():
    path = WEIGHTS / "efficientnet_lite0_imagenet" / "efficientnet-lite0-57934424.pth"
    encoder = build_encoder("tu-tf_efficientnet_lite0")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert start_encoder(encoder, "tu-tf_efficientnet_lite0", [str(path)]) == str(path)
    changed = [name for name, value in encoder.state_dict().items() if not value.equal(before[name])]
    assert len(changed) > 200


def test_the_general_remover_masks_photographs_as_its_makers_say():
    pytest.importorskip("onnxruntime")
    remover = ReferenceSegmenter(WEIGHTS / "u2netp" / "u2netp.onnx")
    rows = pd.read_csv(DATA / "photos" / "sources.csv").dropna(subset="mask")
    scores = []
    for row in rows[rows.work == "Head of an Ethiopian"].iloc[::10].itertuples():
        image = read_image(DATA / "photos" / row.image)
        probability = remover.predict(image)
        assert probability.shape == image.shape[:2]
        assert probability.max() == pytest.approx(1, abs=0.02)
        scores.append(iou(probability >= 0.5, read_mask(DATA / "photos" / row.mask)))
    assert np.median(scores) > 0.8


def test_every_reviewed_mask_is_of_a_photograph_without_a_hand_mask():
    notes = pd.read_csv(Path(__file__).resolve().parents[2] / "benchmarks" / "reviewed_masks.csv")
    rows = pd.read_csv(DATA / "photos" / "sources.csv")
    reviewed = rows[rows.image.isin(notes.image)]
    assert len(reviewed) == len(notes) == notes.image.nunique()
    scored = rows[rows["mask"].notna()].work.unique()
    assert reviewed["mask"].isna().all()
    assert not reviewed.work.isin(scored).any()
    assert notes.cut.dropna().between(0.3, 0.9).all()
