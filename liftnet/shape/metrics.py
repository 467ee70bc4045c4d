"""All metrics between two shapes, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_dilation

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.types import BoolArray, FloatArray
from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh, face_areas
from liftnet.shape import distances
from liftnet.shape.alignment import placements
from liftnet.shape.described import Described
from liftnet.shape.settings import STANDARD_METRICS, ComparisonSettings

ODD_FACTOR = 1.5  # of sizes
ODD_DISTANCE = 0.5  # of middles, in sizes of the target
ODD_SHARE = 0.02  # of a surface
VOXEL_POINTS = 20_000
UNITS = {
    **{1000.0: "millimetres instead of metres", 0.001: "metres instead of millimetres"},
    **{100.0: "centimetres instead of metres", 0.01: "metres instead of centimetres"},
    **{10.0: "millimetres instead of centimetres", 0.1: "centimetres instead of millimetres"},
    **{25.4: "millimetres instead of inches", 1 / 25.4: "inches instead of millimetres"},
    **{39.37: "inches instead of metres", 0.0254: "metres instead of inches"},
}


@dataclass(frozen=True)
class Comparison:
    """What metrics say of a mesh and its target.

    Attributes:
        values: Of each metric, NaN where it failed.
        reasons: Why, of each that failed.
        remarks: What is odd about the two, in words, so that a value may not say what it seems to.
    """

    values: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
        """The cube that holds the target, about its middle: from -.5 to .5, or of its own size if it was not placed.

        It does not grow with the shape, or a single part far away would leave all else too few voxels.
        """
        if self.settings.align != "none":
            return voxels.UNIT
        half = float(np.ptp(self.target.vertices, axis=0).max()) / 2
        return -half, half

    @cached_property
    def whole(self) -> tuple[float, float]:
        """The cube of both shapes, about the origin and not smaller than `bounds`: nothing is cut off."""
        reach = max(float(np.abs(mesh.vertices).max()) for mesh in (self.mesh, self.target))
        half = reach if self.settings.align == "none" else max(0.5, reach)
        return -half, half

    @cached_property
    def solids(self) -> tuple[TriangleMesh, TriangleMesh]:
        """The mesh and the target about the middle of the cube."""
        if self.settings.align != "none":
            return self.mesh, self.target
        middle = (self.target.vertices.min(0) + self.target.vertices.max(0)) / 2
        mine, target = (replace(mesh, vertices=mesh.vertices - middle) for mesh in (self.mesh, self.target))
        return mine, target

    @cached_property
    def grids(self) -> tuple[BoolArray, BoolArray]:
        """Solid voxels of the mesh and of the target in the cube."""
        mine, target = (voxels.voxelise(mesh, self.settings.voxels, self.bounds) for mesh in self.solids)
        return mine, target

    @cached_property
    def volume_beyond(self) -> float:
        """What of the shape's volume lies beyond the cube."""
        return voxels.volume_beyond(self.solids[0], self.bounds)


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
    """Of voxels in the cube of `Pair.bounds`; what of the shape lies beyond it counts in the union."""
    low, high = pair.bounds
    voxel = ((high - low) / pair.settings.voxels) ** 3
    return voxels.iou(*pair.grids, pair.volume_beyond / voxel)


@shape_metric("iou_flood", "IoU by flood", 0.0, higher_is_better=True)
def iou_flood(pair: Pair) -> float:
    """Of voxels that the surfaces touch or enclose, see `voxels.flooded`: for open surfaces, such as patches."""
    mine, target = (voxels.flooded(mesh, pair.settings.voxels, pair.whole) for mesh in (pair.mesh, pair.target))
    return voxels.iou(mine, target)


