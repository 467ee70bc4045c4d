"""OpenMVG's files: a real recording, and damage of every kind."""

import json
import struct
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftnet.core.errors import LiftnetError
from liftnet.data.features import Features
from liftnet.match.methods.openmvg.files import (
    Describer,
    View,
    check_matches,
    read_describer,
    read_descriptors,
    read_features,
    read_matches,
    read_pairs,
    read_sfm_data,
    write_describer,
    write_features,
    write_pairs,
    write_sfm_data,
)

RECORDING = Path(__file__).resolve().parents[2] / "../shared/data/openmvg_recording"
real = [
    pytest.mark.real,
    pytest.mark.skipif(not RECORDING.is_dir(), reason="the recording of OpenMVG is not there"),
]


def binary(matches, order="<"):
    """A file of matches in the format of cereal's portable binary archive."""
    data = struct.pack("B", order == "<") + struct.pack(order + "Q", len(matches))
    for (i, j), rows in matches.items():
        data += struct.pack(order + "IIQ", i, j, len(rows)) + np.array(rows, order + "u4").tobytes()
    return data


def matches_in_text(path):
    """The matches of a text file of OpenMVG, read plainly: I and J, their number, and so many lines of two indices."""
    numbers, at, matches = [int(word) for word in path.read_text().split()], 0, {}
    while at < len(numbers):
        i, j, count = numbers[at : at + 3]
        matches[i, j] = np.array(numbers[at + 3 : at + 3 + 2 * count]).reshape(count, 2)
        at += 3 + 2 * count
    return matches


def view(number, name, width=640, height=480, **changes):
    data = {"local_path": "", "filename": name, "width": width, "height": height, "id_view": number}
    return {"key": number, "value": {"polymorphic_id": 1073741824, "ptr_wrapper": {"id": 1, "data": data | changes}}}


def scene(*views):
    return json.dumps({"sfm_data_version": "0.3", "root_path": "images", "views": list(views), "intrinsics": []})


def describer(kind="SIFT", params=("first_octave", "peak_threshold", "root_sift"), orientation=True):
    data = {"params": dict.fromkeys(params, 0), "bOrientation": orientation}
    content = {"image_describer": {"polymorphic_name": f"{kind}_Image_describer", "ptr_wrapper": {"data": data}}}
    return json.dumps(content | {"regions_type": {"polymorphic_name": f"{kind}_Regions"}})


SMALL = {(0, 1): [(0, 1), (2, 2)], (0, 2): [], (1, 2): [(7, 70000)]}


class TestRecording:
    pytestmark = real

    def test_scene(self):
        views = read_sfm_data(RECORDING / "sfm_data.json")
        assert [v.id_view for v in views] == list(range(8))
        assert views[0].stem == "IMG_1106"
        assert all(max(v.width, v.height) == 1024 for v in views)

    def test_features_and_descriptors_agree(self):
        for v in read_sfm_data(RECORDING / "sfm_data.json"):
            features = read_features(RECORDING / f"{v.stem}.feat")
            descriptors = read_descriptors(RECORDING / f"{v.stem}.desc")
            assert len(features) == len(descriptors) > 200
            assert (features[:, :2] >= 0).all()
            assert (features[:, :2] < [v.width, v.height]).all()
            norms = np.linalg.norm(descriptors.astype(float), axis=1)
            assert np.median(norms) == pytest.approx(512, rel=0.02)

    @pytest.mark.parametrize(("name", "pairs"), [("putative", 28), ("f", 5)])
    def test_binary_equals_text(self, name, pairs):
        views = read_sfm_data(RECORDING / "sfm_data.json")
        counts = {v.id_view: len(read_features(RECORDING / f"{v.stem}.feat")) for v in views}
        from_bin = read_matches(RECORDING / f"matches.{name}.bin")
        from_text = matches_in_text(RECORDING / f"matches.{name}.txt")
        assert from_bin.keys() == from_text.keys()
        assert len(from_bin) == pairs
        assert all(np.array_equal(from_bin[pair], from_text[pair]) for pair in from_bin)
        assert sum(map(len, from_bin.values())) > 50
        check_matches("matches", from_bin, counts)
        with pytest.raises(LiftnetError, match="which has 3"):
            check_matches("matches", from_bin, dict.fromkeys(counts, 3))

    def test_pairs_and_describer(self):
        assert read_pairs(RECORDING / "pairs.txt") == list(combinations(range(8), 2))
        describer = read_describer(RECORDING / "image_describer.json")
        assert describer.peak_threshold == pytest.approx(0.04)
        assert (describer.first_octave, describer.upright, describer.root_sift) == (0, False, True)


