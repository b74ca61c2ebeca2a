"""The node kinds that this environment knows: entry points of the group ``bmfgraph.nodes``.

A kind is imported when a pipeline uses it, so that a broken node pack harms only those who ask for it.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points

from bmfgraph.errors import UnplacedError, did_you_mean, join_sorted, nearest
from bmfgraph.nodes.base import NodeSpec

__all__ = ["GROUP", "RegistryError", "kinds", "spec_class"]

GROUP = "bmfgraph.nodes"


class RegistryError(UnplacedError):
    """A kind is unknown, defined twice, or its package fails to import."""


def _found() -> dict[str, list[EntryPoint]]:
    return _found_on(tuple(sys.path))


@lru_cache(maxsize=1)
def _found_on(_path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Looking through all packages takes as long as reading a small clip."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point.value not in (known.value for known in found.get(point.name, [])):
            found.setdefault(point.name, []).append(point)
    return found


def kinds() -> list[str]:
    """All registered kinds, in alphabetical order; nothing is imported."""
    return sorted(_found())


@cache
def spec_class(kind: str) -> type[NodeSpec]:
    """The spec class of a kind. Raises RegistryError with what is wrong and what is there."""
    points = _found().get(kind, [])
    if not points:
        near = nearest(kind, kinds())
        raise RegistryError(
            f"unknown kind {kind!r}{did_you_mean(kind, kinds())}; kinds: {join_sorted(kinds())}",
            f"write {near}" if near else "take one of those, or install the package that has it",
            code="E211",
        )
    if len(points) > 1:
        packages = " and ".join(f"{point.dist.name if point.dist else '?'} ({point.value})" for point in points)
        raise RegistryError(f"kind {kind!r} is defined twice, by {packages}", "uninstall one of them", code="E212")
    point = points[0]
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else "?"
        raise RegistryError(
            f"kind {kind!r} cannot be loaded from {point.value} of package {package} ({type(error).__name__}: {error})",
            "repair or uninstall that package; other kinds work without it",
            code="E213",
        ) from error
    if not (isinstance(found, type) and issubclass(found, NodeSpec)):
        raise RegistryError(
            f"kind {kind!r}: {point.value} is not a subclass of bmfgraph.nodes.base.NodeSpec",
            "correct the entry point of its package",
            code="E214",
        )
    return found
