"""Triangle meshes: reading, sampling, voxels, and metrics between two shapes.

    >>> from liftnet.shape import load_mesh, compare
    >>> compare(load_mesh("a.obj"), load_mesh("b.glb")).values  # doctest: +SKIP

Names are loaded when first used, so that importing a part of the package does not load torch or numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liftnet.mesh.marching_cubes import MarchingCubes, extract_surface
    from liftnet.mesh.mesh import TriangleMesh, check_mesh, clean_mesh
    from liftnet.mesh.placement import Placement, normalise
    from liftnet.mesh.reading import find_meshes, load_mesh
    from liftnet.mesh.sampling import SurfaceSamples, sample_surface
    from liftnet.mesh.settings import ReadingSettings
    from liftnet.mesh.voxels import contains, voxelise
    from liftnet.shape.alignment import align
    from liftnet.shape.differentiable_distances import chamfer
    from liftnet.shape.metrics import METRICS, Comparison, compare
    from liftnet.shape.settings import ComparisonSettings

_HOMES = {
    "liftnet.mesh.marching_cubes": ("MarchingCubes", "extract_surface"),
    "liftnet.mesh.mesh": ("TriangleMesh", "check_mesh", "clean_mesh"),
    "liftnet.mesh.placement": ("Placement", "normalise"),
    "liftnet.mesh.reading": ("find_meshes", "load_mesh"),
    "liftnet.mesh.sampling": ("SurfaceSamples", "sample_surface"),
    "liftnet.mesh.settings": ("ReadingSettings",),
    "liftnet.mesh.voxels": ("contains", "voxelise"),
    "liftnet.shape.alignment": ("align",),
    "liftnet.shape.differentiable_distances": ("chamfer",),
    "liftnet.shape.metrics": ("METRICS", "Comparison", "compare"),
    "liftnet.shape.settings": ("ComparisonSettings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "METRICS",
    "Comparison",
    "ComparisonSettings",
    "MarchingCubes",
    "Placement",
    "ReadingSettings",
    "SurfaceSamples",
    "TriangleMesh",
    "align",
    "chamfer",
    "check_mesh",
    "clean_mesh",
    "compare",
    "contains",
    "extract_surface",
    "find_meshes",
    "load_mesh",
    "normalise",
    "sample_surface",
    "voxelise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
