"""Ordinary set-ups that a check against hostile ones must not refuse."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shlex
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bmfgraph.config.overrides import quoted
from bmfgraph.config.yaml_files import read_yaml
from bmfgraph.errors import ConfigError, SourceError
from bmfgraph.media import download, fetching
from bmfgraph.media.sources import locate
from bmfgraph.system.files import make_parent
from tests.codes.command import run_cli
from tests.runner.command import frames_in, start
from tests.tools import make_clip


def test_an_https_proxy_is_asked_for_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))
        with pytest.raises(SourceError):
            locate("https://model.invalid/net.onnx", "0" * 64)
        thread.join()
    assert asked[0].startswith(b"CONNECT model.invalid:443")


def test_a_network_that_fails_is_not_a_cache_that_fails(tmp_path: Path) -> None:
    class Response:
        length, chunked = 100, False

        def read(self, size: int) -> bytes:
            raise OSError(errno.EHOSTUNREACH, "No route to host")

    response: Any = Response()
    with download._Watch() as watch, pytest.raises(download.DownloadError, match="No route to host"):
        download._copy(response, io.BytesIO(), 0, watch)


@pytest.mark.parametrize("kind", ["link", "open"])
def test_the_cache_may_be_a_link_and_the_umask_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    disk, cache = tmp_path / "disk", tmp_path / "cache"
    disk.mkdir(mode=0o700)
    if kind == "link":
        cache.symlink_to(disk)
    monkeypatch.setenv("BMFGRAPH_CACHE", str(cache))
    before = os.umask(0 if kind == "open" else 0o022)
    try:
        path = fetching._cached("urls", "https://x/net.onnx", "net.onnx")
        fetching._publish(io.BytesIO(b"model"), path)
        assert fetching._intact(path, hashlib.sha256(b"model").hexdigest())
    finally:
        os.umask(before)


def test_folders_are_created_behind_a_link_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, here = tmp_path / "disk", tmp_path / "here"
    disk.mkdir()
    here.mkdir()
    (here / "out").symlink_to(disk)
    monkeypatch.chdir(here)
    make_parent(Path("out/a/b/x.mp4"))
    assert (disk / "a" / "b").is_dir()
    with pytest.raises(OSError, match="does not exist"):
        make_parent(Path("../elsewhere/a/x.mp4"))


def test_yaml_that_only_pythons_parser_reads(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &x\n  k: {a:,b: 1}\nd: *x\n")
    assert read_yaml(path)["d"] == {"k": {"a": None, "b": 1}}


def test_hydra_that_is_no_mapping_is_refused_by_name(tmp_path: Path) -> None:
    from bmfgraph.config.hydra_settings import check_file

    with pytest.raises(ConfigError, match="hydra"):
        check_file("pipeline/mine", None, {"hydra": True}, "mine.yaml")


@pytest.mark.parametrize("text", ["plain", "it's", "C:\\dir\\", "it\\'s", "a\\b", "\\\\", "'", "a, [b] {c} ${d}"])
def test_quoted_text_is_read_by_hydra_as_it_was(text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"key={quoted(text)}"])
    value = override.value()
    assert getattr(value, "text", value) == text


@pytest.mark.parametrize("name", ["12:30.mp4", "file:clip.mp4", "Film: part 1.mp4"])
def test_a_colon_in_a_relative_name_is_no_protocol(tmp_path: Path, name: str) -> None:
    make_clip(tmp_path / "clip.mp4", frames=2)
    make_clip(tmp_path / name, frames=5)
    words = ["pipeline=super_resolution", f"input={name}", "output=out.mp4", "encoder.preset=ultrafast"]
    assert run_cli(shlex.join(words), tmp_path).code == 0
    assert frames_in(tmp_path / "out.mp4") == 5


def test_the_pipeline_of_both_may_be_named_first(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=2)
    words = ("pipeline=super_resolution", "engine=fp32", "engine=fp16", "input=clip.mp4")
    ended = start([sys.executable, "-m", "bmfgraph", "plan", "diff", *words], tmp_path).wait()
    assert (ended.code, ended.out.partition(":")[0]) == (0, "no difference here")
