"""What all node kinds share; a third-party kind subclasses :class:`NodeSpec`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import Device, PortType

__all__ = ["Frozen", "NodeSpec"]


class Frozen(BaseModel):
    """A pydantic model that takes no unknown key and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeSpec(Frozen):
    """One node of a pipeline as its YAML has it.

    A kind is a subclass with ``kind: Literal["..."]``, registered as an entry point of the group
    ``bmfgraph.nodes`` under the same word. It says what it makes of its inputs in :meth:`infer`; the
    work itself is done by ``stage``, a subclass of :class:`bmfgraph.stages.base.Stage`.
    """

    kind: str
    inputs: tuple[str, ...] = Field(default=(), description="Where each input comes from: `node` or `node.port`.")

    stage: ClassVar[str] = ""
    """``package.module:Class`` of the stage; imported only when the pipeline runs."""
    arity: ClassVar[tuple[int, int]] = (1, 1)
    """The least and the most inputs that the kind takes."""
    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    """Where the stage can work. One with ``cuda`` finds its tensors on the GPU where ``self.device`` says so."""

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def ports(self) -> tuple[str, ...]:
        """Names of the outputs, known before anything is resolved."""
        return ("out",)

    def probe(self, name: str) -> object | None:
        """Look at the world outside (probe a file, read a model); the result becomes ``PlanNode.facts``."""
        return None

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        """What input ``index`` should carry, given what the node's own consumers want of it."""
        return None

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        """Output types and settings for the given input types. Raises PlanError where they do not fit."""
        raise NotImplementedError(f"{type(self).__name__}.resolve")

    def accepts(self, index: int) -> InputType | None:
        """What input ``index`` accepts; None for anything."""
        return None

    def identity(self, params: Any) -> bool:
        """Whether the node, so resolved, hands on what it gets and can be left out."""
        return False
