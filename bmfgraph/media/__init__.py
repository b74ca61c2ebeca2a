"""Describe video files: where they come from, what they hold, how good they are.

``locate`` finds or fetches the file of a source, such as ``wheel:NAME==VERSION/FILE``. ``media.probe`` reads a file's
header and first frame into a ``Media``. ``measure`` compares two clips, ``compare`` two files of records, and
``downscaled`` makes the small copy of a clip for sweeps with ``sweep.reference=input``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.media.accuracy import compare
    from bmfgraph.media.downscale import downscaled
    from bmfgraph.media.probe import Media, MediaError
    from bmfgraph.media.quality import measure
    from bmfgraph.media.sources import locate

__all__ = [
    "Media",
    "MediaError",
    "compare",
    "downscaled",
    "locate",
    "measure",
]

__getattr__ = lazy_names(
    __name__,
    {
        "accuracy": ("compare",),
        "downscale": ("downscaled",),
        "probe": ("Media", "MediaError"),
        "quality": ("measure",),
        "sources": ("locate",),
    },
)
