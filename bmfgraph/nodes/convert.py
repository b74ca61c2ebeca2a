"""``convert``: another pixel format, by swscale. The compiler puts these nodes in; YAML does not have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan import PlanNode, Resolved, Want
from bmfgraph.ports import ColorSpec, FrameSpec, Port, PortType

__all__ = ["ConvertSpec", "ConvertWork"]


@dataclass(frozen=True)
class ConvertWork:
    """From which colours to which pixel format and colours."""

    source: ColorSpec
    pixel_format: str
    color: ColorSpec


class ConvertSpec(NodeSpec):
    """Converts frames to ``pixel_format``; RGB keeps in mind the matrix it came from."""

    kind: Literal["convert"] = "convert"
    pixel_format: str

    def resolve(self, node: PlanNode, inputs: tuple[PortType, ...], want: Want | None) -> Resolved:
        source = inputs[0]
        assert isinstance(source, FrameSpec)
        to_rgb = self.pixel_format == "rgb24"
        matrix = source.color.matrix if source.color.matrix != "rgb" else "bt709"
        color = source.color if to_rgb else ColorSpec(matrix, False, source.color.tagged)
        out = replace(source, pixel_format=self.pixel_format, color=color)
        return Resolved((Port("out", out),), ConvertWork(source.color, self.pixel_format, color))
