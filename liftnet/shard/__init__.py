"""From verified pairs to the dataset: Parquet shards split by artist, their card and their statistics."""

from liftnet.data.dataset import Pair, load_image, load_pair, read_pairs

__all__ = ["Pair", "load_image", "load_pair", "read_pairs"]
