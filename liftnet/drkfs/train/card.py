"""The cards of the trained detector and descriptor: data, recipe, figures, limits, licence."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from liftnet.core.files import write_text
from liftnet.core.tables import markdown_table

WHAT = {
    "points": (
        "Detector of points of interest for DR-KFS",
        """The detector of LIFT (Yi et al., ECCV 2016) in its form: a convolution of 25 x 25 pixels with 16 outputs,
        joined by generalised hinging hyperplanes, 10,016 numbers. Its sigmoid is the probability that a pixel is a
        point of interest. Input: gray values in [0, 1].""",
    ),
    "hardnet": (
        "HardNet trained on photographs of sculptures",
        """HardNet (Mishchuk et al., NIPS 2017) in kornia's architecture and names of weights: 128 numbers of unit
        length for a gray patch of 32 x 32 pixels, whose mean and standard deviation do not matter.""",
    ),
}
RECIPE = {
    "points": """Quadruplets of patches as in LIFT: two of one point, one of another point, one without a point, at the
        scale that SIFT found, drawn in proportion to it. Squared hinge on the soft maximum of each score map, and the
        overlap of windows around the soft positions in the two patches of a point and around the point itself; Adam,
        the learning rate falling linearly to 0. Filters have no mean. The background is masked out where the run has
        masks. In the end scale and shift of the score are fitted on held-out patches, so that the sigmoid of a patch's
        highest score is the probability that it holds a point, where half of all patches do.""",
    "hardnet": """The published recipe: triplet margin 1 with the hardest negative in the batch and anchor swap,
        stochastic gradient descent with momentum and dampening .9, the learning rate falling linearly to 0, weight
        decay 1e-4, dropout .3, orthogonal weights at first, quarter turns and mirror images. Patches are cut at
        64 x 64 pixels in SIFT's scale and direction and halved. Batch and number of steps are smaller than the
        published 1,024 and about 49,000.""",
}
RENDERS = """Up to half of the patches come from gray renders of generated meshes (`render shapes`), without texture
    as DR-KFS's views: corners of one view that another, by its true depth, sees at the same place and has a corner
    at. One mesh in five is held out: half of their points calibrate, the others are measured on."""
MEASURES = {
    "points": """`separation` is how often the highest score of a patch with a point is above that of a patch without
        one (chance: 0.5); the probabilities are means of the sigmoid of these scores.""",
    "hardnet": """`fpr95` is the share of wrong pairs of patches that are as close as 95 % of the right ones (0 is
        best); `matching_ap` the mean average precision of nearest neighbours between two images (1 is best). SIFT
        found the points, so they are such as SIFT can match.""",
}
LIMITS = """It has seen nothing but the data above: other subjects, cameras and kinds of images may be worse served.
    Points come from matches of SIFT that an affine epipolar geometry verified; what SIFT does not find was not
    learnt."""
WIDTH = 110


def write_card(folder: Path, config: dict[str, Any]) -> None:
    """Write README.md, with the metadata block that model hubs read, from what config.json holds."""
    model = config["model"]
    title, what = WHAT[model]
    training, held_out = config["training"], config["held_out"]
    block = {
        "license": config["licence"],
        "library_name": "liftnet",
        "tags": ["keypoint-detection" if model == "points" else "local-descriptor", "sculpture", "pytorch"],
    }
    licences = ", ".join(f"{name}: {count:,}" for name, count in training["licences_of_images"].items())
    frame = pd.DataFrame(
        [{"weights": name, **values} for name, values in config["measures"].items() if isinstance(values, dict)]
    )
    shown = frame.map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))
    settings = pd.DataFrame(
        [{"setting": name, "value": str(value)} for name, value in _flat(config["settings"]).items()]
    )
    parts = [
        f"---\n{yaml.safe_dump(block, sort_keys=False)}---",
        f"# {title}",
        _wrapped(what),
        "## Data",
        _wrapped(
            f"{training['points']:,} points with {training['observations']:,} patches, joined from verified"
            f" correspondences between {training['images']:,} images of {training['works']:,} works."
            + (f" Licences of the images: {licences}." if licences else "")
        ),
        "## Recipe",
        _wrapped(RECIPE[model]),
        markdown_table(settings),
        *([_wrapped(RENDERS)] if config.get("renders") else []),
        f"{training['steps']:,} steps, {training['cpu_seconds']:,} CPU seconds, seed {config['seed']}.",
        "## Figures",
        _wrapped(
            f"On {config['measured_on']}: {held_out['points']:,} points in {held_out['images']:,} images of"
            f" {held_out['works']:,} works that were not trained on. {MEASURES[model]}"
        ),
        markdown_table(shown),
        "## Limits",
        _wrapped(LIMITS),
        "## Licence",
        f"The weights: {config['licence']}. SHA-256 of the weights' file ({config['precision']}):",
        f"`{config['sha256']}`",
    ]
    write_text(folder / "README.md", "\n\n".join(parts) + "\n")


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The settings of a tree by their dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return flat
