"""The funnel: rows of a step add up to what the step before left, and what does not add up is said."""

from hypothesis import given
from hypothesis import strategies as st

from liftnet.data.funnel import UNACCOUNTED, Chain, funnel_table

losses = st.dictionaries(st.sampled_from(["chance", "no_mask", "duplicate"]), st.integers(0, 50))


def test_a_chain_by_hand():
    chain = Chain(unit="images", source="met")
    chain.step("asked for", 10)
    chain.step("stored", 7, {"http_404": 2, "too_small": 1, "never": 0})
    chain.step("used", 4, {"alone": 2})
    table = funnel_table([chain], ["unit", "source"])
    assert table.to_numpy().tolist() == [
        ["images", "met", "asked for", "remaining", "", 10],
        ["images", "met", "stored", "lost", "http_404", 2],
        ["images", "met", "stored", "lost", "too_small", 1],
        ["images", "met", "stored", "remaining", "", 7],
        ["images", "met", "used", "lost", "alone", 2],
        ["images", "met", "used", "lost", UNACCOUNTED, 1],
        ["images", "met", "used", "remaining", "", 4],
    ]


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 1000), losses), max_size=5))
def test_every_step_adds_up_whatever_is_said_of_it(first, steps):
    chain = Chain(unit="pairs")
    chain.step("first", first)
    for number, (left, lost) in enumerate(steps):
        chain.step(str(number), left, lost)
    table = funnel_table([chain], ["unit"])
    before = first
    for number, (left, _) in enumerate(steps):
        rows = table[table["step"] == str(number)]
        assert rows["count"].sum() == before
        before = left


def test_no_chains_are_a_table_without_rows():
    assert funnel_table([], ["unit"]).columns.tolist() == ["unit", "step", "outcome", "reason", "count"]
