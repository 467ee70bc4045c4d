"""The experiments in small: random networks, few pixels; what they measure, where the answer is known."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import trimesh
from torch import nn

from liftnet.core.errors import LiftnetError
from liftnet.drkfs import DRKFS, Meshes, MetricSettings, Options
from liftnet.experiments.drkfs import bars, fits, legs
from liftnet.experiments.drkfs.bars import (
    matched_distance,
    maxima_distance,
    maxima_of,
    patches_at,
    sift_distance,
)
from liftnet.experiments.drkfs.experiment import Experiment, ShapeDistances, digest_of
from liftnet.experiments.drkfs.fits import ViewLoss
from liftnet.experiments.drkfs.shapes import ANIMAL, FIGURE, body, made, targets_of
from liftnet.experiments.plan import DrkfsPlan, read_plan
from liftnet.experiments.settings import DrkfsExperimentSettings, EditSettings, FitSettings, TargetSettings
from liftnet.models.point_detector import PointDetector

PLAN = read_plan(Path(__file__).parents[2] / "workflow" / "experiments" / "drkfs.yaml", DrkfsPlan)
TINY = DrkfsExperimentSettings(
    chairs=1,
    metrics=["chamfer_l1"],
    legs=EditSettings(strengths=[0.1, 0.2], close_views=0),
    targets=TargetSettings(count=1),
    fit=FitSettings(steps=3, views=2, frequency=3, sizes=[48], sigmas=[1e-4], stride=16),
)


@pytest.fixture(scope="module")
def metric():
    torch.manual_seed(0)
    descriptor = nn.Sequential(nn.Conv2d(1, 8, 8, 8), nn.ReLU(), nn.Conv2d(8, 128, 4))
    return DRKFS(
        MetricSettings(image_size=48, views=2, sigma=1e-4),
        detector=PointDetector().randomise(0),
        descriptor=descriptor,
        options=Options(align="none"),
    )


def experiment(folder, metric, plan=PLAN):
    return Experiment(folder, plan, TINY, metric, points=500)


def test_bars_move_by_five_pixels_and_disappear():
    case = bars.BarCase(chair=1, bar_width=0.03, azimuth=25.0, elevation=10.0, size=256)
    reference, up, down, deleted = bars.images_of(case, 5, seed=0).numpy().astype(bool)
    assert not (deleted & ~reference).any()
    only_bars = reference & ~deleted
    occupied = np.nonzero(only_bars.any(1))[0]
    rows = np.arange(occupied.min() - 6, occupied.max() + 7)
    columns = np.nonzero(only_bars.any(0) & ~deleted[rows].any(0))[0]  # no leg stands before or behind a bar
    assert len(columns) > 20
    for moved, by in ((up, -5), (down, 5)):
        expected = reference[rows - by][:, columns]
        assert (moved[rows][:, columns] != expected).mean() < 0.005  # rounding at the edges of bars
        assert (moved[rows][:, columns] != reference[rows][:, columns]).mean() > 0.02


def test_cases_of_bars_are_different_and_named_apart():
    found = bars.bar_cases(PLAN.bars, 3)
    assert len({case.name for case in found}) == len(set(found)) == len(found) == 3 * 3 * 2 * 2


def test_the_summary_of_bars_says_when_deletion_costs_more():
    rows = [
        {"loss": loss, "shift up": 1.0, "shift down": 3.0, "deletion": deletion, "ratio": deletion / 2}
        for loss in PLAN.bars.rows
        for deletion in ((2.0, 4.0, 8.0) if loss == "DR-KFS" else (0.5, 0.5, np.nan))
    ]
    table = bars.summary(pd.DataFrame(rows), PLAN.bars).set_index("loss")
    assert table.loc["DR-KFS", ["ratio", "deletion costs more", "n"]].tolist() == [2.0, pytest.approx(2 / 3), 3]
    assert table.loc["MSE of pixels", ["ratio", "deletion costs more", "n"]].tolist() == [0.25, 0.0, 2]
    assert table.loc["DR-KFS", "paper ratio"] == pytest.approx(0.0256 / ((0.0143 + 0.0160) / 2))


def test_bars_run_and_resume(tmp_path, metric, monkeypatch):
    small = PLAN.bars.model_copy(update={"sizes": [64], "widths": [0.04]})
    tiny = experiment(tmp_path, metric, PLAN.model_copy(update={"bars": small}))
    bars.run(tiny)
    table = pd.read_csv(tmp_path / "tables" / "drkfs_bars.csv")
    assert table["loss"].tolist() == list(PLAN.bars.rows)
    pixels = table.set_index("loss").loc["MSE of pixels"]
    assert pixels["shift up"] > pixels["deletion"] > 0
    assert (tmp_path / "figures" / "drkfs_bars.png").stat().st_size > 1000
    monkeypatch.setattr(bars, "draw", lambda *_: None)
    monkeypatch.setattr(bars, "losses_of", lambda *_: pytest.fail("computed again"))
    bars.run(tiny)


def test_features_are_matched_both_ways():
    torch.manual_seed(1)
    some, others = torch.randn(5, 7), torch.randn(3, 7)
    nearest = [min(((a - b) ** 2).mean().item() for b in others) for a in some]
    back = [min(((a - b) ** 2).mean().item() for a in some) for b in others]
    assert matched_distance(some, others) == pytest.approx(np.mean(nearest) + np.mean(back), rel=1e-5)
    assert matched_distance(some, some) == 0
    assert np.isnan(matched_distance(some[:0], others))


def test_maxima_and_patches_of_a_map():
    image = torch.zeros(64, 64)
    image[20, 30], image[22, 33], image[50, 5] = 0.5, 0.9, 0.7
    assert maxima_of(image, 10).tolist() == [[22, 33], [50, 5]]  # the first lies beside a higher one
    assert maxima_of(image, 1).tolist() == [[22, 33]]
    patches = patches_at(image, maxima_of(image, 10))
    assert patches.shape == (2, 32, 32)
    assert patches[0, 16, 16] == 0.9
    assert patches[1, 16, 16] == 0.7  # partly beyond the border
    assert maxima_distance((image, image), (image, image), lambda p: p.flatten(1)[:, ::8]) == 0


def test_sift_features_bear_a_shift_but_not_another_image():
    noise = np.random.default_rng(0).random((96, 96), np.float32)
    picture = torch.as_tensor(cv2.GaussianBlur(noise, (0, 0), 2.5))
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    assert sift_distance(picture, picture) == 0
    moved = sift_distance(picture[:90, :90], picture[4:94, 3:93])
    assert moved < 0.5 * sift_distance(picture[:90, :90], picture.flip(0)[:90, :90].rot90())
    assert np.isnan(sift_distance(torch.zeros(64, 64), torch.zeros(64, 64)))


@pytest.mark.parametrize(
    ("ratios", "expected"), [([0.5, 2.0], 0.1 + 0.1 / 3), ([2.0, 4.0], 0.05), ([0.2, 0.9], np.inf)]
)
def test_the_strength_that_equals_a_leg(ratios, expected):
    assert legs.equal_strength(np.array([0.1, 0.2]), np.array(ratios)) == pytest.approx(expected)


def test_the_summary_of_legs_counts_chairs():
    rows = []
    for chair, lost in enumerate((1.0, 2.0, 4.0)):
        rows.append({"chair": chair, "edit": legs.REMOVED, "strength": 0.0, "drkfs": lost, "chamfer_l1": lost})
        rows += [
            {"chair": chair, "edit": edit, "strength": s, "drkfs": 10 * s, "chamfer_l1": 100 * s}
            for edit in legs.EDITS
            for s in (0.1, 0.2)
        ]
    table = legs.summary(pd.DataFrame(rows), shown=0.2).set_index(["metric", "edit"])
    row = table.loc[("DR-KFS", "legs bent")]
    assert row["20%"] == 1.0  # of 2, 1 and .5
    assert row["structure counts more"] == pytest.approx(1 / 3)
    assert row["as much as a leg"] == pytest.approx(0.2)
    assert table.loc[("Chamfer (L1)", "legs bent"), "as much as a leg"] == pytest.approx(0.02)
    assert legs.shown_strength([0.4, 0.1, 0.2]) == 0.2
    assert legs.shown_strength([0.3]) == 0.3


def test_legs_run_and_resume(tmp_path, metric, monkeypatch):
    tiny = experiment(tmp_path, metric)
    legs.run(tiny)
    rows = pd.read_csv(tmp_path / "tables" / "drkfs_legs_chairs.csv")
    assert len(rows) == 1 + 4 * 2
    assert rows[["chamfer_l1", "drkfs"]].gt(0).all(axis=None)
    assert set(pd.read_csv(tmp_path / "tables" / "drkfs_legs.csv")["edit"]) == set(legs.EDITS)
    assert (tmp_path / "figures" / "drkfs_legs.png").stat().st_size > 1000
    monkeypatch.setattr(legs, "draw", lambda *_: None)
    monkeypatch.setattr(ShapeDistances, "__call__", lambda *_: pytest.fail("computed again"))
    legs.run(tiny)


def test_the_figure_of_the_plan_shows_edits_that_there_are():
    assert {edit for row in PLAN.legs.figure for edit in row.edits} == set(legs.EDITS)


@pytest.mark.parametrize("limbs", [FIGURE, ANIMAL])
def test_bodies_are_closed(limbs):
    mesh = body(limbs)
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.body_count == 1
    assert 0.03 < solid.volume < 0.2
    assert np.abs(solid.bounds).max() < 0.8


def test_targets_come_from_a_folder_and_lie_in_the_frame(tmp_path):
    trimesh.creation.box((3, 2, 1)).export(tmp_path / "box.ply")
    (tmp_path / "broken.ply").write_text("ply\n")
    found = targets_of(TargetSettings(path=str(tmp_path), count=5), 0)
    assert list(found) == ["box"]
    assert np.linalg.norm(found["box"].vertices, axis=1).max() == pytest.approx(0.5)
    (tmp_path / "box.ply").unlink()
    with pytest.raises(LiftnetError, match="no mesh that can be read"):
        targets_of(TargetSettings(path=str(tmp_path)), 0)
    assert list(made(0)) == ["figure", "chair", "animal"]


@pytest.mark.parametrize("name", PLAN.fits.losses)
def test_a_loss_is_least_at_the_target_and_has_a_gradient_elsewhere(metric, name):
    target = targets_of(TINY.targets, 0)["figure"]
    (vertices,), (faces,) = Meshes.of(target).vertices, Meshes.of(target).faces
    loss = ViewLoss(PLAN.fits.losses[name], target, faces, metric, [(32, 1e-3), (48, 1e-4)])
    views = torch.tensor([1])
    for stage in (0, 1):
        assert float(loss(vertices, views, stage)) == pytest.approx(0, abs=1e-6)
        moved = (vertices * torch.tensor([1.2, 0.9, 1.0])).requires_grad_()
        value = loss(moved, views, stage)
        (gradient,) = torch.autograd.grad(value, moved)
        assert float(value.detach()) > 1e-4
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().sum()) > 0


def test_shading_and_sphere_run_and_share_their_fits(tmp_path, metric, monkeypatch):
    tiny = experiment(tmp_path, metric)
    fits.run_shading(tiny)
    table = pd.read_csv(tmp_path / "tables" / "drkfs_shading.csv")
    assert table["loss"].tolist() == [fits.SPHERE, *PLAN.fits.losses]
    assert table.set_index("loss").loc["DR-KFS, shaded", ["paper LFD", "paper Shape Google"]].tolist() == [4125, 5.48]
    assert table[["Chamfer (L1)", "DR-KFS"]].gt(0).all(axis=None)
    assert (tmp_path / "figures" / "drkfs_shading.png").stat().st_size > 1000
    monkeypatch.setattr("liftnet.experiments.drkfs.fits.fit", lambda *_: pytest.fail("computed again"))
    fits.run_sphere(tiny)
    steps = pd.read_csv(tmp_path / "tables" / "drkfs_sphere.csv")
    assert steps["step"].tolist() == [0, 1, 2, 3] * 2
    assert (tmp_path / "figures" / "drkfs_sphere.png").stat().st_size > 1000


def test_distances_depend_on_how_dr_kfs_compares(metric):
    def digest(settings=metric.settings, options=metric.options):
        one = DRKFS(settings, detector=metric.detector, descriptor=metric.descriptor, options=options)
        return digest_of(ShapeDistances(one, []).contents)

    assert digest() == digest_of(ShapeDistances(metric, []).contents)
    assert digest(settings=metric.settings.model_copy(update={"sigma": 1e-3})) != digest()
    assert digest(options=dataclasses.replace(metric.options, blank_contrast=0.5)) != digest()
