"""Blender as a second renderer: it agrees with the ray caster, and what goes wrong is said plainly."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.geometry.cameras import OrthographicCamera
from liftnet.render import blender
from liftnet.render.blender import BlenderError, directions, environment, find_blender, read_fbx, render_views
from liftnet.render.classes import make_shape
from liftnet.render.classes.model import Model, ball
from liftnet.render.materials import MATERIALS, paint
from liftnet.render.ray_caster import make_subject, render_view
from liftnet.render.shapes import read_solid
from liftnet.render.viewpoints import Illumination, fit_frame, shapenet_views


@pytest.fixture(scope="module")
def program():
    """Blender, where there is one."""
    stated = os.environ.get("LIFTNET_BLENDER", "")
    try:
        find_blender(stated)
    except LiftnetError as error:
        pytest.skip(str(error))
    return stated


@pytest.fixture(scope="module")
def chair():
    return fit_frame(make_shape("chair", 3))


@pytest.fixture(scope="module")
def views(chair):
    """Two views: one of the protocol; one wide, off centre, rolled, of another scale, its plane through the chair."""
    first, second = shapenet_views(chair, 96, True, 5)[:2]
    c, s = np.cos(0.4), np.sin(0.4)
    roll = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    old = second.camera
    camera = OrthographicCamera(
        33.7, np.array([50.3, 20.6]), roll @ old.rotation, roll @ old.translation - [0, 0, 2.5]
    )
    return [first, replace(second, camera=camera, width=90, height=64)]


@pytest.fixture(scope="module")
def rendered(program, chair, views):
    return render_views(chair, views, "paint", program, samples=4)


@pytest.mark.parametrize("number", [0, 1])
def test_depth_and_silhouette_are_those_of_the_ray_caster(chair, views, rendered, number):
    view, (image, truth) = views[number], rendered[number]
    _, expected = render_view(make_subject(chair, paint(np.random.default_rng(0))), view)
    assert image.shape == (view.height, view.width, 3)
    assert image.dtype == np.uint8
    assert truth.camera is view.camera
    assert expected.mask.sum() > 300
    assert (truth.mask ^ expected.mask).sum() <= 0.003 * expected.mask.sum()
    both = truth.mask & expected.mask
    assert np.quantile(np.abs(truth.depth - expected.depth)[both], 0.995) < 1e-4


def test_the_two_renderers_agree_within_a_hundredth_of_a_pixel(program):
    """On a sphere, whose depth is known: the shift between the renderers by least squares on the depth's slope."""
    mesh = _sphere()
    view = shapenet_views(mesh, 64, False, 1)[0]
    truth = render_views(mesh, [view], "paint", program, samples=1)[0][1]
    expected = render_view(make_subject(mesh, paint(np.random.default_rng(0))), view)[1]
    down, right = np.gradient(expected.depth)
    usable = np.isfinite(right + down + truth.depth + expected.depth)
    slopes = np.stack([right[usable], down[usable]], 1)
    shift = np.linalg.lstsq(slopes, (truth.depth - expected.depth)[usable], rcond=None)[0]
    assert np.abs(shift).max() < 0.01
    assert (truth.mask ^ expected.mask).sum() <= 2


def test_the_picture_lies_where_its_depth_does(program):
    """The filtered picture of a sphere before a glaring backdrop has its middle where the camera puts it."""
    mesh = _sphere()
    view = replace(shapenet_views(mesh, 64, False, 1)[0], backdrop=np.full((2, 3), 50.0))
    image, _ = render_views(mesh, [view], "paint", program, samples=32)[0]
    dark = np.argwhere(image.min(2) < 250)[:, ::-1]
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0))[None] / 2
    assert np.abs(dark.mean(0) - view.camera.project(middle)[0][0]).max() < 0.1


