from .descriptors import match_descriptors

__all__ = ["match_descriptors"]
