"""Define click commands with bmfgraph's own help and error messages."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bmfgraph import __version__, error_codes as codes
from bmfgraph.cli.help import FLAGS, usage
from bmfgraph.config.overrides import packaged_options
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted

__all__ = [
    "FILE",
    "FOLDER",
    "FileName",
    "Verb",
    "VerbGroup",
    "existing_folders",
    "inner_verb",
    "json_flag",
    "refuse_bare_pipeline",
    "usage_error",
]

_HELP = ("-h", "--help")


class FileName(click.ParamType):  # type: ignore[type-arg]
    """A name of a file or a folder, which need not exist: the verb itself reports what is wrong with it."""

    def __init__(self, name: str) -> None:
        """Set what is named: ``file`` or ``folder``."""
        self.name = name


FILE, FOLDER = FileName("file"), FileName("folder")
json_flag = click.option("--json", "as_json", is_flag=True, help="for programs")
"""Declares the flag of a verb that prints JSON, too."""


class Verb(click.Command):
    """A verb, whose help is a text with a place for its flags.

    ``--help`` and ``--version`` win over everything that is wrong with the other arguments.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _show(self, ctx, args)
        with _naming(ctx):
            return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        return _filled(self)


class VerbGroup(click.Group):
    """A verb that has verbs of its own."""

    def __init__(self, name: str, *, code: str, default: str = "", **settings: Any) -> None:
        """Declare the group.

        Args:
            name: The verb.
            code: Code of the error of an unknown verb.
            default: The verb where the command line names none.
            settings: As for click's Group.
        """
        super().__init__(name, **settings)
        self.code, self.default = code, default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A flag behind a verb is that verb's.
        _show(self, ctx, list(itertools.takewhile(lambda argument: argument not in self.commands, args)))
        if self.default and not (args and _is_verb(args[0])):
            args = [self.default, *args]
        with _naming(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            text = f"unknown verb {args[0]!r}"
            if self.default:
                refuse_bare_pipeline(args[0], text, self.code)
            raise ConfigError(
                f"{text}{did_you_mean(args[0], self.commands)}; verbs: {join_sorted(self.commands)}",
                hint=f"{ctx.command_path} --help",
                code=self.code,
            )
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        return _filled(self)


def existing_folders(ctx: click.Context, param: click.Parameter, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a folder of ``--config-dir`` that does not exist; a callback of click.

    Raises:
        ConfigError: It does not exist.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise ConfigError(
                f"--config-dir {folder!r}: there is no such folder",
                hint="correct it; it is relative to this folder",
                code=codes.MISSING_CONFIG_FOLDER,
            )
    return folders


def inner_verb(
    group: click.Group, name: str, about: str, arguments: str
) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a verb of a group, whose help is made of its parts.

    Args:
        group: The group.
        name: The verb.
        about: What it does, beginning with a verb.
        arguments: Its arguments, for its help.
    """
    return group.command(
        name,
        cls=Verb,
        short_help=about,
        help=f"python -m bmfgraph {group.name} {name} {arguments}\n\n{about[:1].upper()}{about[1:]}.\n\n{FLAGS}\n",
        add_help_option=False,
    )


def refuse_bare_pipeline(word: str, text: str, code: str) -> None:
    """Explain how to choose a pipeline, if a word is the name of one.

    Args:
        word: The word.
        text: Begin of the error's message.
        code: Code of the error.

    Raises:
        ConfigError: The word is the name of a pipeline.
    """
    if word in packaged_options("pipeline"):
        raise ConfigError(f"{text}; it is an option of the group pipeline", hint=f"write pipeline={word}", code=code)


@contextlib.contextmanager
def _naming(ctx: click.Context) -> Iterator[None]:
    """Add the verb to click's errors that do not name it."""
    try:
        yield
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise


def _is_verb(argument: str) -> bool:
    return "=" not in argument and not argument.startswith(("-", "+", "~"))


def _show(command: click.Command, ctx: click.Context, args: Sequence[str]) -> None:
    """Print the help or the version, and exit, if the arguments ask for one."""
    if "--version" in args:
        print(f"bmfgraph {__version__}")
        raise click.exceptions.Exit
    if set(args) & set(_HELP):
        print(command.get_help(ctx), end="")
        raise click.exceptions.Exit


def _filled(command: click.Command) -> str:
    """Fill the declared flags and verbs into a command's help text; the whole program has a text of its own."""
    flags = [
        (" ".join(filter(None, (option.opts[0], option.metavar))), option.help or "")
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    commands = command.commands if isinstance(command, click.Group) else {}
    verbs = [(name, verb.short_help or "") for name, verb in commands.items()]
    width = max((len(flag) for flag, _ in flags), default=0)
    text = command.help or usage()
    for place, rows in (("{flags}", flags), ("{verbs}", verbs)):
        text = text.replace(place, "\n".join(f"  {name:<{max(width, 13)}}  {about}" for name, about in rows))
    return text


def usage_error(error: click.UsageError, commands: Mapping[str, click.Command]) -> ConfigError:
    """Translate click's error of wrong arguments.

    Args:
        error: The error.
        commands: All verbs, of which another one may have the flag.
    """
    context = error.ctx
    path = context.command_path if context else "python -m bmfgraph"
    name = path.removeprefix("python -m bmfgraph").strip()
    hint = f"{path} --help"
    if isinstance(error, click.NoSuchOption):
        return _unknown_flag(error, name, hint, commands)
    if isinstance(error, click.BadOptionUsage):
        takes_none = "does not take" in error.message
        text = f"{error.option_name} {'takes no value' if takes_none else 'needs a value'}"
    elif isinstance(error, click.MissingParameter) and error.param:
        text = f"{(error.param.metavar or error.param.name)!r} is missing"
    elif isinstance(error, click.BadParameter) and error.param:
        text = f"{error.param.opts[0]}: {error.message}"
    elif match := re.match(r"Got unexpected extra arguments? \((\S+)", error.message):
        argument = match[1].rstrip(")")
        text = f"unknown argument {argument!r}{did_you_mean(argument, _flags(context.command) if context else ())}"
    else:
        text = "'VERB' is missing" if context and isinstance(context.command, click.Group) else error.message
    return ConfigError(text, hint=hint, code=codes.INVALID_ARGUMENT)


def _flags(command: click.Command) -> list[str]:
    return [flag for option in command.params if isinstance(option, click.Option) for flag in option.opts] + ["--help"]


def _unknown_flag(
    error: click.NoSuchOption, verb: str, hint: str, commands: Mapping[str, click.Command]
) -> ConfigError:
    flag = error.option_name
    near = did_you_mean(flag, _flags(error.ctx.command)) if error.ctx else ""
    owners = [name for name, command in commands.items() if name != verb and flag in _flags(command)]
    text = f"{verb} takes no flag {flag!r}{near}"
    if owners and verb in commands:
        text = f"{verb} takes no flag {flag!r}; verbs with it: {', '.join(owners)}"
        hint = f"the verb comes first: python -m bmfgraph {owners[0]} {flag} ..."
    elif not near and verb in commands:
        hint = f"values are given without dashes: {flag.lstrip('-')}=VALUE"
    return ConfigError(text, hint=hint, code=codes.INVALID_ARGUMENT)
