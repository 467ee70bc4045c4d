"""Families of everyday shapes that stand in for the 17 classes of ShapeNet which the paper renders (its table 2)."""
