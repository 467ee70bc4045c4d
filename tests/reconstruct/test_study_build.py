"""A study as it is drawn up: what is asked, what the page gives away, and what stands in plan and key."""

import base64
import hashlib
import json
import re
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import trimesh
from PIL import Image
from study_items import SMALL, built_study, written_items

from liftnet.core.errors import LiftnetError
from liftnet.core.settings import changed
from liftnet.reconstruct.study.build import build_study
from liftnet.reconstruct.study.items import Item, Pose, best_items, items_of_table
from liftnet.reconstruct.study.plan import Key, Plan, read_plan, read_stored
from liftnet.reconstruct.study.views import placement_of, shape_views

HOSTILE = "</script><img src=x onerror=alert(1)>&'\""


def page_of(folder, name="ps1"):
    return (folder / f"{name}.html").read_text()


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)[1])


def pixels_of(uri):
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_the_same_seed_gives_the_same_three_files_and_another_one_another_study(tmp_path):
    first, again, other = built_study(tmp_path / "a"), built_study(tmp_path / "b"), built_study(tmp_path / "c", seed=1)
    for file in ("ps1.html", "ps1-plan.json", "ps1-key.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert first.study == again.study != other.study
    plan, key = read_plan(tmp_path / "a" / "ps1-plan.json", tmp_path / "a" / "ps1-key.json")
    assert plan == first
    assert set(key.trials) == set(plan.trials) == {f"t{n:02d}" for n in range(1, 9)}


def test_the_order_of_the_items_does_not_matter(tmp_path):
    items = items_of_table(written_items(tmp_path / "items"))
    first = build_study(items, tmp_path / "a", "ps1", SMALL)
    assert build_study(items[::-1], tmp_path / "b", "ps1", SMALL, threads=2) == first


def test_the_page_gives_away_neither_models_nor_names_nor_checks(tmp_path):
    built_study(tmp_path, classes=("class-of-balls", "class-of-boxes"))
    page = page_of(tmp_path)
    key = read_stored(tmp_path / "ps1-key.json", Key)
    for word in ("atlasnet", "original", "drkfs", "DR-KFS", "truth", "class-of", "no0-", "no1-", ".ply"):
        assert word not in re.sub(r"base64,[^\"]*", "", page), word
    assert sum(question.check for question in key.trials.values()) == 2
    assert all(trial.keys() == {"name", "picture", "a", "b"} for trial in data_of(page)["trials"])


def test_the_key_says_which_shape_of_the_page_is_which(tmp_path):
    """The reconstructions are the truth made wider, so that the pictures themselves tell them apart."""
    built_study(tmp_path, classes=("ball", "box"))
    key = read_stored(tmp_path / "ps1-key.json", Key)
    widths = {}
    for trial in data_of(page_of(tmp_path))["trials"]:
        question = key.trials[trial["name"]]
        dark = {letter: [(pixels_of(uri) < 250).mean() for uri in trial[letter]] for letter in "ab"}
        if not question.check:
            assert np.mean(dark[question.letter("original")]) > np.mean(dark[question.letter("drkfs")])
            widths[question.item] = dark
    assert len(widths) == 6
    letters = {question.letter("drkfs") for question in key.trials.values() if not question.check}
    assert letters == {"a", "b"}


def test_what_comes_from_outside_is_text_on_the_page_and_in_no_script(tmp_path):
    settings = changed(SMALL, title=HOSTILE, contact=HOSTILE)
    built_study(tmp_path, settings, classes=(HOSTILE, "box"), networks=(HOSTILE.replace("/", ""),))
    page = page_of(tmp_path)
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert page.count("<script") == 2
    assert page.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;") == 3  # title, headline, contact
    assert HOSTILE in {item.class_name for item in read_stored(tmp_path / "ps1-plan.json", Plan).items}


def test_the_page_may_load_nothing_and_run_only_its_own_script(tmp_path):
    built_study(tmp_path)
    page = page_of(tmp_path)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style[0], script[0])]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"https?://|style=| on\w+=", re.sub(r"base64,[^\"]*", "", page))