@shape_metric("iou_points", "IoU of points", 0.0, higher_is_better=True)
def iou_points(pair: Pair) -> float:
    """Of `points` points drawn evenly from the cube of `Pair.bounds` (Mescheder et al., 2019), and beyond as `iou`."""
    low, high = pair.bounds
    generator = np.random.default_rng(stable_seed(pair.seed, "inside"))
    points = low + (high - low) * generator.random((pair.settings.points, 3))
    mine, target = (voxels.contains(mesh, points) for mesh in pair.solids)
    return voxels.iou(mine, target, pair.volume_beyond / (high - low) ** 3 * len(points))


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
    after: Callable[[str], object] = lambda name: None,
) -> Comparison:
    """Align a mesh to its target and apply metrics; points are drawn and matched once for all of them.

    Args:
        mesh: The shape; with what is known of it, if anything is.
        target: What it is compared with, likewise: many shapes may have one target.
        names: Keys of `METRICS`.
        settings: How they are placed, sampled and compared; distances are in units after that placing.
        seed: Of the points that are drawn.
        after: Called after each metric with its name.

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
    remarks = list(remarks_on_size(shapes[0].mesh, shapes[1].mesh, settings.align))
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
        after(name)
    if math.isfinite(values.get("iou", math.nan)) and all(face_areas(one.mesh).any() for one in pair.shapes):
        remarks += remarks_on_voxels(pair)
    return Comparison(values, reasons, tuple(remarks))


def remarks_on_size(mesh: TriangleMesh, target: TriangleMesh, align: str = "target") -> Iterator[str]:
    """What is odd about a shape's size and place beside its target's, where these count."""
    if align not in ("none", "target") or not (len(mesh.vertices) and len(target.vertices)):
        return
    sizes = [float(np.ptp(shape.vertices, axis=0).max()) for shape in (mesh, target)]
    if not min(sizes) > 0:
        return
    middles = [(shape.vertices.min(0) + shape.vertices.max(0)) / 2 for shape in (mesh, target)]
    factor, away = sizes[0] / sizes[1], float(np.linalg.norm(middles[0] - middles[1])) / sizes[1]
    if max(factor, 1 / factor) >= ODD_FACTOR:
        unit = next((f", as {name}" for ratio, name in UNITS.items() if abs(factor / ratio - 1) < 0.02), "")
        times = f"{factor:,.0f}" if factor >= 100 else f"{factor:.3g}"
        yield f"the shape is {times} times as large as its target{unit}"
    if away >= ODD_DISTANCE * max(1.0, factor):
        yield f"its middle lies {away:.3g} sizes of the target away from the target's"


def remarks_on_voxels(pair: Pair) -> Iterator[str]:
    """What of the two surfaces lies at no solid voxel: sheets, parts thinner than voxels, and what is out of the cube.

    A voxel is seen from its neighbours too, since a surface runs along the border of the solid.
    """
    low, high = pair.bounds
    names = ("the shape's", "the target's")
    shift = pair.solids[1].vertices[0] - pair.target.vertices[0]
    for name, grid, (drawn, _) in zip(names, pair.grids, pair.samples, strict=True):
        points = drawn[:VOXEL_POINTS] + shift
        cells = np.floor((points - low) / (high - low) * len(grid)).astype(np.int64)
        inside = ((cells >= -1) & (cells <= len(grid))).all(1)  # a face of the cube itself is not beyond it
        cells = cells[inside].clip(0, len(grid) - 1)
        seen = binary_dilation(grid, np.ones((3, 3, 3), bool))[tuple(cells.T)]
        hidden, beyond = float((~seen).sum()) / len(points), float((~inside).mean())
        if hidden > ODD_SHARE:
            yield f"iou: voxels do not see {100 * hidden:.0f} % of {name} surface, which is too thin or open"
        if beyond > ODD_SHARE:
            yield f"iou: {100 * beyond:.0f} % of {name} surface lies beyond the cube of the target"


def _described(shape: TriangleMesh | Described, settings: ComparisonSettings, seed: int) -> Described:
    return shape if isinstance(shape, Described) else Described(shape, settings, seed)
