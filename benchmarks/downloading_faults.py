"""liftnet's collector and img2dataset before the same faulty server: what they record, store and ask for again."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
from downloading_runs import (
    PEER,
    Became,
    became_of,
    img2dataset,
    killed_when,
    liftnet,
    peer_became_of,
    served,
    timed,
)
from fault_answers import OK, after, endless, page, raw
from fault_catalogue import FAULTS, GOOD
from fault_server import Answer, Exchange, FaultServer, addresses
from fault_storm import check, make_storm, run_and_kill, small_images
from measuring import spent

from liftnet.core.tables import markdown_table
from liftnet.data.schemas import MANIFEST, read_table

STREAM = 200_000_000  # bytes of a stream that would go on for us: the peer reads all of it into memory
ALIKE = {  # faults of the tests and what they are
    "403": "403",
    "410": "410",
    "429_retry_0": "429 twice with Retry-After: 0, then the image",
    "503_twice": "503 twice, then the image",
    "503_long": "503 with Retry-After: 3600",
    "reset_once": "reset once, then the image",
    "truncated": "fewer bytes than announced",
    "understated": "Content-Length cuts a JPEG",
    "cut_without_length": "JPEG cut short, no length",
    "bad_chunk": "malformed chunks",
    "reset_in_body": "reset in the body",
    "empty": "200 without a byte",
    "html_as_jpg": "a page named .jpg",
    "zip_bomb": "ZIP archive of 20 MB of zeros",
    "gzip_bomb": "Content-Encoding: gzip, 50 MB of zeros",
    "pixel_bomb": "PNG that claims 50,000 x 50,000 px",
    "real_pixel_bomb": "whole PNG of 20,000 x 20,000 px in 60 kB",
    "loop": "redirect to itself",
    "to_file": "redirect to file:",
    "to_ftp": "redirect to ftp:",
    "to_loopback": "redirect to 127.0.0.1",
    "to_decimal": "redirect to 2130706433 (127.0.0.1)",
    "to_name": "redirect to localhost",
    "noai": "X-Robots-Tag: noai",
    "noai_after_a_date": "X-Robots-Tag: unavailable_after: (date), noai",
    "noai_for_others": "X-Robots-Tag: otherbot: noai",
    "tdm": "tdm-reservation: 1",
    "length_superscript": "Content-Length: \u00b2",
    "many_headers": "9,000 headers",
}


LIMITS = {
    "robots": True,
    "timeout_s": 1.0,
    "total_s": 3.0,
    "max_wait_s": 5.0,
    "max_bytes": 5_000_000,
    "retries": 2,
    "min_side": 32,
}
PEER_LIMITS = {"timeout": 1, "retries": 2, "image_size": 1600}


Ran = dict[str, Became]


@dataclass(frozen=True)
class Case:
    """A URL of the table and whether an image should come of it; None where that is a matter of settings."""

    url: str
    good: bool | None


def faults(work: Path, python: Path | None) -> list[str]:
    """Each fault before both."""
    table: dict[str, dict[str, str]] = {}
    with FaultServer((*addresses(len(ALIKE) + 8), "127.0.0.1")) as server:
        cases = _cases(server, work)
        urls = [case.url for case in cases.values()]
        command = liftnet(work / "faults", urls, server.hosts[:-1], **LIMITS)
        cost = timed(command, work / "log.txt")
        notes = [f"liftnet: {cost.wall_s:.0f} s, {cost.memory_mb:,.0f} MB of memory"]
        _fill(table, "liftnet", cases, became_of(work / "faults", urls), server)
        if python is not None:
            server.forget()
            cost = timed(img2dataset(python, work / "peer", urls, **PEER_LIMITS), work / "log.txt")
            notes.append(f"{PEER}: {cost.wall_s:.0f} s, {cost.memory_mb:,.0f} MB")
            _fill(table, PEER, cases, peer_became_of(work / "peer"), server)
    return [
        "The same faults before both, one host each; up to three attempts, 1 s of silence. In brackets the requests "
        "that came, and what was sent if more than 1 MB. Streams end after 200 MB here; liftnet takes 5 MB and 3 s at "
        f"most. **Bold**: an image that should not be there, or none where one could be had. {'; '.join(notes)}.",
        markdown_table(pd.DataFrame([{"fault": label} | row for label, row in table.items()])),
    ]


def _cases(server: FaultServer, work: Path) -> dict[str, Case]:
    """The URLs of the table by what is wrong with them."""
    images = small_images(7)
    hosts = iter(server.hosts)
    cases: dict[str, Case] = {}

    def put(label: str, answer: Answer, good: bool | None, path: str = "/x.jpg") -> str:
        host = next(hosts)
        cases[label] = Case(server.add(path, answer, host), good)
        return host

    for kind, label in ALIKE.items():
        image, good = next(images), kind in GOOD
        put(label, GOOD[kind](image) if good else FAULTS[kind].make(image), good)
    image = next(images)
    pieces = [part for start in range(0, len(image), 40) for part in (image[start : start + 40], 0.2)]
    put("an image in 10 s, drop by drop", raw(OK + b"Content-Length: %d\r\n\r\n" % len(image), *pieces), None)
    put("stream without end", endless(OK + b"\r\n", most=STREAM), False)
    put("stream announced as 10 GB", endless(OK + b"Content-Length: 10000000000\r\n\r\n", most=STREAM), False)
    host = put("robots.txt: Disallow: /", page(body=next(images)), False)
    server.add("/robots.txt", page(body=b"User-agent: *\nDisallow: /\n"), host)
    copy = next(images)
    put("the first of two URLs of one image", page(body=copy), True)
    put("the second", page(body=copy), None)
    local = work / "local.jpg"
    local.write_bytes(next(images))
    cases["file: in the list"] = Case(local.as_uri(), False)
    server.add("/secret.jpg", page(body=next(images)), "127.0.0.1")
    return cases


def _fill(table: dict[str, dict[str, str]], name: str, cases: dict[str, Case], ran: Ran, server: FaultServer) -> None:
    """One column of the table."""
    for label, case in cases.items():
        became = ran[case.url]
        address = urlsplit(case.url)
        visits = server.asked(address.path, address.hostname) if address.hostname else []
        sent = sum(visit.sent for visit in visits)
        asked = f"{len(visits)}" + (f", {sent / 1e6:.0f} MB" if sent > 1e6 else "")
        said = "stored" if became.stored else _short(became)
        said = f"**{said}**" if case.good is not None and became.stored != case.good else said
        table.setdefault(label, {})[name] = f"{said} ({asked})"


def _short(became: Became) -> str:
    """The status, and the peer's message, which is all that tells its faults apart."""
    message = " ".join(became.reason.split())[:60].replace("|", "/").replace("<", "").replace(">", "")
    return message if became.status.startswith("failed") else became.status


