"""Whose answers count, what is made of them, and that a planted share is found among simulated voters."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from study_items import planned

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.core.settings import changed
from liftnet.reconstruct.study.analyse import analyse_study, people_table, share_table, votes_of
from liftnet.reconstruct.study.answers import Answer, AnswerFile, Outcome, accepted, judged, read_participations
from liftnet.reconstruct.study.order import showings
from liftnet.reconstruct.study.settings import VoterSettings
from liftnet.reconstruct.study.simulate import bias_for, simulate_study, simulated_voters

PLAN, KEY = planned(items=10, checks=5)


def answers(participant=7, choose=None, ms=2000, count=None, plan=PLAN):
    """A file of answers as the page saves it: DR-KFS and the truth everywhere, or what `choose` says."""
    given = []
    for showing in showings(plan.trials, participant, plan.page_seed)[:count]:
        question = KEY.trials[showing.trial]
        right = question.letter("truth" if question.check else "drkfs")
        chosen = right if choose is None else choose(showing, question, right)
        given.append(Answer(**vars(showing), chosen=chosen, ms=ms))
    return AnswerFile(version=1, study=plan.study, participant=participant, answers=given)


def outcomes(*files):
    found = judged([accepted(file, f"{n}.json", PLAN) for n, file in enumerate(files)], PLAN, KEY)
    return [one.outcome for one in found]


def the_other(letter):
    return "b" if letter == "a" else "a"


def wrong_checks(count):
    """Choices with so many checks wrong."""
    wrong = {name for name, _ in [(n, q) for n, q in KEY.trials.items() if q.check][:count]}
    return lambda showing, question, right: the_other(right) if showing.trial in wrong else right


def test_each_rule_excludes_whom_it_names_and_nobody_else():
    left = answers(1, lambda showing, question, right: showing.left if not question.check else right)
    kinds = [(one.chosen == one.left) for one in left.answers]
    assert np.mean(kinds) < 0.9  # checks are right, so this one counts
    assert outcomes(answers(2)) == [Outcome.COUNTED]
    assert outcomes(answers(2, wrong_checks(1))) == [Outcome.COUNTED]  # 4 of 5
    assert outcomes(answers(2, wrong_checks(2))) == [Outcome.CHECKS]
    assert outcomes(answers(2, ms=999)) == [Outcome.TOO_FAST]
    assert outcomes(answers(2, ms=1000)) == [Outcome.COUNTED]
    assert outcomes(answers(2, count=14)) == [Outcome.COUNTED]  # 14 of 15 are 93 %
    assert outcomes(answers(2, count=13)) == [Outcome.INCOMPLETE]
    assert outcomes(answers(2, count=0)) == [Outcome.INCOMPLETE]


def test_always_the_same_side_is_excluded_even_where_all_checks_happen_to_be_right():
    def on_the_left(showing, *_):
        return showing.left

    for number in range(3000):  # somebody whose checks all have the truth on the left
        order = showings(PLAN.trials, number, PLAN.page_seed)
        checks = [one for one in order if KEY.trials[one.trial].check]
        if all(KEY.trials[one.trial].meaning(one.left) == "truth" for one in checks):
            assert outcomes(answers(number, on_the_left)) == [Outcome.ONE_SIDE]
            return
    pytest.fail("nobody like that among 3,000")


def test_answers_that_the_page_cannot_have_written_are_set_aside():
    good = answers(3)
    moved = good.model_copy(update={"answers": good.answers[::-1]})
    repeated = good.model_copy(update={"answers": [*good.answers, good.answers[0]]})
    flipped = good.answers[0].model_copy(update={"left": the_other(good.answers[0].left)})
    sided = good.model_copy(update={"answers": [flipped, *good.answers[1:]]})
    renumbered = good.model_copy(update={"participant": 4})
    unknown = good.model_copy(update={"answers": [good.answers[0].model_copy(update={"trial": "t99"})]})
    elsewhere = good.model_copy(update={"study": "ps1-ffffffffffff"})
    for file in (moved, repeated, sided, renumbered, unknown):
        assert outcomes(file) == [Outcome.OUT_OF_ORDER]
    assert outcomes(elsewhere) == [Outcome.OTHER_STUDY]


def test_of_files_with_one_number_the_one_with_the_most_answers_counts():
    assert outcomes(answers(5, count=13), answers(5), answers(5), answers(6)) == [
        Outcome.DOUBLED,
        Outcome.COUNTED,
        Outcome.DOUBLED,
        Outcome.COUNTED,
    ]


def written(folder, *files):
    for number, file in enumerate(files):
        write_json(folder / f"{number:03d}.json", file.model_dump())


def test_files_of_any_kind_become_rows_with_a_reason(tmp_path):
    good = answers(8).model_dump()
    (tmp_path / "a-empty.json").write_bytes(b"")
    (tmp_path / "b-list.json").write_text("[1, 2]")
    (tmp_path / "c-cut.json").write_text(json.dumps(good)[:-20])
    (tmp_path / "d-latin.json").write_bytes(json.dumps(good).encode() + b"\xff")
    (tmp_path / "e-deep.json").write_text("[" * 100_000)
    (tmp_path / "f-large.json").write_text(" " * (2**20 + 1) + json.dumps(good))
    (tmp_path / "g-more.json").write_text(json.dumps(good | {"name": "Eve"}))
    (tmp_path / "h-float.json").write_text(json.dumps(good | {"participant": 8.5}))
    (tmp_path / "i-nan.json").write_text(json.dumps(good).replace("2000", "NaN"))
    (tmp_path / "j-negative.json").write_text(json.dumps(good).replace("2000", "-1"))
    (tmp_path / "k-good\n| x.json").write_text(json.dumps(good))
    (tmp_path / "notes.txt").write_text("not asked for")
    table = people_table(read_participations(tmp_path, PLAN, KEY))
    assert table["outcome"].tolist() == ["damaged"] * 10 + ["counted"]
    assert table["file"].iloc[-1] == "k-good?| x.json"
    assert table["answers"].isna().sum() == 10
    assert table["reason"].str.len().min() > 5


def test_shares_are_counted_by_hand_and_wilsons_interval_is_its_formula(tmp_path):
    """Participant 1 chooses DR-KFS everywhere, participant 2 in lamps only."""

    def lamps(showing, question, right):
        return right if question.check or question.class_name == "lamp" else the_other(right)

    found = judged([accepted(answers(1), "1", PLAN), accepted(answers(2, lamps), "2", PLAN)], PLAN, KEY)
    votes = votes_of(found, KEY)
    table = share_table(votes, 0).set_index("votes of")
    assert table["votes"].to_dict() == {"all": 20, "chair": 10, "lamp": 10}
    assert table["for DR-KFS"].to_dict() == {"all": 15, "chair": 5, "lamp": 10}
    assert table["share"].to_dict() == {"all": 0.75, "chair": 0.5, "lamp": 1.0}
    z, p, n = norm.ppf(0.975), 0.75, 20
    middle, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)),
    )
    assert table.loc["all", ["wilson_low", "wilson_high"]].tolist() == pytest.approx([middle - half, middle + half])
    assert table.loc["lamp", ["low", "high"]].tolist() == [1.0, 1.0]


def test_the_bias_gives_the_share_that_is_asked_for():
    rng = np.random.default_rng(0)
    for share, spread in ((0.71, 1.08), (0.3, 2.5), (0.5, 0.0), (0.95, 0.4)):
        drawn = bias_for(share, spread) + spread * rng.standard_normal(200_000)
        assert np.mean(1 / (1 + np.exp(-drawn))) == pytest.approx(share, abs=0.004)


def test_a_planted_share_is_found_and_careless_voters_are_excluded():
    plan, key = planned()
    settings = changed(VoterSettings(), careless=0.3)
    inside, shares = [], []
    for seed in range(5):
        voters = simulated_voters(plan, key, 80, settings, seed)
        found = judged([accepted(one.file, f"{n}", plan) for n, one in enumerate(voters)], plan, key)
        kept = np.array([one.outcome is Outcome.COUNTED for one in found])
        careless = np.array([one.careless for one in voters])
        assert kept[~careless].mean() > 0.95
        assert kept[careless].mean() < 0.45  # by chance 6 of 32 get four of five checks right
        row = share_table(votes_of([one for one in found if one.outcome is Outcome.COUNTED], key), seed).iloc[0]
        inside.append(row["low"] <= 0.71 <= row["high"])
        shares.append(row["share"])
    assert sum(inside) >= 4
    assert np.mean(shares) == pytest.approx(0.71, abs=0.035)


def study_on_disk(folder):
    write_json(folder / "ps1-plan.json", PLAN.model_dump())
    write_json(folder / "ps1-key.json", KEY.model_dump())
    return folder / "ps1-plan.json", folder / "ps1-key.json"


def test_tables_of_simulated_voters_say_so_and_those_of_files_of_the_page_do_not(tmp_path):
    files = study_on_disk(tmp_path)
    simulate_study(*files, tmp_path / "voters", 12, VoterSettings(), 3)
    analyse_study(*files, tmp_path / "voters", tmp_path / "tables" / "study_ps1")
    for name in ("study_ps1", "study_ps1_people"):
        assert (tmp_path / "tables" / f"{name}.md").read_text().startswith("Simulated PS-1")
        assert r"\caption{Simulated PS-1" in (tmp_path / "tables" / f"{name}.tex").read_text()
    written(tmp_path / "sent", *[answers(number) for number in range(3)])
    analyse_study(*files, tmp_path / "sent", tmp_path / "tables" / "study_ps1")
    assert "imulated" not in (tmp_path / "tables" / "study_ps1.md").read_text()
    frame = pd.read_csv(tmp_path / "tables" / "study_ps1.csv")
    assert frame.loc[0, ["participants", "items", "votes", "share"]].tolist() == [3, 10, 30, 1.0]
    assert len(pd.read_csv(tmp_path / "tables" / "study_ps1_people.csv")) == 3


def test_simulated_answers_never_mix_with_those_of_people(tmp_path):
    files = study_on_disk(tmp_path)
    written(tmp_path / "sent", answers(1), answers(2).model_copy(update={"simulated": True}))
    with pytest.raises(LiftnetError, match="answers of people and simulated ones"):
        analyse_study(*files, tmp_path / "sent", tmp_path / "study_ps1")
    with pytest.raises(LiftnetError, match="holds answers already"):
        simulate_study(*files, tmp_path / "sent", 5, VoterSettings(), 0)


def test_where_nobody_counts_the_reasons_are_written_and_named(tmp_path):
    files = study_on_disk(tmp_path)
    written(tmp_path / "sent", answers(1, ms=10))
    with pytest.raises(LiftnetError, match="none of its 1 files counts"):
        analyse_study(*files, tmp_path / "sent", tmp_path / "study_ps1")
    assert "the median time is too short" in (tmp_path / "study_ps1_people.md").read_text()
    with pytest.raises(LiftnetError, match="no file of answers"):
        analyse_study(*files, tmp_path / "nothing", tmp_path / "study_ps1")


def test_a_key_of_another_study_is_refused(tmp_path):
    plan, key = study_on_disk(tmp_path)
    write_json(key, KEY.model_copy(update={"study": "ps1-ffffffffffff"}).model_dump())
    with pytest.raises(LiftnetError, match="is the key of ps1-ffffffffffff"):
        analyse_study(plan, key, tmp_path, tmp_path / "t")
    with pytest.raises(LiftnetError, match="is no key of a study"):
        analyse_study(plan, plan, tmp_path, tmp_path / "t")


def test_hostile_names_stay_text_in_the_tables(tmp_path):
    plan, key = planned(items=4, checks=0, classes=("<b>|\\input{x}", "lamp"))
    write_json(tmp_path / "plan.json", plan.model_dump())
    write_json(tmp_path / "key.json", key.model_dump())
    simulate_study(tmp_path / "plan.json", tmp_path / "key.json", tmp_path / "voters", 3, VoterSettings(), 0)
    analyse_study(tmp_path / "plan.json", tmp_path / "key.json", tmp_path / "voters", tmp_path / "study")
    assert r"\textbackslash{}input\{x\}" in (tmp_path / "study.tex").read_text()
    assert r"&lt;b>\|" in (tmp_path / "study.md").read_text()
