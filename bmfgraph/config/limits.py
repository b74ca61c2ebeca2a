"""Limit the size of a configuration, so that a small file or command line cannot fill the memory or run for hours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from bmfgraph import error_codes as codes
from bmfgraph.errors import ConfigError

__all__ = [
    "INTERPOLATION_CHARACTERS",
    "MAX_CELLS",
    "MAX_DEPTH",
    "MAX_FILE_BYTES",
    "MAX_NODES",
    "MAX_NUMBER_CHARACTERS",
    "PARSED_CHARACTERS",
    "RESOLVED_CHARACTERS",
    "RESOLVED_NODES",
    "check_arguments",
    "depths",
    "interpolation_too_long",
]

MAX_FILE_BYTES: Final = 1 << 20
"""Bytes of a file."""
MAX_NODES: Final = 50_000
"""Values, mappings and lists of the files that are composed, with every alias of YAML replaced by its content."""
MAX_DEPTH: Final = 50
"""Mappings and lists inside each other, in a file or an override, and nested ``${...}``."""
MAX_NUMBER_CHARACTERS: Final = 1_000
"""Characters of a number. Python's own limit for whole numbers is 4,300 digits."""
INTERPOLATION_CHARACTERS: Final = 5_000
"""Characters of a text that holds a ``${...}``; OmegaConf parses 50,000 characters in a second."""
PARSED_CHARACTERS: Final = 20_000
"""Characters of all texts with ``${...}`` that are evaluated, each as often as it is."""
RESOLVED_CHARACTERS: Final = 10_000_000
"""Characters of the texts that interpolations result in."""
RESOLVED_NODES: Final = 50_000
"""Values, mappings and lists that interpolations result in."""
MAX_CELLS: Final = 1_000
"""Cells of a sweep, unless ``sweep.max_cells`` says otherwise."""
_ARGUMENT_CHARACTERS: Final = 50_000
"""Characters of all overrides; Hydra parses as many in a second."""
_LONG_NUMBER = re.compile(rf"\d{{{MAX_NUMBER_CHARACTERS + 1}}}")
_OPENING, _CLOSING, _QUOTES = "[{(", "]})", "'\""


def check_arguments(arguments: Sequence[str]) -> None:
    """Check the size of overrides before Hydra parses them.

    Args:
        arguments: Overrides, and flags.

    Raises:
        ConfigError: An override, or all of them together, are too long or too deeply nested.
    """
    total = 0
    for argument in arguments:
        key = argument.partition("=")[0][:60]
        total += len(argument)
        if total > _ARGUMENT_CHARACTERS:
            raise ConfigError(
                f"the overrides have more than {_ARGUMENT_CHARACTERS:,} characters",
                path=key,
                hint="write the values into a file, and choose it with --config-dir",
                code=codes.INVALID_OVERRIDE,
            )
        if any(depth > MAX_DEPTH for depth in depths(argument)):
            raise ConfigError(
                f"brackets and ${{...}} are nested deeper than {MAX_DEPTH} levels",
                path=key,
                hint="write less of them into each other, or put text with brackets in quotes",
                code=codes.INVALID_OVERRIDE,
            )
        if _LONG_NUMBER.search(argument):
            raise ConfigError(
                f"a number has more than {MAX_NUMBER_CHARACTERS:,} digits",
                path=key,
                hint="shorten it",
                code=codes.INVALID_OVERRIDE,
            )
        if "${" in argument and len(argument) > INTERPOLATION_CHARACTERS:
            raise interpolation_too_long(key)


def interpolation_too_long(path: str) -> ConfigError:
    """Return the error of a text that holds ``${...}``, and is too long to be parsed.

    Args:
        path: Key of the text, or file and line.
    """
    return ConfigError(
        f"a text with ${{...}} has more than {INTERPOLATION_CHARACTERS:,} characters",
        path=path,
        hint="shorten it, or define parts of it as keys of their own",
        code=codes.INVALID_INTERPOLATION,
    )


def depths(text: str) -> Iterator[int]:
    """List how many brackets are open after each opening bracket outside quotes."""
    depth, quote, escaped = 0, "", False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character in _OPENING:
            depth += 1
            yield depth
        elif character in _CLOSING:
            depth -= 1
