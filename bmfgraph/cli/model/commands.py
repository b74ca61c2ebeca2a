"""Declare the verbs of ``model`` with their flags."""

from __future__ import annotations

import click

from bmfgraph import error_codes as codes
from bmfgraph.cli.help import HELP, VERBS
from bmfgraph.cli.verb import FILE, VerbGroup, inner_verb, json_flag

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
