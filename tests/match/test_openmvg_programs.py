"""OpenMVG's real programs: what they find, that they find it again, and that they fail as the driver expects.

They are taken from the folder in the environment variable OPENMVG_BIN, or from PATH.
"""

import os
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data import features as cache
from liftnet.data.pictures import read_image
from liftnet.match.match import match_work
from liftnet.match.methods.openmvg.files import (
    read_describer,
    read_descriptors,
    read_features,
    read_matches,
    read_sfm_data,
)
from liftnet.match.methods.openmvg.methods import PRESETS
from liftnet.match.methods.openmvg.programs import FEATURES, FILTER, LISTING, MATCHES, PAIRS
from liftnet.match.settings import MatchSettings

BIN = os.environ.get("OPENMVG_BIN", "")
BUDDHA = Path(__file__).resolve().parents[2] / "../shared/data/photos/buddha"
MISSING = [name for name in (LISTING, FEATURES, PAIRS, MATCHES, FILTER) if not shutil.which(name, path=BIN or None)]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(MISSING), reason=f"not in $OPENMVG_BIN nor on PATH: {', '.join(MISSING)}"),
]


def run(root, out="m.parquet", threads=1, **changes):
    settings = changed(MatchSettings(), **{"extractor": "openmvg", "matcher": "openmvg", "bin": BIN, **changes})
    match_work(root.path, "a-work-123abc", root.path / out, settings, threads)
    return {(row["image_a"], row["image_b"]): row for row in root.matches(out)}


def forget_features(root):
    shutil.rmtree(root.path / "features")


def program(name, *arguments, cwd):
    """Exit status, and what was said."""
    path = shutil.which(name, path=BIN or None)
    done = subprocess.run(
        [path, *map(str, arguments)], cwd=cwd, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def errors(row, motion):
    """Distance in pixels of each match from where the known motion puts it."""
    there, here = np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])
    return np.linalg.norm(motion[:, :2] @ there + motion[:, 2:] - here, axis=0)


@pytest.mark.parametrize("changes", [{}, {"matcher": "exact"}, {"extractor": "opencv"}, {"method": "AUTO"}])
def test_matches_follow_the_known_motion(two_views, motion, changes):
    away = errors(run(two_views, **changes)["a0", "b1"], motion)
    assert len(away) > 100
    assert (away < 1).mean() > 0.95
    assert np.median(away) < 0.2


@pytest.mark.parametrize("model", ["f", "h"])
def test_its_filter_keeps_the_true_matches(two_views, motion, model):
    all_of_them = errors(run(two_views, ratio=0.95, method="AUTO")["a0", "b1"], motion)
    kept = errors(run(two_views, ratio=0.95, method="AUTO", filter=model)["a0", "b1"], motion)
    assert (kept < 1).mean() > (all_of_them < 1).mean()
    assert (kept < 1).sum() > 0.9 * (all_of_them < 1).sum()


