"""``tonemap``: make ordinary video of HDR. Only the compiler inserts these nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.description import Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import HLG, ColorSpec, Device, FrameSpec, Port, PortType

__all__ = ["TonemapParams", "TonemapSpec"]

_USUAL_PEAK = 1000.0
"""Luminance in cd/m² for which HDR video without metadata is made, and of HLG's reference display (ITU-R BT.2100)."""
_BRIGHTEST = 10_000.0
"""Luminance of PQ's largest code in cd/m²."""
_WHITE = 203.0
"""Luminance in cd/m² that becomes the brightest white: HDR's reference white (ITU-R BT.2408)."""
_BT709 = 1
"""ColourPrimaries and TransferCharacteristics of ITU-T H.273."""


@dataclass(frozen=True)
class TonemapParams:
    """The curve. Luminances in cd/m²."""

    hlg: bool
    """Whether the transfer is HLG; else PQ."""
    primaries: int
    """ColourPrimaries of ITU-T H.273."""
    peak: float
    """Luminance of the brightest pixels of the source."""
    white: float
    """Luminance that becomes white."""


class TonemapSpec(NodeSpec):
    """Makes 8-bit RGB in BT.709 of PQ or HLG, by the curve of ITU-R BT.2390."""

    kind: Literal["tonemap"] = "tonemap"

    stage: ClassVar[str] = "bmfgraph.stages.tonemap:Tonemap"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        assert isinstance(frames, FrameSpec)
        hlg = frames.color.transfer == HLG
        params = TonemapParams(hlg, frames.color.primaries, _peak(frames, hlg), _WHITE)
        color = ColorSpec("bt709", full_range=False, primaries=_BT709, transfer=_BT709)
        sdr = replace(frames.as_rgb(), color=color, hdr=None)
        return Inferred((Port("out", sdr),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: TonemapParams = node.params
        return f"{'HLG' if params.hlg else 'PQ'} → BT.709", f"{params.peak:g} → {params.white:g} cd/m²"


def _peak(frames: FrameSpec, hlg: bool) -> float:
    """Return the luminance of the brightest pixels: of the content, else of the mastering display, else the usual."""
    metadata = frames.hdr
    if hlg or metadata is None:
        return _USUAL_PEAK
    peak = metadata.max_content or float(metadata.brightest) or _USUAL_PEAK
    return min(max(peak, _WHITE), _BRIGHTEST)
