"""Figure 6 and Table 5: bars between the legs of a chair moved by five pixels, or deleted.

People hardly see that the bars have moved, but see at once that they are gone. A loss that sees as they do is lower
for the first than for the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.experiment import Experiment, with_close_patches
from liftnet.experiments.drkfs.shapes import chair_of
from liftnet.experiments.figure_page import Panel, Strip, write_picture
from liftnet.experiments.plan import BarsPlan
from liftnet.mesh.batch import Meshes
from liftnet.mesh.mesh import normalising
from liftnet.rasteriser import Softness, look_at, render_soft

LOG = get_logger("experiments")
CHANGES = ("shift up", "shift down", "deletion")
HALF_WIDTH = 0.52  # of the image, in world units; chairs lie in a sphere of radius .5
CAPTION = (
    "Bars of chairs moved up and down by {shift} px and deleted: median of each loss against the unchanged image over"
    " {cases} cases ({chairs} chairs, three widths of the bars, two views of each, {sizes} px); the ratio of deletion"
    " to the mean of both shifts with its quartiles, and the share of cases in which deletion costs more than either"
    " shift."
)
PATCH = 32  # px; side of what a feature is described by
APART = 5  # px between two maxima of a map
MOST = 200  # points of an image

Describe = Callable[[Tensor], Tensor]  # (P, 32, 32) patches to (P, 128)


def run(experiment: Experiment) -> None:
    """Write `tables/drkfs_bars.*`, `tables/drkfs_bars_cases.*` and `figures/drkfs_bars.png`."""
    plan, settings = experiment.plan.bars, experiment.settings
    cases = bar_cases(plan, settings.chairs)
    scores = score_changes(cases, experiment)
    sizes = " and ".join(map(str, plan.sizes))
    caption = CAPTION.format(shift=settings.shift_px, cases=len(cases), chairs=settings.chairs, sizes=sizes)
    write_tables(scores, experiment.table("bars_cases"), "All cases of drkfs_bars.", 5)
    write_tables(summary(scores, plan), experiment.table("bars"), caption, 4)
    draw(experiment.picture("bars"), cases[0], experiment)
    LOG.info("bars: %d cases; %s", len(cases), experiment.table("bars"))


@dataclass(frozen=True)
class BarCase:
    """A chair with bars, seen from somewhere."""

    chair: int
    bar_width: float
    azimuth: float
    elevation: float
    size: int

    @property
    def name(self) -> str:
        """For a file."""
        return f"{self.chair}-{self.bar_width:g}-{self.azimuth:g}-{self.size}"


def bar_cases(plan: BarsPlan, chairs: int) -> list[BarCase]:
    """All cases: chairs, widths of bars and sizes, two views of each chair."""
    return [
        BarCase(chair, width, *plan.views[(chair + turn) % len(plan.views)], size)
        for size in plan.sizes
        for chair in range(chairs)
        for width in plan.widths
        for turn in range(2)
    ]


def score_changes(cases: Sequence[BarCase], experiment: Experiment) -> pd.DataFrame:
    """One row per case and loss: what each change costs, and the ratio of deletion to the mean of both shifts."""
    shift = experiment.settings.shift_px
    cache = experiment.cache("bars", shift)
    rows = []
    for case in progress(cases, "experiments", "bars"):

        def measure(case: BarCase = case) -> dict[str, Any]:
            return losses_of(images_of(case, shift, experiment.seed), experiment.metric)

        found = cache.of(chair_of(experiment.seed, case.chair), case).row(case.name, measure)
        losses = experiment.plan.bars.rows
        rows += [asdict(case) | {"loss": loss, **{c: found[c][loss] for c in CHANGES}} for loss in losses]
    scores = pd.DataFrame(rows)
    scores["ratio"] = scores["deletion"] / scores[["shift up", "shift down"]].mean(axis=1)
    return scores


def images_of(case: BarCase, shift_px: int, seed: int) -> Tensor:
    """(4, S, S) binary images: the chair, its bars up, down and deleted."""
    chair = chair_of(seed, case.chair)
    height = 0.45 * chair.leg_height
    chair = replace(chair, bar_height=height, bar_width=case.bar_width)
    frame = normalising(chair.mesh())
    step = shift_px * 2 / case.size * HALF_WIDTH / np.cos(np.radians(case.elevation)) / frame.scale
    heights = (height, height + step, height - step, None)
    meshes = Meshes.of(*(frame.mesh(replace(chair, bar_height=moved).mesh()) for moved in heights))
    azimuth, elevation = np.radians(case.azimuth), np.radians(case.elevation)
    eye = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    camera = look_at(torch.tensor([eye], dtype=torch.float32) * 3, half_width=HALF_WIDTH)
    with torch.no_grad():
        found = render_soft(
            meshes.vertices,
            meshes.faces,
            camera,
            case.size,
            Softness(1e-7),
        )
    return (found.silhouette[:, 0] > 0.5).float()


@torch.no_grad()
def losses_of(images: Tensor, metric: DRKFS) -> dict[str, dict[str, float]]:
    """Every loss of every change, against the unchanged image.

    Args:
        images: (4, S, S): unchanged, and the three of `CHANGES`.
        metric: DR-KFS, of which the detector and the descriptor are used too.
    """
    maps, reference = metric.detector(images), images[0]
    dense = with_close_patches(metric, 1)
    target, dense_target = metric.prepare_images(images[:1, None]), dense.prepare_images(images[:1, None])
    return {
        change: {
            "MSE of pixels": float((images[number] - reference).square().mean()),
            "SIFT features": sift_distance(images[number], reference),
            "HardNet at maxima": maxima_distance(
                (images[number], reference), (maps[number], maps[0]), metric.descriptor
            ),
            "MSE of PoI maps": float((maps[number] - maps[0]).square().mean()),
            "DR-KFS": float(metric.compare_images(images[number : number + 1, None], target)),
            "DR-KFS, patches 4 px apart": float(dense.compare_images(images[number : number + 1, None], dense_target)),
        }
        for number, change in enumerate(CHANGES, 1)
    }


def summary(scores: pd.DataFrame, plan: BarsPlan) -> pd.DataFrame:
    """One row per loss: medians of ours, the paper's, and how often deletion costs more than either shift."""
    rows = []
    for loss, paper_row in plan.rows.items():
        mine = scores[scores["loss"] == loss].dropna(subset=[*CHANGES])
        up, down, deleted = plan.paper[paper_row]
        more = mine["deletion"] > mine[["shift up", "shift down"]].max(axis=1)
        low, middle, high = mine["ratio"].quantile([0.25, 0.5, 0.75])
        rows.append(
            {"loss": loss}
            | {change: float(mine[change].median()) for change in CHANGES}
            | {
                "ratio": middle,
                "ratio low": low,
                "ratio high": high,
                "deletion costs more": more.mean(),
                "n": len(mine),
            }
            | {"paper's row": paper_row, "paper up": up, "paper down": down, "paper deletion": deleted}
            | {"paper ratio": deleted / ((up + down) / 2)}
        )
    return pd.DataFrame(rows)


