from .bag import describe, describe_pairs, distance
from .vocabulary import Vocabulary, learn_vocabulary, load_vocabulary

__all__ = ["Vocabulary", "describe", "describe_pairs", "distance", "learn_vocabulary", "load_vocabulary"]
