"""Pipes, devices and folders that do not exist, in every path of the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import bmfgraph as bg
from bmfgraph.errors import RunError, SourceError
from bmfgraph.media.accuracy import compare
from bmfgraph.media.probe import MediaError, probe
from bmfgraph.media.quality import measure
from bmfgraph.media.sources import locate, locate_clip
from bmfgraph.system.files import file_sha256, make_parent, unwritable, write_whole
from tests.runner.command import bmfgraph, start
from tests.tools import double_model

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def pipe(tmp_path: Path, clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipe in the current folder, beside ``clip.mp4`` and ``double.onnx``."""
    clip()
    double_model(tmp_path / "double.onnx")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jsonl")
    return "pipe.jsonl"


@pytest.mark.parametrize(("word", "code"), [("report", "E111"), ("model.source", "E402")])
def test_a_path_of_the_configuration(pipe: str, word: str, code: str) -> None:
    words = {"input": "clip.mp4", "output": "out.mp4", "model.file": "null", "model.source": "double.onnx"}
    checksum = file_sha256(Path("double.onnx"))
    overrides = [f"{key}={value}" for key, value in {**words, word: pipe, "model.sha256": checksum}.items()]
    (problem,) = bg.compose("super_resolution", *overrides).check().problems
    assert problem.code == code


@pytest.mark.wide
def test_sources_and_clips(pipe: str) -> None:
    for path in (pipe, "/dev/zero"):
        for sha256 in (None, "0" * 64):
            with pytest.raises(SourceError) as caught:
                locate(path, sha256)
            assert caught.value.code == "E402"
        with pytest.raises(SourceError):
            locate_clip(path)
        with pytest.raises(MediaError):
            probe(Path(path))


def test_what_is_measured(pipe: str) -> None:
    for function in (measure, compare):
        for pair in ((Path(pipe), Path("clip.mp4")), (Path("clip.mp4"), Path(pipe))):
            with pytest.raises(RunError):
                function(*pair)


def test_a_plan_is_not_written_into_a_pipe(pipe: str, tmp_path: Path) -> None:
    words = ("plan", "pipeline=super_resolution", "input=clip.mp4", "output=out.mp4", "model.file=double.onnx")
    message = start(bmfgraph(*words, "--json", "--output", pipe), tmp_path).wait().error(2)
    assert "it is a pipe" in message


def test_files_that_are_written_directly(pipe: str) -> None:
    write_whole(Path("/dev/null"), "x")
    with pytest.raises(OSError, match="it is a pipe"):
        write_whole(Path(pipe), "x")
    reader, writer = os.pipe()
    write_whole(Path(f"/dev/fd/{writer}"), "x")
    assert os.read(reader, 1) == b"x"
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_folders_far_away_are_not_created(tmp_path: Path, pipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for path in (tmp_path / "mistyped" / "folder" / "x", Path("../mistyped/folder/x")):
        assert unwritable(path) == f"the folder {str(tmp_path / 'mistyped')!r} does not exist"
        with pytest.raises(OSError, match="does not exist"):
            make_parent(path)
        words = {"input": "../clip.mp4", "model.file": "../double.onnx", "output": "x.mp4"}
        for key, code in (("output", "E411"), ("report", "E111")):
            overrides = [f"{name}={value}" for name, value in {**words, key: f"{path}.mp4"}.items()]
            (problem,) = bg.compose("super_resolution", *overrides).check().problems
            assert problem.code == code
            assert "does not exist" in problem.message
    for path in (tmp_path / "one" / "x", Path("a/b/c/x"), here / "d/e/x"):
        make_parent(path)
        assert path.parent.is_dir()
    assert not (tmp_path / "mistyped").exists()