def test_image_lighting_comes_from_where_the_light_is(program):
    """A sphere is brightest towards the key light, in every view of one process."""
    mesh = _sphere()
    views = shapenet_views(mesh, 48, False, 2)
    lights = [towards for view in views if (towards := view.light.direction) @ -view.camera.rotation[2] > 0.5]
    views = [view for view in views if view.light.direction @ -view.camera.rotation[2] > 0.5][:2]
    assert len(views) == 2
    centre = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    for (image, truth), light in zip(render_views(mesh, views, "paint", program), lights, strict=False):
        rows = np.argwhere(truth.mask)
        normals = truth.camera.unproject(rows[:, ::-1].astype(float), truth.depth[truth.mask]) - centre
        brightness = image[truth.mask].mean(1)
        brightest = normals[brightness >= np.quantile(brightness, 0.93)].mean(0)
        assert brightest @ light / np.linalg.norm(brightest) > 0.9


def test_the_same_views_give_the_same_bytes(program, chair, views, rendered):
    again = render_views(chair, views, "paint", program, samples=4)
    for (image, truth), (image2, truth2) in zip(rendered, again, strict=True):
        assert np.array_equal(image, image2)
        assert np.array_equal(truth.depth, truth2.depth, equal_nan=True)


def test_every_material_of_the_sculptures_exists_in_blender():
    text = blender.SCRIPT.read_text()
    for name in (*MATERIALS, "paint"):
        assert f"def {name}(rng" in text


def test_no_views_need_no_blender(chair):
    assert render_views(chair, [], "paint", "/nowhere") == []


CUBE = """; FBX 7.4.0 project file
FBXHeaderExtension:  {
    FBXVersion: 7400
}
GlobalSettings:  {
    Version: 1000
    Properties70:  {
        P: "UpAxis", "int", "Integer", "",1
        P: "UpAxisSign", "int", "Integer", "",1
        P: "FrontAxis", "int", "Integer", "",2
        P: "FrontAxisSign", "int", "Integer", "",1
        P: "CoordAxis", "int", "Integer", "",0
        P: "CoordAxisSign", "int", "Integer", "",1
        P: "UnitScaleFactor", "double", "Number", "",100
    }
}
Objects:  {
    Geometry: 1, "Geometry::wedge", "Mesh" {
        Vertices: *18 {
            a: 0,0,0,2,0,0,2,0,1,0,0,1,0,3,0,0,3,1
        }
        PolygonVertexIndex: *18 {
            a: 0,1,2,-4,0,4,-2,1,4,5,-3,2,5,-4,3,5,4,-1
        }
        GeometryVersion: 124
    }
    Model: 2, "Model::wedge", "Mesh" {
        Version: 232
    }
}
Connections:  {
    C: "OO",2,0
    C: "OO",1,2
}
"""


def test_an_fbx_file_becomes_triangles_with_z_up(program, tmp_path):
    (tmp_path / "wedge.fbx").write_text(CUBE)
    mesh = read_fbx(tmp_path / "wedge.fbx", program)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([2, 1, 3], abs=1e-4)
    assert len(mesh.faces) == 8
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    assert np.einsum("ij,ij->", np.cross(a, b), c) / 6 == pytest.approx(3, rel=1e-4)
    solid = read_solid(tmp_path / "wedge.fbx", "y", program)  # the file says itself what is up
    assert solid.watertight
    assert np.ptp(solid.mesh.vertices, axis=0) == pytest.approx(np.array([2, 1, 3]) / 3, abs=1e-4)
    assert np.allclose(np.linalg.norm(solid.mesh.known_normals, axis=1), 1, atol=1e-5)


def test_a_broken_fbx_file_is_an_error_that_says_so(program, tmp_path):
    (tmp_path / "broken.fbx").write_bytes(b"Kaydara FBX Binary  \x00\x1a\x00 and then nothing")
    with pytest.raises(BlenderError):
        read_fbx(tmp_path / "broken.fbx", program)


# Without Blender


def test_without_blender_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(blender, "OWN_PYTHON", "no-such-folder/bin/python")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LiftnetError, match="make blender"):
        find_blender()
    with pytest.raises(LiftnetError, match=r"/nowhere/blender.*make blender"):
        find_blender("/nowhere/blender")


