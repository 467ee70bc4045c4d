from .marching_cubes import MarchingCubes, extract_surface
from .mesh import TriangleMesh, check_mesh, clean_mesh
from .placement import Placement, normalise
from .reading import find_meshes, load_mesh
from .sampling import SurfaceSamples, sample_surface
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
