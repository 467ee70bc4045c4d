"""What could a perfect mask score? Hand masks of the bust of Antinous beside outlines drawn by eye.

    python benchmarks/hand_mask_limits.py [--photos DIR]

The hand masks of this work were made for a reconstruction and leave out what a camera could not use: in three of the
ten photographs the far shoulder, the face or hair that is out of focus. Their outlines are drawn here by eye as
polygons, good to about one hundredth of the image's width. The IoU of such an outline with the hand mask is about what
a mask of the whole sculpture can score on that photograph. Writes benchmarks/hand_mask_limits.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from measuring import PHOTOS, shown, write_report

from liftnet.data.masks import read_mask
from liftnet.segment.evaluate import iou, pixel_accuracy

# (x, y) as shares of width and height, clockwise from the top-left corner
OUTLINES = {
    "IMG_20170214_145832": "0 0 .82 0 .815 .095 .76 .115 .86 .16 1 .2 1 .53 .88 .61 .8 .675 .735 .7 .7 .8 .75 .83 "
    ".79 .905 .72 .965 .08 .97 0 .88",
    "IMG_20170214_145838": "0 0 .885 0 .86 .05 .78 .125 .76 .17 .79 .21 .76 .24 .7 .275 .645 .285 .645 .34 .78 .38 "
    "1 .447 1 .665 .91 .76 .74 .865 .68 .88 .655 .94 .69 1 0 1",
    "IMG_20170214_145943": "0 0 .8 0 .82 .06 .83 .2 .82 .29 .78 .35 .765 .41 .8 .445 .9 .475 1 .513 1 .69 .93 .715 "
    ".8 .72 .77 .74 .74 .79 .69 .83 .64 .93 .61 1 0 1",
}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    photos = parser.parse_args().photos
    sources = pd.read_csv(photos / "sources.csv")
    rows = []
    for name, text in OUTLINES.items():
        row = sources[sources.image.str.contains(name)].iloc[0]
        hand = read_mask(photos / row["mask"])
        corners = np.array(text.split(), float).reshape(-1, 2) * (hand.shape[1], hand.shape[0])
        outline = np.zeros(hand.shape, np.uint8)
        cv2.fillPoly(outline, [np.rint(corners).astype(np.int32)], 1)
        whole = outline > 0
        left_out = float((whole & ~hand).sum() / whole.sum())
        agreement = {"IoU": iou(whole, hand), "accuracy": pixel_accuracy(whole, hand)}
        rows.append({"photograph": name, "left out by the hand mask": left_out} | agreement)
    table = shown(pd.DataFrame(rows), {"left out by the hand mask": ".0%", "IoU": ".3f", "accuracy": ".3f"})
    write_report(
        Path(__file__).with_suffix(".md"),
        [
            "# What a perfect mask could score",
            "`python benchmarks/hand_mask_limits.py`",
            "Three of the ten hand masks of the bust of Antinous, beside outlines of the sculpture drawn by eye.",
            table,
        ],
    )


if __name__ == "__main__":
    main()
