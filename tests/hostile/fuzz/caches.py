"""Damage the cache and the engine store, or replace their files by links and pipes."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path
from random import Random

from tests.hostile.fuzz.configurations import inputs
from tests.hostile.fuzz.trial import Case, run

__all__ = ["case"]

_CHECK = ("check", "pipeline=super_resolution", "input=clip.mp4", "output=out.mp4", "model.file=double.onnx")
_COMMANDS = (
    _CHECK,
    ("engines", "list"),
    ("engines", "verify"),
    ("engines", "show", "double"),
    ("engines", "prune", "--yes"),
)
_CONTENTS = (b"", b"[" * 100_000, b"{}", b"null", b'{"by": 1}', b"\xff\xfe", b'{"schema": 1e999}', b"x" * 1000)
_MANIFEST = b'{"schema": 1, "model": "\\u001b[31m", "key": {"runtime": "tensorrt"}, "files": {"engine.plan": 5}}'


def case(random: Random, folder: Path) -> Case:
    """Return a command that reads a damaged cache or a damaged store."""
    for name, content in zip(("clip.mp4", "double.onnx"), inputs(), strict=True):
        (folder / name).write_bytes(content)
    victim = folder / "victim" / "engine.plan"
    victim.parent.mkdir()
    victim.write_bytes(b"precious")
    shutil.copytree(_cache(), folder / "cache")
    entry = folder / "engines" / "double" / "0123456789abcdef"
    entry.mkdir(parents=True)
    (entry / "manifest.json").write_bytes(random.choice((_MANIFEST, *_CONTENTS)))
    (entry / "engine.plan").write_bytes(b"plan")
    files = [path for top in ("cache", "engines") for path in sorted((folder / top).rglob("*"))]
    for _ in range(random.randint(1, 3)):
        _damage(random, random.choice(files), victim)
    environment = {"BMFGRAPH_CACHE": str(folder / "cache")}
    return Case(folder, random.choice(_COMMANDS), environment, {victim: b"precious"})


@functools.cache
def _cache() -> Path:
    """Return a cache folder as a check fills it."""
    folder = Path(tempfile.mkdtemp())
    for name, content in zip(("clip.mp4", "double.onnx"), inputs(), strict=True):
        (folder / name).write_bytes(content)
    outcome = run(Case(folder, _CHECK, {"BMFGRAPH_CACHE": str(folder / "cache")}))
    assert outcome.code == 0, outcome
    return folder / "cache"


def _damage(random: Random, path: Path, victim: Path) -> None:
    """Change a file or a folder, or put something else at its place."""
    if not os.path.lexists(path):
        return
    action = random.choice(("content", "cut", "link", "pipe", "folder", "mode", "sparse"))
    if action == "cut" and path.is_file():
        os.truncate(path, random.randint(0, 200))
    elif action == "mode" and not path.is_symlink():
        path.chmod(random.choice((0o000, 0o777)))
    else:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        if action == "link":
            path.symlink_to(random.choice((victim, victim.parent, Path("/dev/zero"), path)))
        elif action == "pipe":
            os.mkfifo(path)
        elif action == "folder":
            path.mkdir()
        else:
            path.write_bytes(random.choice(_CONTENTS))
            if action == "sparse":
                os.truncate(path, 1 << 40)
