"""What DR-KFS learns: the detector of points of interest and the descriptor of patches, from a run's own dataset."""
