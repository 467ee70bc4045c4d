"""Every command that reads foreign files, run upon hostile ones: no program, no address, no file but below --out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
from command_lines import NOT_RUN, hostile_lines, leaves

import liftnet

ROOT = Path(liftnet.__file__).parents[1]
PROGRAMS = (
    "gs",
    "gswin64c",
    "python",
    "python3",
    "blender",
    "magick",
    "convert",
    "inkscape",
    "dot",
    "curl",
    "wget",
    "git",
    "sh",
)
pytestmark = pytest.mark.slow
SECRET = b"the secret of another folder"


def commands(box, out):
    """The command lines, by what they read; each writes below a folder of its own."""
    read = {
        "collect a CSV": "collect run --csv lists/list.csv",
        "collect Parquet": "collect run --list lists/list.parquet",
        "collect a folder": "collect run --directory tree",
        "masks": "segment images pictures --model models/segmenter",
        "hub_segmenter": "segment images pictures --model models/hub_segmenter",
        "COCO": "segment import coco.json --images pictures",
        "CVAT": "segment import cvat.xml --images pictures",
        "a dataset": "shard verify --dataset dataset",
        "meshes": "meshes meshes/chair",
    }
    for name in ("depth", "hub", "module", "absurd"):
        read[name] = f"depth predict pictures --mask none --model models/{name}"
    places = ("lists/", "tree", "pictures", "models/", "coco.json", "cvat.xml", "dataset", "meshes/")
    lines = {}
    for name, words in read.items():
        line = [str(box / word) if word.startswith(places) else word for word in words.split()]
        lines[name] = line if name in ("a dataset", "meshes") else [*line, "--out", str(out / name)]
    return lines | hostile_lines(box, out)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """What every command did, what it said, and the folder of it all."""
    box = tmp_path_factory.mktemp("box")
    (box / "private").mkdir()
    (box / "private" / "secret.png").write_bytes(SECRET)
    hostile.pictures(box / "pictures")
    hostile.pictures(box / "tree" / "Rodin" / "Kiss")
    hostile.meshes(box / "meshes")
    hostile.lists(box / "lists", box / "private" / "secret.png")
    hostile.models(box / "models")
    hostile.dataset(box / "dataset")
    hostile.annotations(box)
    hostile.run(box / "out" / "run")
    hostile.shape_set(box / "out" / "shapes")
    hostile.classes(box / "classes")
    hostile.recordings(box / "recordings")
    hostile.study(box / "study")
    hostile.dumps(box / "dumps")
    for name in ("programs", "here/.venv-blender/bin", "home"):
        (box / name).mkdir(parents=True)
    for folder in ("programs", "here/.venv-blender/bin", "here"):
        for name in PROGRAMS:
            if not (box / folder / name).exists():
                (box / folder / name).write_text(f"#!/bin/sh\n: > {box}/ran\n")
                (box / folder / name).chmod(0o755)
    before = files_of(box)
    lines = commands(box, box / "out")
    (box / "commands.json").write_text(json.dumps(list(lines.values())))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(box / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PATH": f"{box / 'programs'}:", "TMPDIR": str(box / "tmp"), "HF_HUB_OFFLINE": "0"}
    environment |= {"TORCHINDUCTOR_CACHE_DIR": str(box / "tmp")}
    environment |= {"NUMBA_CACHE_DIR": str(box / "tmp"), "MPLCONFIGDIR": str(box / "tmp"), "OMP_NUM_THREADS": "1"}
    (box / "tmp").mkdir()
    script = Path(__file__).with_name("watched.py")
    arguments = [str(box / name) for name in ("commands.json", "watched.json", "out", "tmp")]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=environment,
        cwd=box / "here",
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = dict(zip(lines, json.loads((box / "watched.json").read_text()), strict=True))
    return results, done.stdout + done.stderr, box, before


def files_of(box):
    return {str(path.relative_to(box)) for path in box.rglob("*")}


def test_every_command_is_run_or_says_why_not(watched):
    """The commands are those of the command line itself: a new one fails here until it is run."""
    results, _, _, _ = watched
    every = leaves()
    run = {leaf for leaf in every for one in results.values() if one["command"][: len(leaf.split())] == leaf.split()}
    assert every - run == set(NOT_RUN)
    assert "collect fetch" in run


def test_no_command_starts_a_program_reaches_an_address_or_writes_elsewhere(watched):
    results, _, _, _ = watched
    assert {name: result["seen"] for name, result in results.items() if result["seen"]} == {}


def test_no_command_fails_but_by_its_own_words(watched):
    results, said, _, _ = watched
    assert {name: result["status"] for name, result in results.items() if result["status"] not in (0, 1)} == {}
    assert "Traceback" not in said


def test_commands_do_what_they_are_for(watched):
    """Or the rest would hold of commands that do nothing."""
    results, _, box, _ = watched
    done = {name for name, result in results.items() if result["status"] == 0}
    assert {"collect a CSV", "collect a folder", "meshes"} <= done
    assert (box / "out" / "depth" / "fine.depth.npy").is_file()
    assert (box / "out" / "masks" / "fine.png").is_file()
    assert results["hub"]["status"] == results["absurd"]["status"] == results["a dataset"]["status"] == 1


def test_nothing_lies_elsewhere_afterwards_and_no_program_has_run(watched):
    """What libraries do below Python."""
    _, _, box, before = watched
    new = {name for name in files_of(box) - before if name.split("/")[0] not in ("out", "tmp")}
    assert new == {"commands.json", "watched.json"}


def test_nothing_that_is_no_picture_is_stored_as_one(watched):
    """Neither a private file that a list names, nor a drawing that is called photo.jpg."""
    _, _, box, _ = watched
    folders = [folder for folder in (box / "out").iterdir() if not folder.name.startswith("run")]
    stored = [path for folder in folders for path in folder.rglob("images/*") if path.is_file()]
    assert stored
    assert all(path.read_bytes()[:4] in (b"\xff\xd8\xff\xe0", b"\x89PNG") for path in stored)


def test_no_private_file_is_taken_along(watched):
    _, _, box, _ = watched
    assert [path for path in (box / "out").rglob("*") if path.is_file() and SECRET in path.read_bytes()] == []
