"""The invented artists of the museum, each with a style, and the titles of their works."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liftnet.core.ids import stable_id, stable_seed
from liftnet.mesh.isosurface import Field
from liftnet.render import families_carved as carved
from liftnet.render import families_figures as figures
from liftnet.render import families_organic as organic
from liftnet.render.random_source import ShapeParams
from liftnet.render.sdf import lumps

FAMILIES = {
    family.__name__: family
    for family in (
        *(organic.reclining, organic.pierced_ovoid, organic.biomorph, organic.ovoid, organic.ring_form),
        *(organic.vessel, organic.bird, organic.two_forms, organic.flame, organic.hollow_cluster),
        *(carved.rhomboid_column, carved.twisted_column, carved.totem, carved.stone_stack, carved.carved_block),
        *(carved.relief, carved.figure_relief, carved.slabs, carved.stepped_block, carved.arch),
        *(figures.head, figures.mask_head, figures.torso, figures.figure, figures.seated),
        *(figures.mother_and_child, figures.animal, figures.hand),
    )
}


@dataclass(frozen=True)
class Style:
    """How an artist works.

    Attributes:
        name: The artist's name.
        families: Families of shapes in the order in which the artist turns to them.
        materials: Preferred materials.
        blend: Range of how far forms flow into each other.
        bulk: Range of the thickness of bodies and limbs.
        hand: Amplitude of the unevenness left by the hand.
    """

    name: str
    families: tuple[str, ...]
    materials: tuple[str, ...]
    blend: tuple[float, float] = (0.04, 0.15)
    bulk: tuple[float, float] = (0.85, 1.15)
    hand: float = 0.0


def _style(name: str, families: str, materials: str, blend: tuple[float, float], bulk: float, hand: float) -> Style:
    return Style(name, tuple(families.split()), tuple(materials.split()), blend, (bulk - 0.12, bulk + 0.12), hand)


# Neighbouring artists share families and materials, as schools do, so that what is learnt on some holds for others.
STYLES = (
    _style("Märta Holmström", "reclining pierced_ovoid seated carved_block", "bronze plaster", (0.1, 0.2), 1.1, 0.0),
    _style("Jean-Luc Arpel", "biomorph ring_form torso hollow_cluster", "plaster marble", (0.12, 0.25), 1.1, 0.0),
    _style(
        "Constantin Brâncoveanu", "ovoid rhomboid_column bird mask_head", "marble wood bronze", (0.03, 0.1), 1.0, 0.0
    ),
    _style("Barbara Hepwell", "two_forms pierced_ovoid vessel head", "wood marble", (0.08, 0.18), 1.0, 0.0),
    _style("Günther Weiß", "figure head torso mother_and_child", "bronze terracotta", (0.03, 0.08), 0.95, 0.012),
    _style(
        "Anaïs de la Tour",
        "seated figure_relief mother_and_child arch",
        "terracotta sandstone",
        (0.04, 0.1),
        1.05,
        0.006,
    ),
    _style("Ōta Kenji", "stone_stack slabs arch relief", "granite sandstone", (0.02, 0.08), 1.0, 0.0),
    _style("Ivan Stolarović", "totem stepped_block mask_head animal", "wood granite", (0.02, 0.06), 1.0, 0.008),
    _style("Søren Åkjær", "twisted_column flame reclining bird", "bronze plaster sandstone", (0.06, 0.16), 1.0, 0.0),
    _style(
        "Lucía Peñalver", "carved_block relief head hand", "sandstone marble terracotta", (0.05, 0.12), 1.05, 0.006
    ),
    _style("Tomáš Říha", "figure_relief animal figure stepped_block", "plaster granite", (0.03, 0.08), 1.1, 0.008),
    _style("Noémie Vasseur", "torso vessel biomorph figure", "marble plaster", (0.08, 0.2), 0.95, 0.0),
    _style("Rafael Quintão", "animal hand totem seated", "bronze wood", (0.03, 0.1), 0.95, 0.01),
    _style("Elif Çağlar", "ring_form slabs two_forms relief", "granite bronze", (0.03, 0.1), 1.0, 0.0),
    _style(
        "Padraig O'Connell",
        "head stone_stack reclining carved_block",
        "granite sandstone plaster",
        (0.05, 0.15),
        1.1,
        0.01,
    ),
    _style(
        "Wanda Żeleńska",
        "mother_and_child hollow_cluster twisted_column figure",
        "terracotta bronze",
        (0.06, 0.15),
        1.0,
        0.006,
    ),
)

SUBJECTS = {
    "reclining": ("Reclining Figure", "Liegende", "Sleeper by the Sea"),
    "pierced_ovoid": ("Pierced Form", "Wave", "Hollow Oval"),
    "biomorph": ("Growth", "Konkretion", "Bud"),
    "ovoid": ("Sleeping Muse", "Beginning", "Newborn"),
    "ring_form": ("Loop", "Knot", "Endless Ribbon"),
    "vessel": ("Helmet", "Shell with Inner Form", "Oval Sculpture"),
    "bird": ("Bird", "Ascent", "Oiseau"),
    "two_forms": ("Two Forms", "Dialogue", "Zwei Steine"),
    "flame": ("Flame", "Growing Leaves", "Racine"),
    "hollow_cluster": ("Sea Stone", "Foam", "Éponge"),
    "rhomboid_column": ("Endless Column", "Column without End", "Säule"),
    "twisted_column": ("Torsion", "Turning Column", "Spirale"),
    "totem": ("Totem", "King of Kings", "Guardian"),
    "stone_stack": ("Cairn", "Balance", "Mountain Path"),
    "carved_block": ("Awakening", "Captive", "From the Block"),
    "relief": ("Relief", "Landscape with Discs", "Tablet"),
    "figure_relief": ("The Couple", "Frieze", "Two at the Door"),
    "slabs": ("Interlocking Plates", "Kouros", "Leaves"),
    "stepped_block": ("House of Stairs", "City", "Quarry"),
    "arch": ("Gate", "Threshold", "Kapija"),
    "head": ("Head of a Woman", "Portrait of the Father", "Tête"),
    "mask_head": ("Mask", "Long Head", "Maske"),
    "torso": ("Torso", "Contrapposto", "Torse de jeune fille"),
    "figure": ("Standing Figure", "Dancer", "The Walker"),
    "seated": ("Seated Woman", "Thinker", "Die Sitzende"),
    "mother_and_child": ("Mother and Child", "Maternité", "The Keeper"),
    "animal": ("Bull", "Little Horse", "Beast at Rest"),
    "hand": ("Open Hand", "Greeting", "La Main"),
}


@dataclass(frozen=True)
class Work:
    """One sculpture of the museum, before it is made."""

    artist: str
    title: str
    family: str
    style: Style
    seed: int

    @property
    def artist_id(self) -> str:
        """Stable id of the artist."""
        return stable_id(self.artist)

    @property
    def work_id(self) -> str:
        """Stable id of the work."""
        return stable_id(self.artist, self.title)

    @property
    def material(self) -> str:
        """Name of the material."""
        materials = self.style.materials
        return materials[int(np.random.default_rng(stable_seed(self.seed, "material")).integers(len(materials)))]

    def shape(self) -> Field:
        """The distance field of the sculpture."""
        rng = np.random.default_rng(stable_seed(self.seed, "shape"))
        style = self.style
        blend, bulk = float(rng.uniform(*style.blend)), float(rng.uniform(*style.bulk))
        field = FAMILIES[self.family](ShapeParams(rng, blend, bulk, style.hand))
        return lumps(field, rng, style.hand, float(rng.uniform(9, 16)))


def plan_works(artists: int, works_per_artist: int, seed: int) -> list[Work]:
    """The works of the museum, by artist. Past the list of styles artists return as their own heirs ("... II")."""
    works = []
    for number in range(artists):
        style = STYLES[number % len(STYLES)]
        generation = number // len(STYLES)
        artist = style.name + (f" {'I' * (generation + 1)}" if generation else "")
        titles: set[str] = set()
        for i in range(works_per_artist):
            family = style.families[(i + generation) % len(style.families)]
            rng = np.random.default_rng(stable_seed(seed, artist, str(i)))
            title = str(rng.choice(SUBJECTS[family]))
            if title in titles:
                title = f"{title}, No. {i + 1}"
            titles.add(title)
            works.append(Work(artist, title, family, style, stable_seed(seed, stable_id(artist, title))))
    return works
