"""Licences: which of them a published dataset may hold.

Two rights lie on a photograph of a sculpture: the photographer's and the sculptor's. `allowed` asks for both. The
rules are an engineer's reading of the licences, not legal advice.
"""

from __future__ import annotations

from liftnet.data.licence_names import family_of, spdx

__all__ = ["COPYRIGHT_YEAR", "PROFILES", "allowed", "rights_of_work", "spdx"]

PROFILES = ("pd-only", "open", "research")
COPYRIGHT_YEAR = 2026  # the year the terms of protection are counted to; a constant, so that a run repeats itself
TERM_YEARS = (
    70  # after the artist's death, counted from the end of that year: the term of the European Union and most others
)


def allowed(
    profile: str,
    spdx: str | None,
    work_rights: str | None = None,
    artist_died: int | None = None,
    keep_unknown: bool = False,
) -> tuple[bool, str]:
    """Whether an image may be in a dataset of a licence profile.

    | profile | the photograph | the sculpture |
    | --- | --- | --- |
    | `pd-only` | CC0 or public domain | shown to be free: its source says so, or its artist died over 70 years ago |
    | `open` | also licences that allow commerce and changes: CC BY, CC BY-SA, GFDL, ... | not shown to be protected |
    | `research` | also NC, ND and "no known copyright"; unknown ones with `keep_unknown` | not asked |

    A sculpture is shown to be protected by a source that says "in copyright", or by an artist who died less than 70
    years before `COPYRIGHT_YEAR` where the source says nothing. Under freedom of panorama its photograph may be used
    freely, though it is protected: enough for `open`, not for `pd-only`.

    Args:
        profile: One of `PROFILES`.
        spdx: The photograph's licence as `spdx` gives it.
        work_rights: What the source says of the sculpture's own copyright: a licence, "public domain", "in
            copyright", "freedom of panorama".
        artist_died: Year of the artist's death.
        keep_unknown: Whether `research` keeps images of an unknown licence.

    Returns:
        Whether to keep it, and the reason in plain words (empty if kept).

    Raises:
        ValueError: An unknown profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"unknown licence profile {profile!r}; known are {', '.join(PROFILES)}")
    reason = _photograph(profile, spdx, keep_unknown) or _sculpture(profile, work_rights, artist_died)
    return not reason, reason


def _photograph(profile: str, licence: str | None, keep_unknown: bool) -> str:
    """Why the photograph's licence keeps it out; empty if it does not."""
    if licence is None:
        return "" if profile == "research" and keep_unknown else "the licence is unknown"
    family = family_of(licence)
    if family == "closed":
        return "all rights are reserved"
    ranks = {"free": 0, "open": 1, "unclear": 2, "limited": 2}
    if family in ranks:
        kept = ranks[family] <= PROFILES.index(profile)
        return "" if kept else f"the licence {licence} is not of the profile {profile}"
    return "" if profile == "research" and keep_unknown else f"the licence {licence} is not one that is known here"


def _sculpture(profile: str, work_rights: str | None, artist_died: int | None) -> str:
    """Why the sculpture's copyright keeps it out; empty if it does not."""
    if profile == "research":
        return ""
    rights = rights_of_work(work_rights)
    if rights == "free" or (rights in ("open", "panorama") and profile == "open"):
        return ""
    if rights is not None and rights not in ("unclear", "open", "panorama"):
        return f"the sculpture itself is protected ({work_rights})"
    if artist_died is not None and artist_died + TERM_YEARS < COPYRIGHT_YEAR:
        return ""
    if profile == "pd-only":
        return "nothing shows that the sculpture itself is in the public domain"
    if artist_died is not None and rights is None:
        return f"the sculpture may be protected: its artist died in {artist_died}"
    return ""


def rights_of_work(work_rights: str | None) -> str | None:
    """What is known of a sculpture's own copyright.

    Returns:
        "free", "open" (its maker licensed it), "panorama", "unclear" (no known copyright), "limited" or "closed"
        (protected); None where the text is missing or not understood.
    """
    licence = spdx(work_rights)
    return None if licence is None else family_of(licence)
