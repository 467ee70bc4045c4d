import numpy as np
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.data.truth import TrueView, load_truth, save_truth
from liftnet.geometry.cameras import Camera, OrthographicCamera

DEPTH = np.where(np.eye(5) > 0, np.nan, 2.5).astype(np.float32)
PINHOLE = Camera(np.diag([200.0, 200, 1]), np.eye(3), np.array([0.1, -0.2, 4.0]))
PARALLEL = OrthographicCamera(40.0, np.array([2.0, 2.0]), np.eye(3), np.array([0.1, -0.2, 2.7]))


@pytest.mark.parametrize("camera", [PINHOLE, PARALLEL])
def test_both_cameras_come_back(tmp_path, camera):
    save_truth(tmp_path / "a.npz", TrueView(DEPTH, camera, "cm"))
    found = load_truth(tmp_path / "a.npz")
    assert type(found.camera) is type(camera)
    for name, value in vars(camera).items():
        np.testing.assert_array_equal(getattr(found.camera, name), value)
    np.testing.assert_array_equal(found.depth, DEPTH)
    assert found.unit == "cm"
    save_truth(tmp_path / "b.npz", found)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_of_numpys_own_writer_without_unit_is_read(tmp_path):
    arrays = {"intrinsics": PINHOLE.intrinsics, "rotation": PINHOLE.rotation, "translation": PINHOLE.translation}
    np.savez_compressed(tmp_path / "old.npz", depth=DEPTH, **arrays)
    assert load_truth(tmp_path / "old.npz").unit == ""


def test_a_damaged_file_is_named(tmp_path):
    save_truth(tmp_path / "a.npz", TrueView(DEPTH, PARALLEL))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(LiftnetError, match="not a readable truth file"):
        load_truth(tmp_path / "a.npz")
