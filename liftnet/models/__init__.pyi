from .liftnet import DepthModel, load_model, save_model
from .patch_descriptors import PatchDescriptor, load_descriptor
from .point_detector import PointDetector, load_detector

__all__ = [
    "DepthModel",
    "PatchDescriptor",
    "PointDetector",
    "load_descriptor",
    "load_detector",
    "load_model",
    "save_model",
]
