"""Order of depth: of two points, which lies farther away. Chen et al., "Single-Image Depth Perception in the Wild".

NIPS 2016. The pairs of points come from true depth (`--targets` a folder with truth.parquet), or from annotations in
the layout of Depth in the Wild (`--targets` a .csv file, whose images are those of the run by file name without its
ending).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.opening import read_text
from liftnet.core.types import Float32Array
from liftnet.data.manifest import stored_images, truths_of
from liftnet.depth.augment import Augmentation, move_points
from liftnet.depth.crops import SMALLEST, CropStore, TargetStore, digest
from liftnet.depth.objectives import TrainingData, TrainingInputs
from liftnet.depth.pairs import sample_depth
from liftnet.depth.settings import TrainSettings
from liftnet.depth.single_images import (
    ImageBatch,
    ImageItems,
    augmentation_of,
    crops_of,
    split_images,
    targets_folder,
)
from liftnet.learn.task import IntArray, LossTerms, Networks
from liftnet.models.depth_input import CropBox

LOG = get_logger("depth")
LEARNT_FROM = "given depth, by which of two pixels is nearer (Chen et al., 2016)"
ITEMS = "photographs"
RELATIONS = {">": 1, "<": -1}
_FORMAT = "two lines an image: its name, then y_A,x_A,y_B,x_B,relation,width,height with relation > or <"


class PointRelations(NamedTuple):
    """Pairs of points of an image.

    Attributes:
        points: (N, 2, 2) points A and B, px of the crop.
        relation: (N,) 1 where A is farther, -1 where it is nearer, 0 where both are at one depth.
    """

    points: Float32Array
    relation: Float32Array


def ordinal_loss(depth_a: Tensor, depth_b: Tensor, relation: Tensor) -> Tensor:
    """The loss of each pair of points: `log(1 + exp(-r (z_A - z_B)))`, or `(z_A - z_B)^2` where r is 0.

    Args:
        depth_a: Predicted depth of the points A, any shape.
        depth_b: Predicted depth of the points B.
        relation: 1 where A is farther, -1 where it is nearer, 0 where both are at one depth.

    Returns:
        The loss, of the same shape.
    """
    difference = depth_a - depth_b
    return torch.where(relation == 0, difference.square(), softplus(-relation * difference))


def draw_relations(depth: Float32Array, count: int, margin: float, random: np.random.Generator) -> PointRelations:
    """Draw pairs of points of known depth.

    Args:
        depth: (S, S) positive depth, NaN where unknown.
        count: Number of pairs.
        margin: Two depths are in order where their ratio is beyond 1 + margin.
        random: Where the points come from.

    Returns:
        At most `count` pairs; a pair of one point with itself is dropped.
    """
    rows, columns = np.nonzero(np.isfinite(depth) & (np.nan_to_num(depth) > 0))
    if len(rows) < 2:
        return PointRelations(np.empty((0, 2, 2), np.float32), np.empty(0, np.float32))
    chosen = random.integers(len(rows), size=(count, 2))
    chosen = chosen[chosen[:, 0] != chosen[:, 1]]
    z = depth[rows[chosen], columns[chosen]]
    ratio = z[:, 0] / z[:, 1]
    relation = (ratio > 1 + margin).astype(np.float32) - (ratio < 1 / (1 + margin))
    return PointRelations(np.stack([columns[chosen], rows[chosen]], 2).astype(np.float32), relation)


@dataclass(frozen=True)
class OrdinalObjective(ImageItems):
    """Images with pairs of points whose order is known; always the same pairs."""

    relations: Mapping[str, PointRelations] = field(default_factory=dict)
    gain: float = 1.0

    @property
    def items(self) -> Sequence[str]:
        """The ids of the images, each with a digest of its pairs of points: others are another run."""
        known = [self.relations[image] for image in self.images]
        hashes = [digest(np.concatenate([some.points.ravel(), some.relation])) for some in known]
        return [f"{image}:{of}" for image, of in zip(self.images, hashes, strict=True)]

    def batch(self, chosen: IntArray, seed: int) -> ImageBatch:
        """Read images; chosen is (n, 2), image and 0."""
        images, changes = self.read(self.rows(chosen), seed)
        known = [self.relations[self.images[item]] for item in chosen[:, 0].tolist()]
        longest = max(len(some.relation) for some in known)
        points = torch.zeros(len(known), longest, 2, 2)
        relation = torch.full((len(known), longest), torch.nan)  # NaN for rows that only fill up
        for k, some in enumerate(known):
            points[k, : len(some.relation)] = torch.from_numpy(some.points)
            relation[k, : len(some.relation)] = torch.from_numpy(some.relation)
        return ImageBatch(images, points, relation, changes)

    def terms(self, networks: Networks, batch: ImageBatch, generator: torch.Generator) -> LossTerms:
        """Predict depth and compare its order at the pairs of points; nothing is random."""
        size = batch.images.shape[1]
        depth = networks["depth"](batch.network_images()).float()
        filled = torch.isfinite(batch.relations)
        both = filled[:, :, None].expand(-1, -1, 2).flatten(1)
        points, inside = move_points(batch.targets.flatten(1, 2), both, size, batch.changes)
        mask = inside.unflatten(1, (-1, 2)).all(2)
        a, b = sample_depth(self.gain * depth, points).unflatten(1, (-1, 2)).unbind(2)
        relation = batch.relations.masked_fill(~mask, 0)
        count = mask.sum(1).clamp_min(1)
        loss = ordinal_loss(a, b, relation).masked_fill(~mask, 0).sum(1) / count
        ordered = mask & (relation != 0)
        right = (ordered & ((a - b) * relation > 0)).sum(1) / ordered.sum(1).clamp_min(1)
        return {"loss": loss, "in_order": right, "point_pairs": mask.sum(1).float()}


def load(inputs: TrainingInputs, settings: TrainSettings) -> TrainingData:
    """Read images and pairs of points.

    Raises:
        LiftnetError: No targets, or none that belong to an image.
    """
    given = targets_folder(inputs, "ordinal")
    store, relations = _annotated(given, inputs, settings) if given.is_file() else _from_depth(given, inputs, settings)
    split = split_images(inputs, settings, relations)
    LOG.info("%d pairs of points in %d images", sum(len(r.relation) for r in relations.values()), len(relations))
    return TrainingData(
        train=OrdinalObjective(
            store, split.train, augmentation_of(settings), relations=relations, gain=settings.ordinal.gain
        ),
        val=OrdinalObjective(store, split.val, Augmentation(), relations=relations, gain=settings.ordinal.gain),
        held_out=split.held_out,
        store=store,
        images=split.train,
        works=split.works,
        learnt_from=LEARNT_FROM,
        items=ITEMS,
        signed=True,
    )


def _from_depth(
    folder: Path, inputs: TrainingInputs, settings: TrainSettings
) -> tuple[CropStore, dict[str, PointRelations]]:
    """Crops, and pairs of points drawn from true depth by the image's id, so that they stay the same."""
    store = crops_of(inputs, settings, truths_of(stored_images(inputs.root), folder))
    targets = TargetStore(folder, store, inputs.threads, settings.runtime.cache_mb, inputs.scratch)
    relations = {}
    for image_id, row in store.index.items():
        if targets.known[row] >= SMALLEST:
            random = np.random.default_rng(stable_seed(inputs.seed, "ordinal", image_id))
            drawn = draw_relations(
                targets.values[row], settings.ordinal.pairs_per_image, settings.ordinal.margin, random
            )
            if len(drawn.relation):
                relations[image_id] = drawn
    return store, relations


