"""Runs inside Blender: renders views of a mesh with Cycles, or reads an FBX file. Takes the path of a job file.

It imports bpy, numpy and the standard library alone, since Blender's Python has nothing else. Everything goes in and
out by files beside the job file: `job.json`, `mesh.npz`, `environments.npz`; `view_000.npz` or `mesh.npz` as result.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix  # comes with bpy

PINHOLE = 0.01  # px, the narrowest filter Cycles has: a ray through the pixel's centre
NAME = "subject"
SKY_MAP = 256  # px, a little finer than the environment images


def main(path: Path) -> None:
    """Do the job that the file describes."""
    job = json.loads(path.read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if job["task"] == "import":
        read_fbx(Path(job["file"]), path.parent / "mesh.npz")
    else:
        render(job, path.parent)
    (path.parent / "done.json").write_text(json.dumps({"blender": bpy.app.version_string}))


def render(job: dict[str, Any], folder: Path) -> None:
    """Render every view twice: its picture, and its depth by one ray through the centre of each pixel."""
    scene = bpy.context.scene
    subject = add_mesh(folder / "mesh.npz")
    subject.data.materials.append(MATERIALS[job["material"]](np.random.default_rng(job["seed"])))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.sensor_fit = "ORTHO", "HORIZONTAL"
    scene.collection.objects.link(camera)
    scene.camera = camera
    environments = np.load(folder / "environments.npz", allow_pickle=False)["environments"]
    sky = add_environment(scene)
    set_up(scene, job["samples"])
    pictures = []
    for number, view in enumerate(job["views"]):
        aim(scene, camera, view)
        surround(sky, environments[number])
        scene.cycles.seed = view["seed"]
        pictures.append(picture(scene, folder / "part.exr"))
    set_up_depth(scene)
    for number, view in enumerate(job["views"]):
        aim(scene, camera, view)
        depth = picture(scene, folder / "part.exr")
        path = folder / f"view_{number:03d}.npz"
        np.savez(path, rgba=pictures[number], depth=depth[..., 0], mask=depth[..., 3] > 0.5)


def add_mesh(path: Path) -> Any:
    """The mesh with its own normals, and its colours where it has them."""
    data = np.load(path, allow_pickle=False)
    vertices, faces = data["vertices"], data["faces"]
    mesh = bpy.data.meshes.new(NAME)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.normals_split_custom_set_from_vertices(data["normals"])
    if "colours" in data:
        colours = np.concatenate([data["colours"], np.ones((len(vertices), 1), np.float32)], 1)
        layer = mesh.color_attributes.new("colours", "FLOAT_COLOR", "POINT")
        layer.data.foreach_set("color", colours.ravel())
    subject = bpy.data.objects.new(NAME, mesh)
    bpy.context.scene.collection.objects.link(subject)
    return subject


def add_environment(scene: Any) -> Any:
    """A world lit by an equirectangular image; returns the node that holds the image."""
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.cycles.sampling_method = "MANUAL"  # automatic, Cycles draws a map of its own that costs a second a view
    world.cycles.sample_map_resolution = SKY_MAP
    world.use_nodes = True
    nodes = world.node_tree.nodes
    nodes.clear()
    texture = nodes.new("ShaderNodeTexEnvironment")
    background = nodes.new("ShaderNodeBackground")
    output = nodes.new("ShaderNodeOutputWorld")
    world.node_tree.links.new(texture.outputs["Color"], background.inputs["Color"])
    world.node_tree.links.new(background.outputs["Background"], output.inputs["Surface"])
    return texture


def surround(texture: Any, rows: np.ndarray) -> None:
    """Light the scene by (H, W, 3) linear colours, top row first. Cycles does not see changes within an image."""
    former = texture.image
    image = bpy.data.images.new("sky", rows.shape[1], rows.shape[0], float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], 2)[::-1]
    image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
    texture.image = image
    if former is not None:
        bpy.data.images.remove(former)


def set_up(scene: Any, samples: int) -> None:
    """Cycles on one thread of the CPU, nothing adaptive, nothing that smooths or tones."""
    settings = scene.render
    settings.engine = "CYCLES"
    settings.threads_mode, settings.threads = "FIXED", 1
    settings.use_persistent_data = True
    settings.film_transparent = True
    settings.use_compositing = settings.use_sequencer = False
    settings.dither_intensity = 0.0
    settings.resolution_percentage = 100
    settings.pixel_aspect_x = settings.pixel_aspect_y = 1.0
    settings.image_settings.file_format = "OPEN_EXR"
    settings.image_settings.color_mode, settings.image_settings.color_depth = "RGBA", "32"
    cycles = scene.cycles
    cycles.device, cycles.samples = "CPU", samples
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 3
    cycles.caustics_reflective = cycles.caustics_refractive = False


def set_up_depth(scene: Any) -> None:
    """One ray through each pixel's centre, which brings back the distance along the optical axis."""
    material = bpy.data.materials.new("depth")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    distance = tree.nodes.new("ShaderNodeCameraData").outputs["View Z Depth"]
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(distance, emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    bpy.data.objects[NAME].data.materials[0] = material
    scene.world = None
    scene.cycles.samples, scene.cycles.max_bounces = 1, 0
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", PINHOLE
    scene.cycles.sample_clamp_direct = scene.cycles.sample_clamp_indirect = 0.0


def aim(scene: Any, camera: Any, view: dict[str, Any]) -> None:
    """Put the camera where the view is taken from."""
    scene.render.resolution_x, scene.render.resolution_y = view["width"], view["height"]
    camera.matrix_world = Matrix(view["matrix"])
    camera.data.ortho_scale = view["ortho_scale"]
    camera.data.clip_start, camera.data.clip_end = view["back"], view["clip_end"]


def picture(scene: Any, path: Path) -> np.ndarray:
    """(H, W, 4) float32 linear colour and opacity of the view, top row first."""
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "CHANNEL_PACKED"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    path.unlink()
    return pixels.reshape(height, width, 4)[::-1]


# Materials


class Nodes:
    """The node tree of a material, from its principled shader backwards."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.shader = self.add("BsdfPrincipled")
        self.tree.links.new(self.shader.outputs[0], self.add("OutputMaterial").inputs["Surface"])
        self.place = self.add("TexCoord").outputs["Object"]

    def add(self, kind: str) -> Any:
        """A new node."""
        return self.tree.nodes.new(f"ShaderNode{kind}")

    def set(self, **values: Any) -> None:
        """Numbers or outputs of other nodes for inputs of the shader, their names in lower case."""
        for name, value in values.items():
            target = self.shader.inputs[name.replace("_", " ").title().replace("Ior", "IOR")]
            if isinstance(value, (int, float, tuple)):
                target.default_value = value
            else:
                self.tree.links.new(value, target)

    def noise(self, scale: float, detail: float = 6.0, rough: float = 0.6, stretch: tuple = (1, 1, 1)) -> Any:
        """Fractal noise, about 0 to 1, of `scale` waves a unit."""
        mapping, node = self.add("Mapping"), self.add("TexNoise")
        mapping.inputs["Scale"].default_value = stretch
        self.tree.links.new(self.place, mapping.inputs["Vector"])
        self.tree.links.new(mapping.outputs[0], node.inputs["Vector"])
        for name, value in (("Scale", scale), ("Detail", detail), ("Roughness", rough)):
            node.inputs[name].default_value = value
        return node.outputs[0]

    def cells(self, scale: float) -> Any:
        """Distance to the nearest of random points."""
        node = self.add("TexVoronoi")
        node.inputs["Scale"].default_value = scale
        self.tree.links.new(self.place, node.inputs["Vector"])
        return node.outputs["Distance"]

    def waves(self, scale: float, distortion: float, rings: bool) -> Any:
        """Bands, or rings about z, distorted by noise."""
        node = self.add("TexWave")
        node.wave_type = "RINGS" if rings else "BANDS"
        if rings:
            node.rings_direction = "Z"
        for name, value in (("Scale", scale), ("Distortion", distortion), ("Detail", 4.0)):
            node.inputs[name].default_value = value
        self.tree.links.new(self.place, node.inputs["Vector"])
        return node.outputs[0]

    def ramp(self, factor: Any, *stops: tuple[float, tuple[float, float, float]]) -> Any:
        """Colours by a factor: pairs of position and linear RGB."""
        node = self.add("ValToRGB")
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(1.0)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1.0)
        self.tree.links.new(factor, node.inputs["Factor" if "Factor" in node.inputs else "Fac"])
        return node.outputs["Color"]

    def bump(self, height: Any, depth: float) -> Any:
        """Normals of a relief of the given depth in units of length."""
        node = self.add("Bump")
        node.inputs["Strength"].default_value = 0.5
        node.inputs["Distance"].default_value = depth
        self.tree.links.new(height, node.inputs["Height"])
        return node.outputs["Normal"]


def tint(rng: np.random.Generator, colour: tuple[float, float, float], spread: float) -> tuple[float, float, float]:
    """`colour` (linear RGB), off by up to `spread` as a whole and a third of it in each channel."""
    red, green, blue = np.clip(
        np.array(colour) * (1 + rng.uniform(-spread, spread) + rng.uniform(-1, 1, 3) * spread / 3), 0.005, 0.95
    ).tolist()
    return red, green, blue


def marble(rng: np.random.Generator) -> Any:
    """White stone with grey veins, polished."""
    nodes = Nodes("marble")
    base, vein = tint(rng, (0.72, 0.70, 0.66), 0.08), tint(rng, (0.32, 0.31, 0.32), 0.2)
    veins = nodes.waves(rng.uniform(0.5, 1.2), rng.uniform(8, 18), False)
    nodes.set(
        base_color=nodes.ramp(veins, (0.0, vein), (rng.uniform(0.12, 0.3), base), (1.0, base)),
        roughness=float(rng.uniform(0.15, 0.4)),
        normal=nodes.bump(nodes.noise(40), 0.002),
    )
    return nodes.material


def granite(rng: np.random.Generator) -> Any:
    """Grains of grey, black and white."""
    nodes = Nodes("granite")
    base = tint(rng, (0.34, 0.32, 0.31), 0.2)
    grains = nodes.noise(rng.uniform(50, 80), 3.0, 0.8)
    stops = ((0.36, (0.04, 0.04, 0.04)), (0.44, base), (0.58, base), (0.66, (0.62, 0.6, 0.58)))
    nodes.set(base_color=nodes.ramp(grains, *stops), roughness=0.55, normal=nodes.bump(nodes.noise(30), 0.006))
    return nodes.material


def sandstone(rng: np.random.Generator) -> Any:
    """Layered, rough."""
    nodes = Nodes("sandstone")
    light, dark = tint(rng, (0.52, 0.40, 0.25), 0.12), tint(rng, (0.33, 0.22, 0.13), 0.12)
    layers = nodes.noise(3.0, 8.0, 0.7, (1, 1, 6))
    nodes.set(
        base_color=nodes.ramp(layers, (0.35, dark), (0.65, light)),
        roughness=0.95,
        normal=nodes.bump(nodes.noise(25, 8.0, 0.75), 0.02),
    )
    return nodes.material


def bronze(rng: np.random.Generator) -> Any:
    """Metal with a patina where the noise is high."""
    nodes = Nodes("bronze")
    metal, patina = tint(rng, (0.35, 0.20, 0.09), 0.2), tint(rng, (0.10, 0.22, 0.17), 0.3)
    spots = nodes.noise(rng.uniform(2, 5), 8.0, 0.65)
    edge = rng.uniform(0.5, 0.65)
    share = nodes.ramp(spots, (edge, (0.9, 0.9, 0.9)), (min(edge + 0.12, 1.0), (0.1, 0.1, 0.1)))
    nodes.set(
        base_color=nodes.ramp(spots, (edge, metal), (min(edge + 0.12, 1.0), patina)),
        metallic=share,
        roughness=float(rng.uniform(0.3, 0.5)),
        normal=nodes.bump(nodes.noise(12), 0.012),
    )
    return nodes.material


def plaster(rng: np.random.Generator) -> Any:
    """White, pitted, a little stained."""
    nodes = Nodes("plaster")
    base, stain = tint(rng, (0.74, 0.71, 0.64), 0.05), tint(rng, (0.48, 0.42, 0.32), 0.1)
    pits = nodes.cells(rng.uniform(14, 26))
    nodes.set(
        base_color=nodes.ramp(nodes.noise(3.0, 8.0, 0.7), (0.3, stain), (0.55, base)),
        roughness=0.9,
        normal=nodes.bump(pits, 0.01),
    )
    return nodes.material


def wood(rng: np.random.Generator) -> Any:
    """Rings about the height and fibres along it."""
    nodes = Nodes("wood")
    early, late = tint(rng, (0.42, 0.25, 0.13), 0.15), tint(rng, (0.17, 0.085, 0.04), 0.15)
    rings = nodes.waves(rng.uniform(4, 8), rng.uniform(2, 4), True)
    fibres = nodes.noise(30, 4.0, 0.7, (1, 1, 0.1))
    nodes.set(base_color=nodes.ramp(rings, (0.2, early), (0.9, late)), roughness=0.5, normal=nodes.bump(fibres, 0.006))
    return nodes.material


def terracotta(rng: np.random.Generator) -> Any:
    """Fired clay with the marks of fingers."""
    nodes = Nodes("terracotta")
    base, burnt = tint(rng, (0.50, 0.22, 0.12), 0.12), tint(rng, (0.25, 0.12, 0.08), 0.15)
    nodes.set(
        base_color=nodes.ramp(nodes.noise(2.5, 7.0, 0.7), (0.35, burnt), (0.6, base)),
        roughness=0.85,
        normal=nodes.bump(nodes.noise(8, 6.0, 0.7), 0.02),
    )
    return nodes.material


def paint(rng: np.random.Generator) -> Any:
    """The mesh's own colours, or one colour, smooth."""
    nodes = Nodes("paint")
    colour: Any = (*rng.uniform(0.08, 0.75, 3).tolist(), 1.0)
    if "colours" in bpy.data.meshes[NAME].color_attributes:
        node = nodes.add("VertexColor")
        node.layer_name = "colours"
        colour = node.outputs["Color"]
    nodes.set(base_color=colour, roughness=float(rng.uniform(0.35, 0.8)))
    return nodes.material


MATERIALS = {make.__name__: make for make in (marble, granite, sandstone, bronze, plaster, wood, terracotta, paint)}


# Reading


def read_fbx(source: Path, target: Path) -> None:
    """Write the triangles of all meshes of an FBX file, z up, as they stand in its scene."""
    bpy.ops.wm.fbx_import(filepath=str(source))
    graph = bpy.context.evaluated_depsgraph_get()
    vertices: list[np.ndarray] = [np.zeros((0, 3), np.float32)]
    faces: list[np.ndarray] = [np.zeros((0, 3), np.int32)]
    count = 0
    for item in bpy.context.scene.objects:
        if item.type != "MESH":
            continue
        mesh = item.evaluated_get(graph).to_mesh()
        mesh.calc_loop_triangles()
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        place = np.array(item.matrix_world)
        vertices.append((points.reshape(-1, 3) @ place[:3, :3].T + place[:3, 3]).astype(np.float32))
        faces.append(corners.reshape(-1, 3) + count)
        count += len(mesh.vertices)
    np.savez(target, vertices=np.concatenate(vertices), faces=np.concatenate(faces))


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
