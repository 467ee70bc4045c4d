"""Triangle meshes: reading, placing, sampling, voxels, marching cubes."""
