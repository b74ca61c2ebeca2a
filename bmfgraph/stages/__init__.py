"""Do the work of the node kinds at run time, with torch and without BMF's graph.

A stage of your own is a subclass of ``Stage``. It gets and returns items: ``Frame``, ``Sample``, and subclasses of
``Result`` such as ``Detections``. ``new_frame`` makes a frame to write into. ``stages.cuda`` has the GPU's stream.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.stages.base import Stage
    from bmfgraph.stages.items import Frame, Result, Sample
    from bmfgraph.stages.pictures import new_frame
    from bmfgraph.stages.results import Box, Detections

__all__ = ["Box", "Detections", "Frame", "Result", "Sample", "Stage", "new_frame"]

# Torch reads it when it is loaded: threads that spin between two frames take the cores from decoder and encoder.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Torch is slow to import, and most stages are imported without these names.
__getattr__ = lazy_names(
    __name__,
    {
        "base": ("Stage",),
        "pictures": ("new_frame",),
        "items": ("Frame", "Result", "Sample"),
        "results": ("Box", "Detections"),
    },
)
