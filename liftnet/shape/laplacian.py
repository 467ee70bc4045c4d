"""The Laplace-Beltrami operator of a shape and the first of its eigenfunctions, in units of the shape's area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import robust_laplacian
import scipy.sparse
from scipy.sparse.linalg import eigsh
from threadpoolctl import threadpool_limits

from liftnet.core.types import FloatArray
from liftnet.mesh.mesh import TriangleMesh, sample_surface

SHIFT = -0.01  # below the spectrum, so that the shifted matrix can be factored; eigenvalues begin near 10
LEAST_FRACTION = 1e-6  # of the mean area of a vertex: a vertex without faces has none, and could not be divided by
SparseMatrix = Any  # scipy's own classes of sparse matrices are not told apart by its types


@dataclass(frozen=True, repr=False)
class Spectrum:
    """Eigenfunctions of the Laplace-Beltrami operator of a shape whose area is scaled to 1.

    Attributes:
        eigenvalues: (K,) ascending, in units of 1 / area; the first is 0.
        functions: (V, K) values at the vertices or points, orthonormal under `areas`.
        areas: (V,) fraction of the area that belongs to each vertex or point; their sum is 1.
    """

    eigenvalues: FloatArray
    functions: FloatArray
    areas: FloatArray

    def __repr__(self) -> str:
        return f"Spectrum({len(self.eigenvalues)} functions of {len(self.areas)} points)"


def surface_spectrum(mesh: TriangleMesh, count: int) -> Spectrum:
    """Eigenfunctions on the vertices of a mesh, open, non-manifold or degenerate as it may be.

    The operator is the cotangent Laplacian of the intrinsic Delaunay triangulation of the tufted cover (Sharp and
    Crane, A Laplacian for Nonmanifold Triangle Meshes, SGP 2020), with lumped areas. Parts that do not share vertices
    do not exchange heat, and nothing is finer than the mesh's own edges: a mesh of few, long triangles says little.

    Args:
        mesh: The surface.
        count: Number of eigenfunctions; fewer where the mesh has too few vertices.
    """
    stiffness, mass = robust_laplacian.mesh_laplacian(mesh.vertices, mesh.faces)
    return spectrum(stiffness, mass, count)


def sampled_spectrum(mesh: TriangleMesh, points: int, count: int, seed: int = 0) -> Spectrum:
    """Eigenfunctions on points drawn from a surface, whatever its triangles are.

    Heat flows between points that lie near each other, so parts that touch or cross are one shape, and the cost does
    not grow with the number of faces.

    Args:
        mesh: The surface.
        points: Points that are drawn.
        count: Number of eigenfunctions; fewer where there are too few points.
        seed: The same seed draws the same points.

    Raises:
        ValueError: The surface has no area, or is as thin as a line.
    """
    return point_spectrum(sample_surface(mesh, points, seed).points, count)


def point_spectrum(drawn: FloatArray, count: int) -> Spectrum:
    """Eigenfunctions on points (N, 3) of a surface that were drawn evenly; see `sampled_spectrum`.

    Raises:
        ValueError: The points lie on a line or in one place.
    """
    drawn = drawn - drawn.mean(axis=0)  # far from the origin the library's neighbours are wrong, by 15 % of lambda_1
    drawn = drawn / np.linalg.norm(drawn, axis=1).max()
    neighbours = min(30, len(drawn) - 1)
    try:
        stiffness, mass = robust_laplacian.point_cloud_laplacian(drawn, n_neighbors=neighbours)
    except RuntimeError as error:
        raise ValueError("the surface has no Laplacian: its points lie on a line or in one place") from error
    return spectrum(stiffness, mass, count)


def spectrum(stiffness: SparseMatrix, mass: SparseMatrix, count: int) -> Spectrum:
    """Solve L f = lambda M f for the smallest eigenvalues.

    In two dimensions the stiffness matrix does not depend on scale, so dividing the masses by their sum is scaling the
    shape to the area 1.

    Args:
        stiffness: (V, V) L, sparse, symmetric, positive semidefinite.
        mass: (V, V) M, diagonal: the area of each vertex.
        count: Number of eigenpairs; at most V - 2.

    Raises:
        ValueError: There are fewer than four vertices, or no area.
    """
    areas = np.asarray(mass.diagonal(), np.float64)
    if len(areas) < 4 or not areas.sum() > 0:
        raise ValueError(f"a spectrum needs four points and some area, not {len(areas)} and {areas.sum():g}")
    areas = np.maximum(areas, areas.mean() * LEAST_FRACTION)
    areas = areas / areas.sum()
    scale = scipy.sparse.diags(1 / np.sqrt(areas))
    with threadpool_limits(1):  # so that the last digits do not depend on the number of threads
        values, vectors = eigsh(
            scipy.sparse.csc_matrix(scale @ stiffness @ scale),
            k=min(count, len(areas) - 2),
            sigma=SHIFT,
            v0=np.random.default_rng(0).standard_normal(len(areas)),  # ARPACK draws its own otherwise
        )
    order = np.argsort(values)
    return Spectrum(np.maximum(values[order], 0), vectors[:, order] / np.sqrt(areas)[:, None], areas)


def heat_kernel_signature(spectrum: Spectrum, times: FloatArray) -> FloatArray:
    """Fraction of the heat put on a point that is still there, per fraction of the area.

    Args:
        spectrum: Of a shape of V points, its area scaled to 1.
        times: (T,) in units of the area.

    Returns:
        (V, T) h_t(x) = sum_i exp(-lambda_i t) phi_i(x)^2. It tends to 1 with time on a connected shape, and near
        t = 0 to 1 / (4 pi t), more where the surface is thin or pointed. Bending leaves it as it is.
    """
    return (spectrum.functions**2) @ np.exp(-spectrum.eigenvalues[:, None] * np.asarray(times))
