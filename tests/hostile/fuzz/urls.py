"""Answer requests for a model on the loopback in ways that a server must not."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from io import BufferedIOBase
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

from tests.hostile.fuzz.configurations import inputs
from tests.hostile.fuzz.trial import Case

__all__ = ["case"]

_ANSWERS = (
    "whole",
    "cut",
    "none",
    "short",
    "long",
    "loop",
    "file",
    "error",
    "noise",
    "drip",
    "huge",
    "encoded",
    "page",
)
_PATHS = ("m.onnx", "..", "", "%2e%2e%2f%2e%2e%2fx", "a" * 300 + ".onnx", "\x1b[31m", "x;y", "%00", "ü.onnx")
_SECRET = "hunter2secret"


def case(random: Random, folder: Path) -> Case:
    """Return a check whose model comes from a server that answers in a hostile way."""
    (folder / "clip.mp4").write_bytes(inputs()[0])
    query = f"?how={random.choice(_ANSWERS)}&sig={'s' * random.choice((1, 400))}"
    user = random.choice(("", f"user:{_SECRET}@"))
    url = f"http://{user}127.0.0.1:{_port()}/{random.choice(_PATHS)}{query}"
    checksum = random.choice(("null", "0" * 64))
    words = ("check", "pipeline=super_resolution", "input=clip.mp4", "output=out.mp4", "model.file=null")
    outside = {folder.parent / "x": None, folder / "x": None}
    arguments = (
        *words,
        f"model.source='{url}'",
        f"model.sha256='{checksum}'" if checksum != "null" else "model.sha256=null",
    )
    return Case(folder, arguments, {"BMFGRAPH_CACHE": str(folder / "cache")}, outside, (_SECRET,))


@functools.cache
def _port() -> int:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answer as the query's ``how`` says."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer a request."""
        how = parse_qs(urlsplit(self.path).query).get("how", ["whole"])[0]
        model = inputs()[1]
        try:
            if how in ("loop", "file"):
                self._head(302, Location=self.path if how == "loop" else "file:///etc/passwd")
            elif how == "error":
                self._head(503, **{"Content-Length": "3"}).write(b"\x1b[3")
            elif how == "drip":
                stream = self._head(200)
                for _ in range(20):
                    stream.write(b"x")
                    stream.flush()
                    time.sleep(0.05)
            elif how == "huge":
                self._head(200, **{"Content-Length": str(1 << 50)}).write(model)
            elif how == "none":
                self.connection.close()
            else:
                length = {"cut": len(model) + 99, "short": 10, "long": len(model)}.get(how)
                head = {"Content-Encoding": "gzip"} if how == "encoded" else {}
                head |= {} if length is None else {"Content-Length": str(length)}
                body = {"noise": bytes(range(256)) * 40, "page": b"<html>404</html>", "long": model * 3}.get(how, model)
                self._head(200, **head).write(body)
        except OSError:
            self.close_connection = True

    def _head(self, status: int, **headers: str) -> BufferedIOBase:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        return self.wfile
