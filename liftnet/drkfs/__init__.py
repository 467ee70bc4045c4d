"""Stage `drkfs`: a differentiable visual similarity of shapes, after the paper DR-KFS (ECCV 2020).

For users of the library: with `metric = DRKFS(MetricSettings(image_size=256, views=25))`, what
`metric(meshes, metric.prepare(targets))` gives is a score of each mesh, differentiable in its vertices. Names are
imported when they are first used, so that the command line's help does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
