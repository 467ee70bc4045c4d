"""Writing the dataset of correspondences from tables of pairs, for every stage that makes some."""
