"""Shape Google: shapes as bags of geometric words, whatever their pose (Bronstein et al., TOG 2011)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
