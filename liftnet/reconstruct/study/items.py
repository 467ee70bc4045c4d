"""What may be asked about: a picture, the true shape, and what two models made of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.tables import read_csv_table
from liftnet.core.types import Float64Array, FloatArray

MEASURES = ("lfd", "shape_google", "mvcnn")
"""What the best items of the second study are chosen by, as in the paper; lower is better."""
COLUMNS = ("shape", "class", "network", "picture", "truth", "original", "drkfs", "azimuth", "elevation")


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a camera stands that looks at the origin.

    Attributes:
        rotation: (3, 3), from the shape's frame, y up, to the camera's: x right, y up, z towards the camera.
        distance: Of the camera from the origin.
        half_width: Tangent of half the viewing angle.
    """

    rotation: FloatArray
    distance: float = 2.0
    half_width: float = math.tan(math.radians(15))

    @classmethod
    def at(cls, azimuth: float, elevation: float, **lens: float) -> Pose:
        """A camera by its azimuth, from the front (+z) towards +x, and its height above the horizon, in degrees.

        >>> Pose.at(90, 0).rotation[2].round(6).tolist()  # towards a camera on the side of +x
        [1.0, 0.0, 0.0]
        """
        turn, rise = math.radians(azimuth), math.radians(elevation)
        right = [math.cos(turn), 0.0, -math.sin(turn)]
        towards = [math.sin(turn) * math.cos(rise), math.sin(rise), math.cos(turn) * math.cos(rise)]
        return cls(np.stack([right, np.cross(towards, right), towards]), **lens)

    def turned(self, degrees: float) -> Pose:
        """The same camera, carried around the upright axis."""
        angle = math.radians(degrees)
        back = [[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]]
        return Pose(self.rotation @ np.array(back), self.distance, self.half_width)


@dataclass(frozen=True, eq=False)
class Item:
    """A picture with two reconstructions.

    Attributes:
        shape: Name of the shape: items of one shape resemble each other.
        view: Which of its pictures.
        class_name: Its class.
        network: Name of the network that made both reconstructions.
        picture: What the network saw.
        pose: Where from.
        truth: The true mesh.
        original: The mesh of the network trained by its own loss; None where it gave nothing.
        drkfs: The mesh of the same network trained by DR-KFS; None where it gave nothing.
        scores: (2, 3) `MEASURES` of both meshes, in this order, or None; NaN where a mesh has none.
    """

    shape: str
    view: str
    class_name: str
    network: str
    picture: Path
    pose: Pose
    truth: Path
    original: Path | None
    drkfs: Path | None
    scores: Float64Array | None = None

    @property
    def name(self) -> str:
        """What no other item is called."""
        return f"{self.network}/{self.shape}/{self.view}"


def items_of_table(path: Path) -> list[Item]:
    """The items of a CSV file.

    Its columns are `shape`, `class`, `network`, `picture`, `truth`, `original`, `drkfs` (files, below its folder),
    `azimuth` and `elevation` of the picture's camera in degrees and, where known, `view`, `distance`, `half_width`,
    and `original_lfd`, `drkfs_lfd` and so on for each of `MEASURES`.

    Raises:
        LiftnetError: It cannot be read, lacks a column or a file, or two rows are one item.
    """
    try:
        frame = read_csv_table(path, dtype=dict.fromkeys((*COLUMNS[:7], "view"), str), keep_default_na=False)
    except (OSError, ValueError) as error:
        raise LiftnetError(path, f"cannot be read as CSV ({error})", "Give a table of items") from error
    if missing := [name for name in COLUMNS if name not in frame]:
        raise LiftnetError(path, f"has no column {', '.join(missing)}", "docs/studies.md says what it holds")
    items = [_item_of_row(path, row) for row in frame.to_dict("records")]
    if doubled := sorted({item.name for item in items if sum(other.name == item.name for other in items) > 1}):
        raise LiftnetError(path, f"{doubled[0]} stands there more than once", "Give each view a name of its own")
    return items


def _item_of_row(path: Path, row: dict[Any, Any]) -> Item:
    picture, truth, original, drkfs = (path.parent / row[name] for name in COLUMNS[3:7])
    for file in (picture, truth, original, drkfs):
        if not file.is_file():
            raise LiftnetError(file, f"is not there, though {path} names it", "Mend the table")
    try:
        pose = _pose_of_row(row)
        names = [[f"{model}_{measure}" for measure in MEASURES] for model in ("original", "drkfs")]
        known = all(name in row for pair in names for name in pair)
        scores = np.array([[_number(row[name]) for name in pair] for pair in names]) if known else None
    except ValueError as error:
        raise LiftnetError(path, f"{row['shape']}: {error}", "Write numbers there") from error
    about = row["shape"], row.get("view") or "000", row["class"], row["network"]
    return Item(*about, picture, pose, truth, original, drkfs, scores)


def _number(cell: object) -> float:
    """A score; an empty cell is none."""
    return float("nan") if cell == "" else float(str(cell))


def _pose_of_row(row: dict[Any, Any]) -> Pose:
    lens = {name: float(row[name]) for name in ("distance", "half_width") if str(row.get(name, ""))}
    angles = float(row["azimuth"]), float(row["elevation"])
    if not (np.isfinite([*angles, *lens.values()]).all() and all(value > 0 for value in lens.values())):
        raise ValueError("its camera is not finite, or its distance or half width not positive")
    return Pose.at(*angles, **lens)


def best_items(items: Sequence[Item], share: float) -> list[Item]:
    """The best share of each network's items, by the mean of six ranks: three measures, each of both models.

    The paper does not say whose reconstructions it filtered. A filter on those of DR-KFS alone would favour it: where
    it happens to do well, it is asked about. Ranks weigh the three measures and the two models alike.

    Raises:
        LiftnetError: An item has no scores, or a network none of one measure.
    """
    from scipy.stats import rankdata

    if unscored := [item.name for item in items if item.scores is None]:
        raise LiftnetError(unscored[0], "has no scores to choose the best items by", "Give tables of scores")
    best = []
    for network in dict.fromkeys(item.network for item in items):
        own = sorted((item for item in items if item.network == network), key=lambda item: item.name)
        values = np.stack([item.scores for item in own if item.scores is not None]).reshape(len(own), -1)
        for place, name in enumerate(MEASURES):
            if np.isnan(values[:, place :: len(MEASURES)]).all():
                raise LiftnetError(f"{network}: {name}", "was not measured", "Evaluate its models with this metric")
        ranks = rankdata(np.where(np.isnan(values), np.inf, values), axis=0).mean(1)
        best += [own[place] for place in np.argsort(ranks, kind="stable")[: math.ceil(share * len(own))]]
    return best
