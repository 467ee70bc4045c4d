"""What people preferred: the share of votes for DR-KFS, how far it is to be trusted, and whose votes it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from liftnet.core.errors import LiftnetError
from liftnet.core.ids import stable_seed
from liftnet.core.intervals import crossed_interval
from liftnet.core.log import get_logger
from liftnet.core.tables import write_tables
from liftnet.reconstruct.study.answers import SET_ASIDE, Outcome, Participation, read_participations
from liftnet.reconstruct.study.plan import WORDS, Key, Plan, read_plan

LOG = get_logger("reconstruct")


def analyse_study(plan_file: Path, key_file: Path, answers: Path, stem: Path, seed: int = 0) -> pd.DataFrame:
    """Write `<stem>.{csv,md,tex}` with the shares and `<stem>_people.{csv,md,tex}` with what became of each file.

    Args:
        plan_file: The plan of the study.
        key_file: Its key.
        answers: Folder of what the participants sent.
        stem: Path of the table without suffix.
        seed: Of the intervals.

    Returns:
        The table of shares.

    Raises:
        LiftnetError: A file of the study cannot be used, there are no answers, none counts, or answers of people lie
            beside simulated ones.
    """
    plan, key = read_plan(plan_file, key_file)
    found = read_participations(answers, plan, key)
    simulated = is_simulated(found, answers)
    counted = [one for one in found if one.outcome is Outcome.COUNTED]
    write_tables(
        people_table(found), stem.with_name(f"{stem.name}_people"), _people_caption(plan, found, simulated), 2
    )
    if not counted:
        raise LiftnetError(
            answers, f"none of its {len(found)} files counts", f"{stem.name}_people.md says why, file by file"
        )
    shares = share_table(votes_of(counted, key), seed)
    write_tables(shares, stem, _caption(plan, found, simulated))
    everything = shares.iloc[0]
    LOG.info(
        "%s%s: %.1f %% of %d votes for DR-KFS (95 %% interval %.1f to %.1f) by %d of %d participants",
        *("simulated " if simulated else "", WORDS[plan.name], 100 * everything["share"], everything["votes"]),
        *(100 * everything["low"], 100 * everything["high"], len(counted), _participants(found)),
    )
    return shares


def is_simulated(found: Sequence[Participation], folder: Path) -> bool:
    """Whether the answers are simulated.

    Raises:
        LiftnetError: Some are and some are not.
    """
    kinds = {one.given.simulated for one in found if one.given and one.outcome not in SET_ASIDE}
    if len(kinds) > 1:
        raise LiftnetError(folder, "holds answers of people and simulated ones", "Keep them in folders of their own")
    return kinds == {True}


def votes_of(counted: Sequence[Participation], key: Key) -> pd.DataFrame:
    """A row a vote, without checks: participant, shape, item, class, network, and for_drkfs, 0 or 1."""
    rows = []
    for one in counted:
        for answer in one.answers:
            question = key.trials[answer.trial]
            if not question.check:
                about = one.file, question.shape, question.item, question.class_name, question.network
                rows.append((*about, int(question.meaning(answer.chosen) == "drkfs")))
    return pd.DataFrame(rows, columns=["participant", "shape", "item", "class", "network", "for_drkfs"])


def share_table(votes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The share of votes for DR-KFS of all votes, by class and, where there are several, by network.

    `wilson_low` and `wilson_high` take every vote for independent of all others. `low` and `high` are the two-way
    bootstrap over participants and shapes.
    """
    rows = [_share("all", votes, seed)]
    for column in ("class", "network"):
        groups = sorted(votes[column].unique())
        if column == "class" or len(groups) > 1:
            rows += [_share(name, votes[votes[column] == name], seed) for name in groups]
    return pd.DataFrame(rows)


def _share(name: str, votes: pd.DataFrame, seed: int) -> dict[str, object]:
    from scipy.stats import binomtest

    chosen, count = int(votes["for_drkfs"].sum()), len(votes)
    wilson = binomtest(chosen, count).proportion_ci(method="wilson")
    low, high = crossed_interval(
        votes["for_drkfs"], votes["participant"], votes["shape"], stable_seed(seed, "votes", name)
    )
    return {
        "votes of": name,
        "participants": votes["participant"].nunique(),
        "items": votes["item"].nunique(),
        "votes": count,
        "for DR-KFS": chosen,
        "share": chosen / count,
        "wilson_low": float(wilson.low),
        "wilson_high": float(wilson.high),
        "low": low,
        "high": high,
    }


def people_table(found: Sequence[Participation]) -> pd.DataFrame:
    """A row a file: what became of it and why."""
    return pd.DataFrame(
        {
            "file": "".join(c if c.isprintable() else "?" for c in one.file),  # a name from outside
            "outcome": one.outcome.value,
            "reason": one.outcome.words,
            "answers": len(one.answers) if one.given else None,
            "checks right": one.checks_right,
            "median time (s)": one.median_s,
            "on the left": one.left_share,
        }
        for one in found
    ).astype({"answers": "Int64"})


def _participants(found: Sequence[Participation]) -> int:
    return sum(one.outcome not in SET_ASIDE for one in found)


def _caption(plan: Plan, found: Sequence[Participation], simulated: bool) -> str:
    counted = sum(one.outcome is Outcome.COUNTED for one in found)
    who = "simulated voters, no people," if simulated else "participants"
    return (
        f"{'Simulated ' if simulated else ''}{WORDS[plan.name]} ({plan.study}): share of votes for the reconstruction "
        f"of the network trained by DR-KFS beside that of the same network trained by its own loss, by {counted} of "
        f"{_participants(found)} {who} under the plan's rules. low, high: 95 % interval over participants and shapes "
        "(two-way bootstrap); Wilson's takes all votes for independent and is too narrow."
    )


def _people_caption(plan: Plan, found: Sequence[Participation], simulated: bool) -> str:
    excluded = sum(one.outcome is not Outcome.COUNTED and one.outcome not in SET_ASIDE for one in found)
    set_aside = sum(one.outcome in SET_ASIDE for one in found)
    return (
        f"{'Simulated ' if simulated else ''}{WORDS[plan.name]} ({plan.study}): what became of each file of answers. "
        f"{set_aside} of {len(found)} were set aside, {excluded} of the others excluded by the plan's rules."
    )
