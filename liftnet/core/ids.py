"""Names that are safe as file names, URLs and Snakemake wildcards, and stay the same.

And sets of names that are tied together, directly or through others.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable

from anyascii import anyascii

from liftnet.core.errors import LiftnetError

SAFE_ID = re.compile(r"[a-z0-9][a-z0-9-]*")
DIGITS = 16  # hexadecimal, of an id


def slug(text: str, limit: int = 40) -> str:
    """`text` in lower-case ASCII letters, digits and hyphens, of any script as far as it can be; never empty.

    >>> slug("Käthe Kollwitz"), slug("毛泽东"), slug("?!")
    ('kathe-kollwitz', 'maozedong', 'untitled')
    """
    plain = anyascii(unicodedata.normalize("NFC", text)).lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-") or "untitled"


def stable_id(*names: str) -> str:
    """A readable id for the given names (artist, or artist and work): slug of the last and 16 hex digits.

    The digits, 64 bits, are of the SHA-256 of all names, so two works of one title by different artists keep apart:
    of a million names two have the same digits once in 37 million times, and `Register` says so.

    >>> stable_id("Auguste Rodin", "Le Penseur")
    'le-penseur-f07500c9bd4d6d8b'
    """
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()
    return f"{slug(names[-1])}-{digest[:DIGITS]}"


class Register:
    """Which names each id was given to, so that two of them never become one in silence."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[str, ...]] = {}

    def give(self, known: str, *names: str) -> str:
        """The id `known` of `names`.

        Raises:
            LiftnetError: Other names have it already; names both.
        """
        first = self._named.setdefault(known, names)
        if first != names:
            both = " and of ".join(repr(", ".join(one)) for one in (first, names))
            raise LiftnetError(known, f"is the id of {both}", "Write one of them otherwise, by a letter or more")
        return known


def stable_fraction(text: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on `text` and `salt` alone; used to assign splits."""
    return (
        int.from_bytes(hashlib.blake2b(f"{salt}\0{text}".encode("utf-8", "surrogatepass"), digest_size=7).digest())
        / 2**56
    )


def stable_seed(seed: int, *names: str) -> int:
    """The seed of one item, from the run's seed and the item's id: order and number of workers do not matter."""
    return (
        int.from_bytes(
            hashlib.blake2b("\0".join((str(seed), *names)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        )
        >> 1
    )


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
