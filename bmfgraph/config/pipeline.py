"""Check plain data, and make a frozen pipeline spec of them."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, SerializeAsAny, ValidationError

from bmfgraph import error_codes as codes
from bmfgraph.config.pydantic_errors import problems_of
from bmfgraph.errors import Problem, SpecError, did_you_mean, join_sorted, short_repr
from bmfgraph.nodes.base import Frozen, NodeSpec
from bmfgraph.nodes.registry import RegistryError, kinds, spec_class

__all__ = ["PipelineSpec", "parse_pipeline", "problems_of", "read_pipeline"]

_ROOT = "pipeline"


class PipelineSpec(Frozen):
    """A pipeline: nodes by name, each with the outputs that it reads."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="Names the pipeline in reports and output files.")
    nodes: dict[str, SerializeAsAny[NodeSpec]] = Field(min_length=1)


def parse_pipeline(data: Any) -> PipelineSpec:
    """Check plain data and build the spec.

    Args:
        data: A mapping with ``name`` and ``nodes``; a node is a mapping or a NodeSpec.

    Raises:
        SpecError: It holds every mistake, each at its YAML path.
    """
    spec, problems, _ = read_pipeline(data)
    if spec is None or problems:
        raise SpecError(problems)
    return spec


def read_pipeline(data: Any) -> tuple[PipelineSpec | None, list[Problem], list[str]]:
    """Read a pipeline as far as it is right.

    Args:
        data: As for :func:`parse_pipeline`.

    Returns:
        The spec without the wrong nodes (None if nothing is left), every mistake, and the names of the wrong nodes.
    """
    if not isinstance(data, Mapping):
        return (
            None,
            [
                Problem(
                    _ROOT,
                    f"a pipeline is a mapping with `name` and `nodes`, not {short_repr(data)}",
                    code=codes.MAPPING_EXPECTED,
                    hint="see one that is right: python -m bmfgraph pipeline=super_resolution --cfg job",
                )
            ],
            [],
        )
    problems: list[Problem] = []
    nodes: dict[str, NodeSpec] = {}
    raw_nodes = data.get("nodes")
    if raw_nodes is not None and not isinstance(raw_nodes, Mapping):
        problems.append(
            Problem(
                f"{_ROOT}.nodes",
                f"nodes are a mapping from name to node, not {short_repr(raw_nodes)}",
                code=codes.MAPPING_EXPECTED,
                hint="write `NAME: {kind: KIND, inputs: [...]}` for each",
            )
        )
        raw_nodes = {}
    for name, raw in (raw_nodes or {}).items():
        parsed = _parse_node(str(name), raw, [str(other) for other in raw_nodes or () if other != name])
        if isinstance(parsed, NodeSpec):
            nodes[str(name)] = parsed
        else:
            problems += parsed
    shell = {key: value for key, value in data.items() if key != "nodes"}
    pipeline: PipelineSpec | None = None
    try:
        pipeline = PipelineSpec.model_validate(shell | ({"nodes": nodes} if raw_nodes is not None else {}))
    except ValidationError as error:
        # Problems of `nodes` that are reported already are better than pydantic's.
        problems += [
            problem
            for problem in problems_of(error, shell | {"nodes": {}}, PipelineSpec, _ROOT)
            if not (problems and problem.path == f"{_ROOT}.nodes")
        ]
    lost = [str(name) for name in raw_nodes or () if str(name) not in nodes]
    if pipeline is None and nodes:
        # The pipeline itself is wrong, but its nodes are compiled for their own mistakes.
        pipeline = PipelineSpec(name="unnamed", nodes=nodes)
    return pipeline, problems, lost


def _bools_as_numbers(raw: Any, parsed: Any, path: str) -> Iterator[Problem]:
    """Report each true or false in place of a number, which pydantic accepts as 1 or 0."""
    if isinstance(raw, bool) and isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
        yield Problem(path, f"{raw}: must be a number".lower(), codes.WRONG_TYPE, f"set {path} to a number")
    elif isinstance(raw, Mapping):
        for key, value in raw.items():
            part = parsed.get(key) if isinstance(parsed, Mapping) else getattr(parsed, str(key), None)
            yield from _bools_as_numbers(value, part, f"{path}.{key}")
    elif isinstance(raw, (list, tuple)) and isinstance(parsed, (list, tuple)):
        for index, (value, part) in enumerate(zip(raw, parsed, strict=False)):
            yield from _bools_as_numbers(value, part, f"{path}.{index}")


