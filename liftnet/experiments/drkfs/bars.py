"""Figure 6 and Table 5: bars between the legs of a chair moved by five pixels, or deleted.

People hardly see that the bars have moved, but see at once that they are gone. A loss that sees as they do is lower
for the first than for the second.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from liftnet.core.log import get_logger, progress
from liftnet.core.tables import write_tables
from liftnet.drkfs.metric import DRKFS
from liftnet.experiments.drkfs.chairs import Frame, chair_of
from liftnet.experiments.drkfs.distances import about_metric, with_close_patches
from liftnet.experiments.drkfs.local_features import maxima_distance, sift_distance
from liftnet.experiments.drkfs.pictures import Panel, Row, write_panels
from liftnet.experiments.drkfs.settings import ShapeExperimentSettings
from liftnet.experiments.result_cache import Memory
from liftnet.rasteriser import Softness, look_at, render_soft

LOG = get_logger("drkfs")
CHANGES = ("shift up", "shift down", "deletion")
BAR_WIDTHS = (0.02, 0.03, 0.045)  # of about the chair's height
VIEWS = ((25.0, 10.0), (65.0, 25.0), (205.0, 10.0), (300.0, 25.0))  # azimuth, elevation, degrees
SIZES = (256, 128)  # px; at 128 a shift of five pixels is twice as far
HALF_WIDTH = 0.52  # of the image, in world units; chairs lie in a sphere of radius .5
CLOSE_PATCHES = "DR-KFS, patches 4 px apart"
PAPER = {
    "MSE of pixels": (0.2961, 0.3736, 0.2007),
    "LIFT features": (0.1174, 0.1231, 0.1498),
    "MSE of PoI maps": (0.0137, 0.0149, 0.0138),
    "DR-KFS": (0.0143, 0.0160, 0.0256),
}
OURS = {  # ours by the paper's row that they stand for
    "MSE of pixels": "MSE of pixels",
    "SIFT features": "LIFT features",
    "HardNet at maxima": "LIFT features",
    "MSE of PoI maps": "MSE of PoI maps",
    "DR-KFS": "DR-KFS",
    CLOSE_PATCHES: "DR-KFS",
}
CAPTION = (
    "Bars of chairs moved up and down by {shift} px and deleted: median of each loss against the unchanged image over"
    " {cases} cases ({chairs} chairs, three widths of the bars, two views of each, {sizes} px); the ratio of deletion"
    " to the mean of both shifts with its quartiles, and the share of cases in which deletion costs more than either"
    " shift."
)


@dataclass(frozen=True)
class Case:
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


def cases(settings: ShapeExperimentSettings) -> list[Case]:
    """All cases: chairs, widths of bars and sizes, two views of each chair."""
    return [
        Case(chair, width, *VIEWS[(chair + turn) % len(VIEWS)], size)
        for size in SIZES
        for chair in range(settings.chairs)
        for width in BAR_WIDTHS
        for turn in range(2)
    ]


def images_of(case: Case, shift_px: int, seed: int) -> Tensor:
    """(4, S, S) binary images: the chair, its bars up, down and deleted."""
    chair = chair_of(seed, case.chair)
    height = 0.45 * chair.leg_height
    chair = replace(chair, bar_height=height, bar_width=case.bar_width)
    frame = Frame.of(chair.mesh())
    step = shift_px * 2 / case.size * HALF_WIDTH / np.cos(np.radians(case.elevation)) * frame.diameter
    meshes = [
        frame.place(replace(chair, bar_height=moved).mesh()) for moved in (height, height + step, height - step, None)
    ]
    azimuth, elevation = np.radians(case.azimuth), np.radians(case.elevation)
    eye = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    camera = look_at(torch.tensor([eye], dtype=torch.float32) * 3, half_width=HALF_WIDTH)
    with torch.no_grad():
        found = render_soft(
            [torch.as_tensor(mesh.vertices, dtype=torch.float32) for mesh in meshes],
            [torch.as_tensor(mesh.faces) for mesh in meshes],
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
            CLOSE_PATCHES: float(dense.compare_images(images[number : number + 1, None], dense_target)),
        }
        for number, change in enumerate(CHANGES, 1)
    }


def compare_bars(out: Path, settings: ShapeExperimentSettings, metric: DRKFS, seed: int) -> None:
    """Write `tables/drkfs_bars.*`, `tables/drkfs_bars_cases.*` and `figures/drkfs_bars.png` below `out`."""
    about = {**about_metric(metric), "shift": settings.shift_px, "seed": seed}
    memory = Memory(out / "drkfs" / "bars", about)
    rows = []
    for case in progress(cases(settings), "drkfs", "bars"):

        def row(case: Case = case) -> dict[str, Any]:
            return losses_of(images_of(case, settings.shift_px, seed), metric)

        found = memory.row(case.name, row)
        rows += [asdict(case) | {"loss": loss, **{c: found[c][loss] for c in CHANGES}} for loss in OURS]
    frame = pd.DataFrame(rows)
    frame["ratio"] = frame["deletion"] / frame[["shift up", "shift down"]].mean(axis=1)
    about_cases = {"cases": len(frame) // len(OURS), "chairs": settings.chairs, "shift": settings.shift_px}
    caption = CAPTION.format(**about_cases, sizes=" and ".join(map(str, SIZES)))
    write_tables(frame, out / "tables" / "drkfs_bars_cases", "All cases of drkfs_bars.", 5)
    write_tables(summary(frame), out / "tables" / "drkfs_bars", caption, 4)
    draw(out / "figures" / "drkfs_bars.png", cases(settings)[0], settings.shift_px, metric, seed)
    LOG.info("bars: %d cases; %s", about_cases["cases"], out / "tables" / "drkfs_bars.csv")


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a loss: medians of ours, the paper's, and how often deletion costs more than either shift."""
    rows = []
    for loss, of_paper in OURS.items():
        mine = frame[frame["loss"] == loss].dropna(subset=[*CHANGES])
        up, down, deleted = PAPER[of_paper]
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
            | {"paper's row": of_paper, "paper up": up, "paper down": down, "paper deletion": deleted}
            | {"paper ratio": deleted / ((up + down) / 2)}
        )
    return pd.DataFrame(rows)


def draw(path: Path, case: Case, shift_px: int, metric: DRKFS, seed: int) -> None:
    """Figure 6: the images above, their PoI maps below, with each change's losses under it."""
    images = images_of(case, shift_px, seed)
    with torch.no_grad():
        maps = metric.detector(images)
    losses = losses_of(images, metric)
    columns = ["reference", *CHANGES]
    notes = ["", *(_note(losses[change]) for change in CHANGES)]
    rows = [
        Row("image", [Panel(picture.numpy(), title) for picture, title in zip(images, columns, strict=True)]),
        Row(
            "PoI map",
            [Panel(m.numpy(), note, below=True, colours="magma") for m, note in zip(maps, notes, strict=True)],
        ),
    ]
    write_panels(path, rows, f"Bars moved by {shift_px} px and deleted; {case.size} px, binary images")


def _note(losses: dict[str, float]) -> str:
    return "\n".join(f"{loss.removeprefix('DR-KFS, ')}: {value:.3g}" for loss, value in losses.items())
