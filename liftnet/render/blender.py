"""Blender as a second renderer, and as the reader of FBX files, in a process and an environment of its own.

PyPI's bpy needs numpy below 2 and one version of Python, so it cannot live beside liftnet. Its results are checked
when they come back.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from liftnet.core.errors import LiftnetError
from liftnet.core.files import read_json, write_json, writing_error
from liftnet.core.opening import read_text
from liftnet.core.programs import find_program
from liftnet.core.stored_arrays import read_arrays
from liftnet.core.types import FloatArray, UInt8Array
from liftnet.data.truth import TrueView
from liftnet.mesh.mesh import TriangleMesh
from liftnet.render.ray_caster import develop
from liftnet.render.viewpoints import Illumination, OrthographicView

UNIT = "half width"
SAMPLES = 16
OWN_PYTHON = ".venv-blender/bin/python"
SECONDS = 1200.0  # for all views of a shape
MARGIN = 0.5  # units of length between Blender's camera and the nearest point
SCRIPT = Path(__file__).with_name("blender_script.py")
HOW_TO_GET_IT = (
    "Run `make blender`, which puts bpy into .venv-blender, or name the python that has bpy, or the blender program, "
    "in render.views.blender; or set render.orthographic.renderer to builtin"
)
_LONGEST_WORDS = 600  # characters


class BlenderError(LiftnetError):
    """Blender ran, and failed or gave something unusable."""


def find_blender(stated: str = "") -> list[str]:
    """The command that runs a script in Blender.

    Args:
        stated: The python that has bpy, or the blender program; empty looks for `.venv-blender` in the project's
            folder (not in the one a command runs in, which may hold files of others), then for `blender` on PATH.

    Raises:
        LiftnetError: There is none; says how to get it.
    """
    project = Path(__file__).resolve().parents[2]
    candidates = [stated] if stated else [str(project / OWN_PYTHON), "blender"]
    for candidate in candidates:
        path = find_program(candidate)
        if path is None:
            continue
        if Path(path).name.startswith("blender"):
            options = ("--background", "--factory-startup", "--python-exit-code", "3", "--python", str(SCRIPT), "--")
            return [path, *options]
        return [path, "-I", str(SCRIPT)]
    raise LiftnetError(stated or "Blender", "was not found or may not be run", HOW_TO_GET_IT)


def render_views(
    mesh: TriangleMesh,
    views: Sequence[OrthographicView],
    material: str,
    blender: str = "",
    samples: int = SAMPLES,
    seconds: float = SECONDS,
) -> list[tuple[UInt8Array, TrueView]]:
    """Render orthographic views with Cycles on one thread.

    Depth and mask are those of one ray through the centre of each pixel, as the ray caster's are; the picture's edges
    are filtered over `samples` paths a pixel.

    Args:
        mesh: As `liftnet.render.viewpoints.fit_frame` gives it.
        views: The views; their light becomes an environment image.
        material: A name in `liftnet.render.materials.MATERIALS`, or "paint" for the mesh's own colours.
        blender: The python that has bpy, or the blender program; see `find_blender`.
        samples: Paths a pixel.
        seconds: After which Blender is stopped.

    Returns:
        For each view the (H, W, 3) uint8 RGB image, and the depth and camera.

    Raises:
        BlenderError: Blender failed, took too long, or what it wrote does not fit.
        LiftnetError: There is no Blender.
    """
    if not views:
        return []
    command = find_blender(blender)
    placed = [_placed(mesh, view) for view in views]
    job = {"task": "render", "material": material, "seed": views[0].seed, "samples": samples, "views": placed}
    with tempfile.TemporaryDirectory(prefix="liftnet-blender-") as name:
        folder = Path(name)
        _save(
            folder / "environments.npz", environments=np.stack([environment(view.light, view.seed) for view in views])
        )
        colours = {} if mesh.colours is None else {"colours": mesh.colours.astype(np.float32)}
        arrays = {"vertices": mesh.vertices.astype(np.float32), "normals": mesh.known_normals.astype(np.float32)}
        _save(folder / "mesh.npz", faces=mesh.faces.astype(np.int32), **arrays, **colours)
        _run(command, folder, job, seconds)
        return [_result(folder, number, view, placed[number]["back"]) for number, view in enumerate(views)]


def read_fbx(path: Path, blender: str = "", seconds: float = SECONDS) -> TriangleMesh:
    """The triangles of an FBX file, z up, for `liftnet.mesh.reading` to check.

    Args:
        path: The file.
        blender: The python that has bpy, or the blender program; see `find_blender`.
        seconds: After which Blender is stopped.

    Raises:
        BlenderError: The file cannot be read.
        LiftnetError: There is no Blender.
    """
    command = find_blender(blender)
    with tempfile.TemporaryDirectory(prefix="liftnet-blender-") as name:
        folder = Path(name)
        _run(command, folder, {"task": "import", "file": str(Path(path).absolute())}, seconds)
        data = _load(folder / "mesh.npz", {"vertices": np.float32, "faces": np.int32})
    vertices, faces = data["vertices"], data["faces"]
    if vertices.ndim != 2 or faces.ndim != 2 or (vertices.shape[1], faces.shape[1]) != (3, 3):
        raise BlenderError(path, "was read by Blender as something that is no mesh")
    return TriangleMesh(vertices, faces, up="z")


def _placed(mesh: TriangleMesh, view: OrthographicView) -> dict[str, Any]:
    """A view as Blender wants it: x right, y up, looking along -z, the axis through the middle of the image.

    Blender's camera is moved back by `back`, which its depths are greater by, so that it keeps away from the mesh.
    What lies behind the plane of the given camera is cut off, as it is by rays that begin there.
    """
    camera = view.camera
    _, depth = camera.project(mesh.vertices.astype(np.float64))
    back = max(MARGIN - float(depth.min()), 0.0)
    middle = (np.array([view.width, view.height]) - 1) / 2
    origin = camera.unproject(middle[None], np.array([-back]))[0]
    matrix = np.eye(4)
    matrix[:3, :3] = (camera.rotation * np.array([[1], [-1], [-1]])).T
    matrix[:3, 3] = origin
    return {
        **{"width": view.width, "height": view.height, "matrix": matrix.tolist(), "back": back},
        "ortho_scale": view.width / camera.scale,
        "clip_end": float(depth.max()) + back + 1.0,
        "seed": view.seed % (1 << 31),
    }


def _run(command: list[str], folder: Path, job: dict[str, Any], seconds: float) -> None:
    write_json(folder / "job.json", job)
    words = folder / "words.txt"
    try:
        with open(words, "wb") as file:
            status = subprocess.run(
                [*command, str(folder / "job.json")],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                timeout=seconds,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise BlenderError("Blender", f"was stopped after {seconds:g} seconds") from error
    except OSError as error:
        raise LiftnetError(command[0], f"cannot be run ({error.strerror})", HOW_TO_GET_IT) from error
    said = read_text(words, errors="replace").strip()[-_LONGEST_WORDS:]
    if "No module named 'bpy'" in said:
        raise LiftnetError(command[0], "has no bpy", HOW_TO_GET_IT)
    if status or not (folder / "done.json").is_file():
        raise BlenderError("Blender", f"ended with exit status {status} before it was done", f"It said: {said}")
    read_json(folder / "done.json")


def _result(folder: Path, number: int, view: OrthographicView, back: float) -> tuple[UInt8Array, TrueView]:
    shape = (view.height, view.width)
    path = folder / f"view_{number:03d}.npz"
    data = _load(path, {"rgba": np.float32, "depth": np.float32, "mask": np.bool_})
    rgba, mask = data["rgba"], data["mask"]
    if rgba.shape != (*shape, 4) or data["depth"].shape != shape or mask.shape != shape:
        raise BlenderError(path.name, f"has another size than {view.width} x {view.height} px")
    if not np.isfinite(rgba).all() or not np.isfinite(data["depth"][mask]).all():
        raise BlenderError(path.name, "holds numbers that are not finite")
    share = (np.arange(view.height)[:, None, None] + 0.5) / view.height
    backdrop = view.backdrop[0] * (1 - share) + view.backdrop[1] * share
    linear = np.maximum(rgba[..., :3], 0) + backdrop * (1 - np.clip(rgba[..., 3:], 0, 1))
    image = develop(linear.astype(np.float32), mask.ravel(), np.random.default_rng(view.seed))
    depth = np.where(mask, data["depth"] - np.float32(back), np.nan).astype(np.float32)
    return image, TrueView(depth, view.camera, UNIT)


def _save(path: Path, **arrays: npt.NDArray[Any]) -> None:
    try:
        np.savez(path, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise writing_error(path, error) from error


def _load(path: Path, types: dict[str, type]) -> dict[str, npt.NDArray[Any]]:
    """The named arrays of a file that Blender wrote, of the given types."""
    try:
        arrays = read_arrays(path, tuple(types))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise BlenderError(path.name, f"is missing from what Blender wrote, or damaged ({error})") from error
    for name, kind in types.items():
        if arrays[name].dtype != kind:
            raise BlenderError(path.name, f"holds {name} as {arrays[name].dtype}")
    return arrays


HEIGHT = 96  # px of an environment image; it is twice as wide
NARROWEST = 0.06  # radians, about two pixels: a smaller light would fall between them
PANELS = 3


def directions(height: int = HEIGHT) -> FloatArray:
    """(H, 2 H, 3) unit direction at the centre of each pixel, top row first.

    The projection is that of Cycles: +x lies in the middle of the picture, -y a quarter of its width to the right.
    """
    up = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    around = np.pi * (2 * (np.arange(2 * height) + 0.5) / (2 * height) - 1)
    level = np.cos(up)[:, None]
    x, y = np.cos(around) * level, -np.sin(around) * level
    return np.stack([x, y, np.broadcast_to(np.sin(up)[:, None], x.shape)], -1)


def environment(light: Illumination, seed: int, height: int = HEIGHT) -> FloatArray:
    """The surrounding of a view as a linear picture: key light, brighter above than below, a few bright panels.

    A white surface that faces the key light gives back its colour, and one in the open the ambient light, as in
    `liftnet.render.ray_caster`: the key light's irradiance is pi times its colour.

    Args:
        light: The view's light.
        seed: Of the panels.
        height: Of the picture; it is twice as wide.

    Returns:
        (H, 2 H, 3) float32 radiance, top row first.
    """
    rng = np.random.default_rng(seed)
    ways = directions(height)
    solid = np.cos(np.arcsin(ways[..., 2])) * (np.pi / height) ** 2
    radiance = (0.62 + 0.57 * ways[..., 2:]) * light.ambient
    for _ in range(PANELS):
        middle = rng.normal(size=3) * [1, 1, 0.6]
        middle /= np.linalg.norm(middle)
        panel = (ways @ middle > np.cos(rng.uniform(0.15, 0.45)))[..., None]
        radiance = np.where(panel, radiance * rng.uniform(1.2, 2.2), radiance)
    spread = max(light.spread, NARROWEST)
    lobe = np.exp((ways @ light.direction - 1) / spread**2)
    lobe *= np.pi / (lobe * np.maximum(ways @ light.direction, 0) * solid).sum()
    return (np.maximum(radiance, 0) + lobe[..., None] * light.colour).astype(np.float32)
