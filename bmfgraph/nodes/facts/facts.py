"""Define what a model's file says about the model, and read the Python and JSON texts in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError, short_repr

__all__ = ["CONFIG", "METADATA", "PREPROCESSOR", "Fact", "FactError", "Facts", "labels_from", "literal"]

METADATA, CONFIG, PREPROCESSOR = "metadata", "config.json", "preprocessor_config.json"
"""Where a fact comes from: the metadata of the ONNX file, or a file beside it."""
_TOKEN = re.compile(
    r"""\s+|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|-?\d[\d.]{0,30}(?:[eE][+-]?\d{1,3})?|[\[\](){},:]|True|False|None"""
)
_DEEPEST = 8
_MOST_LABELS = 100_000
_LONGEST_LABEL = 512


class FactError(UnplacedError):
    """What a file says is missing or wrong."""

    def __init__(self, message: str, hint: str, *, code: str = codes.INVALID_MODEL_METADATA) -> None:
        super().__init__(message, hint, code=code)


@dataclass(frozen=True)
class Fact:
    """A value for a key of a model's config; a FactError where the file says it wrongly."""

    value: Any
    origin: str


Section = dict[str, Fact]


@dataclass
class Facts:
    """What is said about a model, by the keys of its config."""

    inputs: Section = field(default_factory=dict)
    """Of each input that is a picture."""
    outputs: dict[str, Section] = field(default_factory=dict)
    """By the output's name."""
    decode: Section = field(default_factory=dict)
    licence: Fact | None = None
    problem: FactError | None = None
    """Why results cannot be read from this model without an own ``decode``."""

    def note(self, section: Section, key: str, origin: str, read: Callable[[], Any]) -> None:
        """Add the value that a function reads, or its error; None says nothing."""
        try:
            value = read()
        except FactError as error:
            value = error
        if value is not None:
            section[key] = Fact(value, origin)


def literal(key: str, text: str) -> Any:
    """Return the value of a Python literal, as Ultralytics writes them. Nothing in it is executed.

    Args:
        key: Where it stands, for the message.
        text: Text of anybody.

    Raises:
        FactError: It is not a literal of numbers, texts, lists and mappings, or it is nested too deeply.
    """
    place = depth = 0
    for token in _TOKEN.finditer(text):
        if token.start() != place:
            break
        place = token.end()
        depth += (token[0] in "([{") - (token[0] in ")]}")
        # Python's own parser can crash on deep nesting.
        if depth > _DEEPEST:
            break
    try:
        if place == len(text):
            return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    raise FactError(
        f"{METADATA} {key!r} is not a list, a mapping, a number or a text: {short_repr(text)}",
        "set the value in the model's config, which replaces it",
    )


def labels_from(key: str, value: Any) -> tuple[str, ...]:
    """Return labels in the order of their numbers.

    Args:
        key: Where they stand, for the message.
        value: A list of texts, or a mapping of numbers to texts. A number without a text gets ``class_NUMBER``.

    Raises:
        FactError: It is something else, or far too large.
    """
    hint = "set model.decode.labels"
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        raise FactError(f"{key} is neither a list of labels nor a mapping: {short_repr(value)}", hint)
    texts: dict[int, str] = {}
    for number, text in value.items():
        try:
            index = int(number)
        except (ValueError, TypeError, OverflowError):
            index = -1
        if not 0 <= index < _MOST_LABELS or not isinstance(text, (str, int, float)) or len(str(text)) > _LONGEST_LABEL:
            raise FactError(f"{key} has {short_repr(number)}: {short_repr(text)}, not a number and its label", hint)
        texts[index] = str(text)
    return tuple(texts.get(index, f"class_{index}") for index in range(max(texts) + 1))
