"""Declare the verbs of the command line with their flags.

This is the only list of flags: parsing, help and completion read it. The functions import what they need when they are
called, so that ``--help`` and the completion start fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.help import HELP, PLAN_FORMATS, VERBS
from bmfgraph.cli.model.commands import MODEL
from bmfgraph.cli.verb import (
    FILE,
    FOLDER,
    Verb,
    VerbGroup,
    existing_folders,
    inner_verb,
    json_flag,
    refuse_bare_pipeline,
)
from bmfgraph.config.overrides import CONFIG_DIR
from bmfgraph.errors import ConfigError, did_you_mean

__all__ = ["COMMANDS", "hydra_arguments"]

Function = TypeVar("Function", bound=Callable[..., Any])

COMMANDS = VerbGroup("bmfgraph", code=codes.UNKNOWN_VERB, default="run", add_help_option=False)
"""The whole command line: an optional verb, then its arguments."""
COMMANDS.add_command(MODEL)


# ------------------------------------------------------------------------------------------- Hydra's flags


def _complete(ctx: click.Context, param: click.Parameter, request: str | None) -> None:
    if request is not None and not ctx.resilient_parsing:
        from bmfgraph.cli.completion import complete

        complete(request)
        raise click.exceptions.Exit


def _refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        hint = "leave it out"
        if param.name != "experimental_rerun":
            hint = "name a folder of your own options with --config-dir, and choose them with GROUP=OPTION"
        raise ConfigError(
            f"bmfgraph does not take Hydra's flag {param.opts[0]!r}", hint=hint, code=codes.INVALID_ARGUMENT
        )


def _hydra_option(*names: str, **settings: Any) -> click.Option:
    # Hidden in the help of verbs, because the help of the whole program explains them.
    return click.Option(list(names), hidden=True, **settings)


_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_HYDRA = (
    _hydra_option(
        *CONFIG_DIR,
        multiple=True,
        type=FOLDER,
        callback=existing_folders,
        metavar="DIR",
        help="a folder with options of yours",
    ),
    _hydra_option("--multirun", "-m", is_flag=True, help="run all combinations of values with commas"),
    _hydra_option("--cfg", "-c", type=click.Choice(["job", "hydra", "all"]), help="show the composed configuration"),
    _hydra_option("--resolve", is_flag=True, help="with --cfg: replace every ${...}"),
    _hydra_option("--package", "-p", help="with --cfg: this part only"),
    _hydra_option("--info", "-i", type=click.Choice(_INFO), help="show how Hydra composed the configuration"),
    _hydra_option("--hydra-help", is_flag=True, help="Hydra's own flags"),
    _hydra_option("--run", "-r", is_flag=True),
)
"""Hydra's flags. The completion offers those with a help text."""
_REFUSED = tuple(
    _hydra_option(*names, expose_value=False, callback=_refuse)
    for names in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--experimental-rerun",))
)
"""Hydra's flags that replace bmfgraph's own configuration, or load a pickle, which can run any code."""


def hydra_arguments(values: dict[str, Any]) -> list[str]:
    """Write Hydra's flags as Hydra's own parser takes them.

    Args:
        values: The values of the flags, by the names of click's options.
    """
    arguments: list[str] = []
    for option in _HYDRA:
        value, flag = values[str(option.name)], option.opts[0]
        if option.is_flag:
            arguments += [flag] * bool(value)
        else:
            several = value if option.multiple else [value] if value is not None else []
            arguments += [part for text in several for part in (flag, text)]
    return arguments


