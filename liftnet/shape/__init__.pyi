from .alignment import align
from .distances import chamfer
from .metrics import METRICS, Comparison, compare
from .settings import ComparisonSettings

__all__ = ["METRICS", "Comparison", "ComparisonSettings", "align", "chamfer", "compare"]
