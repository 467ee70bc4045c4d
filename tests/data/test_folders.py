import os

import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.folders import files_below, find_images, pictures_below


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_mirrored_and_files_go_straight_below_the_results(tmp_path):
    touch(tmp_path / "in" / "a" / "b" / "x.JPG", tmp_path / "in" / "notes.txt", tmp_path / "y.png")
    found = find_images([tmp_path / "in", tmp_path / "y.png"], tmp_path / "out")
    assert [(p.image.name, p.result("z.npy").relative_to(tmp_path / "out").as_posix()) for p in found] == [
        ("x.JPG", "a/b/x.z.npy"),
        ("y.png", "y.z.npy"),
    ]


def test_two_images_of_one_stem_keep_apart(tmp_path):
    touch(*(tmp_path / name for name in ("a.jpg", "a.png", "b.png", "c/a.jpg", "no. 5.jpg")))
    stems = {p.image.relative_to(tmp_path).as_posix(): p.stem.name for p in find_images([tmp_path], tmp_path / "out")}
    assert stems == {"a.jpg": "a.jpg", "a.png": "a.png", "b.png": "b", "c/a.jpg": "a", "no. 5.jpg": "no. 5"}


def test_results_inside_the_folder_of_the_photographs_are_no_photographs(tmp_path):
    touch(tmp_path / "a.jpg", tmp_path / "out" / "a.colour.png")
    assert [p.image.name for p in find_images([tmp_path], tmp_path / "out")] == ["a.jpg"]
    with pytest.raises(LiftnetError, match="is also the folder of the photographs"):
        find_images([tmp_path], tmp_path / "out" / "..")


def test_two_folders_with_an_image_of_one_name_are_not_mixed(tmp_path):
    touch(tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg")
    with pytest.raises(LiftnetError, match=r"b/x\.jpg: would have the same results .* as .*a/x\.jpg"):
        find_images([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert len(find_images([tmp_path / "a", tmp_path / "a" / "x.jpg"], tmp_path / "out")) == 1
    assert len(find_images([tmp_path], tmp_path / "out")) == 2


def test_inputs_that_do_not_exist_or_hold_no_image_are_named(tmp_path):
    with pytest.raises(LiftnetError, match=r"none\.jpg: does not exist"):
        find_images([tmp_path / "none.jpg"], tmp_path / "out")
    with pytest.raises(LiftnetError, match="holds no images"):
        find_images([tmp_path], tmp_path / "out")


def test_every_format_that_is_read_is_found_in_any_case(tmp_path):
    endings = (".jpg", ".JPEG", ".png", ".webp", ".tif", ".Tiff", ".bmp")
    touch(*(tmp_path / f"x{ending}" for ending in endings), tmp_path / "x.gif", tmp_path / "x.svg")
    assert {path.suffix for path in pictures_below(tmp_path)} == set(endings)


def test_hidden_files_are_skipped_and_links_followed_once(tmp_path):
    touch(tmp_path / "a" / "x.jpg", tmp_path / "a" / "._x.jpg", tmp_path / ".git" / "y.jpg", tmp_path / "b" / "z.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "c").symlink_to(tmp_path / "b", target_is_directory=True)
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert found == ["a/c/z.jpg", "a/x.jpg"]
    assert os.path.lexists(tmp_path / "a" / "up")


def test_a_folder_in_the_name_of_a_picture_is_none(tmp_path):
    touch(tmp_path / "a.jpg" / "x.png")
    assert [path.name for path in pictures_below(tmp_path)] == ["x.png"]