class _Configured(Verb):
    """A verb that takes a configuration: overrides and Hydra's flags, in any order."""

    def __init__(self, name: str, **settings: Any) -> None:
        super().__init__(name, **settings)
        self.params += [
            *_HYDRA,
            *_REFUSED,
            click.Argument(["overrides"], nargs=-1, type=click.UNPROCESSED, callback=_checked),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Without the "=all", click would take the next override for the value of --info.
        return super().parse_args(ctx, ["--info=all" if arg in ("--info", "-i") else arg for arg in args])

    def invoke(self, ctx: click.Context) -> Any:
        from bmfgraph.cli.hydra_main import SHOWING, show_command
        from bmfgraph.cli.multirun import Request

        # Hydra runs without that flag, too.
        flags = [flag for flag in hydra_arguments(ctx.params) if flag != "--run"]
        if set(flags) & set(SHOWING):
            return show_command(ctx.params["overrides"], flags, ctx.obj)
        request = Request(ctx.params["overrides"], tuple(flags), ctx.obj)
        own = set(ctx.params) - {"overrides", *(option.name for option in _HYDRA)}
        assert self.callback
        return ctx.invoke(self.callback, request, **{name: ctx.params[name] for name in own})


def _checked(ctx: click.Context, param: click.Parameter, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a first argument that looks like a verb, and flags after ``--``."""
    if flag := next((override for override in overrides if override.startswith("-")), None):
        raise ConfigError(
            f"unknown argument {flag!r} after --",
            hint="write flags before --",
            code=codes.INVALID_ARGUMENT,
        )
    first = next(iter(overrides), "=")
    if "=" not in first and not first.startswith(("+", "~")) and (ctx.info_name, first) != ("plan", "diff"):
        refuse_bare_pipeline(first, f"unknown argument {first!r}", codes.INVALID_ARGUMENT)
        raise ConfigError(
            f"unknown argument {first!r}{did_you_mean(first, ('diff',) if ctx.info_name == 'plan' else ())}",
            hint=f"python -m bmfgraph {ctx.info_name} --help",
            code=codes.INVALID_ARGUMENT,
        )
    return overrides


def _verb(name: str, cls: type[Verb] = Verb) -> Callable[[Function], click.Command]:
    return COMMANDS.command(name, cls=cls, help=HELP[name], short_help=VERBS[name], add_help_option=False)


# -------------------------------------------------------------------------- verbs that take a configuration


@_verb("run", _Configured)
@click.option(
    "--shell-completion",
    "-sc",
    callback=_complete,
    is_eager=True,
    expose_value=False,
    hidden=True,
    help="install=bash|zsh|fish",
)
def _run(request: Any) -> int:
    from bmfgraph.cli.multirun import run

    return run(request)


@_verb("batch", _Configured)
def _batch(request: Any) -> int:
    from bmfgraph.cli.multirun import batch

    return batch(request)


@_verb("check", _Configured)
@json_flag
def _check(request: Any, as_json: bool) -> int:
    from bmfgraph.cli.multirun import check

    return check(request, as_json=as_json)


def _plan_formats(function: Function) -> Function:
    for flag, about in reversed(PLAN_FORMATS.items()):
        function = click.option(flag, is_flag=True, help=about)(function)
    return function


@_verb("plan", _Configured)
@_plan_formats
@click.option("--output", type=FILE, metavar="FILE", help="write into that file")
def _plan(request: Any, output: str | None, **forms: bool) -> int:
    from bmfgraph.cli.multirun import plan

    chosen = [flag for flag in PLAN_FORMATS if forms[flag.removeprefix("--")]]
    if len(chosen) > 1:
        raise ConfigError(
            f"{' and '.join(chosen)}: one form at a time", hint="leave one of them out", code=codes.INVALID_ARGUMENT
        )
    return plan(request, form=chosen[0] if chosen else "", output=output)


@_verb("build", _Configured)
def _build(request: Any) -> int:
    from bmfgraph.cli.multirun import build

    return build(request)


# ---------------------------------------------------------------------------------- verbs that take none


@_verb("doctor")
@json_flag
def _doctor(as_json: bool) -> int:
    from bmfgraph.doctor import doctor_command

    return doctor_command(as_json=as_json)


@_verb("report")
@click.argument("folders", metavar="DIR", nargs=-1, required=True, type=FOLDER)
@click.option("--output", metavar="DIR", type=FOLDER, help="where the report goes (default: the first folder)")
@click.option("--objective", metavar="TEXT", help="such as 'fps where psnr_y>=45'")
@click.option("--reference", metavar="TEXT", type=FILE, help="a clip, labels, or overrides of a cell")
def _report(folders: tuple[str, ...], output: str | None, objective: str | None, reference: str | None) -> int:
    from bmfgraph.cli.report import report_command

    return report_command(folders, output=output, objective=objective, reference=reference)


@_verb("schema")
@click.option("--installed", is_flag=True, help="with the kinds of the node packs that are installed here")
def _schema(installed: bool) -> int:
    from bmfgraph.cli.schema import schema_command

    return schema_command(installed=installed)


# --------------------------------------------------------------------------------------- the engine store


@COMMANDS.group(
    "engines",
    cls=VerbGroup,
    code=codes.INVALID_ARGUMENT,
    help=HELP["engines"],
    short_help=VERBS["engines"],
    add_help_option=False,
)
@click.option("--store", default="engines", type=FOLDER, metavar="DIR", help="folder of the engines (default: engines)")
@json_flag
@click.pass_context
def _engines(ctx: click.Context, store: str, as_json: bool) -> None:
    # Flags may stand before or after the verb.
    ctx.default_map = {ctx.invoked_subcommand or "": {"store": store, "as_json": as_json}}


def _engines_verb(name: str, about: str, arguments: str = "[FLAGS]") -> Callable[[Function], Function]:
    def declare(function: Function) -> Function:
        command = inner_verb(_engines, name, about, arguments)
        store = click.option("--store", default="engines", type=FOLDER, metavar="DIR", help="folder of the engines")
        command(store(json_flag(function)))
        return function

    return declare


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise click.BadParameter(f"{text!r} is not a number of days")
    return days


@_engines_verb("list", "the engines in the store")
def _list(**options: Any) -> int:
    return _manage("list", options)


@_engines_verb("show", "everything that an engine was built from, and its tensors, as JSON", "KEY [FLAGS]")
@click.argument("key", metavar="KEY")
def _show(**options: Any) -> int:
    return _manage("show", options)


@_engines_verb("prune", "delete engines: by default those that are damaged, and what interrupted builds left")
@click.option("--unused-days", metavar="N", type=_days, help="engines that were not used for N days")
@click.option("--damaged", is_flag=True, help="engines that are damaged")
@click.option("--model", metavar="NAME", help="only engines of that model: all of them, or those chosen above")
@click.option("--all", is_flag=True, help="all engines")
@click.option("--dry-run", is_flag=True, help="only list what would be deleted")
@click.option("--yes", is_flag=True, help="do not ask first; without a terminal as standard input, nothing is asked")
def _prune(**options: Any) -> int:
    return _manage("prune", options)


@_engines_verb("verify", "compare all engines with their checksums; exit code 1 if one is damaged")
def _verify(**options: Any) -> int:
    return _manage("verify", options)


def _manage(verb: str, options: dict[str, Any]) -> int:
    from bmfgraph.cli.engines import engines_command

    return engines_command(verb, **options)
