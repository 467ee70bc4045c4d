from .camera_batch import CameraBatch, look_at
from .hard import HardImages, render_nearest, render_silhouettes
from .hemisphere import HALF_LAMBERT, hemisphere
from .render import Light, render_soft
from .soft_images import SoftImages, rasterise
from .softness import Softness, TileLists, bin_triangles

__all__ = [
    "HALF_LAMBERT",
    "CameraBatch",
    "HardImages",
    "Light",
    "SoftImages",
    "Softness",
    "TileLists",
    "bin_triangles",
    "hemisphere",
    "look_at",
    "rasterise",
    "render_nearest",
    "render_silhouettes",
    "render_soft",
]
