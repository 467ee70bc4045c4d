from .metric import DRKFS, Differences, Meshes, Options, Target
from .settings import MetricSettings

__all__ = ["DRKFS", "Differences", "Meshes", "MetricSettings", "Options", "Target"]
