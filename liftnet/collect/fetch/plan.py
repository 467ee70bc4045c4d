"""Who will be asked for what, how politely, and how long that will take; nobody is asked for it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from liftnet.collect.fetch.jobs import Request, requests_of, split_into_jobs, write_jobs, write_requested
from liftnet.collect.fetch.journal import DEAD, DONE, Entry, FetchHistory, earlier_entries, read_entries
from liftnet.collect.settings import FetchSettings
from liftnet.collect.sources.records import Sources
from liftnet.collect.web.permissions import Rules, stored_rules
from liftnet.collect.web.politeness import MEGABIT, Policy, policy_of
from liftnet.core.files import write_text
from liftnet.core.tables import csv_text
from liftnet.core.text import Lines, one_line

MEAN_BYTES = 1_000_000  # of a file whose list does not say it, on a host that has sent none yet
MBIT_S = 50.0  # assumed of a line that no policy limits
SHOWN = 30  # hosts shown on the terminal; plan.csv has all
_NEEDED = ("key", "request", "status", "fetched_at", "run", "file", "raw_file", "stored_bytes", "bytes")
_LOCAL = Policy(0, 0.0, why="no server of others")


@dataclass
class _Host:
    """What is to be asked of one host."""

    job: str
    kind: str
    requests: list[Request] = field(default_factory=list)
    stored: int = 0
    dead: int = 0
    received: list[int] = field(default_factory=list)

    def bytes_expected(self) -> float:
        mean = sum(self.received) / len(self.received) if self.received else MEAN_BYTES
        return sum(mean if request.expected_bytes is None else request.expected_bytes for request in self.requests)


def plan(sources: Sources, out: Path, settings: FetchSettings | None = None, write: bool = True) -> pd.DataFrame:
    """Divide what the sources name into jobs by host, and estimate what each host is in for.

    Writes `jobs.tsv`, `<job>.parquet`, `wanted.parquet` and `sources.json` below `out`/downloads, and always
    `plan.csv`. Files of jobs that stay as they were keep their time.

    Args:
        sources: What to collect.
        out: Folder of the outputs; what is there already is not counted as to be fetched.
        settings: Limits and politeness.
        write: False for a dry run, which writes `plan.csv` alone.

    Returns:
        One row a host, the longest first: job, host, requests, stored, dead, left, connections, delay_s, mbit_s,
        policy, robots, expected_mb, hours.

    Raises:
        LiftnetError: `out` cannot be written.
    """
    settings = settings or FetchSettings()
    folder = out / "downloads"
    jobs = split_into_jobs(requests_of(sources), {path.stem for path in folder.glob("*.jsonl")})
    if write:
        write_requested(folder, sources)
        write_jobs(folder, jobs, sources.origin)
    table = _table(jobs, out, settings)
    write_text(folder / "plan.csv", csv_text(table))
    return table


def _table(jobs: Mapping[str, Sequence[Request]], out: Path, settings: FetchSettings) -> pd.DataFrame:
    hosts: dict[tuple[str, str], _Host] = {}
    for job, requests in jobs.items():
        own = read_entries(out / "downloads" / f"{job}.jsonl")
        earlier = earlier_entries(out / "downloads", job, requests)
        ledger = FetchHistory(map(_slim, itertools.chain(earlier, own)), out, settings)
        for request in requests:
            host = hosts.setdefault((job, request.host), _Host(job, request.kind))
            status, entry = ledger.status(request), ledger.entry(request)
            if entry is not None and entry.get("bytes"):
                host.received.append(entry["bytes"])
            host.stored += status == DONE
            host.dead += status == DEAD
            if status not in (DONE, DEAD):
                host.requests.append(request)
    rows = [_row(host, about, out, settings) for (_, host), about in hosts.items()]
    columns = list(rows[0]) if rows else ["job", "host", "requests", "left", "expected_mb", "hours"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["hours", "left", "host"], ascending=[False, False, True], ignore_index=True)


def _slim(entry: Entry) -> Entry:
    """What a plan needs of an entry: a million whole ones would take gigabytes."""
    return {name: entry[name] for name in _NEEDED if entry.get(name) is not None}


def _row(host: str, about: _Host, out: Path, settings: FetchSettings) -> dict[str, object]:
    web = about.kind == "web" and bool(host)
    policy = policy_of(host, settings.politeness) if web else _LOCAL
    rules = _known_rules(out, host) if web and settings.permissions.robots else []
    delay = max([policy.delay_s, *(rule.delay_s for rule in rules)])
    left, size = len(about.requests), about.bytes_expected()
    rate = min(policy.mbit_s or MBIT_S, MBIT_S) * MEGABIT
    robots = "not asked" if not web or not settings.permissions.robots else "known" if rules else "unknown"
    return {
        "job": about.job,
        "host": host or f"({about.kind if about.kind != 'web' else 'not a URL'})",
        "requests": left + about.stored + about.dead,
        "stored": about.stored,
        "dead": about.dead,
        "left": left,
        "connections": policy.connections if web else None,
        "delay_s": delay if web else None,
        "mbit_s": policy.mbit_s,
        "policy": policy.why,
        "robots": robots,
        "expected_mb": size / 1e6,
        "hours": max(left * delay, size / rate) / 3600 if web else 0.0,
    }


def _known_rules(out: Path, host: str) -> list[Rules]:
    kept = (stored_rules(out / "downloads" / "robots", f"{scheme}://{host}") for scheme in ("https", "http"))
    return [rules for rules in kept if rules is not None]


def shown(table: pd.DataFrame) -> Lines:
    """The plan for the terminal: its longest hosts, then all hosts and jobs together."""
    top = table.head(SHOWN).drop(columns="policy", errors="ignore")
    top["expected_mb"] = top["expected_mb"].round(1)
    top = top.map(lambda value: one_line(value) if isinstance(value, str) else value)
    text: str = top.to_string(
        index=False, float_format=lambda value: f"{value:,.3f}".rstrip("0").rstrip("."), na_rep="-"
    )
    lines = [text]
    if len(table) > SHOWN:
        lines.append(f"... and {len(table) - SHOWN} more hosts in plan.csv")
    lines.append(_together(table))
    return Lines("\n".join(lines))


def _together(table: pd.DataFrame) -> str:
    left, megabytes = int(table["left"].sum()), float(table["expected_mb"].sum())
    longest = float(table["hours"].max()) if len(table) else 0.0
    jobs = table["job"].nunique()
    return (
        f"{left:,} files to fetch; hosts: {len(table)}, jobs: {jobs}; about {megabytes:,.0f} MB, "
        f"and {longest:.2g} hours for the slowest host. Assumed: {MEAN_BYTES / 1e6:g} MB a file where nothing is "
        f"known of it, {MBIT_S:g} Mbit/s where no policy says less; the servers' own time is not counted"
    )
