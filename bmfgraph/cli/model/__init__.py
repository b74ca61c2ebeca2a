"""Declare the verbs about a model: ``bmfgraph model``."""

from __future__ import annotations

from typing import Any

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.help import HELP, VERBS
from bmfgraph.cli.verb import FILE, FOLDER, Verb, VerbGroup, existing_folders

__all__ = ["MODEL"]

MODEL = VerbGroup(
    "model", code=codes.INVALID_ARGUMENT, help=HELP["model"], short_help=VERBS["model"], add_help_option=False
)
"""The verb with its verbs."""


@MODEL.command(
    "try", cls=Verb, help=HELP["model try"], short_help="draw its results, compare them", add_help_option=False
)
@click.argument("model", metavar="MODEL", type=FILE)
@click.argument("picture", metavar="PICTURE", type=FILE)
@click.argument("overrides", metavar="KEY=VALUE", nargs=-1)
@click.option("--output", type=FILE, metavar="FILE", help="the picture to write (default: NAME_try.png)")
@click.option("--against", type=FILE, metavar="FILE", help="the origin's predictions, as JSON Lines")
@click.option("--iou", type=click.FloatRange(0, 1), default=0.99, metavar="X", help="least overlap (default: 0.99)")
@click.option("--score", type=click.FloatRange(0, 1), default=0.01, metavar="X", help="most difference (default: 0.01)")
@click.option(
    "--config-dir",
    multiple=True,
    type=FOLDER,
    callback=existing_folders,
    metavar="DIR",
    help="a folder with options of yours",
)
@click.option("--json", "as_json", is_flag=True, help="for programs")
@click.pass_obj
def _try(printer: Any, /, iou: float, score: float, **options: Any) -> int:
    from bmfgraph.cli.model.try_model import Tolerance, try_command
    from bmfgraph.cli.signals import run_command

    return run_command(lambda: try_command(tolerance=Tolerance(iou, score), **options), printer=printer)
