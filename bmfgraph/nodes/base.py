"""Define the base class of all node kinds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from bmfgraph.errors import BmfgraphError, Problem
from bmfgraph.plan.description import (
    BmfModuleSpec,
    Context,
    Files,
    Inferred,
    InputType,
    ModelDescription,
    Needs,
    Requirement,
    Shrinking,
    SourceInfo,
)
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Device, FrameSpec, PortType
from bmfgraph.plan.views.text import change_text, size_text

if TYPE_CHECKING:
    from bmfgraph.engines.spec import EngineSpec
    from bmfgraph.nodes.engine import EngineRequest

__all__ = ["Frozen", "NodeSpec", "Partial"]


class Frozen(BaseModel):
    """A pydantic model that refuses unknown keys and cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Partial(Frozen):
    """Settings that another source completes, so that those which are left out stay left out in written data."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}


class NodeSpec(Frozen):
    """The options of one node of a pipeline, and the methods that define its kind.

    A kind is a subclass with ``kind: Literal["word"] = "word"``, registered as an entry point ``word`` of the group
    ``bmfgraph.nodes`` or with :func:`bmfgraph.nodes.register`. Its other fields are the node's options. It imports
    neither torch nor BMF.

    The work is done by ``stage``, a subclass of :class:`bmfgraph.stages.Stage`, or by the BMF module that
    :meth:`bmf_module` names. The compiler calls, in this order: :meth:`check_options`, :meth:`probe`,
    :meth:`requires` from the sinks up, :meth:`infer` from the sources down. :meth:`infer` returns ``params``, a frozen
    dataclass of plain values: the settings of the run, with which all later methods and the stage are called.

    ``arity`` bounds the number of inputs; a source has none. :meth:`ports` names the outputs: one for a stage, none
    for a sink. :class:`bmfgraph.stages.Stage` describes the items that travel between stages.
    """

    kind: str
    inputs: tuple[str, ...] = Field(default=(), description="Where each input comes from: `node` or `node.port`.")

    stage: ClassVar[str] = ""
    """``package.module:Class`` of the stage; imported only when the pipeline runs."""
    arity: ClassVar[tuple[int, int]] = (1, 1)
    """Smallest and largest number of inputs; (0, 0) for a source."""
    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    """Devices that the stage can work on. With ``cuda``, its items are on ``Stage.device``."""
    transfer: ClassVar[bool] = False
    """Whether it moves items between CPU and GPU and changes nothing else."""
    takes_tiles: ClassVar[bool] = False
    """Whether the stage works on the tiles of a picture, one in each row of its tensors."""
    cpu_hint: ClassVar[str] = ""
    """For a kind that needs a GPU: advice how to do the same work on the CPU."""
    joiner: ClassVar[str] = ""
    """For a kind that writes a file: ``package.module:function`` that joins the files of a clip's parts."""
    fixed_fields: ClassVar[tuple[str, ...]] = ()
    """Inherited fields that the kind accepts with their defaults only."""

    @field_validator("inputs", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    # ------------------------------------------------------------------------------------------- compile

    def ports(self) -> tuple[str, ...]:
        """Return the names of the outputs, known before anything is inferred."""
        return ("out",)

    def words(self) -> Mapping[str, str]:
        """Return words that the names of files may contain which are written further down, such as ``{stem}``."""
        return {}

    def compiled(self) -> NodeSpec:
        """Return the spec that the plan uses in place of this one; options can select another class."""
        return self

    def check_options(self, name: str) -> None:
        """Refuse options that are wrong for any input.

        Args:
            name: Name of the node.

        Raises:
            BmfgraphError: Most often a PlanError that names the node.
        """

    def probe(self, name: str) -> object | None:
        """Read facts from outside the pipeline, such as a file's header; the result becomes ``PlanNode.metadata``.

        Args:
            name: Name of the node.

        Raises:
            BmfgraphError: A file or a model cannot be read.
        """
        return None

    def follower(self, node: PlanNode) -> tuple[str, NodeSpec] | None:
        """Return a node that the compiler puts behind an output, and the name of the output; None for none.

        Args:
            node: The node, with its ``metadata``.
        """
        return None

    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None:
        """Return the tensor that an input must carry; None if any will do.

        Args:
            node: The node.
            index: Index of the input.
            own: The requirement of the node's own consumers.
        """
        return None

    def accepts(self, index: int) -> InputType | None:
        """Return the type that input ``index`` accepts; None for any."""
        return None

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        """Return output types and ``params`` for input types.

        Args:
            node: The node, with its ``metadata``.
            inputs: Types of the inputs.
            requirement: The requirement of the node's consumers.

        Raises:
            PlanError: The inputs do not fit the options.
        """
        raise NotImplementedError(f"{type(self).__name__}.infer")

    def shrinking(self, params: Any) -> tuple[Shrinking, Any] | None:
        """Return the shrinking of frames that the node begins with, and ``params`` without it; None for none.

        The converter in front of the node can do it together with the colours, in a fraction of the time.
        """
        return None

    def identity(self, params: Any) -> bool:
        """Return whether the node passes its input on unchanged, so that it can be left out."""
        return False

    def engine_request(self, node: PlanNode) -> EngineRequest | None:
        """Return the engine that the node needs, for the compiler to choose a runtime; None for none."""
        return None

    def engine_of(self, params: Any) -> EngineSpec | None:
        """Return the engine in ``params``; None for none."""
        return None

    def with_engine(self, params: Any, engine: EngineSpec) -> Any:
        """Return ``params`` with that engine."""
        raise NotImplementedError(f"{type(self).__name__}.with_engine")

    def declaration(self, node: PlanNode) -> str:
        """Return the SHA-256 of the meaning of the model's tensors, as the config declares it; "" without a model.

        Args:
            node: The node, with its ``metadata`` and output types.
        """
        return ""

    def model_description(self, node: PlanNode) -> ModelDescription | None:
        """Return the model that the node runs, with the origin of each value; None for none."""
        return None

    def audio_reader(self, params: Any, audio: AudioSpec) -> NodeSpec | None:
        """Return the spec of a source that reads the audio of this source alone, on its port ``audio``.

        The compiler needs it where several nodes read the audio, or where the frames are on the GPU.
        """
        return None

    # --------------------------------------------------------------------------------------- the machine

    def needs(self, params: Any) -> Needs:
        """Return the software that the node needs where it runs."""
        return Needs()

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec | None:
        """Return the BMF module that does the work of a kind without a stage, or can do that of the stage."""
        return None

    # ----------------------------------------------------------------------------------- files and frames

    def files(self, params: Any) -> Files:
        """Return the files that the node reads and the one that it writes.

        A written file appears under its name only if the whole run succeeds: :meth:`writing_to` redirects it.
        """
        return Files()

    def writing_to(self, params: Any, path: Path) -> Any:
        """Return ``params`` with another file to write; the default replaces the field ``path``."""
        return dataclasses.replace(params, path=str(path))

    def warnings(self, node: PlanNode, plan: Plan) -> Iterable[Problem]:
        """Return problems that do not stop a run, but can surprise its user.

        Args:
            node: The node.
            plan: The whole plan.
        """
        return ()

    def faults(self, node: PlanNode, plan: Plan) -> Iterable[BmfgraphError]:
        """Return the reasons why a run of the whole plan must fail at this node.

        Args:
            node: The node.
            plan: The whole plan.
        """
        return ()

    def written_bytes(self, params: Any, frames: FrameSpec, seconds: float) -> float:
        """Estimate the size of the written file, in bytes; 0 where it is small or unknown.

        Args:
            params: The settings of the run.
            frames: Type of the first input.
            seconds: Length of the longest source.
        """
        return 0.0

    def source(self, params: Any) -> SourceInfo | None:
        """Return the frames that a source promises; None for nodes that read no frames or audio from outside."""
        return None

    def context(self, params: Any) -> Context | None:
        """Return the frames around one on which its result depends; None where it depends on all earlier ones.

        The default is that of a node that looks at one frame at a time.
        """
        return Context()

    def reading(self, *, path: str | None = None, end: float | None = None) -> Mapping[str, Any]:
        """Return the YAML fields that make a source read another file, or stop at ``end`` seconds; {} if it cannot."""
        return {}

    def reading_part(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields that make a source read a part of its clip; {} if it cannot.

        Args:
            part: The fields of :class:`bmfgraph.nodes.decoder_options.Part`.
        """
        return {}

    def cut_short(self) -> bool:
        """Return whether the options make a source read its input from the start, but not to the end."""
        return False

    # ---------------------------------------------------------------------------------------------- views

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        """Return at most two short lines for the node's card in a plan picture.

        Args:
            node: The node.
            inputs: Types of the inputs.
        """
        before = size_text(inputs[0] if inputs else None)
        after = size_text(node.outputs[0].type if node.outputs else None)
        return (change_text(before, after),) if before != after else ()
