import numpy as np

from liftnet.render.random_source import RandomSource, RangedSource, ShapeParams


def test_numbers_stay_in_their_ranges_and_reach_both_ends():
    random = RandomSource(np.random.default_rng(0))
    uniform = [random.uniform(-2, 3) for _ in range(2000)]
    assert min(uniform) < -1.9 < 2.9 < max(uniform)
    assert {random.integer(2, 5) for _ in range(200)} == {2, 3, 4, 5}
    assert {random.choice("abc") for _ in range(100)} == set("abc")
    assert {random.sign() for _ in range(50)} == {-1.0, 1.0}
    assert 0.2 < np.mean([random.chance(0.25) for _ in range(2000)]) < 0.3
    points = np.array([random.around(1, 2, 3, spread=0.5) for _ in range(500)])
    assert (np.abs(points - [1, 2, 3]) <= 0.5).all()
    colours = np.array([random.colour() for _ in range(200)])
    assert colours.min() >= 0.01
    assert colours.max() <= 0.9


def test_the_same_generator_gives_the_same_shape_with_or_without_a_style():
    plain = RandomSource(np.random.default_rng(7))
    styled = ShapeParams(np.random.default_rng(7), blend=0.1, bulk=1.0, hand=0.0)
    assert [plain.uniform(0, 1), plain.integer(0, 9)] == [styled.uniform(0, 1), styled.integer(0, 9)]


def test_numbers_within_a_range_stay_in_its_middle_and_others_take_every_second_one_from_its_ends():
    inside = RangedSource(np.random.default_rng(0), held_out=0.2, inside=True)
    numbers = np.array([inside.uniform(-1, 1) for _ in range(3000)])
    assert np.abs(numbers).max() <= 0.8
    assert np.abs(numbers.mean()) < 0.03
    outside = RangedSource(np.random.default_rng(0), held_out=0.2, inside=False)
    numbers = np.array([outside.uniform(-1, 1) for _ in range(3000)])
    assert np.abs(numbers).max() <= 1
    assert 0.46 < (np.abs(numbers) > 0.8).mean() < 0.54
    assert 0.22 < (numbers > 0.8).mean() < 0.28
    everything = RangedSource(np.random.default_rng(0), held_out=0.0, inside=True)
    assert [everything.uniform(0, 1)] == [np.random.default_rng(0).random()]
