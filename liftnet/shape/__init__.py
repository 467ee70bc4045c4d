"""Triangle meshes: reading, sampling, voxels, and metrics between two shapes.

    >>> from liftnet.shape import compare
    >>> from liftnet.mesh import load_mesh
    >>> compare(load_mesh("a.obj"), load_mesh("b.glb")).values  # doctest: +SKIP

Names are loaded when first used, so that importing a part of the package does not load torch or numba.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
