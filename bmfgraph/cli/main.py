"""The command line: an optional verb, then Hydra's group choices, overrides and flags."""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bmfgraph import __version__
from bmfgraph.cli.help import VERB_FLAGS, VERBS, usage
from bmfgraph.cli.signals import run_command
from bmfgraph.config.overrides import CONFIG_DIR, WITH_VALUE
from bmfgraph.errors import ConfigError, Problem, did_you_mean, join_sorted
from bmfgraph.system.console import console_output, print_problems
from bmfgraph.system.stdio import open_standard_streams

__all__ = ["main"]

_ALONE = (
    *("--help", "-h", "--hydra-help", "--version", "--resolve"),
    *("--run", "-r", "--multirun", "-m", "--info", "-i"),
)
"""Hydra's flags that stand alone, or may."""
_OWN = {
    "doctor": ("bmfgraph.doctor", "doctor_command"),
    "engines": ("bmfgraph.cli.engines", "engines_command"),
    "report": ("bmfgraph.cli.report", "report_command"),
    "schema": ("bmfgraph.cli.schema", "schema_command"),
}
"""Verbs without a configuration: what takes the words after them."""


def main(arguments: Sequence[str] | None = None, *, pending_signals: list[int] | None = None) -> None:
    """Run ``python -m bmfgraph ARGUMENTS`` and exit: 0 done, 1 the run failed, 2 the configuration is wrong.

    ``heard``: filled by the caller's signal handler; a signal in it ends the process before anything is run.
    """
    open_standard_streams()
    with console_output():
        _main(arguments, pending_signals)


def _main(arguments: Sequence[str] | None, pending_signals: list[int] | None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    told = _print_problems_as_json if words[:1] == ["check"] and "--json" in words else print_problems
    try:
        code = _dispatch(words, [] if pending_signals is None else pending_signals)
        sys.stdout.flush()
    except ConfigError as error:
        told(error.problems)
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        _drop_output()
        code = 1
    except OSError as error:
        _drop_output()
        print_problems([Problem("", f"the output cannot be written ({error.strerror})", "E114", "write it elsewhere")])
        code = 1
    sys.exit(code)


def _drop_output() -> None:
    """The interpreter shall not flush into the void on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _dispatch(words: list[str], pending_signals: list[int]) -> int:
    """Verbs that need no configuration need no Hydra, either."""
    if "--version" in words:
        print(f"bmfgraph {__version__}")
        return 0
    if words and words[0] in _OWN:
        # Off while a command starts; these may have much to do.
        gc.enable()
        module, name = _OWN[words[0]]
        return run_command(lambda: _command(module, name)(words[1:]), pending_signals, debug=False)
    return _configured(words, pending_signals)


def _command(module: str, name: str) -> Callable[[Sequence[str]], int]:
    command: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), name)
    return command


def _configured(words: list[str], pending_signals: list[int]) -> int:
    """A verb that takes a configuration. Raises ConfigError for words that make no sense."""
    if {"-sc", "--shell-completion"} & set(words):
        from bmfgraph.cli.completion import complete

        complete(words)
        return 0
    verb = _verb(words)
    if {"-h", "--help"} & set(words):
        print(usage(verb), end="")
        return 0
    verb = verb or "run"
    flags = _taken(verb, words)
    _check_flags(verb, words)
    first = next((word for word in words if not word.startswith("-")), "")
    if "=" not in first and first[:1] not in ("", "+", "~") and first not in _values(words) and first != "diff":
        raise ConfigError(
            f"unknown word {first!r}{did_you_mean(first, ('diff',))}",
            hint=f"python -m bmfgraph {verb} --help",
            code="E114",
        )
    from bmfgraph.cli.multirun import launch

    return launch(
        verb,
        words,
        flags,
        pending_signals,
        _print_problems_as_json if verb == "check" and "--json" in flags else print_problems,
    )


def _values(words: Sequence[str]) -> set[str]:
    """The words that belong to the flags before them."""
    return {value for flag, value in itertools.pairwise(words) if flag in WITH_VALUE}


def _verb(words: list[str]) -> str:
    """Take the verb off the words; empty for none."""
    if not words or "=" in words[0] or words[0].startswith(("-", "+", "~")):
        return ""
    verb = words.pop(0)
    if verb not in VERBS:
        raise ConfigError(
            f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}; verbs: {join_sorted(VERBS)}",
            hint="python -m bmfgraph --help",
            code="E101",
        )
    return verb


def _check_flags(verb: str, words: Sequence[str]) -> None:
    """Refuse flags that neither the verb nor Hydra takes, and folders of configuration that are not there."""
    for flag, value in itertools.zip_longest(words, words[1:], fillvalue=""):
        name = flag.partition("=")[0]
        if not flag.startswith("-"):
            continue
        # As argparse has it, a flag may be cut short.
        if not any(known.startswith(name) for known in (*WITH_VALUE, *_ALONE)):
            raise _unknown_flag(verb, flag, value)
        if flag in WITH_VALUE and (not value or value.startswith("-")):
            raise ConfigError(f"{flag} needs a value", hint="python -m bmfgraph --help", code="E114")
        if flag in CONFIG_DIR and not Path(value).is_dir():
            raise ConfigError(
                f"{flag} {value!r}: there is no such folder",
                hint="correct it; it is relative to this folder",
                code="E102",
            )


def _unknown_flag(verb: str, flag: str, value: str) -> ConfigError:
    name, _, given = flag.partition("=")
    own = VERB_FLAGS.get(verb, {})
    if name in own:
        hint = f"write {name} --output {given}" if own.get("--output") else f"write {name}"
        return ConfigError(f"{name} takes no value", hint=hint, code="E114")
    takers = [other for other, taken in VERB_FLAGS.items() if name in taken]
    near = did_you_mean(name, (*own, *WITH_VALUE, *_ALONE))
    text, hint = f"{verb} takes no flag {flag!r}{near}", f"python -m bmfgraph {verb} --help"
    if takers:
        text = f"{verb} takes no flag {flag!r}, but {' and '.join(takers)}"
        hint = f"the verb comes first: python -m bmfgraph {takers[0]} {flag} ..."
    elif not near:
        value = given or (value if value and "=" not in value else "VALUE")
        hint = f"values are given without dashes: {name.lstrip('-')}={value}"
    return ConfigError(text, hint=hint, code="E114")


def _taken(verb: str, words: list[str]) -> dict[str, str]:
    """Take the verb's own flags off the words; each with its value, or an empty string."""
    found: dict[str, str] = {}
    for flag, valued in VERB_FLAGS.get(verb, {}).items():
        for place, word in enumerate(words):
            if valued and word.startswith(f"{flag}="):
                words[place : place + 1] = [flag, word.partition("=")[2]]
        while flag in words:
            place = words.index(flag)
            if valued and place + 1 == len(words):
                raise ConfigError(f"{flag} needs a value", hint=f"python -m bmfgraph {verb} --help", code="E114")
            found[flag] = words[place + 1] if valued else ""
            del words[place : place + 1 + valued]
    return found


def _print_problems_as_json(problems: Any) -> None:
    from bmfgraph.cli.check import show_problems

    show_problems(list(problems), as_json=True)
