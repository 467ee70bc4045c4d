"""Which files are fetched by which job: never one host, nor one operator's hosts, by two.

A rate limit is a host's, so a host's requests belong to one process, however many cores a run has. A host with many
requests is a job of its own; hosts with few share a job, chosen by a hash of the host's name, so that it stays theirs.
"""

from __future__ import annotations

import csv
import filecmp
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftnet.collect.sources.records import SourceRecord, Sources
from liftnet.collect.web.politeness import known_policy
from liftnet.collect.web.transport import FetchError, host_of
from liftnet.core.errors import LiftnetError
from liftnet.core.files import atomic_path, own_entries, read_json, write_json, write_text
from liftnet.core.ids import stable_fraction, stable_id
from liftnet.core.opening import only_files
from liftnet.data.locations import Location
from liftnet.data.schemas import REQUESTS, WANTED, in_groups, open_table, read_table, table_writer

MANY = 200  # requests from which a host is a job of its own
BUNDLES = 4  # jobs of the other hosts
_COLUMNS = ("job", "kind", "origin", "n_requests")
ROWS_PER_GROUP = 10_000


@dataclass(frozen=True)
class Request:
    """A file to fetch.

    Attributes:
        what: "image" or "mask".
        kind: "web", "local" or "museum".
        place: Where it is.
        version: Of a local file when the plan was made.
        expected_bytes: Of a file on this machine its size, else as the source list says it.
    """

    what: str
    kind: str
    place: Location
    version: str = ""
    expected_bytes: int | None = None

    @property
    def id(self) -> str:
        """Names the file, whatever its version and the settings."""
        return request_id(self.what, self.kind, self.place)

    @property
    def host(self) -> str:
        """Its host; empty for local files, the museum's and what is not a URL."""
        try:
            return host_of(self.place.given) if self.kind == "web" else ""
        except FetchError:
            return ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Request:
        """From a row of REQUESTS."""
        return cls(row["what"], row["kind"], Location.from_row(row), row["version"], row["expected_bytes"])

    def to_row(self) -> dict[str, Any]:
        """As a row of REQUESTS."""
        return {
            "request": self.id,
            "what": self.what,
            "kind": self.kind,
            **self.place.to_row(),
            "version": self.version,
            "expected_bytes": self.expected_bytes,
        }


@dataclass(frozen=True)
class Job:
    """The requests of one process.

    Attributes:
        name: Also that of its files below downloads/ and fetched/.
        kind: "web", "local" or "museum".
        origin: The museum's folder; empty for other kinds.
        n_requests: How many.
    """

    name: str
    kind: str
    origin: str
    n_requests: int


def request_id(what: str, kind: str, place: Location) -> str:
    """The id of the request for a file."""
    where = place.given if place.path is None or kind == "museum" else os.fsdecode(os.fsencode(place.path))
    return hashlib.sha256("\0".join((what, kind, where)).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def way_to_fetch(place: Location, sources: Sources) -> str:
    """How a file is fetched."""
    return "museum" if sources.kind == "museum" else "web" if place.path is None else "local"


def requests_of(sources: Sources) -> list[Request]:
    """Every file that the rows name, once, in their order."""
    found: dict[str, Request] = {}
    for row in sources.rows:
        named = [("image", row.image, row.expected_bytes)] if row.problem is None else []
        if row.problem is None and row.mask is not None and row.mask_problem is None:
            named.append(("mask", row.mask, None))
        for what, place, expected in named:
            kind = way_to_fetch(place, sources)
            name = request_id(what, kind, place)
            if name not in found:
                version = place.version
                if version:
                    expected = int(version.partition("-")[0])
                found[name] = Request(what, kind, place, version, expected)
    return list(found.values())


def split_into_jobs(requests: Iterable[Request], present: Collection[str] = ()) -> dict[str, list[Request]]:
    """The requests by job.

    Args:
        requests: What to fetch.
        present: Jobs of earlier plans: a host that was a job of its own stays one.
    """
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.kind, group_of(request.host)].append(request)
    jobs: dict[str, list[Request]] = defaultdict(list)
    for (kind, group), members in groups.items():
        own = stable_id(group)
        if kind != "web":
            jobs[kind] += members
        elif group and (len(members) >= MANY or own in present):
            jobs[own] += members
        else:
            jobs[bundle_of(group)] += members
    return dict(sorted(jobs.items()))


