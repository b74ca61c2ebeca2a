"""Find the node kinds: entry points of the group ``bmfgraph.nodes``, and classes registered from Python.

A kind is imported when a pipeline uses it, so that a broken node pack harms only pipelines that use it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar, get_args

from bmfgraph import error_codes as codes
from bmfgraph.errors import UnplacedError, did_you_mean, join_sorted, nearest
from bmfgraph.nodes.base import NodeSpec

__all__ = ["GROUP", "RegistryError", "kinds", "reader_of", "register", "spec_class"]

GROUP = "bmfgraph.nodes"

_Spec = TypeVar("_Spec", bound=NodeSpec)
_LOCK = threading.Lock()
_REGISTERED: dict[str, type[NodeSpec]] = {}
"""Kinds of :func:`register`, for the whole process; changed under ``_LOCK``."""


class RegistryError(UnplacedError):
    """A kind is unknown, defined twice, or its package fails to import."""


def register(cls: type[_Spec]) -> type[_Spec]:
    """Add a node kind from Python, without a package; usable as a decorator.

    A class of the same name in the same module replaces an earlier one, as when a notebook's cell runs again.

    Example:
        ``@register`` above ``class NegativeSpec(NodeSpec)`` with ``kind: Literal["negative"] = "negative"``.

    Returns:
        The class itself.

    Raises:
        RegistryError: The class has no default for ``kind``, or another class has that kind.
    """
    field = cls.model_fields["kind"]
    kind = field.default
    if not isinstance(kind, str):
        raise RegistryError(
            f"{cls.__qualname__} has no kind of its own",
            'write a field such as kind: Literal["negative"] = "negative" in its class',
            code=codes.INVALID_NODE_CLASS,
        )
    with _LOCK:
        earlier = _REGISTERED.get(kind, cls)
        if kind in _entry_points() or (earlier.__module__, earlier.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RegistryError(
                f"kind {kind!r} is defined twice, the second time by {cls.__module__}.{cls.__qualname__}",
                "give it another kind",
                code=codes.DUPLICATE_NODE_KIND,
            )
        _REGISTERED[kind] = cls
        spec_class.cache_clear()
    return cls


def _entry_points() -> dict[str, list[EntryPoint]]:
    return _entry_points_on(tuple(sys.path))


@lru_cache(maxsize=1)
def _entry_points_on(_path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Scan all packages once: that takes as long as reading a small clip."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point.value not in (earlier.value for earlier in points.get(point.name, [])):
            points.setdefault(point.name, []).append(point)
    return points


def kinds() -> list[str]:
    """Return all kinds in alphabetical order; nothing is imported."""
    return sorted({*_entry_points(), *_REGISTERED})


def reader_of(task: str) -> str | None:
    """Return the kind that reads the results of a task: its ``decode`` option is of the settings of that task.

    Kinds that cannot be loaded are left out.
    """
    from bmfgraph.nodes.decode import Decode

    for kind in kinds():
        with contextlib.suppress(RegistryError):
            field = spec_class(kind).model_fields.get("decode")
            for cls in get_args(field.annotation) if field else ():
                if isinstance(cls, type) and issubclass(cls, Decode) and cls.model_fields["task"].default == task:
                    return kind
    return None


@cache
def spec_class(kind: str) -> type[NodeSpec]:
    """Return the spec class of a kind.

    Raises:
        RegistryError: The kind is unknown, defined twice, or cannot be loaded.
    """
    if kind in _REGISTERED:
        return _REGISTERED[kind]
    points = _entry_points().get(kind, [])
    if not points:
        near = nearest(kind, kinds())
        raise RegistryError(
            f"unknown kind {kind!r}{did_you_mean(kind, kinds())}; kinds: {join_sorted(kinds())}",
            f"write {near}" if near else "use one of those, or install the package that has it",
            code=codes.UNKNOWN_NODE_KIND,
        )
    if len(points) > 1:
        packages = " and ".join(f"{point.dist.name if point.dist else '?'} ({point.value})" for point in points)
        raise RegistryError(
            f"kind {kind!r} is defined twice, by {packages}", "uninstall one of them", code=codes.DUPLICATE_NODE_KIND
        )
    point = points[0]
    try:
        cls = point.load()
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else "?"
        raise RegistryError(
            f"kind {kind!r} cannot be loaded from {point.value} of package {package} ({type(error).__name__}: {error})",
            "repair or uninstall that package; other kinds work without it",
            code=codes.BROKEN_KIND_PACKAGE,
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, NodeSpec)):
        raise RegistryError(
            f"kind {kind!r}: {point.value} is not a subclass of bmfgraph.nodes.base.NodeSpec",
            "correct the entry point of its package",
            code=codes.INVALID_NODE_CLASS,
        )
    return cls
