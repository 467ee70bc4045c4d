"""Triangles to images and back: cameras, a soft rasteriser with exact gradients, a hard one for silhouettes.

    >>> from liftnet.rasteriser import render_soft

Names are loaded when first used, so that importing a room of the house does not load torch or numba.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
