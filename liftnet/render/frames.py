"""The views of one shape by the protocol of its set, through whichever renderer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from liftnet.core.ids import stable_seed
from liftnet.core.types import UInt8Array
from liftnet.data.truth import TrueView
from liftnet.geometry.cameras import Camera
from liftnet.render.materials import MATERIALS, Material, paint
from liftnet.render.mesh import Mesh, normalise
from liftnet.render.orthographic import make_subject, render_view
from liftnet.render.photograph import photograph
from liftnet.render.protocols import OrthographicView, fit_frame, shapenet_views, sketchfab_views
from liftnet.render.read import BadMesh
from liftnet.render.recordings import Recording
from liftnet.render.scene import ambient_openness, make_place, place_seed
from liftnet.render.settings import RenderSettings
from liftnet.render.shapes import SCULPTURE, Shape
from liftnet.render.views import plan_views

Frame = tuple[UInt8Array, TrueView]
UNIT = "cm"
SCAN_SPAN = 180.0  # degrees about the object that its photographs span
SCAN_FLAVOURS = ("plain", "plain", "turned", "plain", "near")


def frames_of(name: str, shape: Shape, count: int, settings: RenderSettings) -> tuple[dict[str, Any], Iterator[Frame]]:
    """Read or make a shape and render its views.

    Args:
        name: The set, whose protocol is followed.
        shape: The shape.
        count: Photographs to take, in the set scanned.
        settings: Of the sets.

    Returns:
        n_vertices, n_faces and watertight of the mesh, and the views, rendered as they are taken.

    Raises:
        BadMesh: It cannot be used.
    """
    body = shape.make()
    if isinstance(body, Recording):
        return {}, ((image, truth) for _, image, truth in body.frames(count))
    mesh = body.mesh
    facts = {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces), "watertight": body.watertight}
    material_name = _material_name(shape)
    if name == "scanned":
        return facts, _photographs(replace(mesh, colours=None), material_name, shape.seed, count, settings)
    if material_name != "paint":
        mesh = replace(mesh, colours=None)  # a sculpture is of one material
    mesh = fit_frame(mesh)
    plan = shapenet_views if name == "shapenet" else sketchfab_views
    views = plan(mesh, settings.view_size, settings.backdrop == "varied", shape.seed)
    if settings.renderer == "blender":
        return facts, _blender_views(mesh, views, material_name, settings)
    subject = make_subject(mesh, _material(material_name, shape.seed))
    return facts, (render_view(subject, view) for view in views)


def _material_name(shape: Shape) -> str:
    if shape.class_name != SCULPTURE:
        return "paint"
    if shape.material:
        return shape.material
    names = sorted(MATERIALS)
    return names[int(np.random.default_rng(stable_seed(shape.seed, "material")).integers(len(names)))]


def _material(name: str, seed: int) -> Material:
    make = paint if name == "paint" else MATERIALS[name]
    return make(np.random.default_rng(stable_seed(seed, "texture")))


def _blender_views(
    mesh: Mesh, views: list[OrthographicView], material: str, settings: RenderSettings
) -> Iterator[Frame]:
    from liftnet.render.blender import BlenderError, render_views

    try:
        return iter(render_views(mesh, views, material, settings.blender))
    except BlenderError as error:
        raise BadMesh("blender_failed", str(error)) from error


def _photographs(mesh: Mesh, material: str, seed: int, count: int, settings: RenderSettings) -> Iterator[Frame]:
    """Photographs of a mesh of the nominal height with perspective cameras in a museum; depth in cm."""
    mesh = normalise(mesh)
    scale = settings.object_height_cm / float(mesh.vertices[:, 2].max())
    openness = ambient_openness(mesh)
    views = plan_views(mesh.vertices, count, settings.view_size, SCAN_SPAN, seed, SCAN_FLAVOURS)
    texture = _material(material, seed)
    places = {number: make_place(mesh, openness, place_seed(seed, number)) for number in {v.place for v in views}}
    for view in views:
        image, truth = photograph(places[view.place], texture, view)
        camera = truth.camera
        assert isinstance(camera, Camera)
        camera = replace(camera, translation=camera.translation * scale)
        yield image, TrueView(truth.depth * np.float32(scale), camera, UNIT)
