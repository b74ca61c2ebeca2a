"""The compiled form of a pipeline: nodes with typed ports in running order, frozen, printable as JSON.

A plan is made and changed by the passes of :mod:`bmfgraph.compile` alone, each a function ``Plan -> Plan``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

from bmfgraph.errors import BmfgraphError
from bmfgraph.plan.types import NO_WINDOW, BundleSpec, Device, Port, PortType, TensorMeaning, TensorSpec, Window
from bmfgraph.system.machine import NO_MACHINE, Machine

__all__ = [
    "SCHEMA",
    "Inferred",
    "InputType",
    "NodeDescription",
    "Plan",
    "PlanNode",
    "Ref",
    "Requirement",
    "files_read",
    "files_written",
    "json_ready",
]

SCHEMA = 1
"""Version of the plan's JSON form; raised when a reader of the old form would misread the new one."""


@dataclasses.dataclass(frozen=True)
class Ref:
    """One output port of one node, written ``node`` (its only or first port) or ``node.port``."""

    node: str
    port: str = ""

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Split ``node.port`` at the dot."""
        node, _, port = text.partition(".")
        return cls(node, port)

    def __str__(self) -> str:
        return f"{self.node}.{self.port}" if self.port else self.node


@dataclasses.dataclass(frozen=True)
class Requirement:
    """What a consumer further down needs: its input tensor and what its numbers mean."""

    consumer: str
    tensor: TensorSpec
    meaning: TensorMeaning
    multiple: int = 1
    """Height and width must be divisible by it."""
    window: Window = NO_WINDOW
    """The model's temporal window, for a window node that leaves its own unsaid."""


@dataclasses.dataclass(frozen=True)
class InputType:
    """What a node accepts at one input: for frames, the pixel format it works in ("" for any)."""

    type: type
    pixel_format: str = ""
    default_color: bool = False
    """Its output cannot say what its colours are: limited range and the matrix that readers then take."""


@dataclasses.dataclass(frozen=True)
class Inferred:
    """What a node becomes once its inputs are known: its typed outputs and its settings for the run."""

    outputs: tuple[Port, ...]
    params: Any = None


class NodeDescription(Protocol):
    """What the passes ask of a node's spec; :class:`bmfgraph.nodes.base.NodeSpec` is the one implementation."""

    @property
    def kind(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def arity(self) -> tuple[int, int]: ...
    @property
    def devices(self) -> tuple[Device, ...]: ...
    def ports(self) -> tuple[str, ...]: ...
    def probe(self, name: str) -> object | None: ...
    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None: ...
    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred: ...
    def accepts(self, index: int) -> InputType | None: ...
    def identity(self, params: Any) -> bool: ...


@dataclasses.dataclass(frozen=True)
class PlanNode:
    """One node of the plan. ``facts`` is what was found out about the world for it: a probed file, a model."""

    name: str
    spec: NodeDescription
    inputs: tuple[Ref, ...] = ()
    outputs: tuple[Port, ...] = ()
    params: Any = None
    metadata: Any = None
    bmf_node: str = ""
    """Name of the BMF node that it runs in; nodes with the same host are one BMF node."""
    device: Device = "cpu"
    """Where its work is done."""

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def written(self) -> str | None:
        """The file that it writes, if it is a sink that writes one."""
        return None if self.outputs else getattr(self.params, "path", None) or None

    def writing_to(self, path: Path) -> PlanNode:
        """The same sink with another file."""
        return dataclasses.replace(self, params=dataclasses.replace(self.params, path=str(path)))

    def output(self, port: str) -> Port | None:
        """The port of that name, or the first one for the empty name."""
        return next((one for one in self.outputs if not port or one.name == port), None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A pipeline's nodes in an order in which every node comes after those it takes from."""

    name: str
    nodes: tuple[PlanNode, ...]
    machine: Machine = NO_MACHINE
    """What it is compiled for."""
    device: Literal["auto"] | Device = "auto"
    """Where models shall run; auto: on the GPU if the machine has one and what it takes to use it."""
    errors: tuple[BmfgraphError, ...] = ()
    """What is wrong with the pipeline; the nodes concerned, and those that depend on them, are not among ``nodes``."""

    def __iter__(self) -> Iterator[PlanNode]:
        return iter(self.nodes)

    def has(self, name: str) -> bool:
        """Whether there is a node of that name."""
        return any(node.name == name for node in self.nodes)

    def node(self, name: str) -> PlanNode:
        """The node of that name; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def type_of(self, ref: Ref) -> PortType:
        """What travels on the edge that begins at ``ref``; KeyError before the types are inferred."""
        port = self.node(ref.node).output(ref.port)
        if port is None:
            raise KeyError(str(ref))
        return port.type

    def consumers(self, name: str) -> tuple[tuple[PlanNode, int], ...]:
        """Each node that takes from ``name``, with the index of the input that does."""
        return tuple((node, index) for node in self.nodes for index, ref in enumerate(node.inputs) if ref.node == name)

    def replace(self, *nodes: PlanNode) -> Plan:
        """The same plan with the nodes of these names changed."""
        changed = {node.name: node for node in nodes}
        return dataclasses.replace(self, nodes=tuple(changed.get(node.name, node) for node in self.nodes))

    def without(self, name: str, error: BmfgraphError) -> Plan:
        """The same plan less that node, for the error told, and less all that depend on it."""
        gone = {name}
        for node in self.nodes:
            if any(ref.node in gone for ref in node.inputs):
                gone.add(node.name)
        kept = tuple(node for node in self.nodes if node.name not in gone)
        return dataclasses.replace(self, nodes=kept, errors=(*self.errors, error))

    def as_json(self) -> dict[str, Any]:
        """Plain data: stable order, no absolute paths but those the user wrote or an engine has."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "nodes": [
                {
                    "name": node.name,
                    "kind": node.kind,
                    "host": node.bmf_node,
                    "device": node.device,
                    "inputs": [str(ref) for ref in node.inputs],
                    "outputs": {port.name: _type_as_json(port.type) for port in node.outputs},
                    "work": json_ready(node.params),
                }
                for node in self.nodes
            ],
        }

    def _repr_svg_(self) -> str:
        """Draw the plan, for notebooks."""
        from bmfgraph.plan.views.svg import plan_svg

        return plan_svg(self)

    def hash(self) -> str:
        """Sha256 (hex) over the canonical JSON: equal plans run the same work."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _type_as_json(value: PortType) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": type(value).__name__.removesuffix("Spec").lower(), "is": str(value)}
    if isinstance(value, TensorSpec):
        return plain | {
            "name": value.name,
            "shape": list(value.shape),
            "placement": json_ready(value.placement),
        }
    if isinstance(value, BundleSpec):
        return plain | {"tensors": [_type_as_json(tensor) for tensor in value.tensors]}
    return plain | json_ready(value)  # type: ignore[no-any-return]


def json_ready(value: Any) -> Any:
    """Dataclasses, tuples, fractions and paths as the types that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_ready(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def files_read(plan: Plan) -> dict[Path, str]:
    """Every file that a plan reads, in full, and the node that does: inputs and models."""
    found = {}
    for node in plan:
        path = getattr(node.params, "path", None) if not node.inputs else None
        engine = getattr(node.params, "engine", None)
        for one in (path, getattr(engine, "path", None), getattr(engine, "onnx", None)):
            if one:
                found[Path(one).resolve()] = node.name
    return found


def files_written(plan: Plan) -> dict[Path, str]:
    """Every file that a plan writes, in full, and the node that does."""
    return {Path(node.written).resolve(): node.name for node in plan if node.written}