def test_plan_states_what_was_shown_and_who_will_not_count(tmp_path):
    plan = built_study(tmp_path)
    assert plan.page_sha256 == hashlib.sha256((tmp_path / "ps1.html").read_bytes()).hexdigest()
    for item in plan.items:
        mesh = tmp_path / "items" / f"{item.shape}-atlasnet-drkfs.ply"
        assert item.sha256["drkfs"] == hashlib.sha256(mesh.read_bytes()).hexdigest()
    assert plan.chosen_from == 10
    assert "Fewer than 80% of the answered check questions right, or none answered." in plan.exclusion_words
    assert str(tmp_path) not in (tmp_path / "ps1-plan.json").read_text()


def test_checks_show_the_truth_beside_another_class_and_shapes_that_nothing_else_asks_about(tmp_path):
    plan = built_study(tmp_path, per_class=6)
    key = read_stored(tmp_path / "ps1-key.json", Key)
    checks = [question for question in key.trials.values() if question.check]
    assert {question.shape for question in checks} == set(plan.checks)
    assert not set(plan.checks) & {item.shape for item in plan.items}
    assert {frozenset((question.a, question.b)) for question in checks} == {frozenset(("truth", "other"))}


def test_a_study_of_one_class_has_no_checks_to_make(tmp_path):
    with pytest.raises(LiftnetError, match="one class"):
        built_study(tmp_path, classes=("ball",))


def test_a_key_that_answers_may_need_is_not_written_over(tmp_path):
    items = items_of_table(written_items(tmp_path / "items"))
    build_study(items, tmp_path, "ps1", SMALL)
    build_study(items, tmp_path, "ps1", SMALL)
    before = (tmp_path / "ps1-key.json").read_bytes()
    with pytest.raises(LiftnetError, match="without which its answers mean nothing"):
        build_study(items, tmp_path, "ps1", SMALL, seed=1)
    assert (tmp_path / "ps1-key.json").read_bytes() == before


def test_a_page_that_no_telephone_should_load_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("liftnet.reconstruct.study.build.LARGEST_PAGE_MB", 0.02)
    with pytest.raises(LiftnetError, match="telephones"):
        built_study(tmp_path)
    assert not (tmp_path / "ps1-key.json").exists()


def item(name, original, drkfs, network="n"):
    scores = np.array([original, drkfs], float)
    return Item(name, "000", "c", network, *[None] * 5, scores=scores)


def test_the_best_items_are_best_by_both_models():
    """One item is the best of DR-KFS and the worst of the original, another good in both."""
    items = [item("one-sided", [9, 9, 9], [0, 0, 0]), item("good", [1, 1, 1], [1, 1, 1])]
    items += [item(f"middling-{n}", [2 + n] * 3, [2 + n] * 3) for n in range(3)]
    assert [one.shape for one in best_items(items, 0.2)] == ["good"]


def test_the_best_items_by_ranks_do_not_depend_on_the_units_of_a_measure():
    rng = np.random.default_rng(0)
    values = rng.random((20, 2, 3))
    first = [item(f"i{n}", *row) for n, row in enumerate(values)]
    second = [item(f"i{n}", *row) for n, row in enumerate(np.exp(values * [30, 1, 0.01]))]
    assert [one.name for one in best_items(first, 0.3)] == [one.name for one in best_items(second, 0.3)]


def test_each_network_keeps_its_share_and_a_shape_without_a_score_is_the_last():
    items = [item(f"i{n}", [n] * 3, [n] * 3, "weak") for n in range(5)]
    items += [item(f"i{n}", [n / 100] * 3, [n / 100] * 3, "strong") for n in range(10)]
    items[0] = item("i0", [np.nan] * 3, [0] * 3, "weak")
    found = best_items(items, 0.2)
    assert [(one.network, one.shape) for one in found] == [("weak", "i1"), ("strong", "i0"), ("strong", "i1")]


def test_items_without_scores_make_no_second_study(tmp_path):
    with pytest.raises(LiftnetError, match="no scores"):
        built_study(tmp_path, name="ps2")


def test_the_second_study_asks_about_the_best_of_a_table(tmp_path):
    table = written_items(tmp_path / "items", per_class=10)
    frame = pd.read_csv(table)
    for model in ("original", "drkfs"):
        for measure in ("lfd", "shape_google", "mvcnn"):
            frame[f"{model}_{measure}"] = range(len(frame))
    frame.to_csv(table, index=False)
    plan = build_study(items_of_table(table), tmp_path, "ps2", changed(SMALL, best_share=0.25))
    assert {one.shape for one in plan.items} == {f"no0-{n}" for n in range(5)}
    assert (tmp_path / "ps2.html").exists()
    assert "both" in plan.selection.lower()


