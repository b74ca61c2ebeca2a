"""Do the work of the node kinds at run time. A stage of your own is a subclass of Stage."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmfgraph.stages.base import Stage
    from bmfgraph.stages.bmf_frames import new_frame
    from bmfgraph.stages.items import Box, Detections, Frame, Sample

__all__ = ["Box", "Detections", "Frame", "Sample", "Stage", "new_frame"]

# Torch reads it when it is loaded: threads that spin between two frames take the cores from decoder and encoder.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def __getattr__(name: str) -> Any:
    # Torch is slow to import, and most stages are imported without these names.
    if name not in __all__:
        raise AttributeError(f"module 'bmfgraph.stages' has no attribute {name!r}")
    module = {"Stage": "base", "new_frame": "bmf_frames"}.get(name, "items")
    return getattr(importlib.import_module(f"bmfgraph.stages.{module}"), name)
