"""liftnet: correspondences from sculpture photographs, and depth from a single image learnt from them."""

__version__ = "0.1.0"
