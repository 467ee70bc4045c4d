"""Commands of the stage `reconstruct`."""

from __future__ import annotations
