"""Describe a compiled pipeline, and show it.

A ``Plan`` holds ``PlanNode`` objects in running order, with the types of their outputs (``plan.types``) and their
``params``, the settings of the run. ``plan.description`` has the answers of a node kind. ``plan_diff`` compares two
plans, ``plan.views`` draws one. Everything is frozen, and needs neither BMF nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmfgraph.system.lazy import lazy_names

if TYPE_CHECKING:
    from bmfgraph.plan.diff import plan_diff
    from bmfgraph.plan.plan import Plan, PlanNode, Ref
    from bmfgraph.plan.types import AudioSpec, BundleSpec, DetectionsSpec, FrameSpec, Port, PortType, TensorSpec

__all__ = [
    "AudioSpec",
    "BundleSpec",
    "DetectionsSpec",
    "FrameSpec",
    "Plan",
    "PlanNode",
    "Port",
    "PortType",
    "Ref",
    "TensorSpec",
    "plan_diff",
]

__getattr__ = lazy_names(
    __name__,
    {
        "diff": ("plan_diff",),
        "plan": ("Plan", "PlanNode", "Ref"),
        "types": ("AudioSpec", "BundleSpec", "DetectionsSpec", "FrameSpec", "Port", "PortType", "TensorSpec"),
    },
)
