"""Readers of mesh formats, from a file's contents to the pieces it holds; `liftnet.mesh.formats` lists them."""