@pytest.mark.parametrize("order", "<>")
def test_binary_matches(tmp_path, order):
    path = tmp_path / "matches.bin"
    path.write_bytes(binary(SMALL, order))
    found = read_matches(path)
    assert {pair: list(map(tuple, rows.tolist())) for pair, rows in found.items()} == SMALL
    assert all(rows.dtype == np.uint32 and rows.shape[1:] == (2,) for rows in found.values())


def test_every_truncation_of_binary_matches_is_seen(tmp_path):
    whole, path = binary(SMALL), tmp_path / "matches.bin"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(LiftnetError, match=r"matches\.bin"):
            read_matches(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(LiftnetError, match="after its last pair"):
        read_matches(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\2" + struct.pack("<Q", 0), "portable binary"),
        (b"\1" + struct.pack("<Q", 2**63), "too short"),
        (b"\1" + struct.pack("<QIIQ", 1, 0, 1, 2**61), "too short"),
        (binary({(1, 1): []}), "not the smaller"),
        (binary({(2, 1): []}), "not the smaller"),
        (b"\1" + struct.pack("<Q", 2) + 2 * struct.pack("<IIQ", 0, 1, 0), "twice"),
    ],
)
def test_malformed_binary_matches(tmp_path, data, message):
    (tmp_path / "m.bin").write_bytes(data)
    with pytest.raises(LiftnetError, match=message):
        read_matches(tmp_path / "m.bin")


pairs_of_matches = st.dictionaries(
    st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda p: (p[0], p[0] + p[1])),
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=6),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(matches=pairs_of_matches, order=st.sampled_from("<>"))
def test_any_matches_survive_the_format(tmp_path_factory, matches, order):
    folder = tmp_path_factory.mktemp("matches")
    (folder / "m.bin").write_bytes(binary(matches, order))
    found = read_matches(folder / "m.bin")
    assert {pair: list(map(tuple, rows.tolist())) for pair, rows in found.items()} == matches


