"""The light field descriptor and its distance: which shapes look alike from all around, whatever their pose.

    >>> from liftnet.shape.light_field import describe, distance
    >>> distance(describe(mesh), describe(other))  # doctest: +SKIP

It follows the program of the descriptor's authors to the byte, but for two things: the ten rotations of the cameras
follow a rule (views.py), and the eccentricity of both shapes is compared, where the program reads only one.

Names are loaded when first used, torch and numba with them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
