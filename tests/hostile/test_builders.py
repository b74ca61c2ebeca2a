"""Programs that a configuration names: only builds run them, and their descendants end with them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.api import Job
from bmfgraph.config.compose import composed
from bmfgraph.engines.build import ensure_engine
from bmfgraph.engines.builder import builder_version, installed_version
from bmfgraph.errors import BmfgraphError, InstallError
from bmfgraph.runner.engines import ask_builders
from bmfgraph.system import processes
from tests.engines.engine_tools import build, ended, picture_model, start, until
from tests.tools import double_model

WORDS = ("pipeline=super_resolution", "progress=false", "engine.runtime=tensorrt_rtx", "model.file=double.onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Callable[..., Path]) -> Path:
    """Go to a folder with a clip and a model."""
    clip()
    double_model(tmp_path / "double.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(path: Path, text: str) -> str:
    """Write a shell script, which leaves a file behind when it runs."""
    path.write_text(f"#!/bin/sh\ntouch {path.parent}/RAN\n{text}\n")
    path.chmod(0o755)
    return str(path)


def job(*words: str) -> Job:
    return Job.from_config(composed([*WORDS, "input=clip.mp4", "output=out.mp4", *words]))


def environment(folder: Path, *names: str, system: str = "false") -> Path:
    """Make the folders of a virtual environment with some distributions, and return its interpreter."""
    real = Path(os.path.realpath(sys.executable))
    for name in names:
        (folder / "lib" / real.name / "site-packages" / name).mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(f"home = {real.parent}\ninclude-system-site-packages = {system}\n")
    (folder / "bin" / "python").symlink_to(real)
    return folder / "bin" / "python"


# ------------------------------------------------------------------------------------------- check and plan


def test_check_and_plan_run_no_program(folder: Path) -> None:
    words = f"engine.python={script(folder / 'evil.sh', 'echo {}')}", "device=auto"
    check = job(*words).check()
    (warning,) = [problem for problem in check.problems if problem.code == "W110"]
    assert (warning.path, warning.severity) == ("pipeline.nodes.upscale", "warning")
    assert "evil.sh' would have to run to tell its TensorRT" in warning.message
    plan = job(*words).plan()
    assert plan.node("upscale").params.engine.build.key.version == "unknown"
    command = job("engine.builder=command", "engine.command=[./evil.sh]")
    command.check()
    command.plan()
    assert not (folder / "RAN").exists()


def test_the_version_is_read_from_names_of_folders(folder: Path) -> None:
    python = environment(folder / "one", "tensorrt_rtx_cu13_bindings-1.2.3.dist-info", "numpy-9.dist-info")
    plan = job(f"engine.python={python}").plan()
    assert plan.node("upscale").params.engine.build.key.version == "1.2.3"
    assert not [problem for problem in job(f"engine.python={python}").check().problems if problem.code == "W110"]
    assert installed_version(str(python), "tensorrt") == "unknown"
    two = environment(folder / "two", "tensorrt-8.6.0.dist-info", "tensorrt_cu12-10.1.dist-info")
    assert installed_version(str(two), "tensorrt") == "unknown"


@pytest.mark.parametrize("name", ["none", "plain"])
def test_an_interpreter_that_cannot_be_run(folder: Path, name: str) -> None:
    (folder / "plain").write_text("not executable")
    with pytest.raises(BmfgraphError) as caught:
        job(f"engine.python=./{name}").plan()
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("E615", "pipeline.nodes.upscale")
    assert f"the interpreter './{name}' cannot be run (" in problem.message


# ------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        '{"version": "1"}',
        '{"library": 1, "version": 2, "strongly_typed": 3, "has_bf16": 4}',
        '{"error": 5}',
        '{"error": "x"}',
        "[" * 50_000,
        "5",
    ],
)
def test_an_answer_without_the_fields(folder: Path, answer: str) -> None:
    (folder / "answer").write_text(answer)
    python = script(folder / "python", f"cat {folder}/answer")
    with pytest.raises(InstallError, match="does not say which TensorRT it has") as caught:
        builder_version(python, "tensorrt", "n")
    assert caught.value.problems[0].code == "E615"


def test_a_run_asks_the_builder(folder: Path) -> None:
    answer = '{"library": "TensorRT-RTX", "version": "7.8.9", "strongly_typed": true, "has_bf16": true}'
    plan = job(f"engine.python={script(folder / 'python', f'echo {answer!r}')}").plan()
    asked = ask_builders(plan).node("upscale").params.engine
    assert asked.build.key.version == "7.8.9"
    assert asked.path != plan.node("upscale").params.engine.path
    assert asked.build.key.digest()[:16] in asked.path
    with pytest.raises(BmfgraphError) as caught:
        job(f"engine.python={script(folder / 'python', 'echo {}')}").build()
    assert [problem.code for problem in caught.value.problems] == ["E615"]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ('{"phase": 1}', "E615"),
        ('{"tensors": 5, "library": "x", "version": "y"}', "E615"),
        ('{"tensors": [], "library": "x", "version": "y"}', "E615"),
        ('{"error": 5}', "E616"),
    ],
)
def test_a_build_that_answers_nonsense(folder: Path, messages: str, code: str) -> None:
    version = '{"library": "TensorRT-RTX", "version": "1", "strongly_typed": true, "has_bf16": true}'
    python = script(folder / "python", f"case \"$*\" in *--version*) echo '{version}';; *) echo '{messages}';; esac")
    store = folder / "engines"
    with pytest.raises(BmfgraphError) as caught:
        ensure_engine(
            "n",
            build(store, python=python),
            picture_model(folder / "picture.onnx"),
            store,
            say=lambda _: None,
            progress=lambda *_: None,
        )
    assert [problem.code for problem in caught.value.problems] == [code]


# --------------------------------------------------------------------------------------------- processes left

ENSURE = """
import sys
from pathlib import Path
from bmfgraph.engines.build import ensure_engine
from tests.engines.engine_tools import build
store, onnx, *command = sys.argv[1:]
ensure_engine("n", build(Path(store), command=tuple(command)), Path(onnx), Path(store), say=print)
"""
FAMILY = """
sleep 600 & echo $! >> pids.part
setsid sleep 600 & echo $! >> pids.part
(setsid sh -c 'echo $$ >> pids.part; exec sleep 600' &)
while [ $(wc -l < pids.part) -lt 3 ]; do sleep 0.02; done
mv pids.part pids
"""
"""Starts a child, one in a session of its own, and a daemon, whose parent has ended; writes their numbers."""


def family(folder: Path) -> list[int]:
    until((folder / "pids").exists)
    return [int(line) for line in (folder / "pids").read_text().split()]


def running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_ended(numbers: list[int]) -> None:
    try:
        until(lambda: not any(map(running, numbers)), 10)
    finally:
        for number in filter(running, numbers):
            os.kill(number, signal.SIGKILL)


def guard_of(parent: int) -> int:
    """Return the child of a process."""
    (number,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if int(path.read_text().rpartition(")")[2].split()[1]) == parent
    )
    return number


@pytest.mark.sample(1)
@pytest.mark.parametrize("killed", ["parent", "guard"])
def test_a_builder_and_its_descendants_end(folder: Path, killed: str) -> None:
    onnx = picture_model(folder / "picture.onnx")
    process = start(ENSURE, "engines", onnx, "sh", "-c", f"{FAMILY}\nsleep 600; true", cwd=folder)
    numbers = family(folder)
    if killed == "parent":
        process.kill()
        ended(process, -signal.SIGKILL)
    else:
        os.kill(guard_of(process.pid), signal.SIGKILL)
        assert "'sh' was ended by SIGKILL" in ended(process, 1)
    assert_ended(numbers)


@pytest.mark.parametrize("end", ["well", "error"])
def test_what_a_program_leaves_running_ends_with_it(folder: Path, end: str) -> None:
    context = processes.child(["sh", "-c", FAMILY + ("" if end == "well" else "sleep 600")], folder / "log")
    if end == "well":
        with context as process:
            assert process.wait() == 0
    else:
        with pytest.raises(AssertionError), context:
            assert not family(folder)
    assert_ended(family(folder))


@pytest.mark.parametrize(("text", "code"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("cat", 0)])
def test_a_guarded_program_ends_as_it_does(folder: Path, text: str, code: int) -> None:
    # The program reads the end of its input only when this process ends, so it gets an input of its own.
    with processes.child(["sh", "-c", f"{text} < /dev/null"], folder / "log") as process:
        assert process.wait() == code


def test_a_program_that_cannot_be_run(folder: Path) -> None:
    (folder / "empty").write_bytes(b"\0")
    (folder / "empty").chmod(0o755)
    options: Any = {"everything": True}
    with processes.child([str(folder / "empty")], folder / "log", **options) as process:
        assert process.wait() == 127
    assert "cannot be run (Exec format error)" in (folder / "log").read_text()
