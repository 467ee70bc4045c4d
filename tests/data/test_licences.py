"""Licences: what sources write and where they point, as identifiers; and what each profile lets through."""

from __future__ import annotations

import pytest

from liftnet.data.licences import COPYRIGHT_YEAR, PROFILES, allowed, rights_of_work, spdx

STATED = [  # text, address, identifier
    ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0", "CC-BY-SA-4.0"),
    ("CC BY-SA 4.0", None, "CC-BY-SA-4.0"),
    ("cc-by-sa-3.0", None, "CC-BY-SA-3.0"),
    ("CC-BY-4.0", None, "CC-BY-4.0"),
    ("by-nc-sa", None, "LicenseRef-CC-BY-NC-SA"),
    ("Creative Commons Attribution-Share Alike 3.0 Unported", None, "CC-BY-SA-3.0"),
    ("Creative Commons Attribution-ShareAlike 4.0 International License", None, "CC-BY-SA-4.0"),
    ("Attribution-NonCommercial-NoDerivs 2.0 Generic", None, "CC-BY-NC-ND-2.0"),
    ("Creative Commons Attribution-NonCommercial-NoDerivatives 4.0 International", None, "CC-BY-NC-ND-4.0"),
    ("This work is licensed under a Creative Commons Attribution 4.0 International License.", None, "CC-BY-4.0"),
    ("CC BY-SA 4.0-3.0-2.5-2.0-1.0", None, "CC-BY-SA-4.0"),
    ("CC BY-SA 3.0 de", "http://creativecommons.org/licenses/by-sa/3.0/de/deed.en", "CC-BY-SA-3.0-DE"),
    ("CC BY 3.0 Germany", None, "CC-BY-3.0-DE"),
    ("CC BY-SA 2.0 fr", "https://creativecommons.org/licenses/by-sa/2.0/fr/", "LicenseRef-CC-BY-SA-2.0-FR"),
    ("CC BY-SA 3.0 igo", None, "CC-BY-SA-3.0-IGO"),
    ("CC BY-SA 2.1 jp", None, "CC-BY-SA-2.1-JP"),
    (None, "//creativecommons.org/licenses/by/2.0/deed.de", "CC-BY-2.0"),
    (None, "https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
    ("https://creativecommons.org/licenses/by/4.0/legalcode", None, "CC-BY-4.0"),
    ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
    ("CC0 1.0 Universal", None, "CC0-1.0"),
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", None, "CC0-1.0"),
    ("Creative Commons Zero, Public Domain Dedication", None, "CC0-1.0"),
    ("Public domain", None, "LicenseRef-public-domain"),
    ("PUBLIC  DOMAIN.", "", "LicenseRef-public-domain"),
    ("PD-old-100-expired", None, "LicenseRef-public-domain"),
    ("Public domain", "https://creativecommons.org/publicdomain/mark/1.0/", "LicenseRef-PDM-1.0"),
    ("Public Domain Mark 1.0", None, "LicenseRef-PDM-1.0"),
    ("GFDL", "http://www.gnu.org/copyleft/fdl.html", "GFDL-1.2-or-later"),
    ("FAL", "http://artlibre.org/licence/lal/en", "LAL-1.3"),
    ("No known copyright restrictions", None, "LicenseRef-NKC"),
    (None, "http://rightsstatements.org/vocab/InC/1.0/", "LicenseRef-InC"),
    ("No Copyright - United States", "http://rightsstatements.org/vocab/NoC-US/1.0/", "LicenseRef-NoC-US"),
    ("© Gerhard Richter", None, "LicenseRef-InC"),
    ("All rights reserved", None, "LicenseRef-InC"),
    ("FoP-Germany", None, "LicenseRef-freedom-of-panorama"),
]


@pytest.mark.parametrize(("text", "url", "identifier"), STATED)
def test_what_sources_state_is_understood(text, url, identifier):
    assert spdx(text, url) == identifier


@pytest.mark.parametrize("identifier", sorted({identifier for *_, identifier in STATED}))
def test_an_identifier_stays_itself(identifier):
    assert spdx(identifier) == identifier


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (None, None),
        ("", ""),
        ("CC", None),
        ("4.0", None),
        ("see the page", None),
        ("not in the public domain", None),
        ("not licensed under CC BY 4.0", None),
        ("CC BY 4.0 except for logos", None),
        ("CC BY-SA-ND 4.0", None),  # contradicts itself
        ("CC0 for the text, CC BY for the picture", None),
        ("CC BY-NC 4.0", "https://creativecommons.org/licenses/by/4.0/"),  # name and address differ
        ("Public domain", "https://creativecommons.org/licenses/by/4.0/"),
        (None, "https://creativecommons.org.example.com/licenses/by/4.0/"),
        (None, "https://example.com/creativecommons.org/licenses/by/4.0/"),
        (None, "http://[broken/licenses/by/4.0"),
        (None, "https://creativecommons.org/licenses/sampling+/1.0/"),
        ("<b>CC BY 4.0</b>", None),
    ],
)
def test_what_is_not_understood_is_nothing(text, url):
    assert spdx(text, url) is None


