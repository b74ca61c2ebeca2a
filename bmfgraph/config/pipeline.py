"""From plain data (what YAML holds once composed) to a checked, frozen pipeline description."""

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
    """A pipeline: named nodes, each saying where its inputs come from."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="Names the pipeline in reports and output files.")
    nodes: dict[str, SerializeAsAny[NodeSpec]] = Field(min_length=1)


def parse_pipeline(data: Any) -> PipelineSpec:
    """Check plain data and build the spec. Raises SpecError with every mistake found, each at its YAML path."""
    spec, problems, _ = read_pipeline(data)
    if spec is None or problems:
        raise SpecError(problems)
    return spec


def read_pipeline(data: Any) -> tuple[PipelineSpec | None, list[Problem], list[str]]:
    """Return the spec as far as the data are right, every mistake found, and the names of the nodes that have one."""
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
        # An empty or broken `nodes` was reported above in better words.
        problems += [
            one
            for one in problems_of(error, shell | {"nodes": {}}, PipelineSpec, _ROOT)
            if not (problems and one.path == f"{_ROOT}.nodes")
        ]
    lost = [str(name) for name in raw_nodes or () if str(name) not in nodes]
    if pipeline is None and nodes:
        # Its nodes are looked at all the same.
        pipeline = PipelineSpec(name="unnamed", nodes=nodes)
    return pipeline, problems, lost


def _truths(raw: Any, made: Any, path: str) -> Iterator[Problem]:
    """Return the places where true or false stands for a number; pydantic takes them for 1 and 0."""
    if isinstance(raw, bool) and isinstance(made, (int, float)) and not isinstance(made, bool):
        yield Problem(path, f"{raw}: must be a number".lower(), codes.WRONG_TYPE, f"set {path} to a number")
    elif isinstance(raw, Mapping):
        for key, value in raw.items():
            part = made.get(key) if isinstance(made, Mapping) else getattr(made, str(key), None)
            yield from _truths(value, part, f"{path}.{key}")
    elif isinstance(raw, (list, tuple)) and isinstance(made, (list, tuple)):
        for place, (value, part) in enumerate(zip(raw, made, strict=False)):
            yield from _truths(value, part, f"{path}.{place}")


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
        meant = f"; or is it a node you know{near}" if near else ""
        hint = f"set {path}.kind; a `use` such as ${{decoder}} may bring it"
        return [
            Problem(
                f"{path}.kind",
                f"every node needs a kind: {join_sorted(kinds())}{meant}",
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
        problems = list(_truths(raw, node, path))
    except ValidationError as error:
        problems = problems_of(error, raw, cls, path)
    inputs = node.inputs if node else raw.get("inputs", ())
    if not any(problem.path.startswith(f"{path}.inputs") for problem in problems):
        problems += _count_problems(path, cls, kind, inputs)
    return problems or typing.cast(NodeSpec, node)


def _count_problems(path: str, cls: type[NodeSpec], kind: str, inputs: Any) -> list[Problem]:
    """Whether a node has as many inputs as its kind takes."""
    least, most = cls.arity
    if not isinstance(inputs, (tuple, list, Mapping)) or least <= len(inputs) <= most:
        return []
    between = f"{least} to {most}" if most < 99 else f"at least {least}"
    count = str(least) if least == most else between
    return [
        Problem(
            f"{path}.inputs",
            f"kind {kind!r} takes {count} input(s), not {len(inputs)}",
            code=codes.WRONG_INPUT_COUNT,
            hint=_inputs_hint(cls),
        )
    ]


def _inputs_hint(cls: type[NodeSpec]) -> str:
    """Return a hint with the inputs of a kind, if its description names them."""
    if cls.arity[1] == 0:
        return "leave `inputs` out"
    _, found, what = (cls.__doc__ or "").partition("Inputs: ")
    return f"give it {what.split('.')[0]}" if found else "write each as `node` or `node.port`"
