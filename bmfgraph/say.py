"""Words for the user while a command goes on."""

from __future__ import annotations

import contextlib
import sys

__all__ = ["say"]


def say(text: str) -> None:
    """One line for the user on standard error."""
    if sys.stderr is not None:
        # Where nobody can read it, there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            print(f"bmfgraph: {text}", file=sys.stderr, flush=True)
