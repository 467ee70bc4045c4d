from .meshes import Meshes
from .metric import DRKFS, Differences, Options, Target, hemisphere
from .settings import MetricSettings

__all__ = ["DRKFS", "Differences", "Meshes", "MetricSettings", "Options", "Target", "hemisphere"]
