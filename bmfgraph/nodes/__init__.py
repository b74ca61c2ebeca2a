"""Describe the node kinds: their options, types and needs.

A user's own kind is a subclass of ``NodeSpec``; its methods have defaults and return the types below. ``register``
adds it from Python. ``Decoder``, ``Inference`` and so on are the built-in kinds, one module each.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import register
from bmfgraph.plan.description import (
    BmfModuleSpec,
    Files,
    Inferred,
    InputType,
    Needs,
    PythonPackage,
    Requirement,
    SourceInfo,
)
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import (
    AudioSpec,
    BundleSpec,
    ColorSpec,
    DetectionsSpec,
    FrameSpec,
    Port,
    PortType,
    TensorMeaning,
    TensorSpec,
)

if TYPE_CHECKING:
    from bmfgraph.nodes.decoder import DecoderSpec as Decoder
    from bmfgraph.nodes.detections import DetectionsNodeSpec as Detections
    from bmfgraph.nodes.encoder import EncoderSpec as Encoder
    from bmfgraph.nodes.frames import FramesSpec as Frames
    from bmfgraph.nodes.inference import InferenceSpec as Inference
    from bmfgraph.nodes.map import MapSpec as Map
    from bmfgraph.nodes.nvdec import NvdecSpec as Nvdec
    from bmfgraph.nodes.overlay import OverlaySpec as Overlay
    from bmfgraph.nodes.preprocess import PreprocessSpec as Preprocess
    from bmfgraph.nodes.records import RecordsSpec as Records
    from bmfgraph.nodes.redact import RedactSpec as Redact
    from bmfgraph.nodes.resize import ResizeSpec as Resize
    from bmfgraph.nodes.segment import SegmentNodeSpec as Segment
    from bmfgraph.nodes.window import WindowSpec as Window

__all__ = [
    "AudioSpec",
    "BmfModuleSpec",
    "BundleSpec",
    "ColorSpec",
    "Decoder",
    "Detections",
    "DetectionsSpec",
    "Encoder",
    "Files",
    "FrameSpec",
    "Frames",
    "Inference",
    "Inferred",
    "InputType",
    "Map",
    "Needs",
    "NodeSpec",
    "Nvdec",
    "Overlay",
    "Plan",
    "PlanNode",
    "Port",
    "PortType",
    "Preprocess",
    "PythonPackage",
    "Records",
    "Redact",
    "Requirement",
    "Resize",
    "Segment",
    "SourceInfo",
    "TensorMeaning",
    "TensorSpec",
    "Window",
    "register",
]

_LAZY = {
    "Decoder": "decoder:DecoderSpec",
    "Detections": "detections:DetectionsNodeSpec",
    "Encoder": "encoder:EncoderSpec",
    "Frames": "frames:FramesSpec",
    "Inference": "inference:InferenceSpec",
    "Map": "map:MapSpec",
    "Nvdec": "nvdec:NvdecSpec",
    "Overlay": "overlay:OverlaySpec",
    "Preprocess": "preprocess:PreprocessSpec",
    "Records": "records:RecordsSpec",
    "Redact": "redact:RedactSpec",
    "Resize": "resize:ResizeSpec",
    "Segment": "segment:SegmentNodeSpec",
    "Window": "window:WindowSpec",
}
"""Kinds by their names in Python, imported when they are used."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, cls = _LAZY[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), cls)