def _annotated(
    path: Path, inputs: TrainingInputs, settings: TrainSettings
) -> tuple[CropStore, dict[str, PointRelations]]:
    """Crops, and the annotated pairs of points that lie in them."""
    pairs: dict[str, list[PointPair]] = defaultdict(list)
    for pair in read_diw(path):
        pairs[Path(pair.image).stem].append(pair)
    stored = stored_images(inputs.root)
    images = {name: image for name, image in stored.items() if Path(image.image_url).stem in pairs}
    missing = len(pairs) - len({Path(image.image_url).stem for image in images.values()})
    if missing:
        LOG.warning("%d of %d annotated images are not in %s", missing, len(pairs), inputs.root)
    store = crops_of(inputs, settings, images)
    relations = {}
    for image_id, row in store.index.items():
        image = images[image_id]
        known = pairs[Path(image.image_url).stem]
        found = PointRelations(
            *in_crop(known, (image.width, image.height), store.boxes[row], settings.input.image_size)
        )
        if len(found.relation):
            relations[image_id] = found
    return store, relations


class PointPair(NamedTuple):
    """Two points of an image, and which lies farther away.

    Attributes:
        image: Name of the image as the file has it.
        points: ((x_A, y_A), (x_B, y_B)) px of the annotated image, (0, 0) the centre of the top-left pixel.
        relation: 1 where A is farther than B, -1 where it is nearer.
        size: (width, height) of the annotated image.
    """

    image: str
    points: tuple[tuple[float, float], tuple[float, float]]
    relation: int
    size: tuple[float, float]


def read_diw(path: Path) -> list[PointPair]:
    """Read DIW_train.csv, DIW_val.csv or DIW_test.csv.

    Lines come in twos: the name of an image, and `y_A,x_A,y_B,x_B,relation,width,height`, where pixels count from 1
    and `>` says that A has the greater depth.

    Raises:
        LiftnetError: The file is missing or a line is not in this form; names the line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read as text ({error})", f"It holds {_FORMAT}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or len(lines) % 2:
        raise LiftnetError(path, f"has {len(lines)} lines", f"It holds {_FORMAT}")
    return [_point_pair(path, number, lines[number], lines[number + 1]) for number in range(0, len(lines), 2)]


def _point_pair(path: Path, number: int, name: str, line: str) -> PointPair:
    parts = [part.strip().strip('"') for part in line.split(",")]
    try:
        y_a, x_a, y_b, x_b = (float(part) - 1 for part in parts[:4])
        relation, width, height = RELATIONS[parts[4]], float(parts[5]), float(parts[6])
    except (ValueError, LookupError) as error:
        raise LiftnetError(path, f"has in line {number + 2} {line[:60]!r}", f"It holds {_FORMAT}") from error
    image = name.split(",")[0].strip().strip('"')
    return PointPair(image, ((x_a, y_a), (x_b, y_b)), relation, (width, height))


def in_crop(
    pairs: list[PointPair], image_size: tuple[int, int], box: CropBox, size: int
) -> tuple[Float32Array, Float32Array]:
    """Point pairs of one image in pixels of its crop; those that do not lie in the crop are dropped.

    Args:
        pairs: Annotations of the image.
        image_size: (width, height) of the stored image, which may be smaller than the annotated one.
        box: The crop.
        size: Side of the crop, px.

    Returns:
        (n, 2, 2) points A and B, and (n,) relations.
    """
    points = np.array([pair.points for pair in pairs]).reshape(-1, 2, 2)
    scale = np.array([np.divide(image_size, pair.size) for pair in pairs]).reshape(-1, 1, 2)
    points = box.to_crop((points + 0.5) * scale - 0.5, size)
    inside = ((points > -0.5) & (points < size - 0.5)).all((1, 2))
    relation = np.array([pair.relation for pair in pairs], np.float32)
    return points[inside].astype(np.float32), relation[inside]
