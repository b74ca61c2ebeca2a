"""Describe this computer: files, processes, GPU and libraries, terminal.

``find_machine`` returns the GPU and the runtimes as a ``Machine``, for which plans are compiled. ``logger`` receives
all messages; ``console_output`` prints them. ``show_progress`` draws a bar. ``system.ffmpeg4`` finds the libraries that
BMF needs. This room does not know pipelines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.system.console import console_output, logger
    from bmfgraph.system.machine import Machine, find_machine
    from bmfgraph.system.progress import Progress, show_progress

__all__ = [
    "Machine",
    "Progress",
    "console_output",
    "find_machine",
    "logger",
    "show_progress",
]

__getattr__ = lazy_names(
    __name__,
    {
        "console": ("console_output", "logger"),
        "machine": ("Machine", "find_machine"),
        "progress": ("Progress", "show_progress"),
    },
)
