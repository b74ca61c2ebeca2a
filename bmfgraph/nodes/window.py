"""``window``: join the images around a frame along the channels of one tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.model import WindowOptions
from bmfgraph.plan.description import Context, Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import Device, Dim, Port, PortType, TensorSpec, Window

__all__ = ["WindowParams", "WindowSpec"]


@dataclass(frozen=True)
class WindowParams:
    """The window, and the axis of the tensor along which its images are joined."""

    window: Window
    axis: int


class WindowSpec(NodeSpec):
    """Gathers a temporal window: its own, or that of the model it feeds; a window of 1 is left out."""

    kind: Literal["window"] = "window"
    window: WindowOptions | None = Field(default=None, description="Null: the model's own.")

    stage: ClassVar[str] = "bmfgraph.stages.window:Gather"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    takes_tiles: ClassVar[bool] = True

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
                f"expects one image per frame, not {tensor}",
                hint="one window node per model is enough",
                code=codes.NESTED_WINDOW,
            )
        window = self.window.window() if self.window else requirement.window if requirement else Window()
        dims = tuple(
            Dim(dim.name, dim.size * window.frames if dim.name == "channels" and dim.size else dim.size)
            for dim in tensor.dims
        )
        out = replace(tensor, dims=dims, pictures=window.frames, window=window)
        axis = next(index for index, dim in enumerate(tensor.dims) if dim.name == "channels")
        return Inferred((Port("out", out),), WindowParams(window, axis))

    def identity(self, params: Any) -> bool:
        return isinstance(params, WindowParams) and params.window.frames == 1

    def context(self, params: WindowParams) -> Context:
        window = params.window
        before = window.outputs[0]
        return Context(before, max(0, window.frames - before - window.step), window.step)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        window: Window = node.params.window
        return (f"{window.frames} frames, step {window.step}",)
