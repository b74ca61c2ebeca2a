"""Servers that break off, mislead, trickle or never end, and caches that cannot be used."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmfgraph.errors import ConfigError, PlanError, SourceError
from bmfgraph.media import download
from bmfgraph.media.sources import locate
from tests.runner.command import bmfgraph, start
from tests.tools import file_system

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


class Server(http.server.ThreadingHTTPServer):
    """Answers as the path says; ``headers`` are sent with every file, ``asked`` holds the ranges of requests."""

    headers: dict[str, str]
    asked: list[str | None]
    faults: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        getattr(self, self.path.split("?")[0].strip("/.").split(".")[0].split("/")[0] or "plain")(asked)

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**self.server.headers, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def plain(self, asked: str | None) -> None:
        """The whole file, without its length."""
        self._send(200, CONTENT)

    def cut(self, asked: str | None) -> None:
        """Half of the file, without its length; then the rest of it, where a range is asked for."""
        self.server.faults += 1
        if asked and self.headers.get("If-Range") == self.server.headers.get("ETag"):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            last = len(CONTENT) - 1
            self._send(206, CONTENT[begin:], Content_Range=f"bytes {begin}-{last}/{len(CONTENT)}")
        else:
            whole = self.server.faults > 1
            self._send(200, CONTENT if whole else CONTENT[:HALF], Content_Length=str(len(CONTENT)))

    def silent(self, asked: str | None) -> None:
        """Half of the file, without its length."""
        self._send(200, CONTENT[:HALF])

    def chunks(self, asked: str | None) -> None:
        """A chunk, but not the last one."""
        self._send(200, b"10\r\n" + CONTENT[:16] + b"\r\n", Transfer_Encoding="chunked")

    def huge(self, asked: str | None) -> None:
        self._send(200, b"", Content_Length=str(1 << 50))

    def endless(self, asked: str | None) -> None:
        self._send(200, b"")
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(CONTENT)

    def trickle(self, asked: str | None) -> None:
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.wfile.write(b"H")
                time.sleep(0.05)

    def loop(self, asked: str | None) -> None:
        self._send(302, b"", Location=f"/loop/{len(self.server.asked)}")

    def elsewhere(self, asked: str | None) -> None:
        self._send(302, b"", Location=self.path.partition("?")[2])

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as web_server:
        web_server.daemon_threads = True
        web_server.headers, web_server.asked, web_server.faults = {}, [], 0
        threading.Thread(target=web_server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield web_server
        web_server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("BMFGRAPH_CACHE", str(folder))
    return folder


def refused(source: str, sha256: str | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        locate(source, sha256)
    return caught.value


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


def test_names_of_any_kind(server: Server, cache: Path) -> None:
    for path in (f"/plain.onnx?sig={'a' * 300}", "/..", "/", f"/plain/{'n' * 300}.onnx", "/plain/%2e%2e%2fx%00"):
        file = locate(server.url + path, SHA256)
        assert file.read_bytes() == CONTENT
        assert file.resolve().is_relative_to(cache)
    assert locate(f"{server.url}/plain/{'n' * 300}.onnx", SHA256).suffix == ".onnx"


def test_a_file_of_unknown_length_is_kept_only_with_its_checksum(server: Server, cache: Path) -> None:
    half = hashlib.sha256(CONTENT[:HALF]).hexdigest()
    for checksum in (None, "any"):
        error = refused(f"{server.url}/silent.onnx", checksum)
        assert error.code == "E425"
        assert half in str(error)
        assert "does not tell the size" in str(error)
    assert refused(f"{server.url}/silent.onnx", SHA256).code == "E422"
    assert kept(cache) == []
    assert locate(f"{server.url}/plain.onnx", SHA256).read_bytes() == CONTENT


def test_a_missing_checksum_is_an_error_that_names_it(server: Server) -> None:
    server.headers["Content-Length"] = str(len(CONTENT))
    error = refused(f"{server.url}/plain.onnx?sig=key")
    assert error.code == "E425"
    assert f"sha256: {SHA256}" in error.hint
    assert "sha256: any" in error.hint
    assert "key" not in str(error)
    assert locate(f"{server.url}/plain.onnx?sig=key", SHA256) == locate(f"{server.url}/plain.onnx?sig=key", "any")
    assert len(server.asked) == 1


def test_what_breaks_off_is_not_kept(server: Server, cache: Path) -> None:
    for path, reason in (("cut", f"received {HALF} of {len(CONTENT)} bytes"), ("chunks", "IncompleteRead")):
        error = refused(f"{server.url}/{path}", "any")
        assert error.code == "E421"
        assert reason in str(error)
        assert kept(cache) == []


def test_a_download_that_broke_off_is_continued(server: Server, cache: Path) -> None:
    server.headers["ETag"] = '"1"'
    assert "continues" in refused(f"{server.url}/cut.onnx", SHA256).hint
    assert locate(f"{server.url}/cut.onnx", SHA256).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={HALF}-"]
    assert kept(cache) == ["cut.onnx"]


def test_a_download_of_another_version_begins_again(server: Server, cache: Path) -> None:
    server.headers["ETag"] = '"1"'
    refused(f"{server.url}/cut.onnx", SHA256)
    server.headers["ETag"] = '"2"'
    assert locate(f"{server.url}/cut.onnx", SHA256).read_bytes() == CONTENT
    assert kept(cache) == ["cut.onnx"]


def test_files_that_are_too_large(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("huge", "endless"):
        error = refused(f"{server.url}/{path}", "any")
        assert error.code == "E421"
        assert "the limit is" in str(error)
        assert kept(cache) == []
        monkeypatch.setattr(download, "SIZE_LIMIT", 1 << 20)


@pytest.mark.timeout(20)
def test_a_server_that_trickles(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIME_LIMIT", 0.5)
    for path in ("trickle", "endless"):
        error = refused(f"{server.url}/{path}", "any")
        assert error.code == "E421"
        assert "takes longer than" in str(error)


def test_redirects(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    for target in (secret.as_uri(), "ftp://127.0.0.1/x", "data:,x"):
        error = refused(f"{server.url}/elsewhere?{target}", SHA256)
        assert error.code == "E421"
        assert "redirect" in str(error).lower()
    before = len(server.asked)
    assert refused(f"{server.url}/loop", SHA256).code == "E421"
    assert len(server.asked) - before <= 7
    assert locate(f"{server.url}/elsewhere?/plain", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://user:secret@127.0.0.1:1/x", "http://127.0.0.1:1/x?key=secret"])
def test_passwords_are_not_shown(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    error = refused(url, SHA256)
    assert "127.0.0.1:1" in str(error)
    assert "secret" not in str(error) + error.hint + capfd.readouterr().err


def test_a_url_with_control_characters(capfd: pytest.CaptureFixture[str]) -> None:
    error = refused("http://127.0.0.1:1/\x1b[31m", SHA256)
    assert error.code == "E421"
    assert "\x1b" not in str(error) + error.hint + capfd.readouterr().err


def test_a_cache_that_others_can_write_to(server: Server, cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    assert "every user can write" in str(refused(f"{server.url}/plain", SHA256))
    cache.rmdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other").chmod(0o777)
    cache.symlink_to("other")
    assert refused(f"{server.url}/plain", SHA256).code == "E424"
    assert list((tmp_path / "other").iterdir()) == []


def test_a_link_in_the_cache_is_not_followed(server: Server, tmp_path: Path) -> None:
    path = locate(f"{server.url}/plain", SHA256)
    target = tmp_path / "mine"
    target.write_bytes(b"mine")
    path.unlink()
    path.symlink_to(target)
    assert refused(f"{server.url}/plain", SHA256).code == "E424"
    assert target.read_bytes() == b"mine"


def test_a_full_cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with file_system(tmp_path / "small", "200k") as small:
        monkeypatch.setenv("BMFGRAPH_CACHE", str(small / "cache"))
        error = refused(f"{server.url}/plain", SHA256)
        assert error.code == "E424"
        assert str(small / "cache") in str(error)
        assert "No space left" in str(error)
        assert kept(small) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_cache_of_root_is_used_without_a_lock(server: Server, cache: Path) -> None:
    url = f"{server.url}/plain"
    path = locate(url, SHA256)
    path.with_name(".lock").unlink()
    for folder in (cache, *cache.rglob("*")):
        folder.chmod(0o755)
    for folder in cache.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    script = (
        "import os, sys; from bmfgraph.media import sources, fetching; os.setgid(65534); os.setuid(65534)\n"
        "for url in sys.argv[2:]:\n"
        "    try: print(sources.locate(url, sys.argv[1]))\n"
        "    except sources.SourceError as error: print(error.code)\n"
    )
    command = [sys.executable, "-c", script, SHA256, url, url + "2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(path), "E424"]
    assert len(server.asked) == 1


@pytest.mark.wide
def test_a_password_in_any_error(tmp_path: Path) -> None:
    address = "rtsp://user:secret@camera.example/1?key=x"
    for error in (
        ConfigError(f"{address!r} is wrong", hint=f"correct {address}", code="E105", path=f"input={address}"),
        PlanError("node", f"{address} is wrong", code="E301"),
    ):
        assert "camera.example/1" in str(error)
        assert "secret" not in str(error) + error.message + error.hint + repr(error.problems)
    ended = start(
        bmfgraph("check", "pipeline=super_resolution", f"input={address}", f"output={address}"), tmp_path
    ).wait()
    assert "camera.example/1" in ended.out
    assert "secret" not in ended.out + ended.err