def resuming(work: Path, python: Path | None) -> list[str]:
    """What is asked for again after a kill, and after a run in which some files failed."""
    rows = [_resumed("liftnet", lambda folder, urls, hosts: liftnet(folder, urls, hosts), work)]
    if python is not None:
        for size in (10_000, 50):
            rows.append(
                _resumed(
                    f"{PEER}, shards of {size:,}",
                    lambda folder, urls, _, size=size: img2dataset(
                        python,
                        folder,
                        urls,
                        image_size=1600,
                        retries=2,
                        number_sample_per_shard=size,
                        skip_reencode=True,
                    ),
                    work,
                )
            )
    return [
        "A run of 300 images killed (SIGKILL to all its processes) when 150 had been asked for, and started again; "
        "twenty of the URLs answer 503 to their first three requests, so that they fail in a run, and the run is "
        "started once more. Sent again: images that had been sent whole before the kill.",
        markdown_table(pd.DataFrame(rows)),
    ]


Command = Callable[[Path, list[str], Sequence[str]], list[str]]


def _resumed(name: str, command: Command, work: Path) -> dict[str, object]:
    with FaultServer(addresses(4)) as server, tempfile.TemporaryDirectory(dir=work) as temporary:
        folder = Path(temporary)
        urls = served(server, list(itertools.islice(small_images(3), 280)), "good")
        images = list(itertools.islice(small_images(4), 20))
        urls += [
            server.add(f"/late/{number}.jpg", after(3, page("503 Service Unavailable"), page(body=image)))
            for number, image in enumerate(images)
        ]
        for path, answer in server.answers.items():
            server.answers[path] = _slowed(answer)
        words = command(folder, urls, server.hosts)
        killed_when(words, folder / "log.txt", lambda: len(server.files()) >= 150)
        before = Counter(visit.path for visit in server.files() if visit.sent > 1000)
        server.visits.clear()
        timed(words, folder / "log.txt")
        again = sum(visit.path in before for visit in server.files())
        first = _stored(folder)
        timed(words, folder / "log.txt")
        return {
            "method": name,
            "sent before the kill": len(before),
            "sent again": again,
            "images after it": first,
            "images after one more run": _stored(folder),
        }


def _slowed(answer: Answer) -> Answer:
    async def later(exchange: Exchange) -> None:
        await exchange.hold(0.05)
        await answer(exchange)

    return later


def _stored(folder: Path) -> int:
    return sum(1 for path in (folder / "out").rglob("*.jpg") if not path.name.startswith("."))


def storm(work: Path, count: int, kills: int) -> list[str]:
    """The storm of the tests at its full size, checked as there."""
    with FaultServer((*addresses(50), "127.0.0.1")) as server:
        planned = make_storm(server, count)
        planned.write_list(work / "sources.csv")
        before, start = spent(), time.monotonic()
        killed = run_and_kill(planned, work / "sources.csv", work / "storm", kills)
        cpu, wall = spent() - before, time.monotonic() - start
        rows = read_table(work / "storm" / "manifest.parquet", MANIFEST).to_pylist()
        check(planned, rows, work / "storm")
        most, densest = max(server.most.values()), max(server.most_within(1.0).values())
        asked = len(server.visits)
    counts = pd.Series(Counter(row["status"] for row in rows)).sort_values(ascending=False)
    table = counts.rename_axis("status").reset_index(name="urls")
    return [
        f"The storm: {count:,} URLs over 50 hosts, 5 % with each of 16 kinds of fault, killed {len(killed)} times at "
        f"random moments. It took {wall:.0f} s, {cpu:.0f} CPU s (clients and server) and {asked:,} requests. Every "
        "URL has one row with the status that was planned, every good image is stored once, byte for byte, and "
        f"nothing else is; at most {most} requests to a host at a time ({planned.per_host} allowed) and {densest} "
        f"within a second ({1 / planned.delay_s:.0f} allowed, and one that begins it).",
        markdown_table(table),
    ]
