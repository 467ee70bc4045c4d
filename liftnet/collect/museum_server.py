"""A web server on this machine alone, so that the synthetic museum is scraped exactly as the web is."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from liftnet.core.log import get_logger


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
