"""What others read of a dataset: COLMAP reconstructs a rendered work; the files of hloc and kapture say the same."""

import importlib.util
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.dataset import read_linked_pairs, read_pairs, read_tracks
from liftnet.data.schemas import MANIFEST, PAIRS, write_table
from liftnet.data.truth import load_truth, truth_files
from liftnet.render.museum import render_museum
from liftnet.render.settings import MuseumSettings
from liftnet.shard.export import Wanted, export_dataset
from liftnet.shard.exports.exported import exported_works
from liftnet.shard.settings import ShardSettings
from liftnet.shard.tracks import join_tracks
from liftnet.shard.write import write_dataset
from liftnet.verify.truth import true_positions

WORK, VIEWS, STEP = "a-work", 6, 7
MUSEUM = MuseumSettings(
    artists=1,
    works_per_artist=1,
    views_per_work=VIEWS,
    image_size=240,
    mesh_resolution=40,
    azimuth_span=50,
    faults=False,
)
needs_pycolmap = pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed")
needs_h5py = pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="h5py is not installed (extra hloc)")


def pair_row(images, a, b, points_a, points_b):
    first, second = images[a], images[b]
    sides = {
        f"{name}_{side}": row[name] for side, row in (("a", first), ("b", second)) for name in ("width", "height")
    }
    return {
        "pair_id": f"{first['image_id']}-{second['image_id']}",
        **{name: first[name] for name in ("work_id", "artist_id", "split")},
        **{"image_a": first["image_id"], "image_b": second["image_id"], "kept": True, "reason": "kept", **sides},
        **{"x1": points_a[:, 0], "y1": points_a[:, 1], "x2": points_b[:, 0], "y2": points_b[:, 1]},
        **{"score": np.full(len(points_a), 0.8), "n_putative": 200, "n_masked": 150, "n_inliers": len(points_a)},
    }


