from .alignment import align
from .differentiable_distances import chamfer
from .metrics import METRICS, Comparison, compare
from .settings import ComparisonSettings

__all__ = ["METRICS", "Comparison", "ComparisonSettings", "align", "chamfer", "compare"]
