"""Jobs by host under Snakemake: many cores, several hosts, failures that are tried again, a refresh."""

import threading
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from liftnet.collect.fetch.jobs import MANY
from liftnet.data.schemas import MANIFEST, read_table

pytestmark = pytest.mark.workflow
HOSTS = [f"127.0.0.{number}" for number in (2, 3, 4)]  # Linux answers on all of 127.0.0.0/8


@pytest.fixture
def site():
    """A server of small images on three hosts, which counts who asks for what at the same time."""

    class Site(BaseHTTPRequestHandler):
        now, most, asked, lock, broken = Counter(), Counter(), [], threading.Lock(), {"/7.png"}

        def do_GET(self):
            host = self.headers["Host"].partition(":")[0]
            with self.lock:
                self.now[host] += 1
                self.most[host] = max(self.most[host], self.now[host])
                self.asked.append((host, self.path, self.headers.get("If-None-Match")))
            time.sleep(0.005)
            with self.lock:
                self.now[host] -= 1
            self.answer(host)

        def answer(self, host):
            if self.path in self.broken or self.path == "/robots.txt":
                self.send_error(HTTPStatus.NOT_FOUND if "robots" in self.path else HTTPStatus.FORBIDDEN)
                return
            etag = f'"{self.path}"'
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            seed = int(self.path[1:-4]) + 1000 * HOSTS.index(host)
            pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            buffer = BytesIO()
            Image.fromarray(pixels).resize((96, 96)).save(buffer, "PNG")
            self.send_response(200)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(buffer.getvalue())))
            self.end_headers()
            self.wfile.write(buffer.getvalue())

        def log_message(self, *_):
            return

    with ThreadingHTTPServer(("0.0.0.0", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield Site, server.server_address[1]
        server.shutdown()


def test_hosts_are_jobs_that_can_be_retried_and_refreshed(workflow, site):
    server, port = site
    urls = [f"http://{HOSTS[0]}:{port}/{number}.png" for number in range(MANY)]
    urls += [f"http://{host}:{port}/{number}.png" for host in HOSTS[1:] for number in range(10)]
    listed = workflow.folder / "list.csv"
    listed.write_text("artist,work,url\n" + "".join(f"A{n % 3},W{n % 9},{url}\n" for n, url in enumerate(urls)))
    asking = {
        "permissions": {"allow_host": HOSTS},
        "politeness": {"delay_s": 0.0, "per_host": 2, "retries": 0, "contact": "me"},
        "pictures": {"min_side": 32},
    }
    workflow.configure(photos=str(listed), collect=asking)
    manifest = workflow.folder / "results" / "manifest.parquet"

    run = workflow.run("--cores", "8", "results/manifest.parquet")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    jobs = {path.stem for path in (workflow.folder / "results" / "fetched").glob("*.parquet")}
    assert len(jobs) in (2, 3)
    assert max(server.most.values()) <= 2
    statuses = Counter(read_table(manifest, MANIFEST)["status"].to_pylist())
    assert statuses == {"ok": MANY + 20 - 3, "http_403": 3}
    assert sum(path == "/robots.txt" for _, path, _ in server.asked) == 3
    assert "Nothing to be done" in (nothing := workflow.run("-n", "results/manifest.parquet")).stdout + nothing.stderr

    server.asked.clear()
    server.broken.clear()
    run = workflow.run("--forcerun", "fetch_host", "--", "results/manifest.parquet")
    assert run.returncode == 0, run.stderr[-3000:]
    assert sorted({(host, path) for host, path, _ in server.asked}) == [(host, "/7.png") for host in HOSTS]
    assert set(read_table(manifest, MANIFEST)["status"].to_pylist()) == {"ok"}

    server.asked.clear()
    refresh = ["--configfile", "config.yaml", "workflow/configs/refresh.yaml", "--"]
    run = workflow.run("--forcerun", "fetch_host", *refresh, "results/manifest.parquet")
    assert run.returncode == 0, run.stderr[-3000:]
    assert len(server.asked) == len(urls)
    assert all(etag == f'"{path}"' for _, path, etag in server.asked)
    assert "Nothing to be done" in (nothing := workflow.run("-n", "results/manifest.parquet")).stdout + nothing.stderr