def test_a_camera_carried_around_is_the_camera_at_the_sum_of_the_angles():
    turned = Pose.at(25, 30).turned(120).rotation
    np.testing.assert_allclose(turned, Pose.at(145, 30).rotation, atol=1e-12)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turned) == pytest.approx(1)


def test_a_view_shows_right_on_the_right_and_up_on_top(tmp_path):
    """A long arm to the viewer's right, seen from the front and from behind, and a tall one."""
    arm = trimesh.creation.box((0.4, 0.1, 0.1))
    arm.apply_translation([0.2, 0, 0])
    arm.export(tmp_path / "arm.ply")
    placement = placement_of(tmp_path / "arm.ply")
    stay = type(placement)(1.0, np.eye(3), np.zeros(3))
    front, back = shape_views(tmp_path / "arm.ply", stay, (Pose.at(0, 0), Pose.at(180, 0)), 64)
    assert (front[:, 40:] < 250).sum() > 5 * (front[:, :24] < 250).sum()
    assert (back[:, :24] < 250).sum() > 5 * (back[:, 40:] < 250).sum()
    arm.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1]))  # now along +y
    arm.export(tmp_path / "mast.ply")
    (mast,) = shape_views(tmp_path / "mast.ply", stay, (Pose.at(0, 0),), 64)
    assert (mast[:24] < 250).sum() > 5 * (mast[40:] < 250).sum()


def test_a_shape_fills_the_picture_as_its_camera_says(tmp_path):
    """A ball of radius r at distance d covers a disk whose radius has the tangent r / sqrt(d^2 - r^2)."""
    trimesh.creation.icosphere(4, radius=3.0).export(tmp_path / "ball.ply")
    pose = Pose.at(10, 5, distance=2.0, half_width=0.5)
    (view,) = shape_views(tmp_path / "ball.ply", placement_of(tmp_path / "ball.ply"), (pose,), 200)
    diameter = 2 * 0.5 / np.sqrt(2.0**2 - 0.5**2) / pose.half_width * 100
    assert (view < 250).any(0).sum() == pytest.approx(diameter, abs=1.5)
    assert (view < 250).any(1).sum() == pytest.approx(diameter, abs=1.5)


def test_a_reconstruction_without_faces_is_an_empty_picture(tmp_path):
    (tmp_path / "nothing.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 0\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n"
    )
    trimesh.creation.box().export(tmp_path / "box.ply")
    (view,) = shape_views(tmp_path / "nothing.ply", placement_of(tmp_path / "box.ply"), (Pose.at(0, 0),), 64)
    assert view.shape == (64, 64)
    assert (view == 255).all()


def test_a_reconstruction_that_reaches_behind_the_camera_is_still_drawn(tmp_path):
    trimesh.creation.box((1, 1, 12)).export(tmp_path / "long.ply")
    trimesh.creation.box().export(tmp_path / "box.ply")
    (view,) = shape_views(tmp_path / "long.ply", placement_of(tmp_path / "box.ply"), (Pose.at(30, 20),), 64)
    assert (view < 250).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="drkfs"), "has no column drkfs"),
        (lambda frame: frame.assign(truth="gone.ply"), "is not there"),
        (lambda frame: frame.assign(azimuth="north"), "could not convert"),
        (lambda frame: frame.assign(elevation="nan"), "not finite"),
        (lambda frame: frame.assign(half_width=-1.0), "not positive"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "more than once"),
        (lambda frame: frame.iloc[:0], "nothing to ask"),
    ],
)
def test_a_table_of_items_that_cannot_be_used_is_named(tmp_path, change, words):
    table = written_items(tmp_path / "items", per_class=2)
    change(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(LiftnetError, match=words):
        build_study(items_of_table(table), tmp_path, "ps1", SMALL)


def test_a_damaged_mesh_is_named(tmp_path):
    table = written_items(tmp_path / "items", per_class=3)
    for path in (tmp_path / "items").glob("*-drkfs.ply"):
        path.write_bytes(b"ply\nrubbish")
    with pytest.raises(LiftnetError, match="drkfs"):
        build_study(items_of_table(table), tmp_path, "ps1", SMALL)
