import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.manifest import StoredImage, stored_images, truths_of
from liftnet.data.schemas import MANIFEST, TRUTH, write_table

NAMES = {"artist_id": "rodin-1", "work_id": "kiss-2", "split": "train"}


@pytest.fixture
def root(tmp_path):
    stored = {"status": "ok", "width": 30, "height": 20, **NAMES}
    rows = [
        {**stored, "image_id": "bb", "image_url": "https://a/1.jpg", "file": "bb.jpg"},
        {**NAMES, "image_url": "https://a/2.jpg", "status": "http_error", "reason": "404"},
        {**stored, "image_id": "aa", "image_url": "https://a/3.jpg", "file": "aa.png"},
    ]
    write_table(tmp_path / "manifest.parquet", rows, MANIFEST)
    return tmp_path


def test_stored_images_are_those_that_were_fetched_in_the_order_of_the_manifest(root):
    images = stored_images(root)
    assert list(images) == ["bb", "aa"]
    assert images["aa"] == StoredImage("aa", "https://a/3.jpg", "rodin-1", "kiss-2", "train", "aa.png", 30, 20)
    assert stored_images(root, ["aa"]) == {"aa": images["aa"]}


def test_truth_belongs_to_an_image_by_its_url(root):
    truths = [{**NAMES, "image_url": f"https://a/{k}.jpg", "truth": f"truth/{k}.npz"} for k in (1, 2, 9)]
    for row in truths:
        del row["split"]
    write_table(root / "museum" / "truth.parquet", truths, TRUTH)
    assert truths_of(stored_images(root), root / "museum") == {"bb": root / "museum" / "truth" / "1.npz"}


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(LiftnetError, match=r"manifest\.parquet"):
        stored_images(tmp_path)
