"""Triangle meshes: reading, sampling, voxels, and metrics between two shapes."""