def group_of(host: str) -> str:
    """What is never divided: the hosts of one operator, or a host with all its ports."""
    policy = known_policy(host)
    return policy.operator if policy else host.partition(":")[0] if not host.startswith("[") else host


def bundle_of(group: str) -> str:
    """The job of a host that has few requests."""
    return f"hosts-{int(stable_fraction(group, 'bundle') * BUNDLES)}"


def write_jobs(folder: Path, jobs: Mapping[str, Sequence[Request]], origin: Path) -> list[Job]:
    """Write `<job>.parquet` and `jobs.tsv` into `folder`; files that would not change are left as they are."""
    listed = []
    for name, requests in jobs.items():
        kind = requests[0].kind
        listed.append(Job(name, kind, str(origin) if kind == "museum" else "", len(requests)))
        _write_requests(folder / f"{name}.parquet", requests)
    for path in own_entries(folder.parent, folder.name, "*.parquet"):
        if path.stem not in (*jobs, "wanted"):
            path.unlink()
    rows = ["\t".join(map(str, (job.name, job.kind, job.origin, job.n_requests))) for job in listed]
    write_text(folder / "jobs.tsv", "\n".join(["\t".join(_COLUMNS), *rows]) + "\n")
    return listed


def _write_requests(path: Path, requests: Sequence[Request]) -> None:
    """Write requests; an equal file keeps its time, so that a workflow sees no reason to run its job again."""
    with atomic_path(path) as temporary:
        with table_writer(temporary, REQUESTS) as write:
            for group in in_groups(requests, ROWS_PER_GROUP):
                write([request.to_row() for request in group])
        if path.exists() and filecmp.cmp(path, temporary, shallow=False):
            os.utime(temporary, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))


def read_jobs(folder: Path, names: Collection[str] = ()) -> list[Job]:
    """The jobs of a plan, or those named.

    Raises:
        LiftnetError: There is no plan, or none of such a job.
    """
    path = folder / "jobs.tsv"
    try:
        with open(path, encoding="utf-8", newline="", opener=only_files) as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        jobs = [Job(row["job"], row["kind"], row["origin"], int(row["n_requests"])) for row in rows]
    except FileNotFoundError as error:
        raise LiftnetError(path, "does not exist", "Run `collect plan` first") from error
    except (KeyError, TypeError, ValueError) as error:
        raise LiftnetError(path, "is damaged", "Run `collect plan` again") from error
    unknown = sorted(set(names) - {job.name for job in jobs})
    if unknown:
        raise LiftnetError(path, f"has no job {unknown[0]!r}", f"Its jobs are: {', '.join(job.name for job in jobs)}")
    return [job for job in jobs if not names or job.name in names]


def read_requests(folder: Path, job: str) -> list[Request]:
    """The requests of a job.

    Raises:
        LiftnetError: The file is missing or damaged.
    """
    rows = read_table(folder / f"{job}.parquet", REQUESTS).to_pylist()
    return [Request.from_row(row) for row in rows]


def write_requested(folder: Path, sources: Sources) -> None:
    """Write `wanted.parquet` and `sources.json` into `folder`."""
    with table_writer(folder / "wanted.parquet", WANTED) as write:
        for group in in_groups(sources.rows, ROWS_PER_GROUP):
            write([row.to_row() for row in group])
    write_json(folder / "sources.json", {"kind": sources.kind, "origin": os.fsencode(sources.origin).hex()})


def read_requested(folder: Path) -> Sources:
    """What `write_requested` wrote.

    Raises:
        LiftnetError: `collect plan` has not been run, or its files are damaged.
    """
    about = read_json(folder / "sources.json")
    rows: list[SourceRecord] = []
    with open_table(folder / "wanted.parquet", WANTED) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            rows += map(SourceRecord.from_row, batch.to_pylist())
    try:
        return Sources(about["kind"], Path(os.fsdecode(bytes.fromhex(about["origin"]))), tuple(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise LiftnetError(folder / "sources.json", "is damaged", "Run `collect plan` again") from error
