"""Print the JSON Schema of pipeline files: the verb ``schema``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bmfgraph.config.json_schema import pipeline_schema
from bmfgraph.errors import Problem, did_you_mean
from bmfgraph.nodes.registry import RegistryError
from bmfgraph.system.console import print_problems

__all__ = ["schema_command"]

_HELP = """\
python -m bmfgraph schema [--installed]

Prints the JSON Schema of pipeline, model, engine, decoder and encoder files, for editors.

  --installed   with the kinds of the node packs that are installed here

  python -m bmfgraph schema > my_conf/schema.json

Files in my_conf/pipeline/ name it in a line below their `# @package` line, if they have one:
  # yaml-language-server: $schema=../schema.json
and those in my_conf/model/ (engine/, decoder/, encoder/) in their first line:
  # yaml-language-server: $schema=../schema.json#/definitions/model
"""


def schema_command(arguments: Sequence[str]) -> int:
    """Do what the words after ``schema`` say; returns the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(_HELP, end="")
        return 0
    unknown = [word for word in arguments if word != "--installed"]
    if unknown:
        near = did_you_mean(unknown[0], ["--installed", "--help"])
        hint = "python -m bmfgraph schema --help"
        print_problems([Problem("", f"unknown word {unknown[0]!r}{near}", "E114", hint)])
        return 2
    try:
        schema = pipeline_schema(installed=bool(arguments))
    except RegistryError as error:
        print_problems([Problem("", str(error), error.code, error.hint)])
        return 1
    print(json.dumps(schema, indent=2))
    return 0
