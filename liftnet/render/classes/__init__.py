"""Families of everyday shapes that stand in for the 17 classes of ShapeNet which the paper renders (its table 2)."""

from __future__ import annotations

from liftnet.render.classes.catalogue import CLASSES, make_shape, make_surface

__all__ = ["CLASSES", "make_shape", "make_surface"]
