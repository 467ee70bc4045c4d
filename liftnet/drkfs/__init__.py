"""Stage `drkfs`: a differentiable visual similarity of shapes, after the paper DR-KFS (ECCV 2020)."""
