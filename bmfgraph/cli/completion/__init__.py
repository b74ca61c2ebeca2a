"""Complete command lines in the shell: verbs and flags here, groups, keys and values in ``keys``."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.commands import COMMANDS
from bmfgraph.cli.completion.shells import INSTALL, UNINSTALL, Answer
from bmfgraph.cli.verb import FILE, FileName
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted

__all__ = ["answer", "complete"]

_EVERYWHERE = {"--help": "what the verb does, and its flags"}
_WHOLE = {"--version": "", "--shell-completion": "install=bash|zsh|fish"}


def complete(request: str) -> None:
    """Print a shell's script, or answer the shell's question about the line in ``COMP_LINE``.

    Args:
        request: ``install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``.

    Raises:
        ConfigError: The request or the shell is unknown.
    """
    action, _, shell = request.partition("=")
    scripts = {"install": INSTALL, "uninstall": UNINSTALL, "query": INSTALL}.get(action)
    if scripts is None or shell not in scripts:
        raise ConfigError(
            f"{request!r} is not allowed{did_you_mean(shell or action, INSTALL)}; shells: {join_sorted(INSTALL)}",
            path="--shell-completion",
            hint=f"--shell-completion install={shell if shell in INSTALL else 'bash'}",
            code=codes.INVALID_ARGUMENT,
        )
    if action == "query":
        print(answer(os.environ.get("COMP_LINE", "")).text(explained=shell != "bash"), end="")
    else:
        print(scripts[shell], end="")


def answer(line: str) -> Answer:
    """Complete the last word of a command line.

    Args:
        line: The line up to the cursor. It begins with the program, and may end within quotes.
    """
    *before, word = _split(line)
    command: click.Command = COMMANDS
    arguments = before[1:]
    verb = arguments[0] if arguments and arguments[0] in COMMANDS.commands else ""
    command = COMMANDS.commands[verb or "run"]
    arguments = arguments[1:] if verb else arguments
    if isinstance(command, click.Group):
        chosen = next((argument for argument in arguments if argument in command.commands), "")
        command = command.commands.get(chosen, command)
    option = _option(command, arguments[-1]) if arguments else None
    if option is not None and not option.is_flag and option.name != "info":
        return _value(option, arguments, word)
    if word.startswith("-"):
        return _candidates(word, _flags(command, verb, arguments))
    if isinstance(command, click.Group):
        return _candidates(word, {name: verb.short_help or "" for name, verb in command.commands.items()})
    if command.name == "show":
        return _candidates(word, dict(_engines(arguments)) if arguments[-1:] == ["show"] else {})
    positional = next((param for param in command.params if isinstance(param, click.Argument)), None)
    if positional is None or positional.name != "overrides":
        return _path(word, positional) if positional else Answer(word)
    return _override(verb, arguments, word)


def _override(verb: str, before: Sequence[str], word: str) -> Answer:
    """Complete an override, or the verb before it."""
    from bmfgraph.cli.completion.keys import keys, values

    if "=" in word:
        return values(before, word)
    words: dict[str, str] = {}
    if not verb and not before:
        words = {name: command.short_help or "" for name, command in COMMANDS.commands.items()}
    elif verb == "plan" and all(argument.startswith("-") for argument in before):
        words = {"diff": "what differs between two plans"}
    return _candidates(word, {**words, **keys(before, word)})


def _split(line: str) -> list[str]:
    """Split a line into unquoted words; the last is the one being typed, and may be empty."""
    for quote in ("", "'", '"'):
        with contextlib.suppress(ValueError):
            *before, last = shlex.split(f"{line}\0{quote}")
            return [*before, last.removesuffix("\0")]
    return [""]


def _candidates(word: str, candidates: Mapping[str, str]) -> Answer:
    return Answer(word, {name: about for name, about in candidates.items() if name.startswith(word)})


def _option(command: click.Command, flag: str) -> click.Option | None:
    options = (param for param in command.params if isinstance(param, click.Option))
    return next((option for option in options if flag in option.opts), None)


def _path(word: str, param: click.Parameter) -> Answer:
    """Complete the name of a file or a folder, if the parameter takes one."""
    if not isinstance(param.type, FileName):
        return Answer(word)
    return Answer("", kind="files" if param.type is FILE else "folders", name=word)


def _value(option: click.Option, before: Sequence[str], word: str) -> Answer:
    """Complete the value of a flag."""
    if option.name == "shell_completion":
        return _candidates(word, {f"{action}={shell}": "" for action in ("install", "uninstall") for shell in INSTALL})
    if option.name == "model":
        return _candidates(word, {model: "" for _, model in _engines(before)})
    if isinstance(option.type, click.Choice):
        return _candidates(word, dict.fromkeys(option.type.choices, ""))
    return _path(word, option)


def _flags(command: click.Command, verb: str, before: Sequence[str]) -> dict[str, str]:
    """List the flags that may follow, without those that are there."""
    flags = {
        param.opts[0]: param.help
        for param in command.params
        if isinstance(param, click.Option) and param.help and not (param.name == "multirun" and verb not in ("", "run"))
    }
    flags.pop("--shell-completion", None)
    flags = {**flags, **_EVERYWHERE, **({} if verb else _WHOLE)}
    return {flag: about for flag, about in flags.items() if flag not in before}


def _engines(before: Sequence[str]) -> Iterator[tuple[str, str]]:
    """List the keys and models of the engines in the store."""
    from bmfgraph.engines.store import EngineStore, StoreError

    store = next((value for flag, value in itertools.pairwise(before) if flag == "--store"), "engines")
    with contextlib.suppress(StoreError):
        yield from EngineStore(Path(store)).names()
