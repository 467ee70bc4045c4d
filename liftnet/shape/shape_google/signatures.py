"""Heat kernel signatures: how much heat remains at a point, at several times (Sun et al., SGP 2009)."""

from __future__ import annotations

import numpy as np

from liftnet.mesh.mesh import FloatArray
from liftnet.shape.shape_google.laplacian import Spectrum


def times_from(first: float, last: float, count: int) -> FloatArray:
    """(count,) times in geometric progression, in units of the area."""
    return np.geomspace(first, last, count)


def heat_kernel_signature(spectrum: Spectrum, times: FloatArray) -> FloatArray:
    """Share of the heat put on a point that is still there, per share of the area.

    Args:
        spectrum: Of a shape of V points, its area scaled to 1.
        times: (T,) in units of the area.

    Returns:
        (V, T) h_t(x) = sum_i exp(-lambda_i t) phi_i(x)^2. It tends to 1 with time on a connected shape, and near
        t = 0 to 1 / (4 pi t), more where the surface is thin or pointed. Bending leaves it as it is.
    """
    return (spectrum.functions**2) @ np.exp(-spectrum.eigenvalues[:, None] * np.asarray(times))
