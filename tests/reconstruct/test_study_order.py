"""The order of questions and sides, and that the page's script and Python draw the same."""

import json
import shutil
import subprocess
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from liftnet.reconstruct.study.order import generator, showings

NODE = shutil.which("node")
TRIALS = [f"t{n:02d}" for n in range(1, 56)]
SEEDS = [(0, 0), (1, 2), (2**32 - 1, 7), (0xDEADBEEF, 0x12345678), (2**31, 2**31 - 1)]


def test_numbers_are_those_of_its_authors_c_function():
    """The first five of seed 0, printed by a program around `mulberry32` in C."""
    draw = generator(0)
    assert [draw() * 2**32 for _ in range(5)] == [1144304738, 1416247, 958946056, 627933444, 2007157716]


def test_everybody_sees_every_question_once_and_half_of_the_sides_are_swapped():
    people = [showings(TRIALS, number * 2654435761 % 2**32, 99) for number in range(400)]
    assert all(sorted(one.trial for one in person) == TRIALS for person in people)
    lefts = np.mean([[one.left == "a" for one in person] for person in people])
    swapped = np.mean([[one.views_swapped for one in person] for person in people])
    assert (lefts, swapped) == pytest.approx((0.5, 0.5), abs=4 * 0.5 / np.sqrt(400 * 55))
    first = Counter(person[0].trial for person in people)
    assert len(first) > 50
    assert max(first.values()) < 25


def test_the_same_number_gives_the_same_order_and_another_one_another():
    assert showings(TRIALS, 5, 9) == showings(TRIALS, 5, 9) != showings(TRIALS, 6, 9)
    assert showings(TRIALS, 5, 9) != showings(TRIALS, 5, 8)


@pytest.mark.skipif(NODE is None, reason="no node on PATH; the browser's test compares the order too")
def test_the_pages_script_draws_the_same_order_as_python():
    script = files("liftnet.reconstruct.study").joinpath("order.js").read_text()
    calls = ",".join(f"showings(trials,{participant},{seed})" for participant, seed in SEEDS)
    text = f"{script}\nconst trials={json.dumps(TRIALS)};console.log(JSON.stringify([{calls}]));"
    found = json.loads(subprocess.run([NODE, "-e", text], capture_output=True, text=True, check=True).stdout)
    expected = [[vars(one) for one in showings(TRIALS, participant, seed)] for participant, seed in SEEDS]
    assert found == expected
