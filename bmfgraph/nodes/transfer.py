"""``upload`` and ``download``: between CPU and GPU. The compiler puts these nodes in; YAML does not have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.convert import written_color
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import BundleSpec, Chroma, ColorSpec, Device, FrameSpec, Port, PortType, TensorSpec

__all__ = ["DownloadParams", "DownloadSpec", "UploadParams", "UploadSpec"]


@dataclass(frozen=True)
class UploadParams:
    """Which frames arrive, to be made RGB on the GPU; None for tensors, which are moved as they are."""

    frames: FrameSpec | None


@dataclass(frozen=True)
class DownloadParams:
    """What frames become on the GPU before they leave it; None for tensors, which are moved as they are."""

    pixel_format: str | None
    color: ColorSpec | None
    chroma: Chroma
    width: int
    height: int


class UploadSpec(NodeSpec):
    """From the CPU to the GPU; frames become RGB24 there."""

    kind: Literal["upload"] = "upload"
    stage: ClassVar[str] = "bmfgraph.stages.transfer:Upload"
    devices: ClassVar[tuple[Device, ...]] = ("cuda",)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        given = inputs[0]
        if isinstance(given, FrameSpec):
            out = replace(given, pixel_format="rgb24", device="cuda")
            return Inferred((Port("out", out),), UploadParams(given))
        return Inferred((Port("out", _moved(given, "cuda")),), UploadParams(None))


class DownloadSpec(NodeSpec):
    """From the GPU to the CPU; frames get their pixel format on the way."""

    kind: Literal["download"] = "download"
    pixel_format: str = "rgb24"
    default_color: bool = False
    """Limited range, and the matrix that readers of untagged video take."""

    stage: ClassVar[str] = "bmfgraph.stages.transfer:Download"
    devices: ClassVar[tuple[Device, ...]] = ("cuda",)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        given = inputs[0]
        if not isinstance(given, FrameSpec):
            return Inferred((Port("out", _moved(given, "cpu")),), DownloadParams(None, None, "", 0, 0))
        color = written_color(given, self.pixel_format, self.default_color)
        out = replace(given, pixel_format=self.pixel_format, color=color, device="cpu")
        params = DownloadParams(self.pixel_format, color, given.chroma or "left", given.width, given.height)
        return Inferred((Port("out", out),), params)


def _moved(kind: PortType, device: Device) -> PortType:
    if isinstance(kind, BundleSpec):
        return replace(kind, tensors=tuple(replace(tensor, device=device) for tensor in kind.tensors))
    assert isinstance(kind, TensorSpec)
    return replace(kind, device=device)
