"""The floors of the library (docs/architecture.md), read from its imports and settings: nobody reaches upwards."""

import ast
import re
import sys
from collections.abc import Iterable

import pytest
from imports_of import LIBRARY, Import, all_imports, circles, imports_in, sources

from liftnet.config import Config
from liftnet.core.settings import Settings, group_of

ROOT = LIBRARY.parent
STAGES = {"render", "collect", "segment", "match", "verify", "shard", "depth", "drkfs", "reconstruct", "report"}
BELOW_STAGES = {"core", "geometry", "data", "mesh", "rasteriser", "learn", "models", "shape"}
# What each package may import of the others; a package that is not named here fails.
KNOWS = {
    "core": set(),
    "geometry": {"core"},
    "data": {"core", "geometry"},
    "mesh": {"core", "geometry"},
    "rasteriser": {"core", "geometry", "mesh"},
    "learn": {"core", "data"},
    "models": {"core", "data", "mesh"},
    "shape": BELOW_STAGES - {"shape"},
    **dict.fromkeys(STAGES, BELOW_STAGES),
    "experiments": BELOW_STAGES | STAGES,
    "api": BELOW_STAGES | STAGES,
    "workflow": {"core", "data"},
    "launch": {"core", "data", "workflow"},
}
FORBIDDEN_NAMES = {"run", "state", "parts", "facts", "rows", "work", "tried", "cut", "knobs", "received"}
LIGHT = {
    "liftnet.core",
    *(f"liftnet.core.{name}" for name in ("documents", "errors", "limits", "log", "opening", "programs", "text")),
    "liftnet.core.files",
    "liftnet.core.walking",
}  # what plans a run
LIGHT |= {"liftnet.data", *(f"liftnet.data.{name}" for name in ("folders", "layouts", "listed_files", "locations"))}
LIGHT |= {
    "liftnet.data.csv_lines",
    "liftnet.data.mask_folders",
    "liftnet.data.mask_names",
    "liftnet.data.picture_formats",
}
DRKFS_LIBRARY = {"DRKFS", "MetricSettings", "Target"}  # what stages may use of drkfs, from the package itself
METRIC_KNOWS = {"core", "geometry", "mesh", "rasteriser", "models", "drkfs"}


def pairs_of(found: Iterable[Import]) -> set[str]:
    return {f"{one.importer} imports {one.module}" for one in found}


def package_of(module: str) -> str:
    """The package of a module of the library, "" for those at its top."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (LIBRARY / parts[1]).is_dir() else ""


def may_import(found: Import) -> bool:
    """Whether the floors allow an import of one package of the library in another."""
    importer, imported = package_of(found.importer), package_of(found.module)
    if importer in ("", imported) or imported in KNOWS[importer]:
        return True
    if found.module == "liftnet":
        return found.names == ("__version__",)
    return found.module == "liftnet.drkfs" and found.names != () and set(found.names) <= DRKFS_LIBRARY


def within_library() -> list[Import]:
    """The imports of the library from itself."""
    return [found for found in all_imports() if found.module.partition(".")[0] == "liftnet"]


def test_every_package_has_a_floor():
    packages = {path.name for path in LIBRARY.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert packages == set(KNOWS)


def test_a_package_knows_only_what_lies_below():
    forbidden = pairs_of(found for found in within_library() if not may_import(found))
    assert sorted(forbidden) == []


def test_the_metric_of_drkfs_is_a_library_without_the_stage():
    seen, waiting = set(), ["liftnet.drkfs.metric"]
    edges = [(found.importer, found.module) for found in within_library()]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting += [to for one, to in edges if one == module and package_of(to) == "drkfs" and to not in seen]
    seen -= {"liftnet.drkfs.settings"}  # it declares the stage's settings too, and runs nothing
    reached = {f"{one} imports {to}" for one, to in edges if one in seen and package_of(to) not in METRIC_KNOWS}
    assert sorted(reached) == []


def test_what_the_snakefile_needs_is_light():
    """The Snakefile plans a run where only Snakemake is installed, which brings yaml and jsonschema.

    What a module below imports in a function is not asked for there, or can be missing.
    """
    reached, waiting = set(), [module for module in sources() if package_of(module) == "workflow"]
    outside = set()
    while waiting:
        module = waiting.pop()
        reached.add(module)
        for found in all_imports():
            if found.importer != module or not (found.at_load or package_of(module) == "workflow"):
                continue
            top = found.module.partition(".")[0]
            if top != "liftnet":
                outside.add(top)
            elif found.module not in reached:
                waiting.append(found.module)
    assert {module for module in reached if package_of(module) not in ("", "workflow")} <= LIGHT
    assert {name for name in outside if name not in ("yaml", "jsonschema")} <= set(sys.stdlib_module_names)


def test_no_module_imports_itself_in_a_circle_not_even_for_its_types():
    edges: dict[str, set[str]] = {module: set() for module in sources()}
    for found in within_library():
        if found.module != found.importer:
            edges[found.importer].add(found.module)
    assert circles(edges) == []


def test_the_library_never_imports_snakemake():
    assert {found.importer for found in all_imports() if found.module.partition(".")[0] == "snakemake"} == set()


def test_a_module_says_what_it_holds():
    misnamed = {module for module in sources() if module.rpartition(".")[2] in FORBIDDEN_NAMES}
    assert sorted(misnamed) == []


def groups(settings: type[Settings]) -> list[type[Settings]]:
    inner = [group_of(field) for field in settings.model_fields.values()]
    return [settings, *(below for group in inner if group for below in groups(group))]


@pytest.mark.parametrize("group", groups(Config), ids=lambda group: group.__name__)
def test_every_setting_has_a_description(group):
    assert [name for name, field in group.model_fields.items() if not (field.description or "").strip()] == []


GROUPS = [set(group.model_fields) for group in groups(Config)[1:]]  # but the sections, which are named like stages


def lists_of_settings(text: str) -> list[list[str]]:
    """Lists, tuples and sets of a source text that hold two or more settings of one group and nothing else."""
    tree = ast.parse(text)
    types = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}  # as in Literal["a", "b"]
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple | ast.Set)]
    found = []
    for node in nodes:
        names = [element.value for element in node.elts if isinstance(element, ast.Constant)]
        if len(names) == len(node.elts) and len(set(names)) > 1 and id(node) not in types:
            found.append(names)
    return [names for names in found if any(set(names) <= group for group in GROUPS)]


def test_settings_are_named_where_they_are_declared_and_in_no_list_besides():
    texts = {module: paths[0].read_text() for module, paths in sources().items()}
    found = {module: lists_of_settings(text) for module, text in texts.items()}
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.smk")), ids=lambda path: path.name)
def test_rules_name_groups_of_settings_and_no_single_ones(path):
    text = path.read_text()
    found = re.findall(r"^\w+ = \(\s*((?:\"\w+\",?\s*){2,})", text, re.MULTILINE)
    lists = [re.findall(r"\"(\w+)\"", names) for names in found]
    assert [names for names in lists if any(len(set(names) & group) > 1 for group in GROUPS)] == []
    assert not re.search(r"for \w+ in config\[", text), "names of settings by leaving some out"


# The checks themselves, on sources made for them.


def test_imports_are_found_wherever_they_stand():
    text = """
