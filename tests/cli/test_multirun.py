"""What a command does as it starts: who collects garbage, and where the configuration is composed."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.codes.command import run_words
from tests.tools import double_model, make_clip

UP = "pipeline=super_resolution model.file=double.onnx input=clip.mp4 output=out.mp4 encoder.preset=ultrafast"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and a model."""
    folder = tmp_path_factory.mktemp("launch")
    make_clip(folder / "clip.mp4", frames=2)
    double_model(folder / "double.onnx")
    return folder


@pytest.fixture
def not_collecting() -> Iterator[None]:
    """As __main__ begins."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("words", "collects"),
    [
        (f"check {UP}", False),
        (f"plan {UP}", False),
        (f"check -m {UP} engine.batch=1,2", True),
        (f"plan -m {UP} engine.batch=1,2", True),
        (f"build {UP}", True),
        (f"build -m {UP} engine.batch=1,2", True),
        (UP, True),
        ("engines list", True),
        ("report nowhere", True),
        ("schema", True),
    ],
)
def test_garbage_is_collected_by_what_takes_long(
    folder: Path, not_collecting: None, words: str, collects: bool
) -> None:
    run_words(words, folder)
    assert gc.isenabled() == collects


@pytest.mark.parametrize("words", [f"plan {UP}", f"check {UP}", "schema", "engines list"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output(folder: Path, words: str, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bmfgraph", *words.split()],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "bmfgraph: error[E114]: the output cannot be written (No space left on device)\n  → write it elsewhere\n"
    )


FORKS = """
import os, sys, threading
fork, forks = os.fork, []
def counted():
    forks.append(1)
    return fork()
os.fork = counted
if sys.argv.pop(1) == "threads":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
from bmfgraph.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(len(forks), file=sys.stderr)
"""


@pytest.mark.parametrize(("how", "forks"), [("alone", 1), ("threads", 0)])
@pytest.mark.parametrize("words", ["engine.batch=1", "engine=fp23", "encoder.crf=99"])
def test_the_two_ways_say_the_same(folder: Path, how: str, forks: int, words: str) -> None:
    command = [sys.executable, "-c", FORKS, how, "check", "--json", *UP.split(), words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == f"{forks}\n"
    told = run_words(f"check {UP} {words}", folder)
    assert (done.returncode, json.loads(done.stdout)) == (told.code, json.loads(told.out))