def inside(points, image):
    return ((points >= 0) & (points <= [image["width"] - 1, image["height"] - 1])).all(axis=1)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A dataset of one rendered work: exact correspondences of neighbouring views, none of views far apart."""
    root = tmp_path_factory.mktemp("rendered")
    render_museum(root / "museum", MUSEUM, seed=0, threads=1)
    files = truth_files(root / "museum")
    views = [load_truth(path) for path in files.values()]
    images = []
    for number, (url, view) in enumerate(zip(files, views, strict=True)):
        image, (height, width) = f"{number:016x}", view.depth.shape
        names = {"image_id": image, "artist_id": "an-artist", "work_id": WORK, "group_id": "g", "split": "train"}
        about = {"sha256": image, "file": f"{image}.jpg", "image_url": url, "status": "ok", "source": "museum"}
        images.append({**names, **about, "width": width, "height": height, "license_spdx": "CC0-1.0"})
        (root / "images").mkdir(exist_ok=True)
        shutil.copy(root / "museum" / url, root / "images" / f"{image}.jpg")
    images[0]["focal_35mm"] = 50.0
    rows, columns = np.nonzero(views[VIEWS // 2].mask)
    grid = np.column_stack([columns, rows])[::STEP].astype(float)
    seen = [true_positions(views[VIEWS // 2], view, grid) for view in views]
    pairs = []
    for a in range(VIEWS):
        for b in range(a + 1, min(a + 4, VIEWS)):
            both = seen[a][1] & seen[b][1] & inside(seen[a][0], images[a]) & inside(seen[b][0], images[b])
            pairs.append(pair_row(images, a, b, seen[a][0][both], seen[b][0][both]))
    write_table(root / "pairs" / f"{WORK}.parquet", pairs, PAIRS)
    write_table(root / "manifest.parquet", images, MANIFEST)
    settings = changed(ShardSettings(), merge_px=0.02, mini_mb=0)
    join_tracks(root, settings)
    write_dataset(root, root / "dataset", settings)
    return root / "dataset"


@pytest.fixture(scope="module")
def work(rendered):
    (found,) = exported_works(rendered, ["train"], [], linked=True)
    return found


def matched_points(work, pair):
    first, second = (work.images[number].keypoints for number in pair.images)
    return np.hstack([first[pair.matches[:, 0]], second[pair.matches[:, 1]]])


def in_order(rows):
    return rows[np.lexsort(rows.T)]


def test_keypoints_stand_there_once_and_matches_are_the_correspondences(rendered, work):
    tracks = list(read_tracks(rendered, "train"))
    assert sum(len(image.keypoints) for image in work.images) == sum(map(len, tracks))
    for image in work.images:
        assert len(np.unique(image.keypoints, axis=0)) == len(image.keypoints)
    ids = [image.image_id for image in work.images]
    given = [*read_pairs(rendered, "train"), *read_linked_pairs(rendered, "train")]
    points = {(ids.index(p.image_a), ids.index(p.image_b)): np.hstack([p.points_a, p.points_b]) for p in given}
    assert [pair.images for pair in work.pairs] == sorted(points)
    assert sum(pair.verified for pair in work.pairs) == len(list(read_pairs(rendered, "train"))) < len(points)
    for pair in work.pairs:
        np.testing.assert_allclose(
            in_order(matched_points(work, pair)), in_order(np.unique(points[pair.images], axis=0))
        )
        assert np.abs(pair.scores - (0.8 if pair.verified else 0)).max() < 1 / 255


def test_focal_lengths_are_those_of_exif_or_what_colmap_guesses(work):
    known, *others = work.images
    assert known.width / known.height == pytest.approx(4 / 3)  # whose long side is 4/5 of the diagonal of 36 x 24 mm
    assert known.focal == pytest.approx(50 / (np.hypot(36, 24) * 4 / 5) * known.width)
    assert known.simple_radial == (known.focal, known.width / 2, known.height / 2, 0)
    for image in others:
        assert image.focal is None
        assert image.simple_radial == (1.2 * max(image.width, image.height), image.width / 2, image.height / 2, 0)


@needs_pycolmap
def test_colmap_opens_the_database_and_reconstructs_the_work(rendered, work, tmp_path):
    import pycolmap

    assert export_dataset(rendered, tmp_path, Wanted("colmap")) == [WORK]
    folder = tmp_path / WORK
    pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    with pycolmap.Database.open(folder / "database.db") as database:
        verified = [pair for pair in work.pairs if pair.verified]
        counts = database.num_cameras(), database.num_images(), database.num_verified_image_pairs()
        assert counts == (VIEWS, VIEWS, len(verified))
        for number, image in enumerate(work.images, 1):
            assert database.read_image(number).name == image.name
            np.testing.assert_allclose(database.read_keypoints(number), image.keypoints + 0.5, atol=1e-4)
            camera = database.read_camera(number)
            assert (camera.model.name, camera.width, camera.height) == ("SIMPLE_RADIAL", image.width, image.height)
            assert camera.params == pytest.approx(image.simple_radial)
            assert camera.has_prior_focal_length == (image.focal is not None)
        for pair in verified:
            first, second = (number + 1 for number in pair.images)
            np.testing.assert_array_equal(database.read_matches(first, second), pair.matches)
            found = database.read_two_view_geometry(first, second)
            np.testing.assert_array_equal(found.inlier_matches, pair.matches)
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.min_model_size = 1, 3
    pycolmap.set_random_seed(0)
    models = pycolmap.incremental_mapping(folder / "database.db", folder / "images", tmp_path / "sparse", options)
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    assert largest.num_reg_images() >= VIEWS - 1
    assert largest.num_points3D() > 100
    assert largest.compute_mean_reprojection_error() < 1


@needs_h5py
def test_hloc_finds_keypoints_and_matches_by_its_names(rendered, work, tmp_path):
    import h5py

    export_dataset(rendered, tmp_path, Wanted("hloc", linked=True))
    folder = tmp_path / WORK
    lines = [line.split() for line in (folder / "pairs.txt").read_text().splitlines()]
    names = [image.name for image in work.images]
    assert lines == [[names[number] for number in pair.images] for pair in work.pairs]
    with h5py.File(folder / "features.h5", "r") as features, h5py.File(folder / "matches.h5", "r") as matches:
        for image in work.images:
            np.testing.assert_array_equal(features[image.name]["keypoints"], image.keypoints)
            assert features[image.name]["image_size"][:].tolist() == [image.width, image.height]
        for (first, second), pair in zip(lines, work.pairs, strict=True):
            held = matches["/".join((first, second))]["matches0"][:]  # as hloc's names_to_pair joins them
            found = np.flatnonzero(held != -1)
            np.testing.assert_array_equal(np.column_stack([found, held[found]]), pair.matches)
    assert (folder / "images" / names[0]).stat().st_size > 1000


@pytest.mark.skipif(importlib.util.find_spec("h5py") is not None, reason="h5py is installed")
def test_without_h5py_nothing_is_written(rendered, tmp_path):
    with pytest.raises(LiftnetError, match=r"h5py.*cannot be imported"):
        export_dataset(rendered, tmp_path / "out", Wanted("hloc"))
    assert not (tmp_path / "out").exists()


def table_of(path):
    """The rows of a text file of kapture."""
    lines = path.read_text().splitlines()
    assert lines[0] == "# kapture format: 1.1"
    return [[cell.strip() for cell in line.split(",")] for line in lines if not line.startswith("#")]


def test_kaptures_files_say_the_same(rendered, work, tmp_path):
    export_dataset(rendered, tmp_path, Wanted("kapture", works=[WORK]))
    folder = tmp_path / WORK
    sensors, records = (table_of(folder / "sensors" / name) for name in ("sensors.txt", "records_camera.txt"))
    ((kind, dtype, size),) = table_of(folder / "reconstruction/keypoints/liftnet/keypoints.txt")
    for image, sensor, record in zip(work.images, sensors, records, strict=True):
        assert sensor[:4] == [image.image_id, "", "camera", "SIMPLE_RADIAL"]
        assert [float(cell) for cell in sensor[4:]] == [image.width, image.height, *image.simple_radial]
        assert record[1:] == [image.image_id, image.name]
        assert (folder / "sensors/records_data" / image.name).exists()
        data = np.fromfile(folder / f"reconstruction/keypoints/{kind}/{image.name}.kpt", dtype).reshape(-1, int(size))
        np.testing.assert_array_equal(data, (image.keypoints + 0.5).astype(np.float32))
    verified = [pair for pair in work.pairs if pair.verified]
    assert len(list((folder / "reconstruction/matches").rglob("*.matches"))) == len(verified)
    for pair in verified:
        first, second = (work.images[number].name for number in pair.images)
        path = folder / f"reconstruction/matches/{kind}/{first}.overlapping/{second}.matches"
        np.testing.assert_array_equal(np.fromfile(path).reshape(-1, 3)[:, :2], pair.matches)


def test_the_same_dataset_gives_the_same_bytes(rendered, tmp_path):
    for name in ("one", "two"):
        export_dataset(rendered, tmp_path / name, Wanted("colmap"))
    one, two = ((tmp_path / name / WORK / "database.db").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_work_that_is_not_there_and_a_dataset_without_tracks_are_named(rendered, tmp_path):
    with pytest.raises(LiftnetError, match="has no work 'another' with a track"):
        export_dataset(rendered, tmp_path / "out", Wanted("colmap", works=["another"]))
    shutil.copytree(rendered, tmp_path / "plain", ignore=shutil.ignore_patterns("tracks-*", "linked-*"))
    with pytest.raises(LiftnetError, match="holds no tracks-train shards"):
        export_dataset(tmp_path / "plain", tmp_path / "out", Wanted("colmap"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"work_id": "../../elsewhere"}, "has the id"), ({"n": 3}, "has lists of another length than n says")],
)
def test_a_hostile_dataset_writes_nothing_elsewhere(rendered, tmp_path, values, reason):
    shutil.copytree(rendered, tmp_path / "data" / "copy")
    path = tmp_path / "data" / "copy" / "tracks-train-00000-of-00001.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([rows[0] | values, *rows[1:]], table.schema), path)
    with pytest.raises(LiftnetError, match=reason):
        export_dataset(tmp_path / "data" / "copy", tmp_path / "data" / "out", Wanted("kapture"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"data"}
