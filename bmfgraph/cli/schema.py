"""Print the JSON Schema of pipeline files: the verb ``schema``."""

from __future__ import annotations

import json

from bmfgraph.config.json_schema import pipeline_schema
from bmfgraph.errors import Problem
from bmfgraph.nodes.registry import RegistryError
from bmfgraph.system.console import print_problems

__all__ = ["schema_command"]


def schema_command(*, installed: bool = False) -> int:
    """Print the schema, and return the exit code.

    Args:
        installed: With the kinds of the node packs that are installed here.
    """
    try:
        schema = pipeline_schema(installed=installed)
    except RegistryError as error:
        print_problems([Problem("", str(error), error.code, error.hint)])
        return 1
    print(json.dumps(schema, indent=2))
    return 0
