from .depth import predict_depth
from .matching import ImageMatches, match_images
from .pairs import PairBatch, PairDataset, PairItem, collate_pairs
from .shapes import drkfs

__all__ = [
    "ImageMatches",
    "PairBatch",
    "PairDataset",
    "PairItem",
    "collate_pairs",
    "drkfs",
    "match_images",
    "predict_depth",
]
