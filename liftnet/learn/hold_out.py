"""Setting groups of items aside, the same ones in every process and in every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from liftnet.core.ids import stable_fraction

Item = TypeVar("Item")


def hold_out(
    items: Sequence[Item], key: Callable[[Item], str], fraction: float, salt: str, most: int | None = None
) -> tuple[list[Item], list[Item]]:
    """Hold out about `fraction` of the groups of items, at least one of two or more and never all of them.

    The groups are ranked by a hash of their names, so which are held out depends neither on the order of the items
    nor on anything random, and a group that is added later rarely changes what becomes of the others.

    Args:
        items: What is divided.
        key: The group of an item, such as its work: a group is held out whole.
        fraction: Of the groups.
        salt: What the hash depends on besides the names, such as a seed.
        most: Most groups held out.

    Returns:
        The items kept and those held out, each in the order of `items`. A single group is kept.

    >>> hold_out(["a1", "a2", "b1", "c1"], lambda item: item[0], 1 / 3, "")
    (['a1', 'a2', 'b1'], ['c1'])
    """
    groups = sorted({key(item) for item in items}, key=lambda group: (stable_fraction(group, salt), group))
    count = max(min(max(round(fraction * len(groups)), 1), len(groups) - 1), 0)
    chosen = set(groups[: count if most is None else min(count, most)])
    return [item for item in items if key(item) not in chosen], [item for item in items if key(item) in chosen]