def _parse_node(name: str, raw: Any, others: list[str]) -> NodeSpec | list[Problem]:
    path = f"{_ROOT}.nodes.{name}"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return [
            Problem(
                path,
                f"a node's name is made of letters, digits, _ and -, not {name!r}",
                code=codes.INVALID_NODE_NAME,
                hint="rename it, in the inputs of other nodes too",
            )
        ]
    if isinstance(raw, NodeSpec):
        return _count_problems(path, type(raw), raw.kind, raw.inputs) or raw
    if not isinstance(raw, Mapping):
        return [
            Problem(
                path,
                f"a node is a mapping with `kind` and its options, not {short_repr(raw)}",
                code=codes.MAPPING_EXPECTED,
                hint=f"write it as {{kind: KIND, inputs: [...]}}, or take it out with ~{path}",
            )
        ]
    raw = dict(raw)
    shared = raw.pop("use", None) or {}
    if not isinstance(shared, Mapping):
        return [
            Problem(
                f"{path}.use",
                f"`use` takes a mapping of options, such as ${{encoder}}, not {short_repr(shared)}",
                code=codes.MAPPING_EXPECTED,
                hint="write ${encoder} or ${decoder} for what is chosen, or leave `use` out",
            )
        ]
    raw = {**shared, **raw}
    kind = raw.get("kind")
    if kind is not None and not isinstance(kind, str):
        text = f"{short_repr(kind)}: a kind is one word: {join_sorted(kinds())}"
        return [Problem(f"{path}.kind", text, code=codes.MISSING_NODE_KIND, hint=f"set {path}.kind to one of them")]
    if kind is None:
        near = did_you_mean(name, others)
        suggestion = f"; or is the node's name wrong{near}" if near else ""
        hint = f"set {path}.kind; a `use` such as ${{decoder}} may bring it"
        return [
            Problem(
                f"{path}.kind",
                f"every node needs a kind: {join_sorted(kinds())}{suggestion}",
                code=codes.MISSING_NODE_KIND,
                hint=hint,
            )
        ]
    try:
        cls = spec_class(kind)
    except RegistryError as error:
        return [Problem(f"{path}.kind", str(error), code=error.code, hint=error.hint)]
    problems: list[Problem] = []
    node: NodeSpec | None = None
    try:
        node = cls.model_validate(raw)
        problems = list(_bools_as_numbers(raw, node, path))
    except ValidationError as error:
        problems = problems_of(error, raw, cls, path)
    inputs = node.inputs if node else raw.get("inputs", ())
    if not any(problem.path.startswith(f"{path}.inputs") for problem in problems):
        problems += _count_problems(path, cls, kind, inputs)
    return problems or typing.cast(NodeSpec, node)


def _count_problems(path: str, cls: type[NodeSpec], kind: str, inputs: Any) -> list[Problem]:
    """Compare the number of inputs with the kind's arity."""
    minimum, maximum = cls.arity
    if not isinstance(inputs, (tuple, list, Mapping)) or minimum <= len(inputs) <= maximum:
        return []
    span = f"{minimum} to {maximum}" if maximum < 99 else f"at least {minimum}"
    count = str(minimum) if minimum == maximum else span
    return [
        Problem(
            f"{path}.inputs",
            f"kind {kind!r} takes {count} input(s), not {len(inputs)}",
            code=codes.WRONG_INPUT_COUNT,
            hint=_inputs_hint(cls),
        )
    ]


def _inputs_hint(cls: type[NodeSpec]) -> str:
    """Return a hint about the inputs of a kind, from the docstring of its class if that has one."""
    if cls.arity[1] == 0:
        return "leave `inputs` out"
    _, label, inputs = (cls.__doc__ or "").partition("Inputs: ")
    return f"give it {inputs.split('.')[0]}" if label else "write each as `node` or `node.port`"
