"""Build a pipeline in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.config.pipeline import PipelineSpec, parse_pipeline, problems_of
from bmfgraph.errors import Problem, SpecError, did_you_mean, join_sorted
from bmfgraph.nodes.base import NodeSpec

__all__ = ["NodeOutput", "Pipeline"]


class NodeOutput:
    """An output of a node: the node's first one, or the one chosen as an attribute, such as ``source.audio``."""

    def __init__(self, node: str, ports: tuple[str, ...], port: str = "") -> None:
        self._node, self._ports, self._port = node, ports, port

    def __getattr__(self, port: str) -> NodeOutput:
        if port.startswith("_"):
            raise AttributeError(port)
        if port not in self._ports:
            raise SpecError(
                [
                    Problem(
                        f"pipeline.nodes.{self._node}",
                        f"there is no port {port!r}{did_you_mean(port, self._ports)}; "
                        f"ports: {join_sorted(self._ports)}",
                        codes.UNKNOWN_PORT,
                        "name one of the node's ports",
                    )
                ]
            )
        return NodeOutput(self._node, self._ports, port)

    def __str__(self) -> str:
        return f"{self._node}.{self._port}" if self._port else self._node

    def __repr__(self) -> str:
        return f"<output {self}>"


class Pipeline:
    """A pipeline under construction.

    Example:
        >>> pipeline = Pipeline("copy")
        >>> source = pipeline.add("source", "decoder", path="clip.mp4")
        >>> pipeline.add("sink", "encoder", source.video, path="copy.mkv")
        <output sink>
    """

    def __init__(self, name: str) -> None:
        """Begin a pipeline.

        Args:
            name: Letters, digits, ``_`` and ``-``.
        """
        self.name = name
        self._nodes: dict[str, Any] = {}

    def add(
        self, name: str, node: NodeSpec | type[NodeSpec] | str, *inputs: NodeOutput | str, **fields: Any
    ) -> NodeOutput:
        """Add a node.

        Args:
            name: The node's name in the pipeline.
            node: A kind such as ``"decoder"``, the class of a kind, or an instance of one.
            inputs: The outputs that it takes, in order.
            fields: The fields of the node; those of an instance are replaced.

        Returns:
            The node's first output; its attributes are its outputs by port.

        Raises:
            SpecError: The name is taken, the kind is unknown, or a field is wrong.
        """
        if name in self._nodes:
            problem = Problem(
                f"pipeline.nodes.{name}",
                "there is a node of this name already",
                codes.INVALID_NODE_NAME,
                "choose another name",
            )
            raise SpecError([problem])
        fields = {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}
        if inputs:
            fields["inputs"] = [str(output) for output in inputs]
        if isinstance(node, NodeSpec):
            fields = {key: getattr(node, key) for key in node.model_fields_set} | fields
            node = type(node)
        # The whole pipeline is checked later; a node with its own mistakes is refused here.
        data = {"kind": node, **fields} if isinstance(node, str) else _of_class(name, node, fields)
        spec = parse_pipeline({"name": "check", "nodes": {name: data}}).nodes[name]
        self._nodes[name] = spec
        return NodeOutput(name, spec.ports())

    def spec(self) -> PipelineSpec:
        """Return the pipeline with the nodes added so far.

        Raises:
            SpecError: It holds every mistake.
        """
        return parse_pipeline({"name": self.name, "nodes": self._nodes})


def _of_class(name: str, node: type[NodeSpec], fields: dict[str, Any]) -> NodeSpec:
    try:
        return node.model_validate(fields)
    except ValidationError as error:
        raise SpecError(problems_of(error, fields, node, f"pipeline.nodes.{name}")) from None
