"""The light field descriptor beside its authors' program: the same bytes, the same distances, CPU seconds.

    python benchmarks/light_field.py --meshes DIR [--original DIR [--optimised DIR]] [--classes DIR]

`--original` is the folder `lfd/Executable` of github.com/kacperkan/light-field-distance (BSD-like licence; C code of
the authors of the descriptor), whose programs `3DAlignment` and `Distance` are run as they are. They need OpenGL and a
display (`xvfb-run`, or a stand-in for freeglut that draws to a surfaceless EGL buffer). `Distance` forgets to read the
eccentricity of its second shape; it is compared with our distance to a shape whose eccentricity is set to 0. They are
shipped without optimisation: `--optimised` is a copy of the folder with the programs built by `gcc -O3 -march=native`.
`--classes` is a folder of folders of meshes, such as `python -m liftnet render shapes` writes: how often the nearest
shape has the same class. One thread, descriptors from meshes in memory; the original's seconds hold the start of its
programs and the reading of its files. Writes benchmarks/light_field.md.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import machine, measured, one_thread, shown, write_report
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from liftnet.mesh.mesh import TriangleMesh
from liftnet.mesh.reading import find_meshes, load_mesh
from liftnet.shape.collection import retrieval
from liftnet.shape.light_field import LightField, describe, distance, distances, view_axes

PAGE = Path(__file__).with_suffix(".md")
PARTS = {"art": (10, 10, 35), "fd": (10, 10, 10), "cir": (10, 10), "ecc": (10, 10)}
NAMES = {"art": "art", "fd": "fourier", "cir": "circularity", "ecc": "eccentricity"}
TURNED = 8  # shapes that are also compared with themselves, turned


@dataclass(frozen=True)
class Original:
    """The authors' programs, and a folder for their files."""

    programs: Path
    folder: Path

    def describe(self, name: str, mesh: TriangleMesh) -> None:
        """Write the descriptor files of a mesh."""
        lines = ["v {:.17g} {:.17g} {:.17g}".format(*vertex) for vertex in mesh.vertices]
        lines += ["f {} {} {}".format(*face) for face in mesh.faces + 1]
        (self.folder / f"{name}.obj").write_text("\n".join(lines) + "\n")
        self.align(name)

    def align(self, name: str) -> None:
        """Run `3DAlignment` on a mesh whose file is there."""
        subprocess.run([self.programs / "3DAlignment", self.folder / name], cwd=self.programs, check=True)

    def distance(self, first: str, second: str) -> int:
        """What `Distance` prints."""
        command = [self.programs / "Distance", self.folder / first, self.folder / second]
        done = subprocess.run(command, cwd=self.programs, capture_output=True, text=True, check=False)
        return int(done.stdout.split()[-1])

    def read(self, name: str, order: np.ndarray) -> LightField:
        """Their bytes, views in our order."""
        bytes_ = {part: np.fromfile(self.folder / f"{name}_q8_v1.8.{part}", np.uint8) for part in PARTS}
        return LightField(**{NAMES[part]: bytes_[part].reshape(shape)[:, order] for part, shape in PARTS.items()})

    def directions(self) -> np.ndarray:
        """(10, 20, 3) corners of its dodecahedra."""
        files = [(self.programs / f"12_{index}.obj").read_text().splitlines() for index in range(10)]
        corners = [[line.split()[1:4] for line in file if line.startswith("v")] for file in files]
        found = np.array(corners, float)
        return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))


def our_order(corners: np.ndarray) -> np.ndarray:
    """(10,) which of the first ten corners of a dodecahedron lies on each of our axes, once both coincide."""
    axes = view_axes()
    ours = np.concatenate([axes, -axes])
    gram = corners[:3] @ corners[:3].T
    for triple in np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), -1).reshape(-1, 3):
        if np.allclose(ours[triple] @ ours[triple].T, gram, atol=1e-3):
            rotation, error = Rotation.align_vectors(ours[triple], corners[:3])
            if error < 1e-3:
                return np.abs(axes @ rotation.apply(corners[:10]).T).argmax(1)
    raise ValueError("the first dodecahedron is none")


def seconds(meshes: dict[str, TriangleMesh], originals: dict[str, Original], runs: int) -> pd.DataFrame:
    """CPU seconds of a descriptor, a row a mesh."""
    rows = []
    for name, mesh in meshes.items():
        row = {"mesh": name, "faces": len(mesh.faces), "ours": measured(partial(describe, mesh), runs)[1]}
        for kind, original in originals.items():
            if (original.folder / f"{name}.obj").exists():
                row[kind] = measured(partial(original.align, name), runs)[1]
        rows.append(row)
    return pd.DataFrame(rows).sort_values("faces")


def sheet(side: int) -> TriangleMesh:
    """A waving sheet of 2 side^2 faces."""
    x, z = np.meshgrid(*[np.linspace(-1, 1, side + 1)] * 2)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel()
    faces = [[corner, corner + 1, corner + side + 1], [corner + 1, corner + side + 2, corner + side + 1]]
    vertices = np.stack([x, 0.3 * np.sin(5 * x) * np.cos(4 * z), z], -1).reshape(-1, 3)
    return TriangleMesh(vertices, np.concatenate([np.stack(part, 1) for part in faces]))


