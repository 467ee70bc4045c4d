"""The commands that train descriptors of whole shapes, from a folder that `render shapes` wrote."""

import pytest

from liftnet.__main__ import main
from liftnet.shape.shape_google import load_vocabulary


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    out = tmp_path_factory.mktemp("shapes")
    assert main(["render", "shapes", "--out", str(out), "--meshes-per-class", "2", "--classes", "lamp", "table"]) == 0
    return out


def test_a_vocabulary_is_trained_whatever_the_number_of_threads(shapes, tmp_path):
    options = ["--words", "4", "--points", "150", "--eigenpairs", "20", "--seed", "7"]
    for threads in ("1", "3"):
        command = ["drkfs", "train", "vocabulary", "--meshes", str(shapes), "--model", str(tmp_path / threads)]
        assert main([*command, "--threads", threads, *options]) == 0
    files = [(tmp_path / threads / "vocabulary.safetensors").read_bytes() for threads in ("1", "3")]
    assert files[0] == files[1]
    assert load_vocabulary(tmp_path / "1" / "vocabulary.safetensors").words.shape == (4, 6)
    assert "lamp, table" in (tmp_path / "1" / "README.md").read_text()


def test_an_unusable_folder_or_setting_is_one_plain_line(shapes, tmp_path, capsys):
    command = ["drkfs", "train", "mvcnn", "--model", str(tmp_path / "model"), "--meshes"]
    assert main([*command, str(tmp_path)]) == 1
    assert "no mesh" in capsys.readouterr().err
    assert main([*command, str(shapes), "--batch-size", "0"]) == 1
    assert "--batch-size" in capsys.readouterr().err


def test_the_vocabulary_of_the_package_is_that_of_the_published_recipe():
    words = load_vocabulary()
    assert words.words.shape == (48, 6)
    assert words.times[-1] / words.times[0] == pytest.approx(4)
    assert words.shapes == 476
    assert words.sigma > 0
