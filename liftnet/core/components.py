"""Connected components of names: what is tied together directly or through others."""

from __future__ import annotations

from collections.abc import Iterable


class Components:
    """Sets of names that grow together as ties become known; the order of the ties does not matter.

    Galler and Fischer's disjoint sets (1964), with paths halved on the way up.
    """

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Make a name known; alone, unless it is tied already."""
        self._above.setdefault(name, name)

    def tie(self, a: str, b: str) -> None:
        """Put two names into one component."""
        first, second = sorted((self.find(a), self.find(b)))
        self._above[second] = first

    def find(self, name: str) -> str:
        """The first name, in alphabetical order, of the component of `name`; a name not met before is alone."""
        self.add(name)
        while (above := self._above[name]) != name:
            self._above[name] = self._above[above]
            name = above
        return name

    def members(self) -> dict[str, list[str]]:
        """The names of each component, ascending, by its first name."""
        found: dict[str, list[str]] = {}
        for name in sorted(self._above):
            found.setdefault(self.find(name), []).append(name)
        return found


def components(ties: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The components that the ties make, each as its names in ascending order, by its first name."""
    tied = Components()
    for a, b in ties:
        tied.tie(a, b)
    return tied.members()
