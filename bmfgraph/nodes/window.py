"""``window``: the frames around a frame, side by side along the channels of one tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.model import WindowOptions
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import Device, Dim, Port, PortType, TensorSpec, Window

__all__ = ["WindowParams", "WindowSpec"]


@dataclass(frozen=True)
class WindowParams:
    """The window, and the axis of the tensor along which its pictures are joined."""

    window: Window
    axis: int


class WindowSpec(NodeSpec):
    """Gathers a temporal window. What is unsaid is taken from the model it feeds; a window of 1 is left out."""

    kind: Literal["window"]
    window: WindowOptions | None = Field(default=None, description="Null: the model's own.")

    stage: ClassVar[str] = "bmfgraph.stages.window:Gather"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def accepts(self, index: int) -> InputType:
        return InputType(TensorSpec)

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        return own

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        tensor = inputs[0]
        assert isinstance(tensor, TensorSpec)
        if tensor.pictures != 1:
            raise PlanError(
                node.name,
                f"takes one picture a frame, not {tensor}",
                hint="one window node a model is enough",
                code="E317",
            )
        window = self.window.window() if self.window else requirement.window if requirement else Window()
        dims = tuple(
            Dim(dim.name, dim.size * window.frames if dim.name == "channels" and dim.size else dim.size)
            for dim in tensor.dims
        )
        out = replace(tensor, dims=dims, pictures=window.frames, window=window)
        axis = next(place for place, dim in enumerate(tensor.dims) if dim.name == "channels")
        return Inferred((Port("out", out),), WindowParams(window, axis))

    def identity(self, params: Any) -> bool:
        return isinstance(params, WindowParams) and params.window.frames == 1
