"""The matcher `exact`: exact nearest neighbours, on the processor or on a graphics card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from liftnet.core.devices import choose_device
from liftnet.core.log import duration, get_logger, progress
from liftnet.core.parallel import map_threads
from liftnet.match.registry import Matcher

if TYPE_CHECKING:
    from liftnet.match.settings import MatchSettings
    from liftnet.match.work_features import PairMatches, WorkFeatures

LOG = get_logger("match")

_OPERATIONS_PER_SECOND = 3e10  # of a thread, in the GEMM with the pass over it; for the estimate of time only
_WORTH_TELLING = 60.0  # seconds


def match_exact(
    work: WorkFeatures, pairs: Sequence[tuple[str, str]], settings: MatchSettings, threads: int, seed: int
) -> Iterator[PairMatches]:
    """Match the pairs in order; nothing here is random, so `seed` changes nothing."""
    from liftnet.match.descriptors import match_with_ratios

    def match(pair: tuple[str, str]) -> PairMatches:
        a, b = (work.load(image_id).descriptors for image_id in pair)
        matches, ratios = match_with_ratios(a, b, settings.search.ratio, settings.search.mutual)
        return work.matched(*pair, matches, 1 - ratios, one_to_one=settings.search.mutual)

    if settings.search.device == "cuda":
        yield from _match_on_device(work, pairs, settings)
        return
    _tell_duration(work, pairs, threads)
    yield from map_threads(match, pairs, threads, "match", "matching pairs")


def _match_on_device(
    work: WorkFeatures, pairs: Sequence[tuple[str, str]], settings: MatchSettings
) -> Iterator[PairMatches]:
    from liftnet.match.batched import match_pairs_with_ratios

    device = choose_device(settings.search.device)
    descriptors = ((work.load(a).bytes, work.load(b).bytes) for a, b in pairs)
    found = match_pairs_with_ratios(descriptors, settings.search.ratio, settings.search.mutual, device)
    for pair, (matches, ratios) in zip(pairs, progress(found, "match", "matching pairs", len(pairs)), strict=True):
        yield work.matched(*pair, matches, 1 - ratios, one_to_one=settings.search.mutual)


def _tell_duration(work: WorkFeatures, pairs: Sequence[tuple[str, str]], threads: int) -> None:
    """Log an estimate before work of more than a minute."""
    operations = sum(2 * 130 * work.counts[a] * work.counts[b] for a, b in pairs)
    seconds = operations / _OPERATIONS_PER_SECOND / max(threads, 1)
    if seconds > _WORTH_TELLING:
        LOG.info("matching %d pairs, about %s", len(pairs), duration(seconds))


MATCHER = Matcher("exact", match_exact, devices=("cpu", "cuda"), byte_devices=("cuda",))
