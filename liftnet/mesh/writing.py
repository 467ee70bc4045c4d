"""Meshes as files."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.files import atomic_path
from liftnet.mesh.mesh import TriangleMesh


def write_mesh(path: Path, mesh: TriangleMesh) -> None:
    """Write a mesh with +y up, atomically; its suffix, such as .ply (binary) or .glb, names the format.

    Raises:
        LiftnetError: The folder cannot be written.
    """
    import trimesh

    turned = mesh.to_up("y")
    written = trimesh.Trimesh(turned.vertices, turned.faces, process=False)
    options = {"vertex_normal": False} if path.suffix == ".ply" else {}
    with atomic_path(path) as temporary:
        written.export(temporary, file_type=path.suffix[1:], **options)