def agreement(original: Original, meshes: dict[str, TriangleMesh]) -> list[str]:
    """Sentences and a table: bytes and distances, theirs beside ours."""
    corners = original.directions()
    order = our_order(corners[0])
    theirs = {name: original.read(name, order) for name in meshes}
    same_views = {name: describe(mesh, directions=corners[:, order]) for name, mesh in meshes.items()}
    own = {name: describe(mesh) for name, mesh in meshes.items()}
    rows = []
    for part in NAMES.values():
        pairs = [(getattr(theirs[name], part), getattr(same_views[name], part)) for name in meshes]
        apart = np.stack([np.abs(a.astype(int) - b) for a, b in pairs])
        rows.append(
            {"part": part, "bytes": apart.size, "that differ": (apart > 0).sum(), "largest difference": apart.max()}
        )
    matched = []
    for a, b in combinations(meshes, 2):
        blind = replace(theirs[b], eccentricity=np.zeros_like(theirs[b].eccentricity))
        rerun = original.distance(a, b), original.distance(b, a)
        of_bytes = distance(theirs[a], theirs[b])
        ours = distance(same_views[a], same_views[b]), distance(own[a], own[b])
        matched.append((rerun[0], distance(theirs[a], blind), of_bytes, *ours, rerun[1]))
    table = np.array(matched)
    program, blind_, exact, same, free, swapped = table.T
    changed = np.abs(same - exact)
    return [
        shown(pd.DataFrame(rows), {"bytes": ",", "that differ": ",", "largest difference": "d"}),
        f"Of {len(table)} pairs of meshes, our distance of their bytes is what `Distance` prints for "
        f"{(program == blind_).sum()}, with the eccentricity of the second shape taken as 0, as it does. "
        f"This omission makes it depend on the order of the two shapes, by {np.abs(program - swapped).mean():.0f} in "
        f"the mean and {np.abs(program - swapped).max()} at most, of distances from {exact.min():,} to "
        f"{exact.max():,}. We read it for both.",
        f"From the meshes, with the original's views, our distances equal those of their bytes for "
        f"{(changed == 0).mean():.1%} of the pairs; the largest difference is {changed.max()} "
        f"({(changed / exact).max():.2%}).",
        f"With our own ten rotations the distance differs by {np.abs(free - exact).mean():.0f} in the mean "
        f"({(np.abs(free - exact) / exact).mean():.1%}), {np.abs(free - exact).max()} at most; its mean is "
        f"{free.mean() / exact.mean():.3f} times theirs, the rank correlation {spearmanr(free, exact)[0]:.4f}.",
        turned(original, meshes, order),
    ]


def turned(original: Original, meshes: dict[str, TriangleMesh], order: np.ndarray) -> str:
    """How far a shape is from itself, turned at random."""
    found = []
    for index, (name, mesh) in enumerate(list(meshes.items())[:TURNED]):
        other = TriangleMesh(Rotation.random(random_state=index).apply(mesh.vertices), mesh.faces)
        original.describe(f"{name}_turned", other)
        theirs = distance(original.read(name, order), original.read(f"{name}_turned", order))
        found.append((theirs, distance(describe(mesh), describe(other))))
    mean = np.mean(found, axis=0)
    return (
        f"A shape is not at distance 0 from itself, turned at random: {len(found)} of the meshes are {mean[0]:,.0f} "
        f"from themselves in the mean by the original, {mean[1]:,.0f} by ours. Silhouettes are described about the "
        "middle of an upright bounding box, and that is another point once they are turned in their plane."
    )


def classes(folder: Path) -> str:
    """How well the distance finds shapes of the same class."""
    found = find_meshes(folder)
    labels = [Path(name).parts[0] for name in found]
    shapes = [describe(load_mesh(path)) for path in found.values()]
    scores = retrieval(distances(shapes, shapes).astype(float), labels)
    return (
        f"Retrieval among {len(labels)} shapes of {len(set(labels))} generated classes: the nearest other shape has "
        f"the same class for {scores.nearest:.1%}, mean average precision {scores.mean_average_precision:.3f}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshes", type=Path, required=True, help="folder of meshes")
    parser.add_argument("--original", type=Path, help="folder of the authors' programs")
    parser.add_argument("--optimised", type=Path, help="the same, built with optimisation")
    parser.add_argument("--classes", type=Path, help="folder of folders of meshes, one a class")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args(arguments)
    loaded = {path.stem: load_mesh(path) for path in find_meshes(options.meshes).values()}
    paragraphs = ["# Light field descriptor", f"`python benchmarks/light_field.py`; {machine('numba', 'numpy')}."]
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        programs = {"original": options.original, "original, optimised": options.optimised}
        originals = {kind: Original(path.resolve(), Path(folder)) for kind, path in programs.items() if path}
        original = originals.get("original")
        if original is not None:
            for name, mesh in loaded.items():
                original.describe(name, mesh)
        chosen = list(loaded)[:: max(len(loaded) // 8, 1)]
        sheets = {f"sheet of {2 * side**2:,}": sheet(side) for side in (22, 71, 224, 707)}
        describe(next(iter(loaded.values())))
        table = seconds({name: loaded[name] for name in chosen} | sheets, originals, options.runs)
        paragraphs += [
            "CPU seconds of one descriptor, 100 views of 256 px; medians.",
            shown(table, {"faces": ",", "ours": ".3f", **dict.fromkeys(originals, ".2f")}),
        ]
        a, b = (describe(loaded[name]) for name in chosen[:2])
        line = f"One distance: {measured(lambda: [distance(a, b) for _ in range(100)], options.runs)[1] * 10:.2f} ms"
        for kind, program in originals.items():
            spent = measured(lambda program=program: [program.distance(*chosen[:2]) for _ in range(20)], options.runs)
            line += f"; {kind}, with the start of the program, {spent[1] * 50:.2f} ms"
        paragraphs.append(line + ".")
        if original is not None:
            paragraphs += agreement(original, loaded)
        if options.classes:
            paragraphs.append(classes(options.classes))
    write_report(PAGE, paragraphs)


if __name__ == "__main__":
    main()