def draw(path: Path, case: BarCase, experiment: Experiment) -> None:
    """Figure 6: the images above, their PoI maps below, with each change's losses under it."""
    shift = experiment.settings.shift_px
    images = images_of(case, shift, experiment.seed)
    with torch.no_grad():
        maps = experiment.metric.detector(images)
    losses = losses_of(images, experiment.metric)
    titles = ["reference", *CHANGES]
    notes = ["", *(_note(losses[change]) for change in CHANGES)]
    rows = [
        ("image", [Panel(title, picture.numpy()) for picture, title in zip(images, titles, strict=True)]),
        (
            "PoI map",
            [Panel("", found.numpy(), note, "magma") for found, note in zip(maps, notes, strict=True)],
        ),
    ]
    title = f"Bars moved by {shift} px and deleted; {case.size} px, binary images"
    write_picture(path, [Strip("", rows)], title)


def _note(losses: dict[str, float]) -> str:
    return "\n".join(f"{loss.removeprefix('DR-KFS, ')}: {value:.3g}" for loss, value in losses.items())


def sift_distance(image: Tensor, reference: Tensor) -> float:
    """How much the SIFT features of two images differ, each described where its own points are.

    Args:
        image: (S, S) gray values in [0, 1].
        reference: (S, S).

    Returns:
        As `matched_distance`; features have unit length. NaN if an image has no point.
    """
    return matched_distance(*(torch.as_tensor(_sift(picture)) for picture in (image, reference)))


def maxima_distance(
    images: tuple[Tensor, Tensor], maps: tuple[Tensor, Tensor], describe: Describe, most: int = MOST
) -> float:
    """The same with a descriptor of patches at the maxima of PoI maps.

    Args:
        images: Image and reference, (S, S) each; patches are cut from them.
        maps: Their PoI maps, (S, S) each.
        describe: Descriptor of patches.
        most: The highest so many maxima of each map.
    """
    found = [describe(patches_at(i, maxima_of(m, most))) for i, m in zip(images, maps, strict=True)]
    return matched_distance(*found)


def matched_distance(features: Tensor, references: Tensor) -> float:
    """Mean squared difference of each feature to the one nearest to it in the other image, both directions added.

    Args:
        features: (K, L).
        references: (M, L).

    Returns:
        The sum of both means; NaN if one of the images has no feature.
    """
    if not (len(features) and len(references)):
        return float("nan")
    squared = torch.cdist(features.double(), references.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    return float(squared.amin(1).mean() + squared.amin(0).mean()) / features.shape[1]


def maxima_of(values: Tensor, most: int) -> Tensor:
    """(K, 2) row and column of the highest local maxima of a map (S, S), highest first; even regions have none."""
    around = F.max_pool2d(values[None, None], 2 * APART + 1, 1, APART)[0, 0]
    lowest = -F.max_pool2d(-values[None, None], 2 * APART + 1, 1, APART)[0, 0]
    places = ((values == around) & (around > lowest)).nonzero()
    order = values[places[:, 0], places[:, 1]].argsort(descending=True, stable=True)
    return places[order[:most]]


def patches_at(image: Tensor, places: Tensor) -> Tensor:
    """(K, 32, 32) patches of an image (S, S) around (K, 2) places; beyond its border it goes on as at its border."""
    half = PATCH // 2
    padded = F.pad(image[None, None], [half, half - 1, half, half - 1], mode="replicate")[0, 0]
    windows = padded.unfold(0, PATCH, 1).unfold(1, PATCH, 1)
    return windows[places[:, 0], places[:, 1]]


def _sift(image: Tensor) -> npt.NDArray[np.float32]:
    import cv2

    pixels = np.rint(image.clamp(0, 1).numpy() * 255).astype(np.uint8)
    _, found = cv2.SIFT.create(nfeatures=MOST).detectAndCompute(pixels, None)
    if found is None:
        return np.zeros((0, 128), np.float32)
    unit: npt.NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit
