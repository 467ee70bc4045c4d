"""Learning of the detector and the descriptor, on a small run whose points are known."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import trimesh

from liftnet.__main__ import main
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_bytes
from liftnet.data.dataset import SCALE_KEY
from liftnet.data.features import Features, write_features
from liftnet.data.masks import write_mask
from liftnet.data.pictures import encode_image
from liftnet.data.schemas import COORDINATE_SCALE, DATASET
from liftnet.drkfs import detector as detector_module
from liftnet.drkfs.detector import calibrated, peak_scores, train_detector, without_brightness
from liftnet.drkfs.hardnet import (
    Patches,
    describe_all,
    false_positive_rate,
    new_hardnet,
    sharing_pairs,
    train_descriptor,
)
from liftnet.drkfs.patches import sample_patches
from liftnet.drkfs.points import ImageFeatures, PointSet, Tracks, load_division, load_points, photo_tour_patches
from liftnet.drkfs.quadruplets import CLEAR, _empty_places, draw_quadruplets, load_pool, render_pool
from liftnet.drkfs.settings import (
    DescriptorOptimiserSettings,
    DescriptorSettings,
    DescriptorTrainSettings,
    DetectorSettings,
    DetectorTrainSettings,
)
from liftnet.drkfs.train import patches_of
from liftnet.experiments.drkfs.shapes import Chair
from liftnet.learn import loop
from liftnet.models.point_detector import PointDetector, load_detector

SIZE = 128
POINTS = 30
TINY = DescriptorSettings(
    train=DescriptorTrainSettings(
        iterations=12,
        batch_size=16,
        validate_every=6,
        precision="float32",
        optimiser=DescriptorOptimiserSettings(learning_rate=2.0),
    )
)
TINY_DETECTOR = DetectorSettings(points=60, train=DetectorTrainSettings(iterations=12, batch_size=8, validate_every=6))


@dataclass
class View:
    image: str
    work: str
    split: str
    turn: float
    zoom: float
    xy: np.ndarray


def blobs(rng: np.random.Generator) -> np.ndarray:
    """(2 SIZE, 2 SIZE) a smooth random texture."""
    noise = rng.random((2 * SIZE, 2 * SIZE)).astype(np.float32)
    smooth = sum(cv2.GaussianBlur(noise, None, sigma) * sigma for sigma in (2.0, 4.0))
    return cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[View]]:
    """Textures, each seen three times: turned, larger or smaller; POINTS points each, with scale and direction."""
    root = tmp_path_factory.mktemp("run")
    views = []
    for work, split in enumerate(["train"] * 4 + ["val", "test"]):
        rng = np.random.default_rng(work)
        texture, at = blobs(rng), rng.uniform(-30, 30, (POINTS, 2))
        descriptors = rng.integers(0, 255, (2 * POINTS, 128)).astype(np.uint8)
        for number in range(3):
            turn, zoom = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.8, 1.3))
            c, s = zoom * np.cos(turn), zoom * np.sin(turn)
            matrix = np.array([[c, -s], [s, c]])
            middle, half = np.array([SIZE - 0.5] * 2), np.array([(SIZE - 1) / 2] * 2)
            warp = np.column_stack([matrix, half - matrix @ middle])
            gray = cv2.warpAffine(texture, warp, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
            xy = np.rint((at @ matrix.T + half) * COORDINATE_SCALE) / COORDINATE_SCALE
            name = f"{work:08x}{number:08x}"
            pixels = np.repeat(np.rint(gray).astype(np.uint8)[:, :, None], 3, axis=2)
            write_bytes(root / "images" / f"{name}.jpg", encode_image(pixels, ".png"))
            write_mask(root / "masks" / f"{name}.png", np.hypot(*np.indices((SIZE, SIZE)) - 63.5) < 52)
            # each keypoint has two dominant directions, a quarter turn apart, in an order that says nothing
            order = rng.permutation(2 * POINTS)
            angles = np.concatenate([np.full(POINTS, turn), np.full(POINTS, turn + np.pi / 2)])
            features = Features(
                np.concatenate([xy, xy])[order].astype(np.float32),
                np.full(2 * POINTS, 1.2 * zoom, np.float32),
                angles[order].astype(np.float32),
                descriptors[order],
            )
            write_features(root / "features" / "some" / f"{name}.safetensors", features, {})
            views.append(View(name, f"work-{work}", split, turn, zoom, xy))
    write_shards(root / "dataset", views)
    return root, views


def write_shards(folder: Path, views: list[View]) -> None:
    rows: dict[str, list[dict]] = {"train": [], "val": [], "test": []}
    for a, b in itertools.combinations(views, 2):
        if a.work != b.work:
            continue
        fixed = [np.rint(values * COORDINATE_SCALE).astype(np.uint16) for values in (*a.xy.T, *b.xy.T)]
        rows[a.split].append(
            {
                "pair_id": f"{a.image}-{b.image}",
                "work_id": a.work,
                "artist_id": a.split,
                "image_a": a.image,
                "image_b": b.image,
                **dict.fromkeys(("width_a", "height_a", "width_b", "height_b"), SIZE),
                "n": POINTS,
                **dict(zip(("x1", "y1", "x2", "y2"), fixed, strict=True)),
                "score": np.full(POINTS, 200, np.uint8),
            }
        )
    folder.mkdir()
    schema = DATASET.with_metadata({**DATASET.metadata, SCALE_KEY: str(COORDINATE_SCALE).encode()})
    for split, members in rows.items():
        pq.write_table(pa.Table.from_pylist(members, schema=schema), folder / f"{split}-00000-of-00001.parquet")


@pytest.fixture(scope="module")
def train_points(run: tuple[Path, list[View]]) -> PointSet:
    return load_points(run[0], run[0] / "dataset", "train")


@pytest.fixture(scope="module")
def train_patches(run: tuple[Path, list[View]], train_points: PointSet) -> Patches:
    return patches_of(train_points, run[0], TINY)


def test_points_are_the_tracks_of_the_truth(run: tuple[Path, list[View]], train_points: PointSet) -> None:
    views = {view.image: view for view in run[1]}
    assert train_points.tracks == 4 * POINTS
    assert len(train_points) == 3 * 4 * POINTS
    seen = set()
    for track in range(train_points.tracks):
        rows = np.flatnonzero(train_points.track == track)
        numbers = set()
        for row in rows:
            view = views[train_points.images[train_points.image[row]]]
            distance = np.abs(view.xy - train_points.xy[row]).sum(axis=1)
            numbers.add((view.work, int(distance.argmin())))
            assert distance.min() < 1e-4
        seen |= numbers
        assert len(numbers) == 1
        assert len(rows) == 3
    assert len(seen) == 4 * POINTS


def test_tracks_are_what_links_join_directly_or_through_others() -> None:
    """Random links between the nodes of five images, against sets that are merged until nothing changes."""
    rng = np.random.default_rng(0)
    sizes = [4, 0, 7, 5, 3]
    tracks, sets = Tracks(sizes), []
    for _ in range(9):
        first, second = rng.choice([0, 2, 3, 4], 2, replace=False)
        one, other = rng.integers(sizes[first]), rng.integers(sizes[second])
        tracks.join(int(first), np.array([one]), int(second), np.array([other]))
        sets.append({(first, one), (second, other)})
    for _ in sets:
        for pair in list(itertools.combinations(sets, 2)):
            if pair[0] & pair[1]:
                sets = [one for one in sets if one not in pair] + [pair[0] | pair[1]]
                break
    image, node = tracks.joined()
    nodes = list(zip(image.tolist(), node.tolist(), strict=True))
    assert nodes == sorted(set().union(*sets))
    found = tracks.track_of(image, node)
    assert sorted(set(found.tolist())) == list(range(len(sets)))
    for a, b in itertools.combinations(range(len(nodes)), 2):
        assert (found[a] == found[b]) == any({nodes[a], nodes[b]} <= one for one in sets)


def test_images_without_links_have_no_tracks() -> None:
    image, node = Tracks([3, 2]).joined()
    assert len(image) == len(node) == len(Tracks([3, 2]).track_of(image, node)) == 0


def test_directions_of_a_track_agree(run: tuple[Path, list[View]], train_points: PointSet) -> None:
    """A keypoint with two directions is matched in the one whose descriptors agree: angle - turn is one."""
    turns = {view.image: view.turn for view in run[1]}
    turn = np.array([turns[train_points.images[number]] for number in train_points.image])
    relative = np.exp(1j * (train_points.angle - turn))
    mean = np.bincount(train_points.track, relative.real) + 1j * np.bincount(train_points.track, relative.imag)
    assert np.abs(mean) / 3 == pytest.approx(1, abs=1e-6)


def test_without_features_points_are_upright_and_the_same(
    run: tuple[Path, list[View]], train_points: PointSet, tmp_path: Path
) -> None:
    plain = load_points(tmp_path, run[0] / "dataset", "train")
    assert plain.tracks == train_points.tracks
    assert (plain.angle == 0).all()
    assert set(map(tuple, plain.xy.tolist())) == set(map(tuple, train_points.xy.tolist()))


def test_a_correspondence_that_alignment_moved_belongs_to_its_keypoint() -> None:
    points = np.array([[10, 10], [10, 10], [40, 12], [25, 60]], np.float32)
    ones = np.ones(4, np.float32)
    features = ImageFeatures.of(Features(points, ones, ones, np.zeros((4, 128), np.uint8)))
    places = features.places_of(points)
    assert len(set(places[1:])) == 3
    assert places[0] == places[1]
    assert features.places_of(points + np.float32([0.9, -1.1])).tolist() == places.tolist()
    assert (features.places_of(points + np.float32([0, 3])) == -1).all()
    assert ImageFeatures.of(Features.empty()).places_of(points).tolist() == [-1] * 4


def test_points_of_an_empty_split_are_refused_and_works_are_held_out(
    run: tuple[Path, list[View]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_shards(tmp_path / "dataset", [view for view in run[1] if view.split == "train"])
    with pytest.raises(LiftnetError, match="no pairs in the split val"):
        load_points(run[0], tmp_path / "dataset", "val")
    train, held_out = load_division(run[0], tmp_path / "dataset")
    assert "has no pairs in the split val: a training chooses its weights" in caplog.text
    assert not set(train.works) & set(held_out.works)
    assert len(train) + len(held_out) == 3 * 4 * POINTS
    assert train.tracks + held_out.tracks == 4 * POINTS
    assert train.sizes == ((SIZE, SIZE),) * len(train.images)


def test_one_work_alone_is_refused(run: tuple[Path, list[View]], tmp_path: Path) -> None:
    write_shards(tmp_path / "dataset", run[1][:3])
    with pytest.raises(LiftnetError, match="one work only"):
        load_division(run[0], tmp_path / "dataset")


def test_patches_are_cut_as_opencv_warps() -> None:
    gray = cv2.GaussianBlur(np.random.default_rng(0).random((90, 70)).astype(np.float32), None, 2)
    xy, side, angle = np.array([31.5, 40.25]), 24.0, 0.7
    c, s = np.cos(angle) * side / 32, np.sin(angle) * side / 32
    corner = xy - np.array([[c, -s], [s, c]]) @ np.full(2, 15.5)
    to_image = np.array([[c, -s, corner[0]], [s, c, corner[1]]])
    wanted = cv2.warpAffine(gray, to_image, (32, 32), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    given = sample_patches(
        torch.from_numpy(gray), torch.tensor(xy[None]).float(), torch.tensor([side]), torch.tensor([angle]), 32
    )
    np.testing.assert_allclose(given[0].numpy(), wanted, atol=2e-3)  # OpenCV rounds places to 1/32 px


def test_large_patches_do_not_alias() -> None:
    checker = torch.from_numpy(np.indices((256, 256)).sum(axis=0) % 2).float()
    patch = sample_patches(checker, torch.tensor([[127.5, 127.5]]), torch.tensor([192.0]), torch.zeros(1), 32)
    assert patch.sub(0.5).abs().max() < 1e-4


def test_patches_of_a_point_look_alike(train_points: PointSet, train_patches: Patches) -> None:
    flat = train_patches.pixels.reshape(len(train_points), -1).astype(np.float64)
    flat = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    first, second = train_patches.rows(1000, np.random.default_rng(0))
    alike = (flat[first] * flat[second]).mean(1)
    assert len(first) == train_points.tracks
    assert np.median(alike) > 0.97
    assert np.median((flat[first] * flat[np.roll(second, 1)]).mean(1)) < 0.3


def test_rows_are_two_patches_of_a_point_and_no_place_twice() -> None:
    patches = Patches(
        np.zeros((9, 32, 32), np.uint8), np.array([0, 0, 1, 1, 1, 2, 2, 3, 3]), np.array([0] * 5 + [1] * 4)
    )
    seen = set()
    for seed in range(40):
        first, second = patches.rows(10, np.random.default_rng(seed))
        assert len(first) == 2
        assert (first != second).all()
        assert (patches.track[first] == patches.track[second]).all()
        assert len(set(patches.place[first])) == 2
        seen |= set(map(frozenset, zip(first.tolist(), second.tolist(), strict=True)))
    assert seen == {frozenset(pair) for pair in [(0, 1), (2, 3), (2, 4), (3, 4), (5, 6), (7, 8)]}


def noisy(patches: Patches) -> Patches:
    noise = np.random.default_rng(0).normal(0, 60, patches.pixels.shape)
    return Patches((patches.pixels + noise).clip(0, 255).astype(np.uint8), patches.track, patches.place)


def test_training_lowers_the_false_positives(
    run: tuple[Path, list[View]], train_patches: Patches, tmp_path: Path
) -> None:
    held_out = noisy(patches_of(load_points(run[0], run[0] / "dataset", "val"), run[0], TINY))
    network, state = train_descriptor(noisy(train_patches), held_out, tmp_path, TINY, 0)
    first, second = held_out.rows(1000, np.random.default_rng(0))
    rates = []
    for tried in (new_hardnet(0), network):
        described = describe_all(tried, held_out.pixels)
        np.testing.assert_allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
        wrong = np.linalg.norm(described[first][:, None] - described[second][None], axis=2)
        right = np.sort(np.diagonal(wrong))
        limit = right[int(np.ceil(0.95 * len(right))) - 1]
        rates.append(((wrong <= limit).sum() - (right <= limit).sum()) / (wrong.size - len(right)))
    assert rates[1] < 0.7 * rates[0]
    assert [row["iteration"] for row in state.metrics] == [6, 12]
    assert state.metrics[1]["loss"] < state.metrics[0]["loss"]


class Killed(Exception):
    pass


def killed_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training write a checkpoint after each step and die in step `steps`."""
    step = loop.train_step

    def dying(training: loop.Training, batch: object) -> None:
        if training.state.step == steps:
            raise Killed
        step(training, batch)

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(loop, "train_step", dying)


def smaller(settings: DescriptorSettings | DetectorSettings, **changes: object) -> object:
    return settings.model_copy(update={"train": settings.train.model_copy(update=changes)})


def test_a_killed_descriptor_goes_on_with_the_same_numbers(
    train_patches: Patches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = smaller(TINY, iterations=5, batch_size=8, validate_every=2)
    few = Patches(*(values[:40] for values in (train_patches.pixels, train_patches.track, train_patches.place)))
    whole, state = train_descriptor(few, few, tmp_path / "whole", settings, 3)
    with monkeypatch.context() as patched:
        killed_after(3, patched)
        with pytest.raises(Killed):
            train_descriptor(few, few, tmp_path / "killed", settings, 3)
    resumed, resumed_state = train_descriptor(few, few, tmp_path / "killed", settings, 3)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    same = [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in state.metrics]
    assert same == [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in resumed_state.metrics]
    other, _ = train_descriptor(few, few, tmp_path / "other", settings, 4)
    assert not torch.equal(other.features[0].weight, whole.features[0].weight)


def test_a_killed_detector_goes_on_with_the_same_numbers(
    run: tuple[Path, list[View]], train_points: PointSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = load_pool(train_points, run[0], 12.0, 30, 0)
    settings = smaller(TINY_DETECTOR, iterations=4, validate_every=2)
    monkeypatch.setattr(detector_module, "CALIBRATION_QUADRUPLETS", 256)
    monkeypatch.setattr(detector_module, "VALIDATION_QUADRUPLETS", 32)
    monkeypatch.setattr(detector_module, "calibrated", lambda detector, *_: detector)
    whole, _ = train_detector(pool, pool, tmp_path / "whole", settings, 0)
    with monkeypatch.context() as patched:
        killed_after(3, patched)
        with pytest.raises(Killed):
            train_detector(pool, pool, tmp_path / "killed", settings, 0)
    resumed, _ = train_detector(pool, pool, tmp_path / "killed", settings, 0)
    assert torch.equal(whole.filters, resumed.filters)
    assert torch.equal(whole.biases, resumed.biases)
    assert whole.filters.mean((2, 3)).abs().max() < 1e-6
    assert not whole.filters.requires_grad


def test_a_damaged_checkpoint_is_named(train_patches: Patches, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(LiftnetError, match=r"checkpoint\.pt"):
        train_descriptor(train_patches, train_patches, tmp_path, TINY, 0)


def test_empty_patches_hold_no_point(train_points: PointSet) -> None:
    image, xy, side = _empty_places(train_points, 200, 12.0, np.random.default_rng(0))
    assert 20 < len(image) <= 200
    for number, centre, length in zip(image, xy, side, strict=True):
        known = train_points.xy[train_points.image == number]
        assert np.linalg.norm(known - centre, axis=1).min() > CLEAR * length - 1e-3


def test_offsets_lead_from_the_middle_back_to_the_point(run: tuple[Path, list[View]], train_points: PointSet) -> None:
    """A dot at each point is found where the offsets say, however a quadruplet is moved, turned and mirrored."""
    pool = load_pool(train_points, run[0], 12.0, 20, 0)
    dotted = np.zeros_like(pool.first)
    dotted[:, 31:33, 31:33] = 200  # the middle of 64 px
    pool = type(pool)(dotted, dotted, pool.place, pool.empty)
    for seed in range(8):
        batch = draw_quadruplets(pool, 6, np.random.default_rng(seed))
        assert batch.patches.shape == (4, 6, 48, 48)
        steps = torch.arange(48.0) - 23.5
        for side in range(2):
            mass = batch.patches[side] / batch.patches[side].sum((1, 2), keepdim=True)
            found = torch.stack([(mass.sum(1) * steps).sum(1), (mass.sum(2) * steps).sum(1)], dim=1)
            torch.testing.assert_close(found + batch.offsets[side], torch.zeros(6, 2), atol=1e-4, rtol=0)


def test_points_of_renders_are_corners_in_both_patches(tmp_path: Path) -> None:
    """The middle of each patch has gradients in all directions, an empty patch's has not; directions agree."""
    box = Chair().mesh()
    trimesh.Trimesh(box.vertices, box.faces, process=False).export(tmp_path / "chair.ply")
    pool = render_pool([("chair", tmp_path / "chair.ply")], 50, 0)
    assert len(pool.first) > 20

    def strength(patches: np.ndarray, margin: int) -> np.ndarray:
        maps = [cv2.cornerMinEigenVal(cv2.GaussianBlur(one, None, 1.0), 5) for one in patches]
        return np.array([one[margin:-margin, margin:-margin].max() for one in maps])

    weak = np.median(strength(pool.empty, 12))
    assert np.median(strength(pool.first, 28)) > 5 * weak
    assert np.median(strength(pool.second, 28)) > 5 * weak
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(pool.first, pool.second, strict=True)]
    assert np.median(alike) > 0.7


def test_calibration_keeps_the_form_and_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "CALIBRATION_QUADRUPLETS", 256)
    rng = np.random.default_rng(0)
    detector = without_brightness(PointDetector().randomise(1))
    assert detector.scores(torch.zeros(1, 30, 30)).sub(detector.scores(torch.ones(1, 30, 30))).abs().max() < 1e-4
    bright = (255 * (rng.random((40, 64, 64)) > 0.5)).astype(np.uint8)
    dull = np.full((40, 48, 48), 90, np.uint8)
    pool = type("P", (), {"first": bright, "second": bright, "place": np.arange(40), "empty": dull})()
    given = calibrated(detector, pool, 0)
    images = torch.from_numpy(rng.random((2, 40, 40))).float()
    before, after = detector.scores(images).flatten(), given.scores(images).flatten()
    scale = given.filters[0, 0, 0, 0] / detector.filters[0, 0, 0, 0]
    assert scale > 0
    torch.testing.assert_close(
        after - scale * before, (after - scale * before).mean().expand_as(after), atol=1e-3, rtol=0
    )
    points, empty = peak_scores(given, pool, 5)
    assert points.sigmoid().mean() > 0.9
    assert empty.sigmoid().mean() < 0.1


def test_commands_write_models_with_cards(
    run: tuple[Path, list[View]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = run
    monkeypatch.setattr(detector_module, "CALIBRATION_QUADRUPLETS", 256)
    monkeypatch.setattr(detector_module, "VALIDATION_QUADRUPLETS", 32)
    for seed in range(3):
        box = Chair(width=0.4 + 0.1 * seed).mesh()
        trimesh.Trimesh(box.vertices, box.faces, process=False).export(tmp_path / f"{seed}.ply")
    inputs = ["--root", str(root), "--dataset", str(root / "dataset"), "--threads", "1"]
    tiny = ["--train.iterations", "12", "--train.batch-size", "8", "--points", "40", "--patch-scale", "12"]
    tiny += ["--train.optimiser.learning-rate", "0.01", "--meshes", str(tmp_path)]
    folder = tmp_path / "points"
    assert main(["drkfs", "train", "detector", *inputs, "--model", str(folder), "--licence", "mit", *tiny]) == 0
    detector = load_detector(folder / "model.safetensors")
    assert sum(value.numel() for value in detector.state_dict().values()) == 10_016
    tiny = ["--train.iterations", "2", "--train.batch-size", "8", "--train.precision", "float32", "--half"]
    folder = tmp_path / "hardnet"
    assert main(["drkfs", "train", "descriptor", *inputs, "--model", str(folder), "--licence", "mit", *tiny]) == 0
    config = json.loads((folder / "config.json").read_text())
    assert config["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert config["training"]["works"] == 4
    assert config["measured_on"] == "the split test"
    assert (folder / "model.safetensors").stat().st_size < 2_700_000
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert config["sha256"] in card
    assert f"| trained | {config['measures']['trained']['fpr95']:.4f} |" in card
    assert (folder / "metrics.csv").read_text().startswith("iteration,loss,val_fpr95")


def test_pairs_of_images_that_share_points(train_points: PointSet) -> None:
    pairs = sharing_pairs(train_points, POINTS)
    assert len(pairs) == 4 * 3
    assert all(train_points.works[a] == train_points.works[b] for a, b in pairs)
    assert len(sharing_pairs(train_points, POINTS + 1)) == 0


def test_photo_tour_patches_are_those_of_the_images(run: tuple[Path, list[View]], train_points: PointSet) -> None:
    one = train_points.of_images(np.arange(len(train_points.images)) == 2)
    patches = photo_tour_patches(one, run[0] / "images", 20.0)
    assert patches.shape == (POINTS, 32, 32)
    assert patches.dtype == np.uint8
    assert patches.std() > 5


def test_false_positive_rate_of_untrained_patches_is_high(train_patches: Patches) -> None:
    described = describe_all(new_hardnet(0), train_patches.pixels[:60])
    shuffled = described[np.random.default_rng(0).permutation(60)]
    assert false_positive_rate(described, shuffled) > 0.8
