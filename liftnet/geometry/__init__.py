"""Cameras and robust two-view geometry of matched points. Knows no stage and no file.

    >>> from liftnet.geometry import estimate_affine_fundamental

Names are loaded when first used: numba and OpenCV are only imported by what needs them.

| function | estimates | needs |
| --- | --- | --- |
| `estimate_affine_fundamental` | affine fundamental matrix of one pair | numpy, numba |
| `estimate_affine_homography` | affine homography of one pair | numpy, numba |
| `estimate_fundamental` | perspective fundamental matrix of one pair | OpenCV |
| `estimate_homography` | projective homography of one pair | OpenCV |
| `join_matches` | tracks: the matches of many pairs joined | numpy, scipy, numba |
| `triangulate` | points of many tracks at once, by known cameras | numpy |
| `rotations_of_pairs` | angles between the calibrated cameras of many pairs at once | numpy |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
