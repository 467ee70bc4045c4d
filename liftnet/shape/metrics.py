"""All metrics between two shapes, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.types import FloatArray
from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh
from liftnet.shape import distances
from liftnet.shape.alignment import placements
from liftnet.shape.described import Described
from liftnet.shape.settings import STANDARD_METRICS, ComparisonSettings


@dataclass(frozen=True)
class Comparison:
    """What metrics say of a mesh and its target.

    Attributes:
        values: Of each metric, NaN where it failed.
        reasons: Why, of each that failed.
    """

    values: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)


class Pair:
    """A mesh and its target, with what several metrics need, made when first asked for.

    Args:
        mesh: The shape, already laid onto its target; with what is known of it, if anything is.
        target: What it is compared with, likewise.
        settings: How. Both surfaces are drawn from with seeds of their own, as they would be in practice: equal meshes
            therefore do not come out at 0, but at the distance between neighbouring points.
        seed: Of the points that are drawn.
    """

    def __init__(
        self,
        mesh: TriangleMesh | Described,
        target: TriangleMesh | Described,
        settings: ComparisonSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.settings, self.seed = settings or ComparisonSettings(), seed
        self.shapes = tuple(_described(shape, self.settings, seed) for shape in (mesh, target))
        self.mesh, self.target = (shape.mesh for shape in self.shapes)

    @cached_property
    def samples(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Points (N, 3) and normals (N, 3) of the mesh and of the target."""
        mine, target = self.shapes
        count = self.settings.points
        return (
            mine.samples(count, stable_seed(self.seed, "shape")),
            target.samples(count, stable_seed(self.seed, "target")),
        )

    @cached_property
    def nearest(self) -> distances.Nearest:
        """Nearest points of both."""
        mine, targets = self.samples
        return distances.nearest(mine[0], targets[0])

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The cube from -.5 to .5, grown where a shape reaches out of it, so that nothing is cut off.

        Shapes that were not placed have a cube of their own size.
        """
        reach = max(float(np.abs(mesh.vertices).max()) for mesh in (self.mesh, self.target))
        half = reach if self.settings.align == "none" else max(0.5, reach)
        return -half, half


@dataclass(frozen=True)
class ShapeMetric:
    """A metric between two shapes.

    Attributes:
        name: In settings and tables.
        title: In captions and figures.
        compute: Its value for a pair. What needs heavy modules imports them when called.
        penalty: What a mesh without a surface gets, so that a mean over shapes need not leave it out: the largest
            distance in the cube of side 1 and its like (Mescheder et al., Occupancy Networks, 2019: distance sqrt(3),
            IoU 0, normal consistency -1); the largest value that a bounded distance can have; 30,000 for the light
            field distance (a ball is 24,900 from the thinnest lamp that was measured).
        higher_is_better: Whether larger values say that shapes are more alike; such values are 1 for equal shapes.
        unit: Of its values: "side" is that of the cube which shapes are placed in.
        weights: Names of the settings, of `ComparisonSettings`, that name a file or folder its values depend on.
    """

    name: str
    title: str
    compute: Callable[[Pair], float]
    penalty: float
    higher_is_better: bool = False
    unit: str = ""
    weights: tuple[str, ...] = ()

    def as_distance(self, value: float) -> float:
        """The value turned so that less is better."""
        return 1 - value if self.higher_is_better else value

    @property
    def distance_title(self) -> str:
        """What `as_distance` is called."""
        return f"1 - {self.title}" if self.higher_is_better else self.title


DIAGONAL = math.sqrt(3)  # of the cube of side 1
METRICS: dict[str, ShapeMetric] = {}
"""All metrics by their names, as `shape_metric` makes them known."""


def shape_metric(
    name: str,
    title: str,
    penalty: float,
    higher_is_better: bool = False,
    unit: str = "",
    weights: tuple[str, ...] = (),
) -> Callable[[Callable[[Pair], float]], Callable[[Pair], float]]:
    """Make a function of a pair a metric, as `ShapeMetric` says."""

    def known(compute: Callable[[Pair], float]) -> Callable[[Pair], float]:
        METRICS[name] = ShapeMetric(name, title, compute, penalty, higher_is_better, unit, weights)
        return compute

    return known


def _of_nearest(distance: Callable[[distances.Nearest], float]) -> Callable[[Pair], float]:
    return lambda pair: distance(pair.nearest)


shape_metric("chamfer_l1", "Chamfer (L1)", DIAGONAL, unit="side")(_of_nearest(distances.chamfer_l1))
shape_metric("chamfer_l2", "Chamfer (squared)", 2 * DIAGONAL**2, unit="side^2")(_of_nearest(distances.chamfer_l2))
shape_metric("accuracy", "Accuracy", DIAGONAL, unit="side")(_of_nearest(distances.accuracy))
shape_metric("completeness", "Completeness", DIAGONAL, unit="side")(_of_nearest(distances.completeness))
shape_metric("hausdorff", "Hausdorff", DIAGONAL, unit="side")(_of_nearest(distances.hausdorff))


@shape_metric("f_score", "F-score", 0.0, higher_is_better=True)
def f_score(pair: Pair) -> float:
    """See `distances.f_score`."""
    return distances.f_score(pair.nearest, pair.settings.f_threshold)


@shape_metric("f_score_2", "F-score at twice the distance", 0.0, higher_is_better=True)
def f_score_2(pair: Pair) -> float:
    """The second of the pair that is often printed (Wang et al., Pixel2Mesh, 2018)."""
    return distances.f_score(pair.nearest, 2 * pair.settings.f_threshold)


@shape_metric("normal_consistency", "normal cons.", -1.0, higher_is_better=True)
def normal_consistency(pair: Pair) -> float:
    """See `distances.normal_consistency`."""
    mine, targets = pair.samples
    return distances.normal_consistency(pair.nearest, mine[1], targets[1])


@shape_metric("emd", "EMD", DIAGONAL, unit="side")
def earth_mover(pair: Pair) -> float:
    """See `distances.earth_mover`; of the first points that were drawn."""
    (mine, _), (targets, _) = pair.samples
    count = min(pair.settings.emd_points, len(mine), len(targets))
    return distances.earth_mover(mine[:count], targets[:count])


@shape_metric("iou", "IoU", 0.0, higher_is_better=True)
def iou(pair: Pair) -> float:
    """Of voxels in the cube of `Pair.bounds`."""
    grids = [voxels.voxelise(mesh, pair.settings.voxels, pair.bounds) for mesh in (pair.mesh, pair.target)]
    return voxels.iou(*grids)


@shape_metric("iou_flood", "IoU by flood", 0.0, higher_is_better=True)
def iou_flood(pair: Pair) -> float:
    """Of voxels that the surfaces touch or enclose, see `voxels.flooded`: for open surfaces, such as patches."""
    grids = [voxels.flooded(mesh, pair.settings.voxels, pair.bounds) for mesh in (pair.mesh, pair.target)]
    return voxels.iou(*grids)


@shape_metric("iou_points", "IoU of points", 0.0, higher_is_better=True)
def iou_points(pair: Pair) -> float:
    """Of `points` points drawn evenly from the cube of `Pair.bounds` (Mescheder et al., 2019)."""
    low, high = pair.bounds
    generator = np.random.default_rng(stable_seed(pair.seed, "inside"))
    points = low + (high - low) * generator.random((pair.settings.points, 3))
    return voxels.iou(voxels.contains(pair.mesh, points), voxels.contains(pair.target, points))


@shape_metric("lfd", "LFD", 30_000.0)
def light_field(pair: Pair) -> float:
    """The light field distance, 0 for shapes that look alike from all around; it places the shapes itself."""
    from liftnet.shape.light_field import distance

    return float(distance(*(shape.lfd for shape in pair.shapes)))


@shape_metric("shape_google", "Shape Google", 2.0, weights=("vocabulary",))
def shape_google(pair: Pair) -> float:
    """The distance of bags of geometric words, 0 to 2; it knows neither pose nor bending."""
    from liftnet.shape.shape_google import distance

    return distance(*(shape.shape_google for shape in pair.shapes))


@shape_metric("mvcnn", "MVCNN", 2.0, weights=("mvcnn",))
def mvcnn(pair: Pair) -> float:
    """The distance of a network's descriptors of views from around, 0 to 2; both shapes stand upright."""
    features = [shape.mvcnn for shape in pair.shapes]
    from liftnet.shape.mvcnn import distance

    return distance(*features)


