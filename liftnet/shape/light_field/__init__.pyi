from .descriptor import LightField, describe, describe_silhouettes, distance, distances

__all__ = ["LightField", "describe", "describe_silhouettes", "distance", "distances"]
