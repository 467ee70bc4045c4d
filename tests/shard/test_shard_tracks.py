"""Tracks from pairs to shards: joined by work, written once, read back; what only they link is kept apart."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.data.dataset import read_linked_pairs, read_pairs, read_tracks
from liftnet.data.schemas import LINKED, MANIFEST, PAIRS, TRUTH, read_table, write_table
from liftnet.data.truth import TrueView, save_truth
from liftnet.geometry.cameras import Camera
from liftnet.shard.check import verify_dataset
from liftnet.shard.checksums import sign_dataset
from liftnet.shard.settings import ShardSettings
from liftnet.shard.statistics import tally_files, write_statistics
from liftnet.shard.tally import TRACK_LENGTH
from liftnet.shard.tracks import join_tracks
from liftnet.shard.write import write_dataset

SETTINGS = changed(ShardSettings(), images=False)
WORKS = {"king": ("moore", "train"), "kiss": ("rodin", "val"), "david": ("buonarroti", "test")}
WIDTH, HEIGHT, POINTS, VIEWS = 400, 300, 12, 4
TRACK_SHARD, LINKED_SHARD = "tracks-train-00000-of-00001.parquet", "linked-train-00000-of-00001.parquet"


def camera(view):
    angle = np.deg2rad(12 * view)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return Camera(np.array([[300.0, 0, 199.5], [0, 300, 149.5], [0, 0, 1]]), turn, np.array([0, 0, 4.0]))


def places(seed):
    """(V, P, 2) where each view shows the points of a work, to 1/32 px."""
    world = np.random.default_rng(seed).uniform(-1, 1, (POINTS, 3))
    seen = np.stack([camera(view).project(world)[0] for view in range(VIEWS)])
    return np.rint(seen * 32) / 32


def image_rows(work, number):
    artist, split = WORKS[work]
    for view in range(VIEWS):
        image = f"{number}{view}".rjust(16, "0")
        names = {"image_id": image, "artist_id": artist, "work_id": work, "group_id": artist, "split": split}
        about = {"artist": artist, "work": work, "sha256": image, "file": f"{image}.jpg", "source": "museum"}
        yield {
            **names,
            **about,
            **{"status": "ok", "image_url": f"http://host/images/{work}/{view}.jpg", "width": WIDTH, "height": HEIGHT},
            "license_spdx": "CC0-1.0" if view else "CC-BY-NC-4.0",
        }


def pair_row(images, a, b, seen, kept=True, reason="kept"):
    first, second = images[a], images[b]
    sides = {"width_a": WIDTH, "height_a": HEIGHT, "width_b": WIDTH, "height_b": HEIGHT}
    return {
        "pair_id": f"{first['image_id']}-{second['image_id']}",
        **{name: first[name] for name in ("work_id", "artist_id", "split")},
        **{"image_a": first["image_id"], "image_b": second["image_id"], "kept": kept, "reason": reason, **sides},
        **{"x1": seen[a][:, 0], "y1": seen[a][:, 1], "x2": seen[b][:, 0], "y2": seen[b][:, 1]},
        **{"score": np.ones(len(seen[a])), "n_putative": 40, "n_masked": 30, "n_inliers": len(seen[a])},
    }


def make(root):
    """A run of three works whose views are verified in a chain: 0-1, 1-2, 2-3; the pair 0-2 was tried and rejected."""
    manifest, truths = [], []
    for number, work in enumerate(WORKS):
        images, seen = list(image_rows(work, number)), places(number)
        rows = [pair_row(images, view, view + 1, seen) for view in range(VIEWS - 1)]
        rows.append(pair_row(images, 0, 2, seen[:, :3], kept=False, reason="few_inliers"))
        write_table(root / "pairs" / f"{work}.parquet", rows, PAIRS)
        manifest += images
        for view in range(VIEWS):
            truth = {"image_url": f"images/{work}/{view}.jpg", "artist_id": "", "work_id": work}
            truths.append(truth | {"truth": f"{work}{view}.npz"})
            save_truth(root / "museum" / f"{work}{view}.npz", TrueView(np.zeros((2, 2), np.float32), camera(view)))
    write_table(root / "manifest.parquet", manifest, MANIFEST)
    write_table(root / "museum" / "truth.parquet", truths, TRUTH)
    return root


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The run with its tracks, and its dataset; not to be changed."""
    root = make(tmp_path_factory.mktemp("chain"))
    join_tracks(root, SETTINGS)
    write_dataset(root, root / "dataset", SETTINGS)
    return root


@pytest.fixture
def copy(chain, tmp_path):
    shutil.copytree(chain, tmp_path / "copy")
    return tmp_path / "copy"


def contents(root):
    return {path: (root / path).read_bytes() for path in written(root)}


def written(root):
    return sorted(path.relative_to(root) for name in ("tracks", "linked") for path in (root / name).iterdir())


def states(root):
    return {path: (root / path).stat().st_ino for path in written(root)}


def test_a_chain_of_pairs_is_a_track_for_each_point(chain):
    tracks = list(read_tracks(chain / "dataset", "train"))
    seen = places(0)
    assert len(tracks) == POINTS
    assert [track.track_id for track in tracks] == [f"king-{number:08d}" for number in range(POINTS)]
    for track in tracks:
        point = int(np.abs(seen[0] - track.points[0]).sum(axis=1).argmin())
        np.testing.assert_array_equal(track.points, seen[:, point].astype(np.float32))
        assert track.images == tuple(f"0{view}".rjust(16, "0") for view in range(VIEWS))
        assert (track.links, track.contradicted, len(track)) == (VIEWS - 1, False, VIEWS)
    assert repr(tracks[0]) == "Track(king-00000000: seen in 4 images, 3 correspondences)"


def test_pairs_that_only_tracks_link_stand_apart_with_the_reason(chain):
    linked = list(read_linked_pairs(chain / "dataset", "val"))
    ids = ["0" * 14 + f"1{view}" for view in range(VIEWS)]
    found = {(pair.image_a, pair.image_b): pair for pair in linked}
    assert {ends: pair.reason for ends, pair in found.items()} == {
        (ids[0], ids[2]): "few_inliers",
        (ids[0], ids[3]): "not_tried",
        (ids[1], ids[3]): "not_tried",
    }
    assert {pair.pair_id for pair in linked} & {pair.pair_id for pair in read_pairs(chain / "dataset", "val")} == set()
    seen = places(1)
    for view_a, view_b in ((0, 2), (0, 3), (1, 3)):
        pair = found[ids[view_a], ids[view_b]]
        wanted = np.hstack([seen[view_a], seen[view_b]])
        got = np.hstack([pair.points_a, pair.points_b])
        np.testing.assert_array_equal(got[np.lexsort(got.T)], wanted[np.lexsort(wanted.T)])
        assert (pair.size_a, pair.size_b, len(pair)) == ((WIDTH, HEIGHT), (WIDTH, HEIGHT), POINTS)
    assert repr(linked[0]) == f"LinkedPair(kiss: 12 tracks link {ids[0]} and {ids[2]}; few_inliers)"


def test_too_few_shared_tracks_link_no_pair(copy):
    join_tracks(copy, changed(SETTINGS, min_linked=POINTS + 1))
    assert [len(read_table(path, LINKED)) for path in sorted((copy / "linked").glob("*.parquet"))] == [0, 0, 0]


def test_the_list_of_works_counts_what_was_joined(chain):
    frame = pd.read_csv(chain / "tracks" / "works.csv").set_index("work_id")
    assert frame.loc["david"].to_dict() == {
        **{"split": "test", "pairs": 3, "correspondences": 36, "components": 12, "contradictions": 0, "tracks": 12},
        **{"observations": 48, "links": 36, "linked_pairs": 3, "linked_correspondences": 36},
    }


def test_images_that_the_dataset_leaves_out_are_no_part_of_tracks(copy):
    settings = changed(SETTINGS, profile="open")  # view 0 of each work is NC
    with pytest.raises(LiftnetError, match="was made of other pairs than the dataset holds"):
        write_dataset(copy, copy / "open", settings)
    join_tracks(copy, settings)
    write_dataset(copy, copy / "open", settings)
    assert {len(track) for track in read_tracks(copy / "open", "train")} == {VIEWS - 1}
    assert {track.images[0][-1] for track in read_tracks(copy / "open", "train")} == {"1"}
    assert verify_dataset(copy / "open").count == 0


def test_threads_and_a_second_call_change_nothing(copy):
    before, inodes = contents(copy), states(copy)
    join_tracks(copy, SETTINGS, threads=3)
    assert contents(copy) == before
    changed_files = {path for path, inode in states(copy).items() if inode != inodes[path]}
    assert {path.name for path in changed_files} == {"works.csv"}  # the works themselves were done
    (copy / "tracks" / "kiss.parquet").unlink()
    (copy / "linked" / "david.parquet").write_bytes(b"cut sh")
    shutil.copy(copy / "tracks" / "king.parquet", copy / "tracks" / "gone.parquet")  # of a work that is no more
    join_tracks(copy, SETTINGS, threads=2)
    assert contents(copy) == before


def test_other_pairs_and_other_settings_are_joined_again(copy):
    rows = read_table(copy / "pairs" / "king.parquet", PAIRS)
    write_table(copy / "pairs" / "king.parquet", rows.slice(0, 2), PAIRS)
    with pytest.raises(LiftnetError, match=r"king\.parquet"):
        write_dataset(copy, copy / "new", SETTINGS)
    before = contents(copy)
    join_tracks(copy, SETTINGS)
    differing = {path.name for path, data in contents(copy).items() if data != before[path]}
    assert differing == {"king.parquet", "works.csv"}
    write_dataset(copy, copy / "new", SETTINGS)
    assert {len(track) for track in read_tracks(copy / "new", "train")} == {3}


