from .marching_cubes import MarchingCubes, extract_surface
from .mesh import Placement, SurfaceSamples, TriangleMesh, check_mesh, clean_mesh, normalise, sample_surface
from .reading import find_meshes, load_mesh
from .settings import ReadingSettings
from .voxels import contains, voxelise

__all__ = [
    "MarchingCubes",
    "Placement",
    "ReadingSettings",
    "SurfaceSamples",
    "TriangleMesh",
    "check_mesh",
    "clean_mesh",
    "contains",
    "extract_surface",
    "find_meshes",
    "load_mesh",
    "normalise",
    "sample_surface",
    "voxelise",
]