@pytest.mark.parametrize("method", ["HNSWL2", "BRUTEFORCEL2", "AUTO"])
def test_its_own_pipeline_gives_the_same_matches(root, textured, motion, method):
    """The five programs called by hand, all images in one folder, against a folder for each image."""
    names = ["a0", "b1", "c2"]
    first = textured()
    turned = cv2.warpAffine(first, motion, first.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    for name, pixels in zip(names, (first, turned, np.ascontiguousarray(first[:, 40:])), strict=True):
        save(Image.fromarray(pixels), root.path / f"images/{name}.png")
        root.add_row(name, file=f"{name}.png")
    folder, scene = root.path, ("-i", "out/sfm_data.json")
    program(LISTING, "-i", "images", "-o", "out", cwd=folder)
    program(FEATURES, *scene, "-o", "out", "-p", "HIGH", cwd=folder)
    program(PAIRS, *scene, "-o", "out/pairs.txt", cwd=folder)
    program(MATCHES, *scene, "-p", "out/pairs.txt", "-o", "out/m.bin", "-n", method, cwd=folder)
    program(FILTER, *scene, "-m", "out/m.bin", "-o", "out/f.bin", "-g", "f", cwd=folder)
    points = [read_features(folder / f"out/{name}.feat")[:, :2].tolist() for name in names]
    for filtered, file in (("none", "m.bin"), ("f", "f.bin")):
        rows = run(root, method=method, filter=filtered, mutual=False)
        found = read_matches(folder / "out" / file)
        assert len(found) == 3
        for (i, j), matches in found.items():
            row = rows[names[i], names[j]]
            ours = set(zip(row["x1"], row["y1"], row["x2"], row["y2"], strict=True))
            assert ours == {(*points[i][k], *points[j][m]) for k, m in matches.tolist()}
            assert 50 < len(ours) <= len(matches)  # it repeats places with several orientations


@pytest.mark.parametrize("method", ["HNSWL2", "AUTO"])
def test_runs_and_threads_give_the_same_table(two_views, textured, method, monkeypatch):
    for k in range(2):
        two_views.add(f"c{k}", textured(seed=k))
    monkeypatch.setattr("liftnet.match.methods.openmvg.methods._PAIRS_AT_ONCE", 2)
    changes = {"method": method, "filter": "f"}
    first = run(two_views, **changes)
    assert sum(len(row["x1"]) for row in first.values()) > 200
    forget_features(two_views)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run(two_views, threads=2, **changes) == first


def test_upright_and_presets_reach_it(two_views):
    def count():
        (path,) = two_views.path.glob("features/*/a0.safetensors")
        found = cache.read_features(path)
        forget_features(two_views)
        return len(found), len(np.unique(found.keypoints, axis=0)), np.ptp(found.orientations)

    counts = {}
    for preset in PRESETS:
        run(two_views, preset=preset)
        counts[preset] = count()
    assert counts["NORMAL"][0] <= counts["HIGH"][0] < counts["ULTRA"][0]
    assert counts["HIGH"][2] > 3
    run(two_views, **{"features.openmvg.upright": True})
    features, places, turn = count()
    assert features == places == counts["HIGH"][1]
    assert turn == 0


def save(picture, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)


def test_every_kind_of_picture_is_read_as_others_read_it(root, textured):
    """What OpenMVG drops, misreads or dies of when it is given the files themselves."""
    grey = textured()[..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    colour, plain = Image.fromarray(textured()), Image.fromarray(grey)
    images = root.path / "images"
    save(colour, images / "a.png")
    save(colour, images / "sub/a.png")  # the same stem
    save(colour, images / "a.webp", lossless=True)
    save(colour, images / "a.bmp")
    save(plain, images / "with space, 雕塑 & mask.png")
    save(plain, images / "grey.tif")
    save(plain.convert("LA"), images / "grey and transparent.png")
    save(colour.convert("CMYK"), images / "cmyk.tif")
    save(colour, images / "turned.png", exif=exif)
    save(Image.fromarray(textured(seed=5)), images / "other/a.png")
    assert cv2.imwrite(str(images / "deep.tif"), grey)
    files = sorted(path for path in images.rglob("*.*"))
    for k, path in enumerate(files):
        root.add_row(f"{k:02d}", file=str(path.relative_to(images)))
    rows = run(root)
    assert len(rows) == len(list(combinations(files, 2)))
    assert {row["status"] for row in rows.values()} == {"ok"}
    found = {path: cache.read_features(next(root.path.glob(f"features/*/{k:02d}.*"))) for k, path in enumerate(files)}
    wanted = found[images / "a.png"]
    assert len(wanted) > 200
    for path, features in found.items():
        same = np.array_equal(features.keypoints, wanted.keypoints)
        assert same == (path != images / "other/a.png"), path


def test_a_picture_it_dies_of_is_named(two_views, motion):
    two_views.add("tiny", np.full((1, 1, 3), 90, np.uint8))
    rows = run(two_views)
    assert rows["a0", "tiny"]["status"] == "openmvg_failed"
    assert re.search(r"ComputeFeatures was ended by signal \d+ on the image tiny", rows["a0", "tiny"]["reason"])
    assert np.median(errors(rows["a0", "b1"], motion)) < 0.2


def test_a_flat_picture_has_too_few_keypoints(two_views):
    two_views.add("flat", np.full((200, 300, 3), 90, np.uint8))
    rows = run(two_views)
    assert rows["a0", "flat"]["status"] == "too_few_keypoints"
    assert rows["a0", "b1"]["status"] == "ok"


@pytest.fixture
def by_hand(two_views, textured):
    """A folder in which the programs were called without this package, and the folder of their outputs."""
    two_views.add("c2", textured(seed=9))
    folder = two_views.path
    assert program(LISTING, "-i", "images", "-o", "out", cwd=folder)[0] == 0
    assert program(FEATURES, "-i", "out/sfm_data.json", "-o", "out", "-p", "HIGH", cwd=folder)[0] == 0
    return folder, folder / "out"


def compute_matches(folder, *options, out="m.bin"):
    return program(MATCHES, "-i", "out/sfm_data.json", "-o", f"out/{out}", "-n", "HNSWL2", *options, cwd=folder)


class TestItFailsSilently:
    """Exit status 0 and a wrong result: the reasons for the driver's checks, and that the readers see them."""

    def test_cut_descriptors(self, by_hand):
        folder, out = by_hand
        assert compute_matches(folder)[0] == 0
        whole = read_matches(out / "m.bin")[0, 1]
        (out / "b1.desc").write_bytes((out / "b1.desc").read_bytes()[:3000])
        assert compute_matches(folder, out="n.bin")[0] == 0
        assert len(read_matches(out / "n.bin").get((0, 1), [])) < len(whole) / 10
        with pytest.raises(LiftnetError, match=r"b1\.desc: has 3000 bytes"):
            read_descriptors(out / "b1.desc")

    def test_old_matches(self, by_hand):
        folder, out = by_hand
        compute_matches(folder)
        before = read_matches(out / "m.bin")
        status, words = compute_matches(folder, "-r", "0.3")
        assert (status, "PREVIOUS RESULTS LOADED" in words) == (0, True)
        assert {key: len(rows) for key, rows in read_matches(out / "m.bin").items()} == {
            key: len(rows) for key, rows in before.items()
        }
        compute_matches(folder, "-r", "0.3", "-f", "1")
        assert len(read_matches(out / "m.bin")[0, 1]) < len(before[0, 1])

    def test_old_features(self, by_hand):
        folder, out = by_hand
        before = (out / "a0.feat").read_bytes()
        options = ("-i", "out/sfm_data.json", "-o", "out", "-p", "ULTRA")
        assert program(FEATURES, *options, cwd=folder)[0] == 0
        assert (out / "a0.feat").read_bytes() == before
        assert read_describer(out / "image_describer.json").first_octave == 0  # that of HIGH
        assert program(FEATURES, *options, "-f", "1", cwd=folder)[0] == 0
        assert read_describer(out / "image_describer.json").first_octave == PRESETS["ULTRA"][0]

    def test_vanished_image(self, by_hand):
        folder, out = by_hand
        (folder / "images/b1.jpg").unlink()
        for path in out.glob("b1.*"):
            path.unlink()
        status, words = program(FEATURES, "-i", "out/sfm_data.json", "-o", "out", cwd=folder)
        assert (status, "fopen returned 0" in words) == (0, True)
        assert not list(out.glob("b1.*"))
        assert compute_matches(folder)[0] == 1

    def test_same_stem(self, by_hand):
        folder, _ = by_hand
        Image.fromarray(read_image(folder / "images/c2.jpg")).save(folder / "images/a0.png")
        assert program(LISTING, "-i", "images", "-o", "again", cwd=folder)[0] == 0
        with pytest.raises(
            LiftnetError, match=r"lists a0\.(jpg and a0\.png|png and a0\.jpg), which would share the features a0\.feat"
        ):
            read_sfm_data(folder / "again/sfm_data.json")

    def test_files_it_does_not_list(self, by_hand):
        folder, _ = by_hand
        picture = Image.fromarray(read_image(folder / "images/c2.jpg"))
        for name in ("d.webp", "d.bmp", "d.gif", "dmask.png", "sub/d.png"):
            save(picture, folder / "images" / name)
        (folder / "images/e.jpg").write_bytes(b"<html>")
        assert program(LISTING, "-i", "images", "-o", "again", cwd=folder)[0] == 0
        assert [view.stem for view in read_sfm_data(folder / "again/sfm_data.json")] == ["a0", "b1", "c2"]

    def test_truncated_grey_and_turned_pictures(self, by_hand):
        folder, _ = by_hand
        picture = Image.fromarray(read_image(folder / "images/c2.jpg"))
        shutil.rmtree(folder / "images")
        exif = Image.Exif()
        exif[0x0112] = 6
        save(picture.convert("LA"), folder / "images/grey.png")
        save(picture, folder / "images/turned.jpg", exif=exif)
        save(picture, folder / "images/whole.jpg")
        data = (folder / "images/whole.jpg").read_bytes()
        (folder / "images/cut.jpg").write_bytes(data[: len(data) // 2])
        assert program(LISTING, "-i", "images", "-o", "again", cwd=folder)[0] == 0
        sizes = {view.stem: (view.width, view.height) for view in read_sfm_data(folder / "again/sfm_data.json")}
        assert sizes == dict.fromkeys(["cut", "grey", "turned", "whole"], picture.size)
        assert program(FEATURES, "-i", "again/sfm_data.json", "-o", "again", cwd=folder)[0] == 0
        assert not (folder / "again/grey.feat").exists()
        assert (folder / "again/turned.feat").read_bytes() == (folder / "again/whole.feat").read_bytes()
        assert 0 < (folder / "again/cut.feat").stat().st_size < (folder / "again/whole.feat").stat().st_size

    def test_unknown_kind_of_matches_file(self, by_hand):
        folder, out = by_hand
        assert compute_matches(folder, out="m.foo")[0] == 0
        assert not (out / "m.foo").exists()

    def test_wrong_and_unreadable_masks(self, by_hand):
        folder, _ = by_hand
        options = ("-i", "out/sfm_data.json", "-o", "again", "-p", "HIGH")
        Image.new("L", (20, 20)).save(folder / "images/a0_mask.png")
        assert program(FEATURES, *options, cwd=folder)[0] == 0
        assert (folder / "again/a0.feat").read_bytes() == (folder / "out/a0.feat").read_bytes()
        shutil.rmtree(folder / "again")
        (folder / "images/a0_mask.png").write_bytes(b"no picture")
        assert program(FEATURES, *options, cwd=folder)[0] == 0
        assert not (folder / "again/a0.feat").exists()

    def test_full_disk(self, by_hand):
        folder, _ = by_hand
        (folder / "again").mkdir()
        for name in ("a0.desc", "b1.feat", "c2.desc"):
            (folder / "again" / name).symlink_to("/dev/full")
        assert program(FEATURES, "-i", "out/sfm_data.json", "-o", "again", cwd=folder)[0] == 0

    def test_corrupt_matches_end_the_filter(self, by_hand):
        folder, out = by_hand
        compute_matches(folder)
        (out / "m.bin").write_bytes((out / "m.bin").read_bytes()[:-7])
        status, words = program(FILTER, "-i", "out/sfm_data.json", "-m", "out/m.bin", "-o", "out/f.bin", cwd=folder)
        assert (status, "cereal::Exception" in words) == (-6, True)
        with pytest.raises(LiftnetError, match=r"m\.bin: is too short"):
            read_matches(out / "m.bin")

    @pytest.mark.parametrize(
        ("name", "options"),
        [(FEATURES, ("-p", "BEST")), (FEATURES, ("-m", "SURF")), (MATCHES, ("-n", "EXACT")), (FILTER, ("-g", "z"))],
    )
    def test_an_unknown_value_does_end_it(self, by_hand, name, options):
        folder, _ = by_hand
        outputs = {FEATURES: ("again",), MATCHES: ("out/x.bin",), FILTER: ("out/x.bin", "-m", "out/m.bin")}[name]
        assert program(name, "-i", "out/sfm_data.json", "-o", *outputs, *options, cwd=folder)[0] == 1


@pytest.mark.skipif(not BUDDHA.is_dir(), reason=f"the photographs are not at {BUDDHA}")
def test_photographs_with_known_cameras(root):
    """Six neighbouring views of a plaster head: matches on the true epipolar lines, more of them after the filter."""
    names = ["00006", "00010", "00028", "00042", "00046", "00047"]
    for name in names:
        root.add_row(name, file=str(BUDDHA / f"images/{name}._c.jpg"))

    def within(rows):
        distances = [_to_true_line(*pair, row) for pair, row in rows.items() if row["x1"]]
        return np.concatenate(distances) < 4

    exact, searched = within(run(root, matcher="exact")), within(run(root))
    filtered = within(run(root, filter="f"))
    hashed = within(run(root, method="AUTO"))
    assert exact.sum() > 200
    assert 0.9 * exact.sum() < searched.sum() < 1.1 * exact.sum()
    assert filtered.mean() > searched.mean() > hashed.mean()


def _to_true_line(first, second, row):
    camera_a, camera_b = (np.loadtxt(BUDDHA / f"cameras/{name}._c.txt") for name in (first, second))
    x, y, z = camera_b @ np.linalg.svd(camera_a)[2][-1]
    fundamental = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ camera_b @ np.linalg.pinv(camera_a)
    ones = np.ones(len(row["x1"]))
    lines = np.column_stack([row["x1"], row["y1"], ones]) @ fundamental.T
    return np.abs((lines * np.column_stack([row["x2"], row["y2"], ones])).sum(1)) / np.hypot(lines[:, 0], lines[:, 1])
