"""Notes about models, timing caches and targets that are links, pipes, damaged, lying or of other users."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.compile import job
from bmfgraph.engines import trt_process as script
from bmfgraph.engines.onnx import cache
from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.errors import ConfigError
from bmfgraph.system.machine import find_machine
from tests.tools import double_model

SHAPES = {"input": (1, 3, 4, 4)}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))
    return double_model(tmp_path / "double.onnx")


def note_of(model: Path) -> Path:
    """Read a model, and return the file with its note."""
    cached_output_shapes(cached_model(model), SHAPES)
    (note,) = (model.parent / "cache" / "onnx").iterdir()
    return note


def lying(note: Path, **fields: Any) -> None:
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "model": {**content["model"], **fields}}))


def other_shapes(note: Path) -> None:
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "shapes": {name: {"output": "x"} for name in content["shapes"]}}))


def pipe(note: Path) -> None:
    note.unlink()
    os.mkfifo(note)


def linked(note: Path) -> None:
    (note.parents[2] / "victim").write_text("precious")
    note.unlink()
    note.symlink_to(note.parents[2] / "victim")


SPOILED: dict[str, Callable[[Path], Any]] = {
    "deep": lambda note: note.write_text("[" * 200_000),
    "dims": lambda note: lying(note, inputs=[{"name": "input", "dtype": "uint8", "dims": [[]]}]),
    "shapes": other_shapes,
    "pipe": pipe,
    "link": linked,
}


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_note_is_no_note(model: Path, name: str) -> None:
    fresh, shapes = cached_model(model), cached_output_shapes(cached_model(model), SHAPES)
    note = note_of(model)
    SPOILED[name](note)
    assert cached_model(model) == fresh
    assert cached_output_shapes(fresh, SHAPES) == shapes
    # It was made anew, and not through the link.
    assert note.is_file()
    assert not note.is_symlink()
    assert json.loads(note.read_text())["model"]
    victim = model.parent / "victim"
    assert not victim.exists() or victim.read_text() == "precious"


def test_notes_are_private(model: Path) -> None:
    note = note_of(model)
    assert note.parent.stat().st_mode & 0o777 == 0o700
    assert note.stat().st_mode & 0o077 == 0


@pytest.mark.sample(1)
@pytest.mark.parametrize("spoil", ["everyone", "link", "owner"])
def test_a_folder_of_others_is_not_used(model: Path, spoil: str) -> None:
    note = note_of(model)
    entry = cache._read(note.stem)
    cache._write(note.stem, {**entry, "model": {**entry["model"], "quantized": True}})
    assert cached_model(model).quantized
    if spoil == "link":
        note.parent.rename(model.parent / "moved")
        note.parent.symlink_to(model.parent / "moved")
    elif spoil == "everyone":
        note.parent.chmod(0o777)
    elif os.geteuid():
        pytest.skip("only root can give a folder away")
    else:
        os.chown(note.parent, 65534, 65534)
    before = note.read_bytes()
    assert not cached_model(model).quantized
    assert note.read_bytes() == before


MACHINE: dict[str, Any] = {"gpu": None, "no_gpu": "none", "libraries": [], "onnxruntime_cuda": False}
LIBRARY = {"flavour": "tensorrt", "module": "tensorrt", "version": 10, "builds": True}


@pytest.mark.parametrize(
    "content",
    [
        "[" * 200_000,
        json.dumps({"machine": {**MACHINE, "gpu": {"name": 5, "compute_capability": 9, "memory": "x"}}}),
        json.dumps({"machine": {**MACHINE, "libraries": [LIBRARY]}}),
    ],
)
def test_a_target_that_describes_no_machine(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(ConfigError, match=r"t.json' does not describe a machine") as caught:
        job._machine(str(tmp_path / "t.json"))
    assert caught.value.problems[0].code == "E113"


def test_a_target_that_is_a_pipe_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"pipe' cannot be read \(it is a pipe, not a file\)"):
        job._machine(str(tmp_path / "pipe"))
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    with pytest.raises(ConfigError, match=r"large' cannot be read \(it is larger than"):
        job._machine(str(tmp_path / "large"))
    assert job._machine(None) == find_machine()


def test_a_timing_cache_is_this_users_own(tmp_path: Path) -> None:
    path, victim = tmp_path / ".timing" / "x.cache", tmp_path / "victim"
    victim.write_bytes(b"precious")
    script.write_cache(str(path), b"timings")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for name in ("x.cache", "x.cache.sha256", "x.cache.part", "x.cache.sha256.part"):
        file = path.with_name(name)
        file.unlink(missing_ok=True)
        file.symlink_to(victim)
        if not name.endswith(".part"):
            assert script.read_cache(str(path)) == b""
        script.write_cache(str(path), b"newer")
        assert script.read_cache(str(path)) == b"newer"
    path.unlink()
    os.mkfifo(path)
    assert script.read_cache(str(path)) == b""
    path.with_name("x.cache.lock").unlink()
    path.with_name("x.cache.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        script.write_cache(str(path), b"newest")
    assert victim.read_bytes() == b"precious"
    path.parent.rename(tmp_path / "moved")
    path.parent.symlink_to(tmp_path / "moved")
    with pytest.raises(OSError, match="link"):
        script.write_cache(str(path), b"newest")


def test_a_lock_that_is_held_for_long_costs_the_timings_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".timing" / "x.cache"
    script.write_cache(str(path), b"timings")
    monkeypatch.setattr(script, "LOCK_SECONDS", 0.1)
    with path.with_name("x.cache.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            script.write_cache(str(path), b"newer")
    assert script.read_cache(str(path)) == b"timings"
