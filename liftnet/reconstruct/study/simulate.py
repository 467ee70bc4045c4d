"""Voters that are simulated: they try out a study and its analysis, and say nothing of what people would choose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.reconstruct.study.answers import Answer, AnswerFile
from liftnet.reconstruct.study.order import BITS, Showing, showings
from liftnet.reconstruct.study.plan import Key, Plan, Question, read_plan
from liftnet.reconstruct.study.settings import VoterSettings

LOG = get_logger("reconstruct")
NODES = 60  # of the Gauss-Hermite quadrature over how items and voters differ


@dataclass(frozen=True)
class Voter:
    """A simulated voter.

    Attributes:
        file: The answers, as the page would save them but marked as simulated.
        careless: Whether they were given at random.
    """

    file: AnswerFile
    careless: bool


def simulate_study(plan_file: Path, key_file: Path, out: Path, count: int, settings: VoterSettings, seed: int) -> None:
    """Write answers of simulated voters, one file each.

    Raises:
        LiftnetError: The study cannot be used, or the folder holds files already, which may be people's.
    """
    plan, key = read_plan(plan_file, key_file)
    if any(out.glob("*.json")):
        raise LiftnetError(out, "holds answers already", "Name a new folder: simulated answers lie by themselves")
    voters = simulated_voters(plan, key, count, settings, seed)
    for voter in voters:
        write_json(out / f"{plan.study}-{voter.file.participant}.json", voter.file.model_dump())
    LOG.info("%d simulated voters, %d of them careless: %s", count, sum(voter.careless for voter in voters), out)


def simulated_voters(plan: Plan, key: Key, count: int, settings: VoterSettings, seed: int) -> list[Voter]:
    """Voters whose choice of DR-KFS has the logit bias + item + voter; careless ones choose at random.

    Items and voters are drawn from normal distributions, times from a log-normal one. The bias is such that the share
    over all items and attentive voters is the one asked for.
    """
    rng = np.random.default_rng(stable_seed(seed, "voters", plan.study))
    names = sorted({question.item for question in key.trials.values() if not question.check})
    drawn = settings.item_sd * rng.standard_normal(len(names)) + bias_for(
        settings.share, math.hypot(settings.item_sd, settings.voter_sd)
    )
    items = dict(zip(names, drawn.tolist(), strict=True))
    return [_voter(plan, key, items, settings, stable_seed(seed, "voter", plan.study, str(n))) for n in range(count)]


def bias_for(share: float, spread: float) -> float:
    """The mean of a normal distribution of this standard deviation whose logistic function has the mean `share`.

    >>> round(bias_for(0.71, 0.0), 6) == round(math.log(0.71 / 0.29), 6)
    True
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    limit = 50 + 10 * spread
    return float(brentq(lambda bias: float(weights @ expit(bias + spread * nodes)) - share, -limit, limit))


def _voter(plan: Plan, key: Key, items: dict[str, float], settings: VoterSettings, seed: int) -> Voter:
    rng = np.random.default_rng(seed)
    participant = int(rng.integers(BITS + 1))
    careless, own = bool(rng.random() < settings.careless), settings.voter_sd * rng.standard_normal()

    def likely(question: Question) -> float:
        """How likely the voter chooses DR-KFS, or the truth in a check."""
        if careless:
            return 0.5
        return settings.checks_right if question.check else 1 / (1 + math.exp(-items[question.item] - own))

    def answer(showing: Showing) -> Answer:
        question = key.trials[showing.trial]
        wanted = rng.random() < likely(question)
        one, other = ("truth", "other") if question.check else ("drkfs", "original")
        chosen = question.letter(one if wanted else other)  # type: ignore[arg-type]
        ms = round(1000 * settings.median_s * math.exp(settings.spread * rng.standard_normal()))
        return Answer(
            trial=showing.trial, chosen=chosen, left=showing.left, views_swapped=showing.views_swapped, ms=ms
        )

    answers = [answer(showing) for showing in showings(plan.trials, participant, plan.page_seed)]
    file = AnswerFile(version=1, study=plan.study, participant=participant, answers=answers, simulated=True)
    return Voter(file, careless)
