"""Licences: which of them a published dataset may hold, and what sources call them, as SPDX identifiers.

Two rights lie on a photograph of a sculpture: the photographer's and the sculptor's. `allowed` asks for both. The
rules are an engineer's reading of the licences, not legal advice.

Sources of the names: the SPDX licence list (spdx.org/licenses), the licence addresses of creativecommons.org and
rightsstatements.org, the licence templates of Wikimedia Commons.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

PROFILES = ("pd-only", "open", "research")
COPYRIGHT_YEAR = 2026  # the year the terms of protection are counted to; a constant, so that a run repeats itself
TERM_YEARS = 70  # after the end of the year of the artist's death: in the European Union and most other places


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


# The names of licences

PUBLIC_DOMAIN = "LicenseRef-public-domain"
MARK = "LicenseRef-PDM-1.0"
PANORAMA = "LicenseRef-freedom-of-panorama"
NO_KNOWN_COPYRIGHT = "LicenseRef-NKC"
NO_COPYRIGHT_US = "LicenseRef-NoC-US"  # in the United States; elsewhere it may be protected
IN_COPYRIGHT = "LicenseRef-InC"

_FREE = frozenset({"CC0-1.0", PUBLIC_DOMAIN, MARK, "CC-PDM-1.0", "CC-PDDC"})
_OPEN = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "DL-DE-BY-2.0",
        "DL-DE-ZERO-2.0",
        "etalab-2.0",
        "GFDL-1.2-only",
        "GFDL-1.2-or-later",
        "GFDL-1.3-only",
        "GFDL-1.3-or-later",
        "LAL-1.2",
        "LAL-1.3",
        "LicenseRef-attribution",
        "LicenseRef-copyrighted-free-use",
        "MIT",
        "ODbL-1.0",
        "OGL-UK-1.0",
        "OGL-UK-2.0",
        "OGL-UK-3.0",
    }
)
_KNOWN = {name.lower(): name for name in (*_FREE, *_OPEN, PANORAMA, NO_KNOWN_COPYRIGHT, NO_COPYRIGHT_US, IN_COPYRIGHT)}
_PHRASES = {  # what sources write, in lower case and with single spaces
    "pd": PUBLIC_DOMAIN,
    "public domain": PUBLIC_DOMAIN,
    "in the public domain": PUBLIC_DOMAIN,
    "public domain work": PUBLIC_DOMAIN,
    "out of copyright": PUBLIC_DOMAIN,
    "pdm": MARK,
    "pdm 1.0": MARK,
    "cc pdm": MARK,
    "cc pdm 1.0": MARK,
    "public domain mark": MARK,
    "public domain mark 1.0": MARK,
    "creative commons public domain mark": MARK,
    "creative commons public domain mark 1.0": MARK,
    "cc public domain mark 1.0": MARK,
    "cc0": "CC0-1.0",
    "cc zero": "CC0-1.0",
    "creative commons zero": "CC0-1.0",
    "attribution": "LicenseRef-attribution",
    "attribution only license": "LicenseRef-attribution",
    "copyrighted free use": "LicenseRef-copyrighted-free-use",
    "no known copyright restrictions": NO_KNOWN_COPYRIGHT,
    "no known copyright": NO_KNOWN_COPYRIGHT,
    "no known restrictions": NO_KNOWN_COPYRIGHT,
    "no restrictions": NO_KNOWN_COPYRIGHT,
    "no copyright - united states": NO_COPYRIGHT_US,
    "in copyright": IN_COPYRIGHT,
    "copyrighted": IN_COPYRIGHT,
    "under copyright": IN_COPYRIGHT,
    "all rights reserved": IN_COPYRIGHT,
    "freedom of panorama": PANORAMA,
    "fop": PANORAMA,
    "gfdl": "GFDL-1.2-or-later",  # as Wikimedia Commons means it
    "gnu free documentation license": "GFDL-1.2-or-later",
    "gfdl 1.2": "GFDL-1.2-only",
    "gfdl 1.3": "GFDL-1.3-only",
    "gfdl 1.2 or later": "GFDL-1.2-or-later",
    "gfdl 1.3 or later": "GFDL-1.3-or-later",
    "fal": "LAL-1.3",
    "fal 1.3": "LAL-1.3",
    "free art license": "LAL-1.3",
    "free art license 1.3": "LAL-1.3",
    "open government license": "OGL-UK-3.0",
    "ogl": "OGL-UK-3.0",
    "ogl 3": "OGL-UK-3.0",
    "ogl 3.0": "OGL-UK-3.0",
}
_STATEMENTS = {  # rightsstatements.org/vocab/<code>/1.0/
    "noc-us": NO_COPYRIGHT_US,
    "nkc": NO_KNOWN_COPYRIGHT,
    "inc": IN_COPYRIGHT,
    "inc-edu": IN_COPYRIGHT,
    "inc-ruu": IN_COPYRIGHT,
    "inc-ow-eu": IN_COPYRIGHT,
    "inc-nc": IN_COPYRIGHT,
}
# Creative Commons, spelt out; what is joined here is one word of the licence's code
_JOINED = (("non commercial", "nc"), ("share alike", "sa"), ("no derivatives", "nd"), ("no derivs", "nd"))
_CODES = {
    "by": "by",
    "attribution": "by",
    "nc": "nc",
    "noncommercial": "nc",
    "sa": "sa",
    "sharealike": "sa",
    "nd": "nd",
    "noderivatives": "nd",
    "noderivs": "nd",
}
_FILLERS = re.compile(
    "a|cc|commons|creative|deed|generic|international|is|license|licensed|public|the|this|under|unported|work"
)
_PLACES = {  # jurisdictions that Creative Commons' licences were ported to, by the name in their titles
    "australia": "AU",
    "austria": "AT",
    "belgium": "BE",
    "brazil": "BR",
    "canada": "CA",
    "czech": "CZ",
    "denmark": "DK",
    "france": "FR",
    "germany": "DE",
    "greece": "GR",
    "igo": "IGO",
    "italy": "IT",
    "japan": "JP",
    "netherlands": "NL",
    "norway": "NO",
    "poland": "PL",
    "portugal": "PT",
    "scotland": "SCOTLAND",
    "spain": "ES",
    "sweden": "SE",
    "switzerland": "CH",
}
_PORTED = re.compile(
    "ae|am|ar|at|au|az|be|bg|br|by|ca|ch|cl|cn|co|cr|cz|de|dk|ec|ee|eg|es|fi|fr|ge|gr|gt|hk|hr|hu|ie|il|in|it|jo|jp|"
    "kr|lb|lu|mk|mo|mt|mx|my|ng|nl|no|nz|pe|ph|pl|pr|pt|qa|ro|rs|se|sg|si|th|tw|ua|ug|uk|us|ve|vn|za|igo|scotland"
)
_VERSION = re.compile(r"[1-4]\.[015]")
_SPDX_PORTED = re.compile(  # of the ported licences, those with an identifier of their own
    r"CC-(BY-2\.5-AU|BY-3\.0-(AT|AU|DE|IGO|NL|US)|BY-NC-3\.0-DE|BY-NC-ND-3\.0-(DE|IGO)|BY-NC-SA-2\.0-(DE|FR|UK)|"
    r"BY-NC-SA-3\.0-(DE|IGO)|BY-ND-3\.0-DE|BY-SA-2\.0-UK|BY-SA-2\.1-JP|BY-SA-3\.0-(AT|DE|IGO))"
)
_CREATIVE = re.compile(r"(?:LicenseRef-)?CC-((?:BY|NC|SA|ND)(?:-(?:NC|SA|ND))*)(?:-.*)?")


def spdx(text: str | None, url: str | None = None) -> str | None:
    """The SPDX identifier of a licence as a source states it.

    What has no identifier of its own gets a `LicenseRef-`: the public domain, a Creative Commons licence ported to a
    country SPDX does not list, or one named without a version (`LicenseRef-CC-BY`).

    Args:
        text: Its name, e.g. "CC BY-SA 4.0" or "Creative Commons Attribution 3.0 Unported", or an identifier.
        url: Its address.

    Returns:
        The identifier, by the address where both are understood. None where neither is, or where they contradict
        each other ("CC BY-NC" beside the address of CC BY): then nobody knows.
    """
    if text and url is None and "://" in text:
        text, url = None, text
    said, linked = _of_text(text), _of_url(url)
    if said is not None and linked is not None and family_of(said) != family_of(linked):
        return None
    return linked or said


def family_of(licence: str) -> str:
    """What a licence allows: "free", "open", "limited" (NC or ND), "unclear", "panorama", "closed" or "other"."""
    if licence in _FREE:
        return "free"
    if licence in _OPEN:
        return "open"
    special = {NO_KNOWN_COPYRIGHT: "unclear", NO_COPYRIGHT_US: "unclear", PANORAMA: "panorama", IN_COPYRIGHT: "closed"}
    if licence in special:
        return special[licence]
    if match := _CREATIVE.fullmatch(licence):
        return "limited" if {"NC", "ND"} & set(match[1].split("-")) else "open"
    return "other"


def _of_text(text: str | None) -> str | None:
    plain = " ".join((text or "").lower().replace("licence", "license").split()).strip(" .")
    if not plain:
        return None
    if plain in _KNOWN or plain in _PHRASES:
        return _KNOWN.get(plain) or _PHRASES[plain]
    if plain.startswith(("©", "(c) ", "copyright ", "in copyright")):
        return IN_COPYRIGHT
    if re.fullmatch(r"fop[- ][a-z ]+", plain):  # Wikimedia Commons names its templates and categories so
        return PANORAMA
    if re.fullmatch(r"pd[- ][a-z0-9 -]+", plain) and "mark" not in plain:  # the same: PD-old-100, PD-US-expired
        return PUBLIC_DOMAIN
    if re.match(r"(creative commons )?(cc0|cc zero|zero)[ ,(-]", plain) or plain == "cc-zero":
        words = set(re.findall(r"[a-z]+", plain))
        known = {"cc", "zero", "creative", "commons", "universal", "public", "domain", "dedication", "license", "deed"}
        return "CC0-1.0" if words <= known else None
    return _creative_commons(plain)


def _creative_commons(plain: str) -> str | None:
    """Read a name word by word; a word that is not of such a name means that it is none."""
    plain = plain.removeprefix("licenseref-").replace("-", " ").replace("/", " ")
    for long, short in _JOINED:
        plain = plain.replace(long, short)
    codes: list[str] = []
    versions: list[str] = []
    places: list[str] = []
    for word in re.findall(r"[^\s,;()]+", plain):
        if word in _CODES and not (word == "by" and "by" in codes):
            codes.append(_CODES[word])
        elif _VERSION.fullmatch(word):
            versions.append(word)
        elif word in _PLACES or (versions and _PORTED.fullmatch(word)):
            places.append(_PLACES.get(word, word.upper()))
        elif not _FILLERS.fullmatch(word):
            return None
    return _identifier(codes, max(versions, default=None), places[0] if places else None)


def _identifier(codes: list[str], version: str | None, place: str | None) -> str | None:
    parts = set(codes)
    if not parts or {"sa", "nd"} <= parts or ("by" not in parts and version != "1.0"):  # 1.0 alone had some without BY
        return None
    name = "-".join(["CC", *(code.upper() for code in ("by", "nc", "sa", "nd") if code in parts)])
    if version is None:
        return f"LicenseRef-{name}"
    if place is None:
        known = "by" in parts and version in ("1.0", "2.0", "2.5", "3.0", "4.0")
        return f"{name}-{version}" if known or f"{name}-{version}" == "CC-SA-1.0" else f"LicenseRef-{name}-{version}"
    ported = f"{name}-{version}-{place}"
    return ported if _SPDX_PORTED.fullmatch(ported) else f"LicenseRef-{ported}"


def _of_url(url: str | None) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url.strip() if "://" in url else "https://" + url.strip().removeprefix("//"))
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    steps = [step for step in parts.path.lower().split("/") if step]
    if host == "rightsstatements.org" and len(steps) >= 2:
        return _STATEMENTS.get(steps[1])
    if host == "creativecommons.org" and len(steps) >= 2:
        return _of_creative_path(steps)
    if host in ("gnu.org", "fsf.org") and steps and "fdl" in steps[-1]:
        return "GFDL-1.2-or-later"
    return "LAL-1.3" if host == "artlibre.org" else None


def _of_creative_path(steps: list[str]) -> str | None:
    kind, code, *rest = steps
    if kind == "publicdomain":
        return {"zero": "CC0-1.0", "mark": MARK, "certification": "CC-PDDC"}.get(code)
    if kind == "licenses" and code == "publicdomain":
        return "CC-PDDC"
    codes = code.split("-")
    if kind != "licenses" or not set(codes) <= {"by", "nc", "sa", "nd"}:
        return None
    version = rest[0] if rest and _VERSION.fullmatch(rest[0]) else None
    place = rest[1].upper() if len(rest) > 1 and _PORTED.fullmatch(rest[1]) else None
    return _identifier(codes, version, place)
