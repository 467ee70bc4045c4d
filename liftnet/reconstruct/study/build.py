"""Draw up a study: which items are asked, under which names, and the page that asks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liftnet import __version__
from liftnet.core.errors import LiftnetError
from liftnet.core.files import write_json, write_text
from liftnet.core.ids import stable_seed
from liftnet.core.log import get_logger
from liftnet.core.opening import read_bytes
from liftnet.core.parallel import map_threads
from liftnet.data.drawing import data_uri
from liftnet.reconstruct.study.items import Item, best_items
from liftnet.reconstruct.study.order import BITS
from liftnet.reconstruct.study.page import PageContent, PageTrial, page_text
from liftnet.reconstruct.study.plan import (
    Key,
    Meaning,
    Plan,
    PlannedItem,
    Question,
    StudyName,
    exclusion_words,
    read_stored,
)
from liftnet.reconstruct.study.settings import StudySettings
from liftnet.reconstruct.study.views import placement_of, shape_views, shown_picture

LOG = get_logger("reconstruct")

LARGEST_PAGE_MB = 3.0


@dataclass(frozen=True, eq=False)
class Check:
    """A question with a right answer: the true shape of an item beside one of another class."""

    item: Item
    other: Path


@dataclass(frozen=True, eq=False)
class Draft:
    """What a page asks, before it has pictures: `questions[i]` is about `subjects[i]`, in the order of the page."""

    subjects: list[Item | Check]
    questions: list[Question]
    practice: Check


def build_study(
    items: Sequence[Item], out: Path, name: StudyName, settings: StudySettings, seed: int = 0, threads: int = 1
) -> Plan:
    """Write `<name>.html`, `<name>-plan.json` and `<name>-key.json`.

    Args:
        items: All that could be asked; their order does not matter.
        out: Folder to write to.
        name: "ps1" draws from all items, "ps2" from the best by `best_items`.
        settings: What the page asks and shows.
        seed: The same seed and items give the same page.
        threads: Items drawn at a time.

    Returns:
        The plan.

    Raises:
        LiftnetError: There is no item or only one class, a mesh or picture cannot be used, the page is too large, or
            the folder holds another study, whose answers would be worthless without its key.
    """
    known = sorted(items, key=lambda item: item.name)
    if not known:
        raise LiftnetError(name, "there is nothing to ask about", "Give items")
    pool = best_items(known, settings.best_share) if name == "ps2" else known
    draft = _draft(known, pool, name, settings, seed)
    couples = list(zip(draft.subjects, draft.questions, strict=True))
    trials = list(map_threads(lambda couple: _trial(*couple, settings), couples, threads, "draw", "items"))
    page_seed = stable_seed(seed, "page", name) & BITS
    practice = _trial(draft.practice, _question(draft.practice, False), settings)
    content = PageContent(name, page_seed, trials, practice, settings.title, settings.contact)
    text = page_text(content)
    plan = Plan(
        study=content.study,
        name=name,
        made_by=f"liftnet {__version__}",
        seed=seed,
        page_seed=page_seed,
        participants=settings.participants,
        selection=_selection(name, settings),
        chosen_from=len(pool),
        items=[_planned(subject) for subject in draft.subjects if isinstance(subject, Item)],
        checks=[subject.item.shape for subject in draft.subjects if isinstance(subject, Check)],
        trials=content.names,
        exclusion=settings.exclusion,
        exclusion_words=exclusion_words(settings.exclusion),
        page_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    questions = dict(zip(plan.trials, draft.questions, strict=True))
    _write(out, text, plan, Key(study=plan.study, trials=questions))
    return plan


def _draft(known: list[Item], pool: list[Item], name: StudyName, settings: StudySettings, seed: int) -> Draft:
    """Choose items, checks and the practice item, and mix them."""
    rng = np.random.default_rng(stable_seed(seed, "study", name))
    count = min(settings.questions, len(pool))
    if count < settings.questions:
        LOG.warning("there are %d items only, so the page asks about %d", len(pool), count)
    chosen = [pool[place] for place in rng.choice(len(pool), count, replace=False)]
    *checks, practice = _checks(known, {item.shape for item in chosen}, settings.checks + 1, rng)
    subjects: list[Item | Check] = [*chosen, *checks]
    mixed = [subjects[place] for place in rng.permutation(len(subjects))]
    return Draft(mixed, [_question(subject, bool(rng.random() < 0.5)) for subject in mixed], practice)


def _checks(known: list[Item], asked: set[str], count: int, rng: np.random.Generator) -> list[Check]:
    """Checks on shapes that nothing else asks about, as far as there are enough of them."""
    items = list({item.shape: item for item in known}.values())
    if len({item.class_name for item in items}) < 2:
        raise LiftnetError(
            "checks", f"all shapes are of one class, {items[0].class_name}", "Give items of two classes at least"
        )
    order = [items[place] for place in rng.permutation(len(items))]
    order.sort(key=lambda item: item.shape in asked)  # stable
    checks = []
    for place in range(count):
        item = order[place % len(order)]
        others = [other for other in items if other.class_name != item.class_name]
        checks.append(Check(item, others[int(rng.integers(len(others)))].truth))
    return checks


def _question(subject: Item | Check, swapped: bool) -> Question:
    item = subject.item if isinstance(subject, Check) else subject
    first: Meaning
    second: Meaning
    first, second = ("truth", "other") if isinstance(subject, Check) else ("original", "drkfs")
    if swapped:
        first, second = second, first
    is_check = isinstance(subject, Check)
    return Question(
        item=item.shape if is_check else item.name,
        shape=item.shape,
        class_name=item.class_name,
        network="" if is_check else item.network,
        a=first,
        b=second,
    )


def _trial(subject: Item | Check, question: Question, settings: StudySettings) -> PageTrial:
    """The pictures of a question."""
    item = subject.item if isinstance(subject, Check) else subject
    other = subject.other if isinstance(subject, Check) else item.truth
    files: dict[Meaning, Path | None] = {
        "original": item.original,
        "drkfs": item.drkfs,
        "truth": item.truth,
        "other": other,
    }
    poses = item.pose, item.pose.turned(settings.second_view)
    side = settings.picture_px
    placement = placement_of(item.truth)
    a, b = (
        tuple(
            data_uri(view)
            for view in shape_views(
                files[meaning], placement_of(other) if meaning == "other" else placement, poses, side
            )
        )
        for meaning in (question.a, question.b)
    )
    return PageTrial(data_uri(shown_picture(item.picture, side)), a, b)


def _write(out: Path, text: str, plan: Plan, key: Key) -> None:
    """Write the three files, the key first: a page without one would gather answers that mean nothing."""
    paths = {kind: out / f"{plan.name}-{kind}.json" for kind in ("key", "plan")}
    if paths["key"].exists() and (before := read_stored(paths["key"], Key).study) != plan.study:
        reason = f"is the key of {before}, without which its answers mean nothing"
        raise LiftnetError(paths["key"], reason, "Name another folder, or remove it if nobody has answered")
    size = len(text.encode()) / 1e6
    if size > LARGEST_PAGE_MB:
        reason = f"the page would have {size:.1f} MB, and telephones are to load it"
        raise LiftnetError(plan.name, reason, "Lower --picture-px or --questions")
    write_json(paths["key"], key.model_dump())
    write_json(paths["plan"], plan.model_dump())
    write_text(out / f"{plan.name}.html", text)
    LOG.info(
        "wrote %s (%.1f MB): %d questions, %d of them checks",
        out / f"{plan.name}.html",
        size,
        len(plan.trials),
        len(plan.checks),
    )


def _planned(item: Item) -> PlannedItem:
    files = {"picture": item.picture, "truth": item.truth, "original": item.original, "drkfs": item.drkfs}
    hashes = {name: hashlib.sha256(read_bytes(path)).hexdigest() for name, path in files.items() if path}
    return PlannedItem(
        item=item.name, shape=item.shape, class_name=item.class_name, network=item.network, sha256=hashes
    )


def _selection(name: StudyName, settings: StudySettings) -> str:
    if name == "ps1":
        return "Drawn at random from all items, each as likely as any other."
    return (
        f"Drawn at random from the best {settings.best_share:.0%} of each network's items by the mean of six ranks: "
        "light field distance, Shape Google and MVCNN, each of the original and of the DR-KFS reconstruction. Both "
        "models count alike: a filter on the reconstructions of DR-KFS alone would favour it."
    )