@pytest.mark.parametrize(
    ("identifier", "kept_by"),
    [
        ("CC0-1.0", PROFILES),
        ("LicenseRef-public-domain", PROFILES),
        ("LicenseRef-PDM-1.0", PROFILES),
        ("CC-BY-4.0", ("open", "research")),
        ("CC-BY-SA-3.0-DE", ("open", "research")),
        ("LicenseRef-CC-BY-SA-2.0-FR", ("open", "research")),
        ("GFDL-1.2-or-later", ("open", "research")),
        ("CC-BY-NC-4.0", ("research",)),
        ("CC-BY-ND-2.0", ("research",)),
        ("LicenseRef-CC-BY-NC-SA", ("research",)),
        ("LicenseRef-NKC", ("research",)),
        ("LicenseRef-NoC-US", ("research",)),
        ("LicenseRef-InC", ()),
        ("LicenseRef-invented", ()),
        (None, ()),
    ],
)
def test_profiles_let_through_what_the_photograph_allows(identifier, kept_by):
    kept = {profile: allowed(profile, identifier, "public domain") for profile in PROFILES}
    assert tuple(profile for profile in PROFILES if kept[profile][0]) == tuple(kept_by)
    assert all(bool(reason) != keep for keep, reason in kept.values())


@pytest.mark.parametrize("identifier", [*sorted({identifier for *_, identifier in STATED}), None])
@pytest.mark.parametrize("rights", [None, "public domain", "in copyright", "FoP-Italy", "CC BY 4.0", "of bronze"])
@pytest.mark.parametrize("died", [None, 1564, COPYRIGHT_YEAR - 10])
def test_a_wider_profile_never_drops_what_a_narrower_one_keeps(identifier, rights, died):
    kept = [allowed(profile, identifier, rights, died)[0] for profile in PROFILES]
    assert kept == sorted(kept)


def test_unknown_licences_are_for_research_that_asks_for_them():
    assert allowed("research", None, keep_unknown=True) == (True, "")
    assert not allowed("open", None, "public domain", keep_unknown=True)[0]
    assert not allowed("research", "LicenseRef-InC", keep_unknown=True)[0]


@pytest.mark.parametrize(
    ("rights", "died", "kept_by"),
    [
        ("Public domain", None, PROFILES),
        (None, 1564, PROFILES),
        (None, COPYRIGHT_YEAR - 71, PROFILES),
        (None, COPYRIGHT_YEAR - 70, ("research",)),  # protected to the end of the 70th year
        (None, None, ("open", "research")),
        ("in copyright", 1564, ("research",)),  # the source knows better than the year
        ("© The estate", None, ("research",)),
        ("FoP-Germany", COPYRIGHT_YEAR - 20, ("open", "research")),
        ("CC BY 4.0", COPYRIGHT_YEAR - 20, ("open", "research")),
        ("CC BY-NC 4.0", None, ("research",)),
        ("No known copyright restrictions", None, ("open", "research")),
        ("carved in oak", None, ("open", "research")),
    ],
)
def test_the_sculpture_has_rights_of_its_own(rights, died, kept_by):
    kept = tuple(profile for profile in PROFILES if allowed(profile, "CC0-1.0", rights, died)[0])
    assert kept == tuple(kept_by)


def test_rights_of_a_work_in_one_word():
    assert rights_of_work("CC0 1.0") == "free"
    assert rights_of_work("freedom of panorama") == "panorama"
    assert rights_of_work("bronze") is None
    assert rights_of_work(None) is None


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="pd-only, open, research"):
        allowed("free", "CC0-1.0")
