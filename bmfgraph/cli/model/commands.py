"""Declare the verbs of ``model`` with their flags."""

from __future__ import annotations

from typing import Any

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.help import HELP, VERBS
from bmfgraph.cli.verb import FILE, FOLDER, Verb, VerbGroup, existing_folders, inner_verb, json_flag

__all__ = ["MODEL"]

MODEL = VerbGroup(
    "model", code=codes.INVALID_ARGUMENT, help=HELP["model"], short_help=VERBS["model"], add_help_option=False
)
"""The group; each of its verbs is a function below and a module of this package."""


@inner_verb(MODEL, "inspect", "write the YAML of a model, as far as its ONNX file tells it", "NET.onnx [--json]")
@click.argument("file", metavar="NET.onnx", type=FILE)
@json_flag
def _inspect(file: str, as_json: bool) -> int:
    from bmfgraph.cli.model.inspect import inspect_command

    return inspect_command(file, as_json=as_json)


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
@json_flag
@click.pass_obj
def _try(printer: Any, /, iou: float, score: float, **options: Any) -> int:
    from bmfgraph.cli.model.try_model import Tolerance, try_command
    from bmfgraph.cli.signals import run_command

    return run_command(lambda: try_command(tolerance=Tolerance(iou, score), **options), printer=printer)