def compare(
    mesh: TriangleMesh | Described,
    target: TriangleMesh | Described,
    names: Sequence[str] = STANDARD_METRICS,
    settings: ComparisonSettings | None = None,
    seed: int = 0,
) -> Comparison:
    """Align a mesh to its target and apply metrics; points are drawn and matched once for all of them.

    Args:
        mesh: The shape; with what is known of it, if anything is.
        target: What it is compared with, likewise: many shapes may have one target.
        names: Keys of `METRICS`.
        settings: How they are placed, sampled and compared; distances are in units after that placing.
        seed: Of the points that are drawn.

    Returns:
        The values. A metric that fails on these meshes is NaN with a reason; the others go on.

    Raises:
        LiftnetError: There is no metric of a given name.
    """
    settings = settings or ComparisonSettings()
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise LiftnetError("metrics", f"there is no {', '.join(unknown)}", f"Use {', '.join(METRICS)}")
    shapes = [_described(shape, settings, seed) for shape in (mesh, target)]
    moves = placements(shapes[0].mesh, shapes[1].mesh, settings.align, settings.size, settings.turns, seed)
    mine, theirs = (shape.placed(move) for shape, move in zip(shapes, moves, strict=True))
    pair = Pair(mine, theirs, settings, seed)
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            values[name] = float(METRICS[name].compute(pair))
        except (LiftnetError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            values[name], reasons[name] = math.nan, f"{type(error).__name__}: {error}"
        else:
            if math.isnan(values[name]):
                reasons[name] = "it is not defined for these meshes"
    return Comparison(values, reasons)


def _described(shape: TriangleMesh | Described, settings: ComparisonSettings, seed: int) -> Described:
    return shape if isinstance(shape, Described) else Described(shape, settings, seed)
