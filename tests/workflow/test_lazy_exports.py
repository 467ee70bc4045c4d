"""Packages export names that are loaded when first used: all of them exist, and importing a package stays light."""

import ast
import importlib
import subprocess
import sys

import pytest
from imports_of import LIBRARY, name_of

STUBS = sorted(LIBRARY.rglob("__init__.pyi"))
HEAVY = ("torch", "numba", "cv2", "scipy", "pandas", "trimesh", "sklearn", "skimage", "matplotlib")


@pytest.mark.parametrize("stub", STUBS, ids=name_of)
def test_every_exported_name_is_there_and_stated_once(stub):
    package = importlib.import_module(name_of(stub))
    tree = ast.parse(stub.read_text())
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (stated,) = (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert sorted(imported) == sorted(stated) == sorted(set(stated)) == sorted(package.__all__)
    for name in imported:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="missing"):
        _ = package.missing


PUBLIC = {  # others build on these
    "liftnet.geometry": ("estimate_affine_fundamental", "estimate_affine_homography"),
    "liftnet.match": ("match_descriptors",),
    "liftnet.depth": ("correspondence_loss",),
    "liftnet.rasteriser": ("render_soft",),
    "liftnet.drkfs": ("DRKFS",),
    "liftnet.shard": ("read_pairs",),
}


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_stay(package):
    assert all(callable(getattr(importlib.import_module(package), name)) for name in PUBLIC[package])


def test_importing_every_package_loads_nothing_heavy():
    packages = ["liftnet", *map(name_of, STUBS)]
    code = f"import sys, {', '.join(packages)}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
