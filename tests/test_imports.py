"""What importing costs, and what modules say they hold."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import bmfgraph

HEAVY = ("bmf", "torch", "onnxruntime", "tensorrt", "bmfgraph.runner.modules.base")


def heavy_after(code: str, cwd: Path) -> list[str]:
    """Which heavy libraries a fresh interpreter has loaded after running ``code``."""
    check = f"\nimport sys\nprint('LOADED', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + check], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("LOADED")[2].split()


HELP = """
import bmfgraph.cli.main
try:
    bmfgraph.cli.main.main(["--help"])
except SystemExit as end:
    assert end.code == 0
"""

WRONG = """
import bmfgraph.cli.main
try:
    bmfgraph.cli.main.main(["pipeline=super_resolution", "input=no.mp4"])
except SystemExit as end:
    assert end.code == 1, end.code
"""

COMPILE = """
import sys
from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
model = {"name": "m", "source": "package:bmfgraph.models/vsr_x2_fast.onnx",
         "inputs": {"input": {}}, "outputs": {"output": {}}}
plan = compile_pipeline(parse_pipeline({"name": "x", "nodes": {
    "source": {"kind": "decoder", "path": "clip.mp4"},
    "prepare": {"kind": "preprocess", "inputs": "source.video"},
    "net": {"kind": "inference", "inputs": "prepare", "model": model},
    "restore": {"kind": "frames", "inputs": "net"},
    "sink": {"kind": "encoder", "inputs": "restore", "path": "out.mp4"},
}}))
assert plan.as_json()
"""


@pytest.mark.parametrize(
    "code",
    ["import bmfgraph", HELP, WRONG, COMPILE],
    ids=["import", "help", "a failing command", "compile"],
)
def test_nothing_heavy_is_imported(code: str, tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip("clip.mp4")
    assert heavy_after(code, tmp_path) == []


def test_the_package_itself_imports_next_to_nothing() -> None:
    # Until `__main__` has set its signal handlers, Ctrl-C prints a traceback.
    code = "import sys; import bmfgraph; print('logging' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def modules() -> list[str]:
    return sorted(
        found.name
        for found in pkgutil.walk_packages(bmfgraph.__path__, "bmfgraph.")
        if not found.name.startswith(("bmfgraph.models", "bmfgraph.conf")) and found.name != "bmfgraph.__main__"
    )


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", ["bmfgraph", *modules()])
def test_all_lists_what_exists(name: str, video_frame: object) -> None:
    module = load(name)
    assert module.__doc__, "a module says what it is for"
    if Path(str(module.__file__)).name == "__init__.py" and not hasattr(module, "__all__"):
        return
    assert len(set(module.__all__)) == len(module.__all__)
    assert list(module.__all__) == sorted(module.__all__, key=lambda word: (not word.isupper(), word)), "in order"
    for word in module.__all__:
        assert hasattr(module, word), word


def test_what_a_module_defines_in_public_is_in_its_all(video_frame: object) -> None:
    left_out = {
        f"{name}.{word}"
        for name in modules()
        if hasattr(module := load(name), "__all__")
        for word, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == name
        and not word.startswith("_")
        and word not in module.__all__
    }
    assert left_out == set()
