"""Share loaded engines between the nodes and runs of this process, as long as one of them uses them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["file_state", "shared"]

_LOADED: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
_LOCK = threading.Lock()
"""Held while an engine is loaded, so that runs that begin together load it once."""

Loaded = TypeVar("Loaded")


def shared(key: Hashable, load: Callable[[], Loaded]) -> Loaded:
    """Return the engine of a key; load it if nothing in this process uses it.

    Args:
        key: Everything that the engine depends on.
        load: Loads it. Its object must accept weak references.
    """
    with _LOCK:
        loaded: Loaded | None = _LOADED.get(key)
        if loaded is None:
            loaded = _LOADED[key] = load()
        return loaded


def file_state(path: Path) -> tuple[str, int]:
    """Return what tells one version of a file from another: its real path, and the time of its last change in ns.

    Raises:
        OSError: It is missing.
    """
    return str(path.resolve()), path.stat().st_mtime_ns
