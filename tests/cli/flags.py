"""Read the flags that a verb declares."""

from __future__ import annotations

import click

from bmfgraph.cli.commands import COMMANDS

__all__ = ["flags_of"]


def flags_of(verb: str) -> list[str]:
    """Return the flags of a verb that its own help lists."""
    command = COMMANDS.commands.get(verb)
    params = command.params if command else []
    return [param.opts[0] for param in params if isinstance(param, click.Option) and not param.hidden]
