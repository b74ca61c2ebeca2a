"""Run node kinds on frames and tensors; the BMF modules that host stages lie in ``bmfgraph.runner.modules``."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmfgraph.stages.base import Stage
    from bmfgraph.stages.bmf_frames import new_frame

__all__ = ["Stage", "new_frame"]

# Torch reads it when it is loaded: threads that spin between two frames take the cores from decoder and encoder.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_LAZY = {"Stage": "bmfgraph.stages.base", "new_frame": "bmfgraph.stages.bmf_frames"}
"""Modules that import torch, by the name that they define."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