READERS = {
    "m.bin": read_matches,
    "x.feat": read_features,
    "x.desc": read_descriptors,
    "pairs.txt": read_pairs,
    "sfm_data.json": read_sfm_data,
    "image_describer.json": read_describer,
}
WHOLE = {
    "m.bin": binary(SMALL),
    "x.feat": b"518.876 5.14127 2.0504 5.46521\n390.41 15.0896 2.12173 1.3223\n",
    "x.desc": struct.pack("<Q", 2) + bytes(256),
    "pairs.txt": b"0 1\n0 2\n",
    "sfm_data.json": scene(view(0, "a.jpg"), view(1, "b.jpg")).encode(),
    "image_describer.json": describer().encode(),
}


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(READERS)), data=st.data())
def test_damaged_files_raise_nothing_but_a_clear_error(tmp_path_factory, name, data):
    whole = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not whole:
            break
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(bytes(whole))
    with suppress(LiftnetError):  # any other exception fails the test
        READERS[name](path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_missing_file(tmp_path, name):
    with pytest.raises(LiftnetError, match="does not exist"):
        READERS[name](tmp_path / name)


def test_features(tmp_path):
    path = tmp_path / "x.feat"
    path.write_bytes(WHOLE["x.feat"])
    assert read_features(path) == pytest.approx(
        np.array([[518.876, 5.14127, 2.0504, 5.46521], [390.41, 15.0896, 2.12173, 1.3223]]), rel=1e-6
    )
    path.write_bytes(b"")
    assert read_features(path).shape == (0, 4)


@pytest.mark.parametrize(
    "content", ["1 2 3\n", "1 2 3 4", "1 2 3 4\n1 2 3 4 5\n", "1 2 3 nan\n", "\n", "1 2 3 4\n\n", "x\n"]
)
def test_malformed_features(tmp_path, content):
    (tmp_path / "x.feat").write_text(content)
    with pytest.raises(LiftnetError, match=r"x\.feat"):
        read_features(tmp_path / "x.feat")


def test_descriptors_need_the_size_their_count_says(tmp_path):
    path = tmp_path / "x.desc"
    path.write_bytes(struct.pack("<Q", 0))
    assert read_descriptors(path).shape == (0, 128)
    whole = WHOLE["x.desc"]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(LiftnetError, match=r"x\.desc"):
            read_descriptors(path)
    path.write_bytes(struct.pack("<Q", 2**61) + bytes(256))
    with pytest.raises(LiftnetError, match="bytes"):
        read_descriptors(path)


def test_scene_comes_in_order(tmp_path):
    (tmp_path / "s.json").write_text(scene(view(1, "b.jpg"), view(0, "a.jpg", local_path="sub/")))
    assert [(v.id_view, v.filename, v.stem) for v in read_sfm_data(tmp_path / "s.json")] == [
        (0, "sub/a.jpg", "a"),
        (1, "b.jpg", "b"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (scene(view(0, "a.jpg"), view(1, "a.png")), r"a\.jpg and a\.png, which would share"),
        (scene(view(0, "a.jpg"), view(0, "b.jpg")), "same id"),
        (scene(view(0, "a.jpg", width=4294967295)), "size"),
        (scene(view(0, "a.jpg", width=True)), "numbers"),
        (scene(view(0, "a.jpg", id_view=3)), "id_view"),
        (scene(view(0, "")), "filename"),
        (scene({"key": 0}), "value"),
        (scene().replace("0.3", "0.2"), "version"),
        ("[]", "not a scene"),
        ("{", "not valid JSON"),
    ],
)
def test_malformed_scene(tmp_path, content, message):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(LiftnetError, match=message):
        read_sfm_data(tmp_path / "s.json")


@pytest.mark.parametrize("content", ["0 0\n", "0\n", "0 1 2\n", "0 -1\n", "0 99999999999\n"])
def test_malformed_pairs(tmp_path, content):
    (tmp_path / "p.txt").write_text(content)
    with pytest.raises(LiftnetError, match=r"p\.txt"):
        read_pairs(tmp_path / "p.txt")


def test_matches_of_a_view_that_is_not_there():
    with pytest.raises(LiftnetError, match="view 2"):
        check_matches("m.bin", {(0, 2): np.zeros((1, 2), np.uint32)}, {0: 5, 1: 5})


def test_matches_of_a_feature_that_is_not_there():
    matches = {(0, 2): np.array([[4, 0], [1, 9]], np.uint32)}
    check_matches("m.bin", matches, {0: 5, 2: 10})
    with pytest.raises(LiftnetError, match="the feature 9 of some-image, which has 9"):
        check_matches("m.bin", matches, {0: 5, 2: 9}, {2: "some-image"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (describer("AKAZE"), "names AKAZE_Image_describer and AKAZE_Regions, not SIFT"),
        (describer(params=("first_octave",)), "not a describer of OpenMVG"),
        ("{}", "not a describer of OpenMVG"),
        ("[]", "not a describer of OpenMVG"),
        ("", "not valid JSON"),
    ],
)
def test_malformed_describer(tmp_path, content, message):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(LiftnetError, match=message):
        read_describer(tmp_path / "d.json")


def some_features(n=50, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(0, 3000, (n, 4)).astype(np.float32)
    return Features(numbers[:, :2], numbers[:, 2], numbers[:, 3], rng.integers(0, 256, (n, 128)).astype(np.uint8))


@pytest.mark.parametrize("n", [0, 1, 50])
def test_written_features_are_read_back_exactly(tmp_path, n):
    features = some_features(n)
    write_features(tmp_path, "x", features)
    rows = read_features(tmp_path / "x.feat")
    np.testing.assert_array_equal(rows[:, :2], features.keypoints)
    np.testing.assert_array_equal(rows[:, 2], features.scales)
    np.testing.assert_array_equal(rows[:, 3], features.orientations)
    np.testing.assert_array_equal(read_descriptors(tmp_path / "x.desc"), features.descriptors)


def test_written_scene_pairs_and_describer_are_read_back(tmp_path):
    write_sfm_data(tmp_path / "sfm_data.json", ["a", "b"], [(640, 480), (30, 40)])
    assert read_sfm_data(tmp_path / "sfm_data.json") == [View(0, "a.ppm", 640, 480), View(1, "b.ppm", 30, 40)]
    write_pairs(tmp_path / "pairs.txt", [(0, 1), (0, 2)])
    assert read_pairs(tmp_path / "pairs.txt") == [(0, 1), (0, 2)]
    write_describer(tmp_path / "image_describer.json")
    assert read_describer(tmp_path / "image_describer.json") == Describer(0, 0.01, upright=False, root_sift=True)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(LiftnetError, match=r"x\.feat: cannot be written"):
        write_features(tmp_path / "missing", "x", some_features())
