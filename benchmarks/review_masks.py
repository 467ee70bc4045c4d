"""Apply what a person noted while looking through proposed masks: which to keep, and where to cut a plinth off.

    python -m liftnet segment propose --root RESULTS --reference-segmenter-onnx u2netp.onnx --out PROPOSED
    python benchmarks/review_masks.py --root RESULTS --proposed PROPOSED --out CORRECTED
    python -m liftnet segment correct --root RESULTS --masks CORRECTED --tables TABLES

`benchmarks/reviewed_masks.csv` names the photographs whose proposed mask was found right, by their path in the folder
of photographs; `cut` is the height (a share of the image's, from the top) below which all is background, where the
proposal held the plinth too. Of what remains the largest part is taken. All others were found wrong and are left out.
The photographs are of three works that have no hand masks; none of a work that any table scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from liftnet.data.masks import read_mask, write_mask
from liftnet.data.schemas import MANIFEST, MASKS, read_table
from liftnet.models.segmenter import clean_mask
from liftnet.segment.corrections import image_name

NOTES = Path(__file__).with_name("reviewed_masks.csv")


def main() -> None:
    """Write the masks that were kept into the folder `--out`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--root", "--proposed", "--out"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    manifest = read_table(arguments.root / "manifest.parquet", MANIFEST).to_pylist()
    by_name = {image_name(row["image_url"]): row["image_id"] for row in manifest if row["status"] == "ok"}
    proposed = read_table(arguments.proposed / "proposed.parquet", MASKS).to_pylist()
    there = {row["image_id"] for row in proposed if row["status"] == "ok"}
    notes = pd.read_csv(NOTES)
    written = 0
    for image, cut in notes.itertuples(index=False):
        image_id = by_name.get(PurePosixPath(image).stem)
        if image_id not in there:
            print(f"no proposal for {image}")
            continue
        mask = read_mask(arguments.proposed / f"{image_id}.png")
        if np.isfinite(cut):
            mask[round(cut * len(mask)) :] = False
        write_mask(arguments.out / f"{image_id}.png", clean_mask(mask.astype(np.float32), 0.5, 1.0, 0.0))
        written += 1
    print(f"{written} of {len(proposed)} proposed masks kept, {int(notes.cut.notna().sum())} of them cut")


if __name__ == "__main__":
    main()
