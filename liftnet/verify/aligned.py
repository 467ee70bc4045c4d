"""Matches of the second search laid on the pictures: those that do not fit go, the others move to where they fit.

Keypoints of two images are never of quite the same place: half of all matches that are right are more than half a
pixel off. The pictures around them know better, once the map between them is known from the neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from liftnet.core.types import Float64Array, Int64Array
from liftnet.geometry.alignment import Pyramid, align_points
from liftnet.geometry.local_maps import local_affine_maps
from liftnet.geometry.subspaces import joint_points
from liftnet.verify.guided import ACROSS, SPREAD, Lines
from liftnet.verify.settings import GuidedSettings

# what one unit of misfit is: away from where the neighbours lead, across the line and moved, in thresholds of the
# perspective matrix (matches are nearer to their place than before they moved), and 1 - correlation
ALONG, MOVED, UNLIKE = 0.67, 1.0, 0.4


@dataclass(frozen=True, eq=False)
class Fitting:
    """The matches that fit.

    Attributes:
        chosen: (M,) which of the matches they are, rising.
        shift: (M, 2) px, how far each moved in image b.
        misfit: (M,) the sum of squares that `guided.align.max_misfit` bounds.
    """

    chosen: Int64Array
    shift: Float64Array
    misfit: Float64Array


def fitting_matches(
    pictures: tuple[Pyramid, Pyramid],
    points_a: Float64Array,
    points_b: Float64Array,
    scales: npt.NDArray[np.floating],
    lines: Lines,
    settings: GuidedSettings,
) -> Fitting:
    """Align the pictures around each match, and tell by it which matches are true.

    Args:
        pictures: Image a and b, in grey.
        points_a: (N, 2) px, N at least 8.
        points_b: (N, 2) px.
        scales: (N,) px, of the keypoints in image a.
        lines: Where matches may lie.
        settings: What they may cost.
    """
    maps = local_affine_maps(points_a, points_a, points_b, settings.neighbours)
    aligned = align_points(pictures, points_a, points_b, maps.linear, scales)
    moved = points_b + aligned.shift
    maps = local_affine_maps(points_a, points_a, moved, settings.neighbours)
    model = lines.perspective if lines.perspective.found else lines.affine
    across = model.residuals_of(joint_points(points_a, moved)) / (ACROSS * lines.noise)
    away = ((moved - maps.predicted) ** 2).sum(axis=1) / ((ALONG * lines.noise) ** 2 + (SPREAD * maps.reach) ** 2)
    far = (aligned.shift**2).sum(axis=1) / (MOVED * lines.noise) ** 2
    misfit = away + across**2 + far + ((1 - aligned.correlation) / UNLIKE) ** 2
    chosen = np.flatnonzero(misfit < settings.align.max_misfit)
    return Fitting(chosen, aligned.shift[chosen], misfit[chosen])
