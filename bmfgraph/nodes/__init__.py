"""Describe the node kinds: their options, types and needs. A kind of your own is a subclass of NodeSpec."""

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, Port, PortType

__all__ = ["FrameSpec", "Inferred", "InputType", "NodeSpec", "PlanNode", "Port", "PortType", "Requirement"]
