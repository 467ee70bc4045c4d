"""Learning rates against torch's own schedulers, and which groups of items are held out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from liftnet.core.ids import stable_fraction
from liftnet.learn.hold_out import hold_out
from liftnet.learn.settings import OptimiserSettings, TrainingSettings, learning_rate, rate_factor

STEPS = 40


def rates_of(scheduler_of):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler, found = scheduler_of(optimiser), []
    for _ in range(STEPS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "warm_up", "torchs"),
    [
        ("constant", 0.0, lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
        ("linear", 0.0, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS)),
        ("cosine", 0.0, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
        (
            "cosine",
            0.25,
            lambda o: torch.optim.lr_scheduler.SequentialLR(
                o,
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 9),
                    torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS - 10),
                ],
                [10],
            ),
        ),
    ],
)
def test_rates_are_those_of_torchs_schedulers(schedule, warm_up, torchs):
    plan = TrainingSettings(
        iterations=STEPS,
        optimiser=OptimiserSettings(learning_rate=0.2, schedule=schedule, warm_up_fraction=warm_up),
    )
    assert [learning_rate(plan, step) for step in range(STEPS)] == pytest.approx(rates_of(torchs))


@given(st.sampled_from(["constant", "linear", "cosine"]), st.integers(1, 500), st.floats(0, 0.99))
def test_rates_rise_to_one_and_never_beyond(schedule, steps, warm_up):
    factors = [rate_factor(schedule, step, steps, warm_up) for step in range(steps)]
    assert max(factors) == 1 or max(factors) == pytest.approx(1)
    assert min(factors) > 0
    top = factors.index(max(factors))
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)


names = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=30)


@given(names, st.floats(0.01, 0.99), st.text(max_size=4))
def test_groups_are_held_out_whole_and_nothing_is_lost(items, fraction, salt):
    kept, held = hold_out(items, lambda item: item[0], fraction, salt)
    assert sorted(kept + held) == sorted(items)
    assert not {name for name, _ in kept} & {name for name, _ in held}
    groups = len({name for name, _ in items})
    assert len({name for name, _ in held}) == (min(max(round(fraction * groups), 1), groups - 1) if groups > 1 else 0)
    assert kept == [item for item in items if item in kept]


@given(names, st.randoms())
def test_the_order_of_the_items_does_not_matter(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    first, second = (hold_out(given, lambda item: item[0], 0.3, "salt")[1] for given in (items, shuffled))
    assert sorted(first) == sorted(second)


def test_those_of_the_smallest_hash_are_held_out():
    works = [f"work {number}" for number in range(40)]
    _, held = hold_out(works, str, 0.25, "held out")
    assert set(held) == set(sorted(works, key=lambda work: stable_fraction(work, "held out"))[:10])
    assert len(hold_out(works, str, 0.25, "held out", most=3)[1]) == 3


def test_a_single_group_is_kept():
    assert hold_out(["a", "a"], str, 0.9, "") == (["a", "a"], [])
    assert hold_out([], str, 0.9, "") == ([], [])
