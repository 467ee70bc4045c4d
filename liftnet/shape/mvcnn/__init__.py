"""MVCNN: shapes as what a network sees in views from around (Su et al., ICCV 2015)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
