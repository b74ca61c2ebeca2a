"""What becomes of a failure or a signal while a command is done."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bmfgraph.cli.signals import run_command
from bmfgraph.errors import ConfigError, Problem

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the tests' own process are kept."""
    saved = [signal.getsignal(number) for number in NUMBERS]
    yield
    for number, handler in zip(NUMBERS, saved, strict=True):
        signal.signal(number, handler)


def test_what_is_done_and_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[Problem] = []

    def fail() -> int:
        raise ConfigError("is wrong", path="engine", code="E103")

    def break_down() -> int:
        raise ZeroDivisionError("by zero")

    def tell(problems: Iterable[Problem]) -> None:
        told.extend(problems)

    assert run_command(lambda: 3, [], debug=False, printer=tell) == 3
    assert told == []
    assert run_command(fail, [], debug=False, printer=tell) == 2
    assert run_command(break_down, [], debug=False, printer=tell) == 1
    assert [problem.code for problem in told] == ["E103", "E899"]
    assert capsys.readouterr().err == ""
    assert run_command(break_down, [], debug=True, printer=tell) == 1
    assert "in break_down" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("made of it"), ConfigError("made of it", code="E106")])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_also_what_makes_an_error_of_it(number: int, error: Exception) -> None:
    told: list[Problem] = []

    def swallow() -> int:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except KeyboardInterrupt:
            raise error from None
        return 0

    heard: list[int] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        run_command(swallow, heard, debug=True, printer=told.extend)
    assert str(caught.value) == ("terminated" if number == signal.SIGTERM else "")
    assert (heard, told) == ([number], [])


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

    heard: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_command(do, heard, debug=False)
    assert (heard, came) == ([signal.SIGINT], [True])


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
    heard: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_command(lambda: bool(importlib.import_module(f"hanging_{signals}")), heard, debug=False)
    assert heard == [signal.SIGINT]
    assert time.monotonic() - began < (0.5 if signals == 2 else 4)
    # No reminder is left to come.
    time.sleep(0.1)
    assert heard == [signal.SIGINT]


def test_a_signal_that_came_before_interrupts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_command(lambda: pytest.fail("was begun"), [signal.SIGINT], debug=False)