def test_a_run_without_tracks_gives_a_dataset_without_them(copy):
    shutil.rmtree(copy / "tracks")
    write_dataset(copy, copy / "plain", SETTINGS)
    assert verify_dataset(copy / "plain").count == 0
    with pytest.raises(LiftnetError, match=r"holds no tracks-train shards.*shard tracks"):
        list(read_tracks(copy / "plain", "train"))
    assert "tracks" not in (copy / "plain" / "README.md").read_text()


def test_no_pairs_are_a_plain_error(tmp_path):
    write_table(tmp_path / "manifest.parquet", [], MANIFEST)
    with pytest.raises(LiftnetError, match="holds no tables of pairs"):
        join_tracks(tmp_path, SETTINGS)


def test_statistics_count_tracks_and_measure_them_by_true_cameras(chain, tmp_path):
    write_statistics(chain / "dataset", tmp_path, chain / "museum")
    frame = pd.read_csv(tmp_path / "tracks.csv").set_index(["quantity", "split"])
    assert frame.loc[("images of a track", "all"), ["n", "mean"]].tolist() == [36, 4]
    assert frame.loc[("share of tracks cut out of a contradiction", "all"), "mean"] == 0
    assert frame.loc[("residual of a track of three images or more, px", "all"), "max"] < 1 / 32
    assert frame.loc[("tracks of a pair that only tracks link", "all"), ["n", "mean"]].tolist() == [9, 12]
    counted = tally_files(chain / "dataset")["histogram"].table.column("quantity").to_pylist()
    assert TRACK_LENGTH in counted
    assert not any("residual" in quantity for quantity in counted)
    assert (tmp_path / "figures" / "tracks.svg").exists()


def faults_of(dataset):
    sign_dataset(dataset)
    found = {check: [str(fault) for fault in faults] for check, faults in verify_dataset(dataset).faults.items()}
    kept = {check: [f for f in faults if "its SHA-256 is not that of" not in f] for check, faults in found.items()}
    return {check: faults for check, faults in kept.items() if faults}


def rewritten(path, change):
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), table.schema), path)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"n": 1, "images": ["0" * 16], "x": [0], "y": [0]}, "is seen in fewer than two images"),
        ({"n": 3}, "has another number of images than n says"),
        ({"x": [WIDTH * 32] * 4}, "has x outside its image"),
        ({"y": [HEIGHT * 32] * 4}, "has y outside its image"),
        ({"links": 2}, "has too few links"),
        ({"images": [f"0{k}".rjust(16, "0") for k in (0, 1, 1, 3)]}, "its images are not in order"),
        ({"images": [f"0{k}".rjust(16, "0") for k in (0, 1, 2, 9)]}, "an image of it is not in the dataset"),
        ({"images": [f"{k}0".rjust(16, "0") for k in range(3)] + ["0" * 14 + "23"]}, "is of another split"),
        ({"work_id": "kiss"}, "its work_id is not that of its images"),
        ({"track_id": "0"}, "is not named after its work"),
    ],
)
def test_a_track_that_is_not_right_is_found(copy, values, reason):
    rewritten(copy / "dataset" / TRACK_SHARD, lambda rows: [rows[0] | values, *rows[1:]])
    faults = faults_of(copy / "dataset")
    assert set(faults) == {"tracks"}
    assert any(reason in fault and fault.startswith(f"{TRACK_SHARD}, track ") for fault in faults["tracks"])


def test_tracks_out_of_order_and_linked_pairs_that_are_verified_are_found(copy):
    dataset = copy / "dataset"
    pair = pq.read_table(dataset / "train-00000-of-00001.parquet").to_pylist()[0]
    own = {name: pair[name] for name in pair if name in pq.read_schema(dataset / LINKED_SHARD).names}
    rewritten(dataset / TRACK_SHARD, lambda rows: [rows[1], rows[0], *rows[2:]])
    rewritten(dataset / LINKED_SHARD, lambda rows: sorted([rows[0] | own, *rows[1:]], key=lambda row: row["pair_id"]))
    faults = faults_of(dataset)
    assert faults["tracks"] == [
        f"{TRACK_SHARD}, track king-00000000: does not follow king-00000001: not sorted, or twice"
    ]
    assert faults["linked pairs"] == [
        f"{LINKED_SHARD}, pair {pair['pair_id']}: is verified too, and stands among the pairs"
    ]


def test_a_lost_row_and_a_lost_shard_are_missed(copy):
    dataset = copy / "dataset"
    rewritten(dataset / TRACK_SHARD, lambda rows: rows[1:])
    (dataset / "linked-val-00000-of-00001.parquet").unlink()
    faults = faults_of(dataset)
    assert "README.md: says that train has 12 tracks; the shards hold 11" in faults["row counts"]
    assert any("holds no linked-val shards" in fault for fault in faults["tables"])
