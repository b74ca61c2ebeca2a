"""Shell completion: verbs and flags here, groups, keys and their values in :mod:`bmfgraph.cli.completion.keys`."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from bmfgraph.cli.completion.shells import INSTALL, UNINSTALL, Answer, Kind
from bmfgraph.cli.help import PLAN_FORMATS, VERB_FLAGS, VERBS
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted

__all__ = ["answer", "complete"]

_FLAGS = ("-sc", "--shell-completion")
_ANY = {"--help": "what there is to know", "--config-dir": "a folder with options of yours"}
_HYDRA = {
    "--cfg": "show the composed configuration",
    "--resolve": "of --cfg: with every ${...} replaced",
    "--package": "of --cfg: this part only",
    "--info": "what Hydra did",
    "--hydra-help": "Hydra's own flags",
}
_FLAG_HELP = {**PLAN_FORMATS, "--json": "for programs", "--output": "write into that file"}
_WHOLE = {"--version": "", "--shell-completion": "install=bash|zsh|fish"}
_STORE = {"--store": "folder of the engines", "--json": "for programs"}
_OWN: dict[str, dict[str, str]] = {
    "doctor": {"--json": "for programs"},
    "engines": _STORE,
    "engines prune": {
        **_STORE,
        "--unused-days": "engines that nobody asked for in so many days",
        "--damaged": "engines that are damaged",
        "--model": "of that model only",
        "--all": "all engines",
        "--dry-run": "only say what would be deleted",
    },
    "report": {
        "--output": "where the report goes",
        "--objective": "such as 'fps where psnr_y>=45'",
        "--reference": "a clip, labels, or overrides of a cell",
    },
    "schema": {"--installed": "with the kinds of installed node packs"},
}
"""Flags of verbs that take no configuration."""
_VALUES: dict[str, tuple[str, ...] | Kind] = {
    "--config-dir": "folders",
    "-cd": "folders",
    "--store": "folders",
    "--output": "files",
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--shell-completion": tuple(f"{what}={shell}" for what in ("install", "uninstall") for shell in INSTALL),
    "--package": (),
    "--unused-days": (),
    "--model": (),
    "--objective": (),
    "--reference": "files",
}
"""What follows a flag; empty where it cannot be told, or not without a look into the store."""


def complete(words: Sequence[str]) -> None:
    """Do what follows ``--shell-completion``: print a shell's script, or answer its question about ``COMP_LINE``."""
    asked = next((after for flag, after in itertools.pairwise(words) if flag in _FLAGS), "")
    what, _, shell = asked.partition("=")
    scripts = {"install": INSTALL, "uninstall": UNINSTALL, "query": INSTALL}.get(what)
    if scripts is None or shell not in scripts:
        raise ConfigError(
            f"{asked!r} is not what it takes{did_you_mean(shell or what, INSTALL)}; shells: {join_sorted(INSTALL)}",
            path="--shell-completion",
            hint=f"--shell-completion install={shell if shell in INSTALL else 'bash'}",
            code="E114",
        )
    if what == "query":
        print(answer(os.environ.get("COMP_LINE", "")).text(explained=shell != "bash"), end="")
    else:
        print(scripts[shell], end="")


def answer(line: str) -> Answer:
    """How the last word of a command line goes on; the line begins with the program, and may end within quotes."""
    *before, word = _split(line)
    verb = next(iter(before[1:]), "")
    verb = verb if verb in VERBS else ""
    before = before[1 + bool(verb) :]
    if before and before[-1] != "--model" and (known := _VALUES.get(before[-1])) is not None:
        if isinstance(known, str):
            return Answer("", kind=known, name=word)
        return _of(word, dict.fromkeys(known, ""))
    if word.startswith("-"):
        return _of(word, _flags(verb, before))
    if verb == "engines":
        return _engines(before, word)
    if verb in _OWN:
        return Answer("", kind="folders", name=word) if verb == "report" else Answer(word)
    found = {}
    if not verb and not before:
        found = VERBS
    elif verb == "plan" and not any(not one.startswith("-") for one in before):
        found = {"diff": "what differs between two plans"}
    from bmfgraph.cli.completion.keys import keys, values

    if "=" in word:
        return values(before, word)
    return _of(word, {**found, **keys(before, word)})


def _split(line: str) -> list[str]:
    """The words of a line, unquoted; the last is the one being typed, and may be empty."""
    for quote in ("", "'", '"'):
        with contextlib.suppress(ValueError):
            *before, last = shlex.split(f"{line}\0{quote}")
            return [*before, last.removesuffix("\0")]
    return [""]


def _of(word: str, candidates: Mapping[str, str]) -> Answer:
    return Answer(word, {one: about for one, about in candidates.items() if one.startswith(word)})


def _flags(verb: str, before: Sequence[str]) -> dict[str, str]:
    """Those that may follow, without those that are there."""
    if verb in _OWN:
        prune = verb == "engines" and "prune" in before
        found = {**_OWN["engines prune" if prune else verb], "--help": _ANY["--help"]}
    else:
        found = {**{flag: _FLAG_HELP.get(flag, "") for flag in VERB_FLAGS.get(verb, {})}, **_ANY, **_HYDRA}
        if verb in ("", "run"):
            found["--multirun"] = "run all combinations of values with commas"
        if not verb:
            found |= _WHOLE
    return {flag: about for flag, about in found.items() if flag not in before}


def _engines(before: Sequence[str], word: str) -> Answer:
    """A verb of its own, or the key or model of an engine that is there."""
    from bmfgraph.cli.engines import VERBS as HERE
    from bmfgraph.engines.store import EngineStore, StoreError

    pairs = list(zip(["", *before], before, strict=False))
    given = [one for flag, one in pairs if not one.startswith("-") and flag not in _VALUES]
    if not given:
        return _of(word, HERE)
    store = next((one for flag, one in pairs if flag == "--store"), "engines")
    with contextlib.suppress(StoreError):
        entries = EngineStore(Path(store)).entries()
        if before[-1] == "--model":
            return _of(word, {entry.model: "" for entry in entries})
        if given == ["show"]:
            return _of(word, {entry.folder.name: entry.model for entry in entries})
    return Answer(word)
