"""Write the config of a model as far as its file allows: the verb ``model inspect``."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bmfgraph.engines.onnx.cache import cached_model
from bmfgraph.engines.onnx.model import OnnxError, OnnxModel
from bmfgraph.errors import ConfigError
from bmfgraph.nodes.facts.guess import known
from bmfgraph.nodes.facts.guess_parts import Guess
from bmfgraph.system.console import write_json, write_stdout

__all__ = ["inspect_command"]

_PLAIN = re.compile(r"[A-Za-z_/.][A-Za-z0-9_./:() -]*")
"""Texts that may need no quotes."""


def inspect_command(file: str, *, as_json: bool = False) -> int:
    """Print a model's config, and return the exit code.

    Args:
        file: The ONNX file.
        as_json: Print JSON instead of YAML.

    Raises:
        ConfigError: The file is not a usable ONNX model.
    """
    try:
        onnx = cached_model(Path(file))
    except OnnxError as error:
        raise ConfigError(str(error), hint=error.hint, code=error.code) from None
    guess = known(onnx)
    if as_json:
        write_json({"model": guess.config, "notes": guess.notes, "cannot_know": list(dict.fromkeys(guess.unknown))})
    else:
        write_stdout(_yaml(onnx, guess))
    return 0


def _yaml(onnx: OnnxModel, guess: Guess) -> str:
    tensors = f"{', '.join(map(str, onnx.inputs))} -> {', '.join(map(str, onnx.outputs))}"
    lines = [f"# {_one_line(tensors)}"]
    if guess.unknown:
        lines += ["# cannot know:", *(f"#   {_one_line(text)}" for text in dict.fromkeys(guess.unknown))]
    return "\n".join([*lines, *_lines(guess.config, guess.notes, ())]) + "\n"


def _lines(values: Mapping[str, Any], notes: Mapping[str, str], path: tuple[str, ...]) -> Iterator[str]:
    indent = "  " * len(path)
    for key, value in values.items():
        place = (*path, key)
        note = notes.get(".".join(place), "")
        comment = f"  # {_one_line(note)}" if note else ""
        # The window is short enough for one line.
        if isinstance(value, dict) and place != ("window",):
            yield f"{indent}{_scalar(key)}:{comment}"
            yield from _lines(value, notes, place)
        else:
            yield f"{indent}{_scalar(key)}: {_value(value)}{comment}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_value(part)}' for key, part in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    # OmegaConf would replace ${...}.
    return _scalar(value.replace("${", "\\${") if isinstance(value, str) else value)


def _scalar(value: Any) -> str:
    """Return a value as YAML that fits in a line, within brackets and as a key."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        with contextlib.suppress(yaml.YAMLError):
            if yaml.safe_load(f"{value}: [{value}]") == {value: [value]}:
                return value
    return json.dumps(value)


def _one_line(text: str) -> str:
    """Return a text without line ends, which would end a comment."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
