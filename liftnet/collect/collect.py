"""The whole stage in one process, in its three steps: plan, fetch, manifest."""

from __future__ import annotations

from pathlib import Path

from liftnet.collect.fetch.fetch import fetch_jobs
from liftnet.collect.fetch.plan import plan
from liftnet.collect.manifest import CollectResult, check_named_artists, make_manifest
from liftnet.collect.settings import CollectSettings
from liftnet.collect.sources.records import Sources


def collect(
    sources: Sources, out: Path, settings: CollectSettings | None = None, threads: int | None = None
) -> CollectResult:
    """Fetch every image of `sources`, store the usable ones and write one manifest row for each.

    Writes `images/`, `hand_masks/`, `manifest.parquet`, `works.tsv`, `splits/`, and its state in `downloads/` and
    `fetched/`, below `out`. A run that was killed resumes; rows that failed are tried again by the next
    run, before new ones. The stored files and the manifest (but for the times) do not depend on the number of threads.

    Args:
        sources: What to collect; see `read_csv`, `read_list`, `read_directory`, `read_museum`.
        out: Folder of the outputs.
        settings: Limits, politeness, size, splits.
        threads: Images decoded at a time; all cores if not given.

    Raises:
        LiftnetError: `out` cannot be written, the disk is full, or `val_artists` or `test_artists` name somebody
            whom the sources do not know.
    """
    settings = settings or CollectSettings()
    check_named_artists(sources, settings.splits)
    plan(sources, out, settings)
    fetch_jobs(out, (), settings, threads)
    return make_manifest(out, settings, threads)
