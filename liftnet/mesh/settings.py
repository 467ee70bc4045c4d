"""Settings of reading meshes."""

from __future__ import annotations

from pydantic import Field

from liftnet.core.settings import Settings


class ReadingSettings(Settings):
    """What is read at all; beyond it a file is refused."""

    max_bytes: int = Field(2_000_000_000, ge=1, description="largest file that is read, bytes, unpacked")
    max_faces: int = Field(10_000_000, ge=1, description="most triangles of a shape, all instances counted")