import house.a.b
from house.a import b, Thing as Other
from . import c
from .d import (e, f)
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from house.types import Shape
try:
    import numpy
except ImportError:
    import math
class Holder:
    import json
    def method(self):
        from house.late import late
def function():
    with open("x"):
        import torch
"""
    known = {"house.a.b", "house.a", "house.x.c", "house.x.d"}
    found = list(imports_in(text, "house.x.y", dict.fromkeys(known)))
    assert {(one.module, one.names, one.at_load) for one in found} == {
        ("house.a.b", (), True),
        ("house.a", ("Thing",), True),
        ("house.x.c", (), True),
        ("house.x.d", ("e", "f"), True),
        ("typing", ("TYPE_CHECKING",), True),
        ("house.types", ("Shape",), False),
        ("numpy", (), True),
        ("math", (), True),
        ("json", (), True),
        ("house.late", ("late",), False),
        ("torch", (), False),
    }
    in_package = list(imports_in("from .d import e", "house.x", dict.fromkeys(known), is_package=True))
    assert [one.module for one in in_package] == ["house.x.d"]


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}) == [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_reaching_upwards_is_refused():
    def one(importer, module, *names):
        return may_import(Import(importer, module, names, True))

    assert one("liftnet.depth.train", "liftnet.models.liftnet", "save_model")
    assert one("liftnet.depth.train", "liftnet.drkfs", "DRKFS")
    assert one("liftnet.shard.card", "liftnet", "__version__")
    assert one("liftnet.depth.train", "liftnet.drkfs", "DRKFS", "Target")
    assert not one("liftnet.depth.train", "liftnet.drkfs", "DRKFS", "hemisphere")
    assert not one("liftnet.depth.train", "liftnet.drkfs")
    assert not one("liftnet.depth.train", "liftnet.drkfs.metric", "DRKFS")
    assert not one("liftnet.models.liftnet", "liftnet.depth.settings", "DepthSettings")
    assert not one("liftnet.core.files", "liftnet.data.schemas", "MASKS")


def test_lists_of_settings_are_found():
    first, second = sorted(next(group for group in GROUPS if len(group) > 1))[:2]
    assert lists_of_settings(f"ONLY = ({first!r}, {second!r})") == [[first, second]]
    assert lists_of_settings(f"def f(): return [{first!r}, {second!r}]") == [[first, second]]
    assert lists_of_settings(f"COLUMNS = ({first!r}, 'image_id')") == []
    assert lists_of_settings(f"kind: Literal[{first!r}, {second!r}]") == []
