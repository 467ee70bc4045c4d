"""Checking a downloaded copy of a dataset against what it says of itself."""