@pytest.mark.parametrize("path", ["", ".", ".venv-blender/bin"])
def test_nothing_runs_out_of_the_working_folder(tmp_path, monkeypatch, path):
    """What a foreign archive unpacked there is data, whatever it is called."""
    for name in (".venv-blender/bin/python", ".venv-blender/bin/blender", "blender"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\ntouch ran\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(blender, "__file__", str(tmp_path / "far" / "liftnet" / "render" / "blender.py"))
    with pytest.raises(LiftnetError, match="make blender"):
        find_blender()


def test_a_python_without_bpy_is_named(chair, views):
    with pytest.raises(LiftnetError, match=r"has no bpy.*make blender"):
        render_views(chair, views, "paint", sys.executable)


def test_the_program_and_the_python_are_called_differently(tmp_path):
    for name in ("blender-5.0", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert "--python" in find_blender(str(tmp_path / "blender-5.0"))
    assert find_blender(str(tmp_path / "python3"))[1:] == ["-I", str(blender.SCRIPT)]


def stand_in(tmp_path, body):
    """A program in Blender's place that writes what `body` says for the job's first view."""
    path = tmp_path / "python-stand-in"
    start = f"#!{sys.executable}\nimport json, sys, time\nfrom pathlib import Path\nimport numpy as np\n"
    start += "folder = Path(sys.argv[-1]).parent\nview = json.loads(Path(sys.argv[-1]).read_text())['views'][0]\n"
    start += "h, w = view['height'], view['width']\n"
    start += "good = {'rgba': np.ones((h, w, 4), 'f'), 'depth': np.ones((h, w), 'f'), 'mask': np.ones((h, w), bool)}\n"
    start += "def write(**other):\n    np.savez(folder / 'view_000.npz', **good | other)\n"
    path.write_text(start + body + "\n(folder / 'done.json').write_text('{}')\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("print('out of memory'); sys.exit(9)", r"exit status 9.*out of memory"),
        ("sys.exit(0)", "before it was done"),
        ("pass", "missing from what Blender wrote"),
        ("(folder / 'view_000.npz').write_bytes(b'PK rubbish')", "damaged"),
        ("write(rgba=np.ones((h, w + 1, 4), 'f'))", "another size"),
        ("write(depth=np.full((h, w), np.nan, 'f'))", "not finite"),
        ("write(depth=np.ones((h, w), int))", "holds depth as int64"),
        ("time.sleep(60)", "stopped after"),
    ],
)
def test_what_blender_writes_is_not_trusted(chair, views, tmp_path, body, reason):
    with pytest.raises(BlenderError, match=reason):
        render_views(chair, views[:1], "paint", stand_in(tmp_path, body), seconds=2 if "sleep" in body else 60)


def test_what_fits_is_taken(chair, views, tmp_path):
    ((_, truth),) = render_views(chair, views[:1], "paint", stand_in(tmp_path, "write()"))
    assert truth.mask.all()
    assert np.allclose(truth.depth, 1)


def test_an_environment_lights_a_surface_as_the_photographs_do():
    light = Illumination(np.array([0.6, 0.0, 0.8]), np.array([1.1, 1.0, 0.9]), np.array([0.3, 0.3, 0.35]), 0.05)
    picture, ways = environment(light, 3), directions()
    height = len(picture)
    solid = np.cos(np.arcsin(ways[..., 2])) * (np.pi / height) ** 2
    assert solid.sum() == pytest.approx(4 * np.pi, rel=1e-3)
    facing = np.maximum(ways @ light.direction, 0) * solid / np.pi
    received = (picture * facing[..., None]).sum((0, 1))
    assert (received > light.colour + 0.6 * light.ambient).all()
    assert (received < light.colour + 2.0 * light.ambient).all()
    brightest = ways.reshape(-1, 3)[picture[..., 1].argmax()]
    assert brightest @ light.direction > 0.998


def _sphere():
    model = Model()
    model.add((0.5, 0.5, 0.5), ball((0, 0, 0), 1.0, 64))
    return fit_frame(model.mesh())
