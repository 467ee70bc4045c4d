"""Fetching the requests of jobs: ask, check, store, write down."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from liftnet.collect.decoding import Decoders
from liftnet.collect.fetch.jobs import ROWS_PER_GROUP, Job, Request, read_jobs, read_requests
from liftnet.collect.fetch.journal import (
    DEAD,
    DONE,
    ORDER,
    REFRESH,
    Entry,
    Fetched,
    FetchHistory,
    Journal,
    earlier_entries,
    key_of,
)
from liftnet.collect.settings import FetchSettings, QuerySettings
from liftnet.collect.web.download import Downloader, Response, Stopped
from liftnet.collect.web.politeness import run_by_host
from liftnet.collect.web.transport import FetchError
from liftnet.core.errors import BadImageError, LiftnetError
from liftnet.core.files import write_bytes
from liftnet.core.log import get_logger, progress
from liftnet.core.opening import OutsideError, only_files, opener_below
from liftnet.core.parallel import default_workers
from liftnet.core.text import printable
from liftnet.data.locations import near_miss
from liftnet.data.schemas import FETCHED, in_groups, table_writer

LOG = get_logger("collect")
JOBS_AT_A_TIME = 200  # whose journals are open together
WAITING = 4  # threads for each connection: most of them wait until their slow host may be asked again
_LASTING = frozenset({"http_404", "http_410", "opt_out_header", "tdm_reserved", "robots_disallowed"})


@dataclass(frozen=True)
class _Task:
    """A request to make, the journal of its outcome, and what is known of it from earlier runs."""

    request: Request
    key: str
    journal: Journal
    earlier: Entry | None
    status: str
    read_before: Entry | None = None


def fetch_jobs(
    out: Path, names: Sequence[str] = (), settings: FetchSettings | None = None, threads: int | None = None
) -> Counter[str]:
    """Fetch what the jobs of a plan ask for, and write `fetched/<job>.parquet` for each.

    What is there already, and links that died lately, are not asked for again; what failed in an earlier run comes
    first. A run that was killed resumes. Call it for one job in one process at a time.

    Args:
        out: Folder of the outputs; `collect plan` has written `downloads/` into it.
        names: Jobs; all of the plan if none is named.
        settings: Limits and politeness.
        threads: Images decoded at a time; all cores if not given.

    Returns:
        Number of requests by status.

    Raises:
        LiftnetError: There is no plan or no such job, `out` cannot be written, or the disk is full.
    """
    settings = settings or FetchSettings()
    threads = threads or default_workers()
    jobs = read_jobs(out / "downloads", names)
    counts = Counter[str]()
    museums = [[job] for job in jobs if job.kind == "museum"]
    others = list(in_groups([job for job in jobs if job.kind != "museum"], JOBS_AT_A_TIME))
    for group in (*museums, *others):
        with contextlib.ExitStack() as stack:
            origin = group[0].origin
            base = stack.enter_context(serve(Path(origin))) if group[0].kind == "museum" else None
            fetcher = _Fetcher(out, settings, threads, base)
            stack.callback(fetcher.downloader.close)
            stack.callback(fetcher.decoders.close)
            counts += fetcher.fetch(group)
    return counts


class _Fetcher:
    """Fetches the requests of several jobs side by side, each host by a few workers of its own."""

    def __init__(self, out: Path, settings: FetchSettings, threads: int, base: str | None) -> None:
        self.out, self.settings, self.threads, self.base = out, settings, threads, base
        query = settings if base is None else _for_our_own_server(settings, threads)
        own = (base.removeprefix("http://"),) if base else ()
        folder = None if base else out / "downloads"
        self.downloader = Downloader(query, settings.pictures.max_bytes, own, folder)
        self.decoders = Decoders(threads, settings.pictures)  # a decoded image can take 300 MB

    def fetch(self, jobs: Sequence[Job]) -> Counter[str]:
        """Fetch all requests, write the tables of the jobs, and count requests by status."""
        folder = self.out / "downloads"
        with contextlib.ExitStack() as stack:
            held = []
            for job in jobs:
                journal = stack.enter_context(Journal(folder / f"{job.name}.jsonl"))
                held.append((job, journal, read_requests(folder, job.name)))
            tasks = [task for job, journal, requests in held for task in self._tasks(job, journal, requests)]
            self._work_through(tasks, sum(len(requests) for _, _, requests in held))
            counts = Counter[str]()
            for job, journal, requests in held:
                counts += self._write(job, journal, requests)
            return counts

    def _tasks(self, job: Job, journal: Journal, requests: Sequence[Request]) -> list[_Task]:
        """What is to be asked for; what an earlier journal holds as done is taken over."""
        earlier = earlier_entries(self.out / "downloads", job.name, requests)
        ledger = FetchHistory([*earlier, *journal.entries.values()], self.out, self.settings, journal.run)
        tasks = []
        for request in requests:
            key, status, entry = key_of(request, self.settings), ledger.status(request), ledger.entry(request)
            if status not in (DONE, DEAD):
                tasks.append(_Task(request, key, journal, entry, status, ledger.read_before(request)))
            elif key not in journal.entries and entry is not None:
                journal.add(entry | {"key": key})
        return tasks

    def _work_through(self, tasks: Sequence[_Task], total: int) -> None:
        if len(tasks) < total:
            LOG.info("fetching: %d of %d need not be asked for", total - len(tasks), total)
        finished = run_by_host(
            sorted(tasks, key=lambda task: ORDER.index(task.status)),
            lambda task: task.journal.add(self._entry(task)),
            lambda task: task.request.host,
            self._workers,
            max(WAITING * self.settings.politeness.connections, self.threads),
            self.downloader.give_up,
        )
        with contextlib.closing(finished):
            for _ in progress(finished, "collect", "fetching", len(tasks)):
                pass

    def _workers(self, host: str) -> int:
        """How many files of a host are fetched at a time."""
        return self.downloader.throttle(f"http://{host}").policy.connections if host else max(2, self.threads)

    def _write(self, job: Job, journal: Journal, requests: Sequence[Request]) -> Counter[str]:
        """Write the table of a job, and count its requests by status."""
        counts = Counter[str]()
        with table_writer(self.out / "fetched" / f"{job.name}.parquet", FETCHED) as write:
            for group in in_groups(requests, ROWS_PER_GROUP):
                entries = [(request, journal.entries[key_of(request, self.settings)]) for request in group]
                fetched = [Fetched.from_row(entry | {"request": request.id}) for request, entry in entries]
                write([one.to_row() for one in fetched])
                counts.update(one.status for one in fetched)
        return counts

    def _entry(self, task: _Task) -> Entry:
        """The outcome of a request, for the journal; whatever goes wrong with it stops no other."""
        refreshed = task.earlier if task.status == REFRESH else None
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        fetched = Fetched("", "", task.request.id, task.request.place.given, moment)
        try:
            with contextlib.ExitStack() as holder:
                received = self._receive(task.request, refreshed, holder)
                if refreshed is not None and received.not_modified:
                    return refreshed | {"checked_at": moment}
                fetched = _with_response(fetched, received)
                return _journal_entry(task, _as_before(self._stored(task.request, received, fetched), task))
        except (FetchError, BadImageError) as error:
            if refreshed is not None and not _is_lasting(error):
                return refreshed
            return _journal_entry(task, _failed(fetched, error))
        except (LiftnetError, Stopped):
            raise
        except Exception as error:  # a fault of ours, or a new trick of a server's: logged in full, and a row
            LOG.exception("%s: an unforeseen error", task.request.place.given)
            reason = f"{type(error).__name__}: {error}"
            return _journal_entry(task, replace(fetched, status="internal_error", reason=reason, attempts=1))

    def _receive(self, request: Request, earlier: Entry | None, holder: contextlib.ExitStack) -> Response:
        place = request.place
        if self.base is not None:
            received = self.downloader.fetch(f"{self.base}/{quote(place.given)}", holder=holder)
            # the port changes from run to run
            return Response(received.data, place.given, received.http_status, received.attempts)
        if place.path is not None:
            try:
                return Response(read_local(place.path, self.settings.pictures.max_bytes, place.below))
            except FetchError as error:
                if error.status != "missing_file":
                    raise
                raise FetchError(
                    error.what, error.status, error.reason + near_miss(place.given, place.path)
                ) from error
        known = earlier or {}
        return self.downloader.fetch(place.given, known.get("etag"), known.get("last_modified"), holder)

    def _stored(self, request: Request, received: Response, fetched: Fetched) -> Fetched:
        """Check and store what came, under a name made of its content."""
        if request.what == "mask":  # brought to its image's size by `collect manifest`
            self.decoders.check_header(received.data, request.place.given)
            file = f"downloads/masks/{hashlib.sha256(received.data).hexdigest()[:16]}"
            write_bytes(self.out / file, received.data)
            return replace(fetched, status="ok", raw_file=file, stored_bytes=len(received.data))
        picture = self.decoders.picture(received.data, request.place.given)
        sha256 = picture.sha256
        name = sha256[:16] + picture.suffix
        write_bytes(self.out / "images" / name, picture.data)
        return replace(
            fetched,
            status="ok",
            mime=picture.mime,
            file=f"images/{name}",
            stored_bytes=len(picture.data),
            sha256=sha256,
            phash=picture.phash,
            phashes=picture.phashes,
            size=picture.size,
            shown_size=picture.shown_size,
            exif_orientation=picture.exif.orientation,
            focal_mm=picture.exif.focal_mm,
            focal_35mm=picture.exif.focal_35mm,
            camera=picture.exif.camera,
        )


def read_local(path: Path, max_bytes: int, below: Path | None = None) -> bytes:
    """Read a local file under the same cap as a download.

    Args:
        path: The file.
        max_bytes: The cap.
        below: The folder, without links, that it must lie in.

    Raises:
        FetchError: It is missing, not a file, too large, unreadable, or lies elsewhere by now.
    """
    try:
        with open(path, "rb", opener=opener_below(below) if below else only_files) as file:
            data = file.read(max_bytes + 1)
    except OutsideError as error:
        reason = "the file lay in the folder of its list when the run was planned, and now lies outside"
        raise FetchError(path, "path_refused", reason) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_symlink():
            reason = f"a link to {printable(os.readlink(path))}, which does not exist"
            raise FetchError(path, "missing_file", reason) from error
        raise FetchError(path, "missing_file", f"the file does not exist: {printable(path)}") from error
    except IsADirectoryError as error:
        raise FetchError(path, "missing_file", "a folder stands there, not a file") from error
    except PermissionError as error:
        raise FetchError(path, "unreadable_file", "no permission to read the file") from error
    except OSError as error:
        raise FetchError(path, "unreadable_file", f"the file cannot be read ({error.strerror})") from error
    if len(data) > max_bytes:
        raise FetchError(path, "too_large", f"longer than max_bytes = {max_bytes:,}")
    return data


def _for_our_own_server(settings: QuerySettings, threads: int) -> QuerySettings:
    """It needs no politeness."""
    politeness = settings.politeness.model_copy(update={"delay_s": 0.0, "per_host": max(2, threads)})
    permissions = settings.permissions.model_copy(update={"robots": False})
    return QuerySettings(politeness=politeness, permissions=permissions)


def _journal_entry(task: _Task, fetched: Fetched) -> Entry:
    """The outcome of a task, with the files of earlier runs that it replaces."""
    entry: Entry = {name: value for name, value in fetched.to_row().items() if value is not None}
    earlier = task.earlier or {}
    replaced = {file for file in (earlier.get("file"), *earlier.get("replaced", [])) if file}
    return entry | {"key": task.key} | ({"replaced": sorted(replaced)} if replaced else {})


def _as_before(fetched: Fetched, task: _Task) -> Fetched:
    """With the time of the earlier reading where a file was only touched, so that nothing after it is done again."""
    before = task.read_before or {}
    same = all(before.get(name) == getattr(fetched, name) for name in ("status", "sha256_raw", "sha256"))
    return replace(fetched, fetched_at=before["fetched_at"]) if same else fetched


def _with_response(fetched: Fetched, received: Response) -> Fetched:
    return replace(
        fetched,
        bytes=len(received.data),
        sha256_raw=hashlib.sha256(received.data).hexdigest(),
        final_url=received.final_url,
        http_status=received.http_status,
        attempts=received.attempts,
        etag=received.etag,
        last_modified=received.last_modified,
        opt_out=received.opt_out,
    )


def _failed(fetched: Fetched, error: FetchError | BadImageError) -> Fetched:
    reason = f"{error.reason}. {error.remedy}" if error.status == "unsupported_format" else error.reason
    failed = replace(fetched, status=error.status, reason=reason)
    if isinstance(error, FetchError):
        attempts = max(error.attempts, 1)
        failed = replace(failed, http_status=error.http_status, attempts=attempts, opt_out=error.opt_out)
    return failed


def _is_lasting(error: FetchError | BadImageError) -> bool:
    """Whether the owner has taken a file back, so that the copy from an earlier run goes too."""
    refused = error.status in _LASTING and isinstance(error, FetchError)
    return refused and not (error.status == "robots_disallowed" and getattr(error, "http_status", None))


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for many files
    disable_nagle_algorithm = True  # head and body are two writes; without this each file costs a delayed ACK
    timeout = 30

    def send_head(self) -> Any:
        root = Path(self.directory).resolve()
        path = Path(self.translate_path(self.path)).resolve()
        if not path.is_file() or not path.is_relative_to(root):  # no listings, no links that lead out
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def log_message(self, format: str, *args: Any) -> None:
        get_logger("collect").debug("museum: " + format, *args)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        get_logger("collect").debug("museum: a client went away", exc_info=True)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve the files below `folder` on a free port of 127.0.0.1 while the block runs.

    Yields:
        The base URL, e.g. "http://127.0.0.1:40213".
    """
    with _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
