"""Names that are safe as file names, URLs and Snakemake wildcards, and stay the same.

And sets of names that are tied together, directly or through others.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

SAFE_ID = re.compile(r"[a-z0-9][a-z0-9-]*")


def slug(text: str, limit: int = 40) -> str:
    """`text` in lower-case ASCII letters, digits and hyphens; umlauts lose their dots; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-") or "untitled"


def stable_id(*names: str) -> str:
    """A readable, unique id for the given names (artist, or artist and work): slug of the last plus 6 hex digits.

    The digits are of the SHA-256 of all names, so two works of one title by different artists keep apart.
    """
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()
    return f"{slug(names[-1])}-{digest[:6]}"


def stable_fraction(text: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on `text` and `salt` alone; used to assign splits."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{text}".encode(), digest_size=7).digest()) / 2**56


def stable_seed(seed: int, *names: str) -> int:
    """The seed of one item, from the run's seed and the item's id: order and number of workers do not matter."""
    return int.from_bytes(hashlib.blake2b("\0".join((str(seed), *names)).encode(), digest_size=8).digest()) >> 1


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
