"""The command line run in this process, as often and as fast as a table of mistakes needs, and what it told."""

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

__all__ = ["HERE", "Situation", "Told", "problems_in", "run_words"]

_LINE = re.compile(r"bmfgraph: (error|warning)\[([EW]\d{3})\]: (.*)")
_HINT = "  → "


@dataclass(frozen=True)
class Situation:
    """What is special about the machine for a while."""

    packs: tuple[str, ...] = ()
    """Folders in the one that the command runs in, where Python looks for packages before all others."""
    without: tuple[str, ...] = ()
    """Modules that are not installed."""
    environment: tuple[tuple[str, str], ...] = ()
    room: int | None = None
    """The most bytes that a file may have."""


HERE = Situation()
"""Nothing is special."""


@dataclass(frozen=True)
class Told:
    """How a command ended. ``problems`` have the form that ``check --json`` gives them."""

    code: int
    out: str
    err: str
    problems: tuple[Mapping[str, str], ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Each problem as it is read: where, what, and what to do."""
        return tuple(
            ": ".join(filter(None, (one["where"], one["message"]))) + f"\n{_HINT}{one['hint']}" for one in self.problems
        )


def run_words(words: str, folder: Path, situation: Situation = HERE, *, as_json: bool = True) -> Told:
    """``python -m bmfgraph WORDS`` in a folder; ``check`` answers in JSON, if it may."""
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
    return Told(code, out.getvalue(), err.getvalue(), tuple(problems_in(out.getvalue(), err.getvalue())))


def problems_in(out: str, err: str) -> Iterator[Mapping[str, str]]:
    """What was told as JSON on standard output, and in lines on standard error."""
    data = json.loads(out) if out.startswith("{") else {}
    for part in (data, *data.get("runs", ())):
        yield from part.get("problems", ())
    told: dict[str, str] | None = None
    for line in err.splitlines():
        if match := _LINE.match(line):
            if told:
                yield told
            severity, code, message = match.groups()
            told = {"code": code, "severity": severity, "where": "", "message": message, "hint": ""}
        elif told and line.startswith(_HINT):
            told["hint"] = line.removeprefix(_HINT)
        elif told and line.startswith("  "):
            told["message"] += f"\n{line}"
    if told:
        yield told


@contextlib.contextmanager
def _in(folder: Path, situation: Situation) -> Iterator[None]:
    """Bring the situation about, and leave this process as it was."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    known, packs = set(sys.modules), tuple(str(folder.resolve() / pack) for pack in situation.packs)
    spec_class.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            # Those of the libraries that a run imports; users do not see them either.
            warnings.simplefilter("ignore")
            patch.chdir(folder)
            patch.setattr(sys, "argv", list(sys.argv))
            for pack in packs:
                patch.syspath_prepend(pack)
            for module in situation.without:
                # This is how Python itself notes that an import is to fail.
                patch.setitem(sys.modules, module, None)
            for name, value in situation.environment:
                patch.setenv(name, value)
            if situation.room is not None:
                # Else bytecode is cut off, too.
                patch.setattr(sys, "dont_write_bytecode", True)
                resource.setrlimit(resource.RLIMIT_FSIZE, (situation.room, hard))
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        for number, handler in handlers.items():
            signal.signal(number, handler)
        GlobalHydra.instance().clear()
        spec_class.cache_clear()
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(packs):
                del sys.modules[name]
