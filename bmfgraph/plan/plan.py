"""Define the compiled form of a pipeline: nodes with typed ports in running order, frozen, printable as JSON.

Only the passes of :mod:`bmfgraph.compile`, each a function ``Plan -> Plan``, make and change plans.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, PlanError
from bmfgraph.plan.description import (
    Files,
    Inferred,
    InputType,
    ModelDescription,
    NodeDescription,
    Requirement,
    SourceInfo,
)
from bmfgraph.plan.types import BundleSpec, Device, Port, PortType, TensorSpec
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
    "pipe_errors",
]

SCHEMA = 2
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
class PlanNode:
    """One node of the plan. ``metadata`` holds what :meth:`NodeSpec.probe` returned: a probed file, a model."""

    name: str
    spec: NodeDescription
    inputs: tuple[Ref, ...] = ()
    outputs: tuple[Port, ...] = ()
    params: Any = None
    metadata: Any = None
    bmf_node: str = ""
    """Name of the BMF node that it runs in; several nodes can share one BMF node."""
    device: Device = "cpu"
    """Device that it works on."""

    @property
    def kind(self) -> str:
        """Kind of the spec."""
        return self.spec.kind

    @property
    def files(self) -> Files:
        """The files that it reads and writes."""
        return self.spec.files(self.params)

    @property
    def written(self) -> str | None:
        """The file that it writes, or None."""
        return self.files.writes

    def writing_to(self, path: Path) -> PlanNode:
        """Return the same sink with another file."""
        return dataclasses.replace(self, params=self.spec.writing_to(self.params, path))

    def output(self, port: str) -> Port | None:
        """Return the port of that name, or the first port for the empty name; None if there is no such port."""
        return next((output for output in self.outputs if not port or output.name == port), None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A pipeline's nodes in an order in which every node comes after its inputs."""

    name: str
    nodes: tuple[PlanNode, ...]
    machine: Machine = NO_MACHINE
    """The machine that it is compiled for."""
    device: Literal["auto"] | Device = "auto"
    """Device that models run on; auto: on the GPU if the machine has one and a runtime that uses it."""
    latency: float | None = None
    """Most seconds of video that may travel together; None: as many frames as are fastest."""
    batch: int = 1
    """Most consecutive frames that travel together from node to node."""
    errors: tuple[BmfgraphError, ...] = ()
    """Errors of the pipeline. ``nodes`` lacks the nodes that they name and all nodes that depend on those."""

    def __iter__(self) -> Iterator[PlanNode]:
        return iter(self.nodes)

    @property
    def uses_gpu(self) -> bool:
        """True if at least one node runs on the GPU."""
        return any(node.device == "cuda" for node in self.nodes)

    def has(self, name: str) -> bool:
        """Return whether there is a node of that name."""
        return any(node.name == name for node in self.nodes)

    def node(self, name: str) -> PlanNode:
        """Return the node of that name.

        Raises:
            KeyError: There is no such node.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def type_of(self, ref: Ref) -> PortType:
        """Return the type of the edge that begins at ``ref``.

        Raises:
            KeyError: There is no such output, or its type is not inferred yet.
        """
        port = self.node(ref.node).output(ref.port)
        if port is None:
            raise KeyError(str(ref))
        return port.type

    def consumers(self, name: str) -> tuple[tuple[PlanNode, int], ...]:
        """Return each node that reads an output of ``name``, with the index of the input."""
        return tuple((node, index) for node in self.nodes for index, ref in enumerate(node.inputs) if ref.node == name)

    def replace(self, *nodes: PlanNode) -> Plan:
        """Return the plan with the nodes of these names exchanged."""
        changed = {node.name: node for node in nodes}
        return dataclasses.replace(self, nodes=tuple(changed.get(node.name, node) for node in self.nodes))

    def without(self, name: str, error: BmfgraphError) -> Plan:
        """Return the plan without that node and all nodes that depend on it; ``error`` says why."""
        gone = {name}
        for node in self.nodes:
            if any(ref.node in gone for ref in node.inputs):
                gone.add(node.name)
        kept = tuple(node for node in self.nodes if node.name not in gone)
        return dataclasses.replace(self, nodes=kept, errors=(*self.errors, error))

    def sources(self) -> tuple[tuple[PlanNode, SourceInfo], ...]:
        """Return each node that reads frames, with the frames that it promises."""
        infos = ((node, node.spec.source(node.params)) for node in self.nodes)
        return tuple((node, info) for node, info in infos if info is not None and not info.audio_only)

    def engines(self) -> tuple[tuple[PlanNode, Any], ...]:
        """Return each node that runs an engine, with its :class:`bmfgraph.engines.spec.EngineSpec`."""
        engines = ((node, node.spec.engine_of(node.params)) for node in self.nodes)
        return tuple((node, engine) for node, engine in engines if engine is not None)

    def as_json(self) -> dict[str, Any]:
        """Return plain data in a stable order; only paths that the user wrote or that an engine has are absolute."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "batch": self.batch,
            "nodes": [
                {
                    "name": node.name,
                    "kind": node.kind,
                    "bmf_node": node.bmf_node,
                    "device": node.device,
                    "inputs": [str(ref) for ref in node.inputs],
                    "outputs": {port.name: _type_as_json(port.type) for port in node.outputs},
                    "params": json_ready(node.params),
                }
                for node in self.nodes
            ],
        }

    def models(self) -> dict[str, ModelDescription]:
        """Return what is known about each model, by the node that runs it."""
        described = ((node.name, node.spec.model_description(node)) for node in self.nodes)
        return {name: model for name, model in described if model is not None}

    def _repr_svg_(self) -> str:
        """Draw the plan, for notebooks."""
        from bmfgraph.plan.views.svg import plan_svg

        return plan_svg(self)

    def hash(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON: equal plans do the same work."""
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
    """Return dataclasses, tuples, fractions and paths as the types of JSON.

    A dataclass field with ``metadata={"json": False}`` is left out: it explains the plan and changes no work.

    Raises:
        TypeError: A value has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field for field in dataclasses.fields(value) if field.metadata.get("json", True))
        return {field.name: json_ready(getattr(value, field.name)) for field in fields}
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
    """Return the absolute path of every file that a plan reads, with the node that reads it."""
    return {Path(path).resolve(): node.name for node in plan for path in node.files.reads}


def files_written(plan: Plan) -> dict[Path, str]:
    """Return the absolute path of every file that a plan writes, with the node that writes it."""
    return {Path(node.written).resolve(): node.name for node in plan if node.written}


def pipe_errors(plan: Plan, reason: str) -> list[PlanError]:
    """Return an error for each source that reads a pipe, where that is impossible.

    Args:
        plan: The plan.
        reason: Why, such as ``a sweep reads it once for each run``.
    """
    return [
        PlanError(
            node.name,
            f"input {info.pipe!r} is a pipe, which can be read once, and {reason}",
            hint="write it to a file first",
            code=codes.UNREADABLE_PIPE,
        )
        for node, info in plan.sources()
        if info.pipe
    ]
