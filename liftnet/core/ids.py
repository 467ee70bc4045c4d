"""Names that are safe as file names, URLs and Snakemake wildcards, and stay the same from run to run."""

from __future__ import annotations

import hashlib
import re
import unicodedata

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
