"""How much of the inflated mask should LiftNet's prediction hold?

    python benchmarks/mask_prior_weight.py --results RESULTS

RESULTS is a finished run of `snakemake depth_tables`. The models trained on the museum and on the rendered sculptures
are measured with several shares on the validation images of their own set. Writes benchmarks/mask_prior_weight.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from measuring import one_thread, shown, write_report

from liftnet.depth.score import Method, Scored, score_rows
from liftnet.models.liftnet import load_model

SHARES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)
RUNS = {"liftnet-sculptures": (".", "museum"), "liftnet-sketchfab-all": ("renders/sketchfab", "renders/sketchfab")}


def errors(model_folder: Path, scored: Scored, share: float) -> dict[str, float]:
    """Mean errors of a model that predicts with a share of the inflated mask."""
    model = load_model(model_folder)
    model.mask_prior_weight = share
    method = Method(
        model_folder.name,
        0,
        model.input,
        lambda store: model.predict(store.images[: len(store)], store.masks[: len(store)]),
    )
    rows = pd.DataFrame([row for row in score_rows(method, scored, 1) if row["status"] == "ok"])
    return {
        "share": share,
        "rmse": rows["rmse"].mean(),
        "rmse affine": rows["rmse_affine"].mean(),
        "images": len(rows),
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    found = []
    with one_thread():
        for run, (root, truth) in RUNS.items():
            scored = Scored(arguments.results / root, arguments.results / truth, run, "val", "half width")
            for folder in sorted(arguments.results.glob(f"models/{run}-s*")):
                found += [{"run": run, "model": folder.name, **errors(folder, scored, share)} for share in SHARES]
    frame = pd.DataFrame(found)
    means = frame.groupby(["run", "share"], as_index=False)[["rmse", "rmse affine", "images"]].mean()
    both = means.groupby("share", as_index=False)[["rmse", "rmse affine"]].mean()
    formats = {"share": ".2f", "rmse": ".4f", "rmse affine": ".4f"}
    n = frame["model"].nunique()
    write_report(
        arguments.out,
        [
            "# The share of the inflated mask",
            f"`python benchmarks/mask_prior_weight.py --results RESULTS`: {n} models, validation images of their own"
            " training set, half widths of the crop. Mean of both sets:",
            shown(both, formats),
            "Set by set, means over seeds:",
            shown(means, {**formats, "images": ".0f"}),
        ],
    )


if __name__ == "__main__":
    main()
