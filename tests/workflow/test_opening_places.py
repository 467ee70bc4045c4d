"""Files are opened to be read in one way, by `liftnet.core.opening` and what stands on it: no pipe, no device.

What is written, and the package's own files (`importlib.resources.files`), are opened as they are.
"""

import ast

import pytest
from imports_of import LIBRARY

READERS = {  # calls of others that open a path, and the modules that may: they check it first, or give an open file
    "safe_open": ("core/stored_arrays",),
    "load_file": (),
    "np.load": (),
    "np.fromfile": (),
    "np.memmap": ("depth/crops",),  # that is made
    "np.loadtxt": ("match/methods/openmvg/files",),  # of text in memory
    "np.genfromtxt": (),
    "pd.read_csv": ("core/tables",),
    "pd.read_json": (),
    "pd.read_parquet": (),
    "pd.read_excel": (),
    "pd.read_pickle": (),
    "pickle.load": (),
    "pq.ParquetFile": ("data/parquet_limits", "data/dataset"),
    "pq.read_table": (),
    "pq.read_metadata": (),
    "pq.read_schema": (),
    "torch.load": ("learn/checkpoint", "models/encoders"),  # of open files
    "Image.open": ("data/pictures",),  # of bytes
    "cv2.imread": (),
    "cv2.VideoCapture": (),
    "bz2.open": ("collect/sources/catalogue_data",),  # of a path that it has checked
    "gzip.open": (),
    "zipfile.ZipFile": ("core/stored_arrays", "mesh/readers/threemf"),  # of an open file, of bytes
    "ZipFile": ("data/truth",),  # that is written
    "tarfile.open": (),
    "io.open": (),
    "os.open": ("core/opening", "workflow/results_folder"),
    "FileIO": ("collect/fetch/journal", "workflow/results_folder"),  # locks, that are made
    "sqlite3.connect": ("shard/exports/colmap",),  # of a database that is made
    "etree.parse": (),
    "ElementTree.parse": (),
    "trimesh.load": (),
}
ELSEWHERE = {"render/blender_script"}  # runs in Blender's Python, where liftnet is not, upon what liftnet wrote


def named(node):
    """The dotted name of what is called: "np.load"; of a method of something else its last part."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else f".{node.attr}"
    return ""


def mode_of(call, position):
    """The mode that a call of `open` states; reading text without."""
    given = [*call.args[position : position + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    return given[0].value if given and isinstance(given[0], ast.Constant) else "r" if not given else None


def is_of_the_package(call):
    return any(isinstance(node, ast.Call) and named(node.func) == "files" for node in ast.walk(call.func))


def openings(tree):
    """(line, name) of each call that opens a path to read it, by another way."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = named(call.func)
        if name in READERS:
            yield call.lineno, name
        elif name == "open":
            reads = not set(str(mode_of(call, 1))) & set("wax+")
            if reads and not any(word.arg == "opener" for word in call.keywords):
                yield call.lineno, name
        elif isinstance(call.func, ast.Attribute) and not is_of_the_package(call):
            if call.func.attr in ("read_text", "read_bytes"):
                yield call.lineno, f".{call.func.attr}"
            elif call.func.attr == "open" and isinstance(mode := mode_of(call, 0), str) and mode[:1] == "r":
                yield call.lineno, ".open"


def module_of(path):
    return path.relative_to(LIBRARY).with_suffix("").as_posix()


def test_files_are_opened_in_one_way():
    odd = [
        f"{module_of(path)}:{line} {name}"
        for path in sorted(LIBRARY.rglob("*.py"))
        if module_of(path) not in ELSEWHERE
        for line, name in openings(ast.parse(path.read_text(encoding="utf-8")))
        if module_of(path) not in READERS.get(name, ())
    ]
    assert odd == []


def test_no_module_is_named_that_opens_nothing():
    for name, modules in READERS.items():
        for module in modules:
            tree = ast.parse((LIBRARY / f"{module}.py").read_text(encoding="utf-8"))
            assert name in {found for _, found in openings(tree)}, (name, module)


@pytest.mark.parametrize(
    "text",
    [
        "open(path)",
        "open(path, 'rb')",
        "open(path, encoding='utf-8')",
        "Path(x).read_text()",
        "(a / b).read_bytes()",
        "path.open()",
        "path.open('rb')",
        "np.load(path)",
    ],
)
def test_other_ways_are_found(text):
    assert list(openings(ast.parse(text)))


@pytest.mark.parametrize(
    "text", ["open(path, 'w')", "open(p, 'rb', opener=only_files)", "files('a').joinpath(n).read_text()", "f.write(x)"]
)
def test_writing_is_left_alone(text):
    assert not list(openings(ast.parse(text)))
