"""What is found before the first job."""

import shutil
from types import SimpleNamespace

import pytest

from liftnet.core.errors import LiftnetError
from liftnet.launch import checks
from liftnet.launch.checks import check_run
from liftnet.workflow.configuration import load_configuration
from liftnet.workflow.home import workflow_home

HOME = workflow_home()
SCHEMA_FILE = HOME / "workflow" / "schemas" / "config.schema.yaml"


def told(tmp_path, **config):
    whole = load_configuration({"results": str(tmp_path / "out"), **config}, SCHEMA_FILE)
    return list(check_run(whole, HOME))


def photographs(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1" * 1000)
    return str(folder)


def test_the_museum_needs_nothing(tmp_path):
    assert told(tmp_path) == []


def test_the_layout_is_told_and_a_split_that_will_be_empty(tmp_path):
    photos = photographs(tmp_path / "p", "A/w/1.jpg", "A/w/masks/1.png", "B/w/1.jpg")
    layout, splits = told(tmp_path, photos=photos)
    assert "taken as artist/work/*: 2 photographs of 2 works by 2 artists, 1 masks" in layout
    assert "2 artists: " in splits
    three = photographs(tmp_path / "p", "C/w/1.jpg")
    assert len(told(tmp_path, photos=three)) == 1


def test_without_masks_it_is_said_who_masks(tmp_path):
    photos = photographs(tmp_path / "p", "A/w/1.jpg", "B/w/1.jpg", "C/w/1.jpg")
    assert told(tmp_path, photos=photos)[1:] == [checks.WITHOUT_MASKS]
    assert len(told(tmp_path, photos=photos, segment={"weights": "model"})) == 1


def test_masks_and_artists_of_a_list_are_counted(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("Artist,work,image,mask\nA,w,1.jpg,m.png\nB,w,2.jpg,\nC,w,3.jpg,\n")
    assert told(tmp_path, photos=str(listed)) == [f"{listed}: 3 images by 3 artists, 1 masks"]
    listed.write_text("artist,work,image\nA,w,1.jpg\n")
    assert checks.WITHOUT_MASKS in told(tmp_path, photos=str(listed))


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    photos = photographs(tmp_path / "p", "A/w/1.jpg", "B/w/1.jpg", "C/w/1.jpg", "C/w/masks/1.png")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2999))
    assert "0.0 GB free" in told(tmp_path, photos=photos)[1]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3000))
    assert len(told(tmp_path, photos=photos)) == 1


def test_programs_of_a_matcher_are_looked_for(tmp_path, monkeypatch):
    with pytest.raises(LiftnetError, match="OpenMVG, whose programs are not in"):
        told(tmp_path, match={"search": {"matcher": "openmvg"}, "openmvg": {"bin": str(tmp_path)}})
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(LiftnetError, match="pip install pycolmap"):
        told(tmp_path, match={"features": {"extractor": "colmap"}})


def test_results_among_the_photographs_are_refused(tmp_path):
    photos = photographs(tmp_path, "A/w/1.jpg", "A/w/masks/1.png")
    with pytest.raises(LiftnetError, match="lies in the photographs' folder"):
        told(tmp_path, photos=photos)
