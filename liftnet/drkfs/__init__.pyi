from .comparison import Differences, Options, Target
from .meshes import Meshes
from .metric import DRKFS, hemisphere
from .settings import MetricSettings

__all__ = ["DRKFS", "Differences", "Meshes", "MetricSettings", "Options", "Target", "hemisphere"]
