"""The page in a real browser: no error, no request, a surface drawn, nothing wider than a phone."""

import json
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from liftnet.core.settings import changed
from liftnet.report.page import write_report
from liftnet.report.settings import ReportSettings

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on PATH")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
]
PROBE = """
<script>
window.addEventListener("load", async function () {
  const root = document.documentElement, answer = {};
  try {
    while (!root.dataset.surfaces) await new Promise((done) => setTimeout(done, 50));
    const view = document.getElementById("surface-0");
    async function colours() {
      const picture = new Image();
      picture.src = await Plotly.toImage(view, { format: "png", width: 160, height: 160 });
      await picture.decode();
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 160;
      const context = canvas.getContext("2d");
      context.drawImage(picture, 0, 0);
      return new Set(new Uint32Array(context.getImageData(60, 60, 40, 40).data.buffer)).size;
    }
    answer.colours = await colours();
    view.parentElement.querySelector("[data-colours=plaster]").click();
    await new Promise((done) => setTimeout(done, 300));
    answer.plaster = await colours();
    view.parentElement.querySelector("[data-colours=depth]").click();
    const surfaces = JSON.parse(document.getElementById("meshes").textContent);
    answer.recoloured = view.data[0].vertexcolor[0] === surfaces[0].depth[0];
    const names = performance.getEntriesByType("resource").map((entry) => entry.name);
    answer.loaded = names.filter((name) => !name.startsWith("data:") && !name.startsWith("blob:"));
    answer.overflow = root.scrollWidth - root.clientWidth;
    answer.width = window.innerWidth;
    answer.title = document.title;
    Object.assign(answer, root.dataset);
  } catch (error) {
    answer.failure = String(error);
  }
  fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
});
</script>
"""


@pytest.fixture(scope="module")
def page(made_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "report.html"
    write_report(made_run.root, out, changed(ReportSettings(), surfaces=2))
    return out


def command(folder, address, *more):
    return [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *more, address]


def run_to_the_end(folder, address, *more):
    """Let the browser read the page, show or print it, and leave; what it prints."""
    given = command(folder, address, "--virtual-time-budget=20000", *more)
    return subprocess.run(given, capture_output=True, text=True, timeout=150, check=True).stdout


class Host(ThreadingHTTPServer):
    """Serves one page on the loopback and waits for what a probe in it sends back."""

    def __init__(self, text):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page, self.asked, self.answer, self.answered = text.encode(), [], None, threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200 if self.path == "/page" else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if self.path == "/page":
            self.wfile.write(self.server.page)

    def do_POST(self):
        self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.answered.set()

    def log_message(self, *_):
        pass


def probe(page, folder, *more):
    """Ask the page in a browser; a copy of it, whose policy lets the probe in and its answer out."""
    text = re.sub(r"script-src ('sha256-[^']+' )+", "script-src 'unsafe-inline' ", page.read_text())
    text = text.replace("default-src 'none'", "default-src 'none'; connect-src 'self'").replace("</body>", PROBE)
    host = Host(text)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{host.server_port}/page"
    # a debugging port keeps the browser alive until it is told to leave
    browser = subprocess.Popen(
        command(folder, address, "--remote-debugging-port=0", *more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert host.answered.wait(120), "no answer from the page"
    finally:
        browser.terminate()
        browser.wait(30)
        host.shutdown()
        host.server_close()
    return host.answer, host.asked


def test_page_runs_as_it_is(page, tmp_path):
    dom = run_to_the_end(tmp_path, page.as_uri(), "--window-size=1280,900", "--dump-dom")
    found = dict(re.findall(r'data-([\w-]+)="([^"]*)"', re.search(r"<html[^>]*>", dom)[0]))
    assert found["errors"] == "0", found
    assert found["surfaces"] == "2"
    drawn = [int(count) for count in re.findall(r'data-drawn="(\d+)"', dom)]
    assert len(drawn) == 2
    assert min(drawn) > 1000


def test_an_outside_address_or_script_would_be_noticed(page, tmp_path):
    text = page.read_text().replace(
        "<footer>", "<img src='https://example.org/x.png'><script>window.owned = 1</script>"
    )
    (tmp_path / "tampered.html").write_text(text)
    dom = run_to_the_end(tmp_path, (tmp_path / "tampered.html").as_uri(), "--dump-dom")
    found = re.search(r'data-errors="(\d+)"', dom)
    assert int(found[1]) >= 2


@pytest.mark.parametrize("width", [1280, 400])
def test_surface_shows_and_nothing_is_loaded(page, tmp_path, width):
    log = tmp_path / "net.json"
    answer, asked = probe(page, tmp_path, f"--window-size={width},900", f"--log-net-log={log}")
    assert "failure" not in answer, answer
    assert answer["errors"] == "0", answer
    assert answer["colours"] > 50
    assert answer["plaster"] > 50  # one colour, told apart by light alone
    assert answer["recoloured"]
    assert answer["loaded"] == []
    assert asked == ["/page"]
    assert answer["overflow"] <= 0
    assert answer["width"] <= max(width, 500)
    assert answer["title"] == "From photographs of sculptures to depth"
    # the manifest's addresses and the library's stand on the page, and none was resolved or opened
    assert "example.org" not in log.read_text()
    assert "plot.ly" not in log.read_text()


def test_page_looks_like_a_page(page, tmp_path):
    picture = tmp_path / "page.png"
    run_to_the_end(tmp_path, page.as_uri(), "--window-size=1280,1600", f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (1600, 1280, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    left_margin, text = pixels[:, :40], pixels[:, 80:600]
    assert text.std() > 5 * left_margin.std() + 1
