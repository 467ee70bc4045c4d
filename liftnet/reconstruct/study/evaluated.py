"""What may be asked about reconstructions that `reconstruct evaluate` has made of a set's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.log import get_logger
from liftnet.core.types import Float64Array
from liftnet.data.codes import Split
from liftnet.data.reconstruction_set import ReconstructionSet, ReconstructionShape, picture_path
from liftnet.data.schemas import RECONSTRUCTION_SCORES, read_table
from liftnet.reconstruct.study.items import MEASURES, Item, Pose

LOG = get_logger("reconstruct")


@dataclass(frozen=True)
class ModelPair:
    """Two evaluations of one network: tables of scores whose meshes lie in folders of their names without suffix.

    Attributes:
        network: Name of the network.
        original: Of the network trained by its own loss.
        drkfs: Of the same network trained by DR-KFS.
    """

    network: str
    original: Path
    drkfs: Path

    @classmethod
    def parsed(cls, text: str) -> ModelPair:
        """From `NETWORK=ORIGINAL.parquet,DRKFS.parquet`, as the command takes it.

        Raises:
            LiftnetError: It is of another form.
        """
        network, _, tables = text.partition("=")
        original, _, drkfs = tables.partition(",")
        if not (network and original and drkfs):
            raise LiftnetError("--models", f"{text!r} names no network and two tables", "Give NETWORK=ORIGINAL,DRKFS")
        return cls(network, Path(original), Path(drkfs))


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A reconstruction of a picture: its mesh, None where the network gave nothing, and (3,) `MEASURES`."""

    mesh: Path | None
    scores: Float64Array


def items_of_set(root: Path, pairs: Sequence[ModelPair], split: Split = "test") -> list[Item]:
    """The items of a set: every picture of a split that both evaluations of a pair have reconstructed.

    Raises:
        LiftnetError: The set or a table cannot be read, or a pair has no picture of the set.
    """
    data = ReconstructionSet.open(root)
    return [item for pair in pairs for item in _items_of_pair(data, pair, split)]


def _items_of_pair(data: ReconstructionSet, pair: ModelPair, split: Split) -> list[Item]:
    original, drkfs = evaluated(pair.original), evaluated(pair.drkfs)
    if unpaired := set(original) ^ set(drkfs):
        LOG.warning("%s: %d pictures were reconstructed by one model only", pair.network, len(unpaired))
    both = set(original) & set(drkfs)
    items = [
        _item(data, shape, view, pair.network, (original[name], drkfs[name]))
        for shape in data.shapes(split)
        for view in range(shape.n_views)
        if (name := f"{shape.shape_id}-{view:03d}") in both
    ]
    if not items:
        reason = f"has no picture of {data.folder} ({split}) that {pair.drkfs} has too"
        raise LiftnetError(pair.original, reason, "Evaluate both models on this set")
    return items


def _item(
    data: ReconstructionSet, shape: ReconstructionShape, view: int, network: str, made: tuple[Evaluated, Evaluated]
) -> Item:
    seen = data.pictures(shape, [view])
    return Item(
        shape=shape.shape_id,
        view=f"{view:03d}",
        class_name=shape.class_name,
        network=network,
        picture=picture_path(data.folder, shape.shape_id, view),
        pose=Pose(seen.rotation[0].astype(float), float(seen.distance[0]), float(seen.half_width[0])),
        truth=data.mesh_file(shape),
        original=made[0].mesh,
        drkfs=made[1].mesh,
        scores=np.stack([one.scores for one in made]),
    )


def evaluated(table: Path) -> dict[str, Evaluated]:
    """The reconstructions of an evaluation by the names of their pictures, `<shape>-<view>`.

    Raises:
        LiftnetError: The table cannot be read, or a mesh that it has measured is gone.
    """
    rows = read_table(table, RECONSTRUCTION_SCORES).select(["image_id", "status", *MEASURES]).to_pylist()
    found = {}
    for row in rows:
        mesh = None if row["status"] == "empty" else table.with_suffix("") / f"{row['image_id']}.ply"
        if mesh is not None and not mesh.is_file():
            raise LiftnetError(mesh, f"is not there, though {table} has measured it", "Evaluate the model again")
        scores = [np.nan if row[name] is None else row[name] for name in MEASURES]
        found[row["image_id"]] = Evaluated(mesh, np.array(scores, float))
    return found
