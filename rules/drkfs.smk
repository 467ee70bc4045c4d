"""
DR-KFS: how alike two shapes look, as a metric and as a loss; its detector, its descriptor and its experiments.

NEEDS   <results>/dataset/, images/ (to train the detector of points of interest and the descriptor of patches)
GIVES   <results>/models/, <results>/tables/drkfs_*.*, <results>/figures/drkfs_*.*
"""
