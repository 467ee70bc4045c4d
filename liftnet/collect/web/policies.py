"""How politely a host is asked: a table of known hosts, the settings for the rest, and the stricter of both.

No entry can be loosened by a setting: `per_host` and `delay_s` only ever make it stricter. Where a figure is an
operator's own, `why` names the page; where an operator publishes none, ours is cautious.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from liftnet.collect.settings import PolitenessSettings

MEGABIT = 125_000  # bytes


@dataclass(frozen=True)
class Policy:
    """What one host is asked at most.

    Attributes:
        connections: At a time.
        delay_s: Least time between the starts of two requests, in seconds.
        mbit_s: Most megabits a second over all connections; None for no limit.
        operator: Whose host it is: hosts of one operator are never fetched by two jobs.
        why: Where the figures come from.
    """

    connections: int
    delay_s: float
    mbit_s: float | None = None
    operator: str = ""
    why: str = ""

    def __str__(self) -> str:
        rate = f", {self.mbit_s:g} Mbit/s" if self.mbit_s else ""
        return f"{self.connections} connection{'s'[: self.connections > 1]}, {self.delay_s:g} s apart{rate}"


_WIKIMEDIA = "wikitech.wikimedia.org/wiki/Robot_policy"
_API_WIKIMEDIA = "mediawiki.org/wiki/API:Etiquette: requests in series"
_NO_FIGURE = "no published figure"
KNOWN = {
    "upload.wikimedia.org": Policy(2, 0.0, 25.0, "wikimedia", _WIKIMEDIA),
    "wikimedia.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "wikipedia.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "wikidata.org": Policy(1, 0.0, None, "wikimedia", _API_WIKIMEDIA),
    "metmuseum.org": Policy(1, 1.0, None, "met", "metmuseum/openaccess on GitHub, 60: refused after 30 quick ones"),
    "artic.edu": Policy(1, 1.0, None, "artic", "api.artic.edu/docs: 60 requests a minute, one thread"),
    "clevelandart.org": Policy(1, 1.0, None, "cleveland", _NO_FIGURE),
    "api.si.edu": Policy(1, 3.6, None, "smithsonian", "api.data.gov: 1,000 requests an hour"),
    "si.edu": Policy(1, 1.0, None, "smithsonian", _NO_FIGURE),
    "rijksmuseum.nl": Policy(1, 1.0, None, "rijksmuseum", _NO_FIGURE),
    "tate.org.uk": Policy(1, 1.0, None, "tate", _NO_FIGURE),
    "openverse.org": Policy(1, 3.0, None, "openverse", "api.openverse.org: 20 requests a minute"),
    "flickr.com": Policy(1, 1.0, None, "flickr", "flickr.com/services/developer/api: 3,600 requests an hour"),
    "staticflickr.com": Policy(2, 0.1, None, "flickr", _NO_FIGURE),
}


def policy_of(host: str, politeness: PolitenessSettings) -> Policy:
    """The policy for a host (or host:port): the known one and the settings, whichever is stricter."""
    known = known_policy(host)
    if known is None:
        return Policy(politeness.per_host, politeness.delay_s, operator=host.partition(":")[0], why="settings")
    return replace(
        known,
        connections=min(known.connections, politeness.per_host),
        delay_s=max(known.delay_s, politeness.delay_s),
    )


def known_policy(host: str) -> Policy | None:
    """The entry of the table for a host or the nearest domain above it."""
    name = host.partition(":")[0]
    while name:
        if name in KNOWN:
            return KNOWN[name]
        name = name.partition(".")[2]
    return None
