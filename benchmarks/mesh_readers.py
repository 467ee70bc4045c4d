"""Which reader gives what a mesh file holds: ours, trimesh alone, Assimp. Writes benchmarks/mesh_readers.md.

    pip install assimp-py  # the peer; without it its columns stay empty
    python benchmarks/mesh_readers.py [--cases DIR] [--meshes DIR] [--damaged 400]

Three questions to each. Of small files of every kind that people have, with a known surface: right, refused, or wrong
without a word? Of real meshes: as many faces, the same area, how fast? Of files with bytes changed at random: an
error, a mesh, or the end of the program? Every file is read in a process of its own, so that a crash is one row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import machine, peer, shown, write_report

SHARED = Path(__file__).resolve().parents[2] / "shared"
OUTCOMES = RIGHT, REFUSED, WRONG, CRASHED = "right", "refused", "wrong", "crashed"
ALIKE = 1e-4  # of areas
# Area of the surface that each case holds; None where it is to be refused.
CUBE = 6.0


def named(pattern: str, names: str, area: float | None) -> dict[str, float | None]:
    """Files of one surface."""
    return {pattern.format(name): area for name in names.split()}


PYRAMID = 1 + 5**0.5
CASES: dict[str, float | None] = {
    **named("concave_obj/{}", "u.obj u.ply u.off truth.ply", 30.0),
    "concave_obj/dart.obj": 1.5 + 5**0.5 / 2,
    **named("ply_mixed_binary/{}.ply", "pyr pyr_ascii pyr_crlf pyr_bin_trifirst pyr_bin_quadfirst", PYRAMID),
    **named("ply_mixed_binary/prism5_{}.ply", "ascii bin", 10.6331),
    "ply_mixed_binary/cube_bin.ply": CUBE,
    **named("ply_intensity_first/{}.ply", "cube cube_quality cube_one cube_be", CUBE),
    "ply_tristrips/strip.ply": 0.5 + 3**0.5 / 2,
    **named("stl_upper/{}.stl", "crlf endsolid_upper lower solid_binary tabs trailing upper", 22.0),
    **named("off_small/{}.off", "coff comments facecol glued lower noff sameline twocounts", CUBE),
    "off_small/prism5.off": 10.6331,
    "off_small/pent_only.off": 4.7553,
    "off_small/pyr.off": PYRAMID,
    **named("glb_odd/{}.glb", "noindex plain quant quant_unpadded skinned unused_node", CUBE),
    **named("glb_odd/{}.glb", "sparse morph", 14.0),
    **named("glb_odd/{}.glb", "strip strip_noindex", 8.0),
    "glb_odd/fan.glb": 9.0,
    "glb_odd/fan_only.glb": 3.0,
    "glb_odd/instancing.glb": 18.0,
    "glb_odd/nested_mirror.glb": 10.0,
    "glb_odd/two_scenes.glb": 150.0,
    "reader_disagreement/negative_two.obj": 12.0,
    **named("reader_disagreement/{}", "cut_ascii.ply cut_binary.stl cut_off.off cut_text.stl", None),
}
Surface = tuple[int, float, float]  # triangles, area, seconds


def area_of(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Sum of the areas of triangles."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def ours(path: str) -> tuple[int, float]:
    """Triangles and area as `read_mesh` gives them, with those that it drops."""
    from liftnet.mesh.mesh import face_areas
    from liftnet.mesh.reading import read_mesh

    read = read_mesh(path)
    return len(read.mesh.faces) + read.dropped.flat + read.dropped.doubled, float(face_areas(read.mesh).sum())


def by_trimesh(path: str) -> tuple[int, float]:
    """As trimesh gives them, its scene joined."""
    import trimesh

    mesh = trimesh.load_mesh(path, process=False)
    if not len(mesh.faces):
        raise ValueError("no faces")
    return len(mesh.faces), float(mesh.area)


def by_assimp(path: str) -> tuple[int, float]:
    """As Assimp gives them, its transforms applied."""
    import assimp_py

    scene = assimp_py.import_file(path, assimp_py.Process_Triangulate | assimp_py.Process_PreTransformVertices)
    count, area = 0, 0.0
    for mesh in scene.meshes:
        vertices = np.array(mesh.vertices, np.float64).reshape(-1, 3)
        faces = np.array(mesh.indices, np.int64).reshape(-1, 3)
        count, area = count + len(faces), area + area_of(vertices, faces)
    if not count:
        raise ValueError("no faces")
    return count, area


READERS: dict[str, Callable[[str], tuple[int, float]]] = {
    "ours": ours,
    "trimesh alone": by_trimesh,
    "Assimp": by_assimp,
}


class Apart:
    """Calls each reader in a process of its own; one that ends it is named, and the next call has a new one."""

    def __init__(self) -> None:
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def __call__(self, reader: str, path: Path) -> Surface | str:
        """What a reader gives, `REFUSED` or `CRASHED`."""
        if reader not in self._pools:
            self._pools[reader] = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            return self._pools[reader].submit(timed, reader, str(path)).result(120)
        except (BrokenProcessPool, TimeoutError):
            pool = self._pools.pop(reader)
            for process in list((pool._processes or {}).values()):
                process.kill()
            return CRASHED


def timed(reader: str, path: str) -> Surface | str:
    """What a reader gives, and how long it took; `REFUSED` where it raises."""
    start = time.perf_counter()
    try:
        count, area = READERS[reader](path)
    except Exception:
        return REFUSED
    return count, area, time.perf_counter() - start


def verdict(found: Surface | str, area: float | None) -> str:
    """What a reader made of a file whose surface is known."""
    if isinstance(found, str):
        return RIGHT if found == REFUSED and area is None else found
    return RIGHT if area is not None and abs(found[1] - area) <= ALIKE * area else WRONG


def case_rows(folder: Path, readers: list[str], apart: Apart) -> Iterator[dict[str, object]]:
    """What became of every case whose surface is known."""
    for name, area in CASES.items():
        if (folder / name).is_file():
            yield {"file": name} | {reader: verdict(apart(reader, folder / name), area) for reader in readers}


def real_rows(folder: Path, readers: list[str], apart: Apart) -> pd.DataFrame:
    """How many real meshes come out as ours do, and how long they take."""
    paths = sorted(folder.rglob("*.ply"))
    found = {reader: [apart(reader, path) for path in paths] for reader in readers}
    rows = []
    for reader in readers:
        alike = [
            not isinstance(mine, str)
            and not isinstance(own, str)
            and mine[0] == own[0]
            and abs(mine[1] - own[1]) <= 1e-3 * own[1]
            for mine, own in zip(found[reader], found["ours"], strict=True)
        ]
        seconds = [one[2] for one in found[reader][1:] if not isinstance(one, str)]
        rows.append(
            {"reader": reader, "files": len(paths), "faces and area as ours": sum(alike)}
            | {"median ms": 1000 * float(np.median(seconds)) if seconds else np.nan}
        )
    return pd.DataFrame(rows)


def damaged_rows(folder: Path, readers: list[str], apart: Apart, count: int) -> pd.DataFrame:
    """What becomes of files with bytes changed at random."""
    generator = np.random.default_rng(0)
    sources = [folder / name for name in CASES if (folder / name).is_file()]
    outcomes: dict[str, Counter[str]] = {reader: Counter() for reader in readers}
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(count):
            source = sources[generator.integers(len(sources))]
            data = bytearray(source.read_bytes())
            for place in generator.integers(0, len(data), generator.integers(1, 6)):
                data[place] = generator.integers(256)
            path = Path(temporary, f"{number}{source.suffix}")
            path.write_bytes(data)
            for reader in readers:
                found = apart(reader, path)
                outcomes[reader][found if isinstance(found, str) else "read"] += 1
    rows = [{"reader": r} | {key: outcomes[r][key] for key in ("read", REFUSED, CRASHED)} for r in readers]
    return pd.DataFrame(rows)


def main() -> None:
    """Read everything with every reader that is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=SHARED / "cases" / "meshes")
    parser.add_argument("--meshes", type=Path, default=SHARED / "data" / "meshes")
    parser.add_argument("--damaged", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    apart = Apart()
    readers = [name for name in READERS if name != "Assimp" or peer("assimp_py") is not None]
    cases = pd.DataFrame(case_rows(arguments.cases, readers, apart))
    counts = [{"reader": r} | {key: int((cases[r] == key).sum()) for key in OUTCOMES} for r in readers]
    about = (
        f"`python benchmarks/mesh_readers.py --damaged {arguments.damaged}`; {machine('trimesh', 'assimp-py')}. "
        "A file is right if its area is, or if it is damaged and refused. Each reader has a process of its own."
    )
    damaged = damaged_rows(arguments.cases, readers, apart, arguments.damaged)
    write_report(
        arguments.out,
        [
            *("# Readers of mesh files", about),
            *(f"## {len(cases)} small files whose surface is known", shown(pd.DataFrame(counts), {})),
            *("Those that not all read rightly:", shown(cases[(cases[readers] != RIGHT).any(axis=1)], {})),
            *("## Real meshes", shown(real_rows(arguments.meshes, readers, apart), {"median ms": ".1f"})),
            *(f"## {arguments.damaged} files with one to five bytes changed", shown(damaged, {})),
        ],
    )


if __name__ == "__main__":
    main()
