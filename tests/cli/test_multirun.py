"""Test the start of a command: flags, tracebacks, and an output on a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bmfgraph.cli.multirun import worst
from tests.codes.command import run_cli
from tests.tools import double_model, make_clip

UP = "pipeline=super_resolution model.file=double.onnx input=clip.mp4 output=out.mp4 encoder.preset=ultrafast"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and a model."""
    folder = tmp_path_factory.mktemp("launch")
    make_clip(folder / "clip.mp4", frames=2)
    double_model(folder / "double.onnx")
    return folder


@pytest.mark.sample(2)
@pytest.mark.parametrize("words", [f"plan {UP}", "engines list", f"check {UP}", "schema"])
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


@pytest.mark.parametrize("word", ["debug=true", "debug=True", "++debug=true", "debug=false"])
@pytest.mark.parametrize("verb", ["check", "plan", "build", "run"])
def test_tracebacks_with_debug(folder: Path, verb: str, word: str) -> None:
    done = run_cli(f"{verb} {UP} engine=fp23 {word}", folder, as_json=False)
    assert done.code == 2
    assert ("Traceback" in done.err) == ("false" not in word)


@pytest.mark.parametrize("verb", ["check", "plan", "build", "run"])
def test_tracebacks_of_a_wrong_pipeline(folder: Path, verb: str) -> None:
    done = run_cli(f"{verb} {UP} pipeline.nodes.sink.kind=nothing debug=True", folder, as_json=False)
    assert done.code == 2
    assert ("Traceback" in done.err) == (verb != "check")


@pytest.mark.parametrize(
    "words",
    [
        f"check {UP} --json",
        f"check --json {UP}",
        "check --config-dir . pipeline=super_resolution --json model.file=double.onnx input=clip.mp4",
        "check pipeline=super_resolution model.file=double.onnx -cd . --json input=clip.mp4",
        "check pipeline=super_resolution model.file=double.onnx --config-dir=. --json input=clip.mp4",
    ],
)
def test_flags_stand_anywhere(folder: Path, words: str) -> None:
    done = run_cli(words, folder, as_json=False)
    assert (done.code, json.loads(done.out)["ok"]) == (0, True)


def test_info_takes_no_override_for_its_value(folder: Path) -> None:
    assert "Config search path" in run_cli(f"run --info {UP}", folder).out


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([0, 3, 0], 3), ([3, 1], 1), ([1, 3, 2], 2), ([3, 130], 130), ([0, 0], 0)]
)
def test_the_exit_code_of_many_runs(codes: list[int], expected: int) -> None:
    """A failed run counts more than one that has lost frames."""
    assert worst(codes) == expected
