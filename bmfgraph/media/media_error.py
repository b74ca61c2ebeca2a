"""Define the error of files that cannot be used."""

from __future__ import annotations

from bmfgraph.errors import UnplacedError

__all__ = ["MediaError"]


class MediaError(UnplacedError):
    """A file cannot be used as video input."""
