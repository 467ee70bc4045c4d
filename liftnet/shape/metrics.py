"""All metrics between two shapes, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.mesh import voxels
from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.sampling import SurfaceSamples, sample_surface
from liftnet.shape import distances
from liftnet.shape.alignment import align
from liftnet.shape.distances import earth_mover
from liftnet.shape.settings import MetricSettings

Metric = Callable[[TriangleMesh, TriangleMesh, MetricSettings], float]


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
        mesh: The shape, already laid onto its target.
        target: What it is compared with.
        settings: Points, voxels and seed. Both surfaces are drawn from with seeds of their own, as they would be in
            practice: equal meshes therefore do not come out at 0, but at the distance between neighbouring points.
    """

    def __init__(self, mesh: TriangleMesh, target: TriangleMesh, settings: MetricSettings) -> None:
        self.mesh, self.target, self.settings = mesh, target, settings

    @cached_property
    def samples(self) -> tuple[SurfaceSamples, SurfaceSamples]:
        """Points of the mesh and of the target."""
        seed, count = self.settings.seed, self.settings.points
        return (
            sample_surface(self.mesh, count, stable_seed(seed, "shape")),
            sample_surface(self.target, count, stable_seed(seed, "target")),
        )

    @cached_property
    def nearest(self) -> distances.Nearest:
        """Nearest points of both."""
        mine, targets = self.samples
        return distances.nearest(mine.points, targets.points)

    def normal_consistency(self) -> float:
        """See `distances.normal_consistency`."""
        mine, targets = self.samples
        return distances.normal_consistency(self.nearest, mine.normals, targets.normals)

    def earth_mover(self) -> float:
        """See `earth_mover`; of the first points that were drawn."""
        count = min(self.settings.emd_points, self.settings.points)
        mine, targets = self.samples
        return earth_mover(mine.points[:count], targets.points[:count])

    def iou(self) -> float:
        """Of voxels in the cube of `_bounds`."""
        bounds = self._bounds()
        grids = [voxels.voxelise(mesh, self.settings.voxels, bounds) for mesh in (self.mesh, self.target)]
        return voxels.iou(*grids)

    def iou_points(self) -> float:
        """Of `points` points drawn evenly from the cube of `_bounds` (Mescheder et al., 2019)."""
        low, high = self._bounds()
        generator = np.random.default_rng(stable_seed(self.settings.seed, "inside"))
        points = low + (high - low) * generator.random((self.settings.points, 3))
        return voxels.iou(voxels.contains(self.mesh, points), voxels.contains(self.target, points))

    def _bounds(self) -> tuple[float, float]:
        """The cube from -.5 to .5, grown where a shape reaches out of it, so that nothing is cut off.

        Shapes that were not placed have a cube of their own size.
        """
        reach = max(float(np.abs(mesh.vertices).max()) for mesh in (self.mesh, self.target))
        half = reach if self.settings.align == "none" else max(0.5, reach)
        return -half, half


CLASSIC: dict[str, Callable[[Pair], float]] = {
    "chamfer_l1": lambda pair: distances.chamfer_l1(pair.nearest),
    "chamfer_l2": lambda pair: distances.chamfer_l2(pair.nearest),
    "accuracy": lambda pair: distances.accuracy(pair.nearest),
    "completeness": lambda pair: distances.completeness(pair.nearest),
    "hausdorff": lambda pair: distances.hausdorff(pair.nearest),
    "f_score": lambda pair: distances.f_score(pair.nearest, pair.settings.f_threshold),
    "normal_consistency": Pair.normal_consistency,
    "emd": Pair.earth_mover,
    "iou": Pair.iou,
    "iou_points": Pair.iou_points,
}


def _classic(name: str, mesh: TriangleMesh, target: TriangleMesh, settings: MetricSettings) -> float:
    return CLASSIC[name](Pair(mesh, target, settings))


def _light_field(mesh: TriangleMesh, target: TriangleMesh, settings: MetricSettings) -> float:
    """The light field distance, 0 for shapes that look alike from all around; it places the shapes itself."""
    from liftnet.shape.light_field import describe, distance

    return float(distance(describe(mesh), describe(target)))


def _shape_google(mesh: TriangleMesh, target: TriangleMesh, settings: MetricSettings) -> float:
    """The distance of bags of geometric words, 0 to 2; it knows neither pose nor bending."""
    from liftnet.shape.shape_google import describe, distance, load_vocabulary

    words = load_vocabulary(settings.vocabulary)
    return distance(*(describe(shape, words, settings.seed) for shape in (mesh, target)))


def _mvcnn(mesh: TriangleMesh, target: TriangleMesh, settings: MetricSettings) -> float:
    """The distance of a network's descriptors of views from around, 0 to 2; both shapes stand upright."""
    if settings.mvcnn is None:
        remedy = "Train one with `python -m liftnet drkfs train mvcnn` and give its folder as the setting `mvcnn`"
        raise LiftnetError("mvcnn", "no trained network is named", remedy)
    from liftnet.shape.mvcnn import describe, distance, load_mvcnn

    network = load_mvcnn(settings.mvcnn)
    return distance(*(describe(shape, network) for shape in (mesh, target)))


METRICS: dict[str, Metric] = {name: partial(_classic, name) for name in CLASSIC}
"""Name of a metric -> function of a mesh and a target that is already laid onto, and settings. Functions that need
heavy modules import them when called."""
METRICS |= {"lfd": _light_field, "shape_google": _shape_google, "mvcnn": _mvcnn}
HIGHER_IS_BETTER = ("f_score", "normal_consistency", "iou", "iou_points")


def compare(
    mesh: TriangleMesh,
    target: TriangleMesh,
    names: Sequence[str] = tuple(CLASSIC),
    settings: MetricSettings | None = None,
) -> Comparison:
    """Align a mesh to its target and apply metrics; points are drawn and matched once for all of them.

    Args:
        mesh: The shape.
        target: What it is compared with.
        names: Keys of `METRICS`.
        settings: How they are placed, sampled and compared; distances are in units after that placing.

    Returns:
        The values. A metric that fails on these meshes is NaN with a reason; the others go on.

    Raises:
        LiftnetError: There is no metric of a given name.
    """
    settings = settings or MetricSettings()
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise LiftnetError("metrics", f"there is no {', '.join(unknown)}", f"Use {', '.join(METRICS)}")
    pair = Pair(*align(mesh, target, settings.align, settings.size, settings.turns, settings.seed), settings)
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            values[name] = _value(name, pair)
        except (LiftnetError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            values[name], reasons[name] = math.nan, f"{type(error).__name__}: {error}"
        else:
            if math.isnan(values[name]):
                reasons[name] = "it is not defined for these meshes"
    return Comparison(values, reasons)


def _value(name: str, pair: Pair) -> float:
    if name in CLASSIC:
        return CLASSIC[name](pair)
    return float(METRICS[name](pair.mesh, pair.target, pair.settings))
