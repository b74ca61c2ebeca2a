"""Test the messages and exit codes of commands that fail or are interrupted."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmfgraph.cli.signals import run_command
from bmfgraph.errors import ConfigError, Problem

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the handlers of the tests' own process."""
    saved = [signal.getsignal(number) for number in NUMBERS]
    yield
    for number, handler in zip(NUMBERS, saved, strict=True):
        signal.signal(number, handler)


def test_what_is_done_and_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    problems: list[Problem] = []

    def fail() -> int:
        raise ConfigError("is wrong", path="engine", code="E103")

    def break_down() -> int:
        raise ZeroDivisionError("by zero")

    assert run_command(lambda: 3, printer=problems.extend) == 3
    assert problems == []
    assert run_command(fail, printer=problems.extend) == 2
    assert run_command(break_down, printer=problems.extend) == 1
    assert [problem.code for problem in problems] == ["E103", "E899"]
    assert capsys.readouterr().err == ""
    assert run_command(break_down, debug=lambda: True, printer=problems.extend) == 1
    assert "in break_down" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("made of it"), ConfigError("made of it", code="E106")])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_also_what_makes_an_error_of_it(number: int, error: Exception) -> None:
    problems: list[Problem] = []

    def swallow() -> int:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except KeyboardInterrupt:
            raise error from None
        return 0

    with pytest.raises(KeyboardInterrupt) as caught:
        run_command(swallow, debug=lambda: True, printer=problems.extend)
    assert str(caught.value) == ("terminated" if number == signal.SIGTERM else "")
    assert problems == []


def test_a_signal_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interrupted_module.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "whole = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    came = []

    def do() -> int:
        came.append(importlib.import_module("interrupted_module").whole)
        time.sleep(30)
        return 0

    with pytest.raises(KeyboardInterrupt):
        run_command(do)
    assert came == [True]


def test_a_signal_inside_a_destructor_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    def do() -> int:
        Interrupted()
        time.sleep(30)
        return 0

    hook = sys.unraisablehook
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_command(do)
    assert time.monotonic() - began < 3
    assert capsys.readouterr().err == ""
    sys.unraisablehook = hook


def test_the_timer_is_off_after_an_import_that_fails_on_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_module.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise ImportError('interrupted')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        run_command(lambda: bool(importlib.import_module("failing_module")))
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("signals", [1, 2])
def test_an_import_that_hangs_ends_by_a_second_signal_or_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    (tmp_path / f"hanging_{signals}.py").write_text(
        "import os, signal, time\n"
        f"for _ in range({signals}):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.01)\n"
        "time.sleep(30)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_command(lambda: bool(importlib.import_module(f"hanging_{signals}")))
    assert time.monotonic() - began < (0.5 if signals == 2 else 4)
    # The timer is off.
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_previous_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    assert run_command(lambda: 0) == 0
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_signal_at_the_start_exits_with_130() -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'bmfgraph.cli.main':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from bmfgraph.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "bmfgraph: interrupted\n")


@pytest.mark.sample(1)
@pytest.mark.parametrize("words", [["schema"], ["check", "nonsense=1"]])
def test_what_native_libraries_do_at_exit_does_not_replace_the_exit_code(words: list[str]) -> None:
    def ended(code: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    run = f"import atexit, sys\nsys.argv[1:] = {words}\natexit.register(print, 'end')\n"
    run += "from bmfgraph.__main__ import run\nrun()\n"
    abort = "import ctypes\nnative = ctypes.CDLL(None)\nnative.on_exit(native.abort, None)\n"
    assert ended(abort) == (-signal.SIGABRT, "", "")
    normal = ended(run)
    assert normal[0] == (2 if "check" in words else 0)
    assert normal[1].endswith("end\n")
    assert ended(abort + run) == normal
