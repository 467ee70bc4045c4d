"""Cameras and robust affine two-view geometry. Knows no stage and no file."""
