"""Triangles to images and back: cameras, a soft rasteriser with exact gradients, a hard one for silhouettes."""
