"""Depth of the images of a work by COLMAP: the baseline that regresses it, and how many works fail."""
