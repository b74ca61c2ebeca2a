"""Run command lines in this process, which is fast enough for a table of mistakes."""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from bmfgraph.cli.main import main
from bmfgraph.nodes.registry import spec_class

__all__ = ["HERE", "Outcome", "Situation", "problems_in", "run_cli"]

_LINE = re.compile(r"bmfgraph: (error|warning)\[([EW]\d{3})\]: (.*)")
_HINT = "  → "


@dataclass(frozen=True)
class Situation:
    """Temporary properties of the machine."""

    packs: tuple[str, ...] = ()
    """Folders, relative to that of the command, that Python searches for packages first."""
    without: tuple[str, ...] = ()
    """Modules that are not installed."""
    environment: tuple[tuple[str, str], ...] = ()
    room: int | None = None
    """Maximum size of a file in bytes."""


HERE = Situation()
"""The machine as it is."""


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command. ``problems`` have the form of ``check --json``."""

    code: int
    out: str
    err: str
    problems: tuple[Mapping[str, str], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Each problem as text: place, message and hint."""
        return tuple(
            ": ".join(filter(None, (problem["where"], problem["message"]))) + f"\n{_HINT}{problem['hint']}"
            for problem in self.problems
        )


def run_cli(words: str, folder: Path, situation: Situation = HERE, *, as_json: bool = True) -> Outcome:
    """Run ``python -m bmfgraph WORDS`` in a folder; ``as_json`` adds ``--json`` to ``check``."""
    split = shlex.split(words)
    if as_json and split[:1] == ["check"]:
        split.insert(1, "--json")
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with _in(folder, situation), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(split)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
    return Outcome(code, out.getvalue(), err.getvalue(), tuple(problems_in(out.getvalue(), err.getvalue())))


def problems_in(out: str, err: str) -> Iterator[Mapping[str, str]]:
    """List the problems of JSON on standard output and of lines on standard error."""
    data = json.loads(out) if out.startswith("{") else {}
    for part in (data, *data.get("runs", ())):
        yield from part.get("problems", ())
    problem: dict[str, str] | None = None
    for line in err.splitlines():
        if match := _LINE.match(line):
            if problem:
                yield problem
            severity, code, message = match.groups()
            problem = {"code": code, "severity": severity, "where": "", "message": message, "hint": ""}
        elif problem and line.startswith(_HINT):
            problem["hint"] = line.removeprefix(_HINT)
        elif problem and line.startswith("  "):
            problem["message"] += f"\n{line}"
    if problem:
        yield problem


@contextlib.contextmanager
def _in(folder: Path, situation: Situation) -> Iterator[None]:
    """Set up the situation, and restore this process afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    modules, packs = set(sys.modules), tuple(str(folder.resolve() / pack) for pack in situation.packs)
    spec_class.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            # Libraries that a run imports warn; users do not see these warnings either.
            warnings.simplefilter("ignore")
            patch.chdir(folder)
            patch.setattr(sys, "argv", list(sys.argv))
            for pack in packs:
                patch.syspath_prepend(pack)
            for module in situation.without:
                # With None in sys.modules, the import fails.
                patch.setitem(sys.modules, module, None)
            for name, value in situation.environment:
                patch.setenv(name, value)
            if situation.room is not None:
                # Bytecode files would be cut off, too.
                patch.setattr(sys, "dont_write_bytecode", True)
                resource.setrlimit(resource.RLIMIT_FSIZE, (situation.room, hard))
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        for number, handler in handlers.items():
            signal.signal(number, handler)
        GlobalHydra.instance().clear()
        spec_class.cache_clear()
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(packs):
                del sys.modules[name]
