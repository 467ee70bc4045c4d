import os

import pytest

from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.walking import entries
from liftnet.data.folders import InputImage, files_below, find_images, pictures_below
from liftnet.data.layouts import UNKNOWN, read_layout
from liftnet.data.mask_folders import MaskFinder
from liftnet.data.pictures import read_image
from liftnet.models.photograph_masks import folder_mask


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


LAYOUTS = {  # photographs with their masks, as people and programs lay them out; the works they are taken for
    "beside": ("a/w/1.jpg, a/w/1_mask.png", {"a/w/1.jpg": "a/w/1_mask.png"}, {("a", "w")}),
    "masks beside images": (
        "one/images/1.jpg, one/masks/1.png, two/images/1.jpg, two/masks/1.png",
        {"one/images/1.jpg": "one/masks/1.png", "two/images/1.jpg": "two/masks/1.png"},
        {(UNKNOWN, "one"), (UNKNOWN, "two")},
    ),
    "masks beside photos": ("photos/1.jpg, masks/1.png", {"photos/1.jpg": "masks/1.png"}, {(UNKNOWN, "x")}),
    "masks beside a work": ("bust/1.jpg, masks/1.png", {"bust/1.jpg": "masks/1.png"}, {(UNKNOWN, "bust")}),
    "masks for two works": (
        "bust/1.jpg, head/2.jpg, masks/1.png, masks/2.png",
        {"bust/1.jpg": "masks/1.png", "head/2.jpg": "masks/2.png"},
        {(UNKNOWN, "bust"), (UNKNOWN, "head")},
    ),
    "masks of names that two works have": (
        "bust/1.jpg, head/1.jpg, masks/1.png",
        {},
        {(UNKNOWN, "bust"), (UNKNOWN, "head")},
    ),
    "trees of images and masks": (
        "images/bust/1.jpg, images/head/1.jpg, masks/bust/1.jpg.png, masks/head/1.jpg.png",
        {"images/bust/1.jpg": "masks/bust/1.jpg.png", "images/head/1.jpg": "masks/head/1.jpg.png"},
        {(UNKNOWN, "bust"), (UNKNOWN, "head")},
    ),
    "a tree of masks beside works": (
        "a/w/1.jpg, a/v/1.jpg, masks/a/w/1.png, masks/a/v/1.png",
        {"a/w/1.jpg": "masks/a/w/1.png", "a/v/1.jpg": "masks/a/v/1.png"},
        {("a", "w"), ("a", "v")},
    ),
    "rgb and mask": ("rgb/1.jpg, mask/1.png", {"rgb/1.jpg": "mask/1.png"}, {(UNKNOWN, "x")}),
    "VOC": (
        "JPEGImages/1.jpg, SegmentationClass/1.png",
        {"JPEGImages/1.jpg": "SegmentationClass/1.png"},
        {(UNKNOWN, "x")},
    ),
    "hand masks": ("a/w/1.jpg, a/w/hand_masks/1.png", {"a/w/1.jpg": "a/w/hand_masks/1.png"}, {("a", "w")}),
    "a sculpture called mask": (
        "a/Mask of Warka/1.jpg, a/Silhouettes/1.jpg, a/Bust/1.jpg",
        {},
        {("a", "Mask of Warka"), ("a", "Silhouettes"), ("a", "Bust")},
    ),
    "photos without masks": ("photos/1.jpg, sketches/2.jpg", {}, {(UNKNOWN, "photos"), (UNKNOWN, "sketches")}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_masks_are_told_from_photographs_by_how_folders_lie(tmp_path, name):
    files, masks, works = LAYOUTS[name]
    folder = tmp_path / "x"
    touch(*(folder / file for file in files.split(", ")))
    known = read_layout(folder)
    photographs = {folder / path for path in known.photographs}
    found = MaskFinder(known.masks, known.mask_folders).masks_of(photographs)
    assert {
        path.relative_to(folder).as_posix(): mask.relative_to(folder).as_posix() for path, mask in found.items()
    } == masks
    assert {known.layout.artist_and_work(path) for path in known.photographs} == works
    assert not photographs & known.masks
    assert photographs | known.masks == set(pictures_below(folder))


def test_a_folder_that_cannot_be_listed_is_named_with_its_remedy(tmp_path, monkeypatch):
    touch(tmp_path / "b.jpg", tmp_path / ".c.jpg", tmp_path / "a.jpg")
    assert [path.name for path in entries(tmp_path)] == ["a.jpg", "b.jpg"]

    def listdir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", listdir)
    with pytest.raises(LiftnetError, match=r"cannot be read \(Permission denied\).*Check its permissions"):
        entries(tmp_path)
    photograph = InputImage(tmp_path / "b.jpg", tmp_path / "out" / "b")
    with pytest.raises(BadImageError) as error:
        folder_mask(photograph, tmp_path, tmp_path / "out")
    assert error.value.status == "unreadable_file"


def test_a_folder_that_holds_photographs_and_masks_gives_a_photograph_no_photograph_for_a_mask(tmp_path):
    names = (
        "one/images/1.jpg",
        "one/masks/1.jpg.png",
        "two/2.jpg",
        "two/2_mask.png",
        "two/3.jpg",
        "masks/three/4.png",
    )
    touch(*(tmp_path / name for name in (*names, "three/4.JPG")))
    images = find_images([tmp_path], tmp_path / "out")
    found = {image.image.name: folder_mask(image, tmp_path, tmp_path / "out")[0] for image in images}
    below = {name: path and path.relative_to(tmp_path).as_posix() for name, path in found.items()}
    assert below == {"1.jpg": names[1], "2.jpg": names[3], "3.jpg": None, "4.JPG": names[5]}


def test_a_pipe_in_a_folder_is_told_when_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (image,) = find_images([tmp_path], tmp_path / "out")
    with pytest.raises(BadImageError, match=r"a pipe or a device, not a file\)\. Check its permissions"):
        read_image(image.image)
