"""Fixtures of run_folder.py for the tests of this folder."""

from run_folder import run_folder, run_views

__all__ = ["run_folder", "run_views"]
