"""``upload`` and ``download``: move items between CPU and GPU. Only the compiler inserts these nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.convert import ConvertSpec, written_color
from bmfgraph.plan.description import Inferred, InputType, Requirement, Shrinking
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import (
    RGB_FORMATS,
    Chroma,
    ColorSpec,
    Device,
    FrameSpec,
    Matrix,
    Port,
    PortType,
    device_of,
    on_device,
    sampling_of,
)

__all__ = ["DownloadParams", "DownloadSpec", "UploadParams", "UploadSpec", "converters", "fits", "shrinking_converter"]

# Formats that become RGB on the GPU, and are made of RGB there; the CPU converts others before the upload, or after
# the download.
_PLANAR = (
    *(f"yuv{sampling}p{depth}" for sampling in ("420", "422", "444") for depth in ("", "10le", "12le", "16le")),
    *(f"yuvj{sampling}p" for sampling in ("420", "422", "444")),
)
_MOVED = (*_PLANAR, *RGB_FORMATS)


@dataclass(frozen=True)
class UploadParams:
    """Type of the frames, which become RGB on the GPU; None for tensors, which stay as they are."""

    frames: FrameSpec | None


@dataclass(frozen=True)
class DownloadParams:
    """Format that frames get on the GPU before they leave it; None for tensors, which stay as they are."""

    pixel_format: str | None
    color: ColorSpec | None
    chroma: Chroma
    width: int
    height: int


class UploadSpec(NodeSpec):
    """Moves items from the CPU to the GPU; frames become RGB there, of 8 or 16 bits."""

    kind: Literal["upload"] = "upload"
    stage: ClassVar[str] = "bmfgraph.stages.transfer:Upload"
    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    transfer: ClassVar[bool] = True

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        if isinstance(source, FrameSpec):
            out = replace(source.in_format(_rgb(source), source.color), device="cuda")
            return Inferred((Port("out", out),), UploadParams(source))
        return Inferred((Port("out", on_device(source, "cuda")),), UploadParams(None))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        kind = node.outputs[0].type
        return ("CPU → GPU", *([f"as {kind.pixel_format}"] if isinstance(kind, FrameSpec) else []))


class DownloadSpec(NodeSpec):
    """Moves items from the GPU to the CPU; frames get their pixel format on the GPU."""

    kind: Literal["download"] = "download"
    pixel_format: str = "rgb24"
    default_color: bool | Matrix = False
    """Limited range, and the matrix that readers assume for untagged video, or this one."""

    stage: ClassVar[str] = "bmfgraph.stages.transfer:Download"
    devices: ClassVar[tuple[Device, ...]] = ("cuda",)
    transfer: ClassVar[bool] = True

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        source = inputs[0]
        if not isinstance(source, FrameSpec):
            return Inferred((Port("out", on_device(source, "cpu")),), DownloadParams(None, None, "", 0, 0))
        color = written_color(source, self.pixel_format, self.default_color)
        out = replace(source.in_format(self.pixel_format, color), device="cpu")
        params = DownloadParams(self.pixel_format, color, source.chroma or "left", source.width, source.height)
        return Inferred((Port("out", out),), params)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return ("GPU → CPU", *([f"as {node.params.pixel_format}"] if node.params.pixel_format else []))


def converters(source: PortType, accepted: InputType | None, device: Device) -> list[NodeSpec]:
    """Return the nodes, in order, that adapt an edge to its consumer; an empty list if it fits.

    Args:
        source: Type of the edge.
        accepted: Type that the consumer accepts; None for any.
        device: Device of the consumer.
    """
    holder = device_of(source)
    if not isinstance(source, FrameSpec):
        if holder in (None, device):
            return []
        return [UploadSpec()] if device == "cuda" else [DownloadSpec()]
    wanted = (accepted.format_of(source) if accepted else "") or (
        source.pixel_format if holder == device else _rgb(source)
    )
    default = accepted.default_color if accepted is not None else False
    if holder == "cuda" and device == "cpu":
        if wanted in _MOVED:
            return [DownloadSpec(pixel_format=wanted, default_color=default)]
        return [DownloadSpec(pixel_format=_rgb(source)), ConvertSpec(pixel_format=wanted, default_color=default)]
    if holder == "cpu" and device == "cuda":
        before = [] if source.pixel_format in _MOVED else [ConvertSpec(pixel_format=_rgb(source))]
        return [*before, UploadSpec(), *([] if wanted == _rgb(source) else [ConvertSpec(pixel_format=wanted)])]
    if accepted is None or fits(source, accepted):
        return []
    return [ConvertSpec(pixel_format=wanted, default_color=default)]


def shrinking_converter(specs: Sequence[NodeSpec], source: PortType, shrinking: Shrinking) -> ConvertSpec | None:
    """Return the node that converts and shrinks at once, in place of ``specs``; None where it cannot.

    Args:
        specs: The nodes that :func:`converters` returns.
        source: Type of the edge.
        shrinking: The size that the consumer makes of its frames.
    """
    if len(specs) != 1 or not isinstance(specs[0], ConvertSpec) or not isinstance(source, FrameSpec):
        return None
    smaller = shrinking.width <= source.width and shrinking.height <= source.height
    yuv = source.bits == 8 and source.color.matrix != "rgb" and sampling_of(source.pixel_format) is not None
    if not (smaller and yuv and specs[0].pixel_format == "rgb24"):
        return None
    return specs[0].model_copy(update={"shrunk": shrinking})


def _rgb(source: FrameSpec) -> str:
    """Return the RGB format that keeps the depth of frames."""
    return source.as_rgb(deep=True).pixel_format


def fits(source: FrameSpec, accepted: InputType) -> bool:
    """Return whether frames on the CPU need no conversion for a node."""
    wanted = accepted.format_of(source)
    if not wanted or not accepted.default_color:
        return wanted in ("", source.pixel_format)
    usual, own = written_color(source, wanted, accepted.default_color), source.color
    return wanted == source.pixel_format and (own.matrix, own.full_range) == (usual.matrix, usual.full_range)
