from .model import Mvcnn, classify, describe, distance, load_mvcnn
from .train import train_mvcnn

__all__ = ["Mvcnn", "classify", "describe", "distance", "load_mvcnn", "train_mvcnn"]
