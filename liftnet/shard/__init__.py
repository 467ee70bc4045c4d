"""From verified pairs to the dataset: Parquet shards split by artist, their card and their statistics."""

from liftnet.data.dataset import (
    LinkedPair,
    Pair,
    Track,
    load_image,
    load_pair,
    read_linked_pairs,
    read_pairs,
    read_tracks,
)

__all__ = ["LinkedPair", "Pair", "Track", "load_image", "load_pair", "read_linked_pairs", "read_pairs", "read_tracks"]
