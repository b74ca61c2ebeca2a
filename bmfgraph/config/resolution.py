"""Replace the interpolations of a configuration, within the limits of :mod:`bmfgraph.config.limits`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from omegaconf import Container, DictConfig, ListConfig
from omegaconf.errors import InterpolationResolutionError

from bmfgraph.config import limits

__all__ = ["limited_resolution"]

_LOCK = threading.RLock()
_PARSERS = ("oc.create", "oc.decode")
"""Resolvers that parse a text."""


class _Budget:
    """Count what interpolations cost, and refuse to go on when it is too much."""

    def __init__(self) -> None:
        self.parsed = self.characters = self.nodes = 0

    def count(self, source: Any, result: Any) -> None:
        """Count a text with ``${...}`` and the value that it resulted in."""
        self.parsed += len(str(source))
        self.characters += len(result) if isinstance(result, str) else 0
        self.nodes += _size(result, limits.RESOLVED_NODES)
        self.check()

    def check(self) -> None:
        """Raise an error if a limit is exceeded."""
        if (
            self.parsed > limits.PARSED_CHARACTERS
            or self.characters > limits.RESOLVED_CHARACTERS
            or self.nodes > limits.RESOLVED_NODES
        ):
            raise InterpolationResolutionError("the ${...} multiply each other: their values are too large")


@contextlib.contextmanager
def limited_resolution() -> Iterator[None]:
    """Limit the interpolations that OmegaConf evaluates during the block.

    A value that holds another one twice, which holds another one twice, and so on, would grow without end. OmegaConf
    has no limit and no hook, so two of its methods are replaced during the block.
    """
    budget = _Budget()
    with _LOCK:
        evaluate, call = Container.resolve_parse_tree, Container._evaluate_custom_resolver

        def counted(self: Any, parse_tree: Any, node: Any, *args: Any, **kwargs: Any) -> Any:
            budget.check()
            result = evaluate(self, parse_tree, node, *args, **kwargs)
            budget.count(node._value(), result)
            return result

        def called(self: Any, *, inter_type: str, inter_args: tuple[Any, ...], **others: Any) -> Any:
            if inter_type in _PARSERS:
                _check_parsed(inter_type, inter_args)
            return call(self, inter_type=inter_type, inter_args=inter_args, **others)

        Container.resolve_parse_tree = counted  # type: ignore[method-assign]
        Container._evaluate_custom_resolver = called  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Container.resolve_parse_tree = evaluate  # type: ignore[method-assign]
            Container._evaluate_custom_resolver = call  # type: ignore[method-assign]


def _check_parsed(name: str, arguments: tuple[Any, ...]) -> None:
    """Refuse a text that a resolver would parse as YAML, or as a value, if it is large, nested or has anchors."""
    for text in arguments:
        if isinstance(text, str) and (
            len(text) > limits.INTERPOLATION_CHARACTERS
            or "&" in text
            or any(depth > limits.MAX_DEPTH for depth in limits.depths(text))
        ):
            raise InterpolationResolutionError(
                f"the text of {name} is too large, too deeply nested, or has an anchor &"
            )


def _size(value: Any, maximum: int) -> int:
    """Return the number of values, mappings and lists in a value, counted up to ``maximum``."""
    size, stack = 0, [value]
    while stack and size <= maximum:
        item = stack.pop()
        size += 1
        content = item._content if isinstance(item, (DictConfig, ListConfig)) else None
        if isinstance(content, dict):
            stack += content.values()
        elif isinstance(content, list):
            stack += content
    return size
