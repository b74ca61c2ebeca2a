"""From plain data (what YAML holds once composed) to a checked, frozen pipeline description."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError
from pydantic_core import ErrorDetails

from bmfgraph.errors import Problem, SpecError, did_you_mean, one_of
from bmfgraph.nodes.base import Frozen, NodeSpec
from bmfgraph.registry import RegistryError, kinds, spec_class

__all__ = ["PipelineSpec", "parse_pipeline"]

_ROOT = "pipeline"


class PipelineSpec(Frozen):
    """A pipeline: named nodes, each saying where its inputs come from."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="Names the pipeline in reports and output files.")
    nodes: dict[str, SerializeAsAny[NodeSpec]] = Field(min_length=1)


def parse_pipeline(data: Any) -> PipelineSpec:
    """Check plain data and build the spec. Raises SpecError with every mistake found, each at its YAML path."""
    if not isinstance(data, Mapping):
        raise SpecError([Problem(_ROOT, f"a pipeline is a mapping with `name` and `nodes`, not {_shown(data)}")])
    problems: list[Problem] = []
    nodes: dict[str, NodeSpec] = {}
    raw_nodes = data.get("nodes")
    if raw_nodes is not None and not isinstance(raw_nodes, Mapping):
        problems.append(Problem(f"{_ROOT}.nodes", f"nodes are a mapping from name to node, not {_shown(raw_nodes)}"))
        raw_nodes = {}
    for name, raw in (raw_nodes or {}).items():
        parsed = _parse_node(str(name), raw)
        if isinstance(parsed, NodeSpec):
            nodes[str(name)] = parsed
        else:
            problems += parsed
    shell = {key: value for key, value in data.items() if key != "nodes"}
    try:
        pipeline = PipelineSpec.model_validate(shell | ({"nodes": nodes} if raw_nodes is not None else {}))
    except ValidationError as error:
        # An empty or broken `nodes` was told above in better words.
        problems += [
            one for one in _problems(error, PipelineSpec, _ROOT) if not (problems and one.path == f"{_ROOT}.nodes")
        ]
    if problems:
        raise SpecError(problems)
    return pipeline


def _parse_node(name: str, raw: Any) -> NodeSpec | list[Problem]:
    path = f"{_ROOT}.nodes.{name}"
    if "." in name or not name:
        return [Problem(path, f"a node's name has no dot and is not empty: {name!r}")]
    if not isinstance(raw, Mapping):
        return [Problem(path, f"a node is a mapping with `kind` and its options, not {_shown(raw)}")]
    raw = dict(raw)
    shared = raw.pop("use", None) or {}
    if not isinstance(shared, Mapping):
        return [Problem(f"{path}.use", f"`use` takes a mapping of options, such as ${{encoder}}, not {_shown(shared)}")]
    raw = {**shared, **raw}
    kind = raw.get("kind")
    if not isinstance(kind, str):
        return [Problem(f"{path}.kind", f"every node needs a kind: {one_of(kinds())}")]
    try:
        cls = spec_class(kind)
    except RegistryError as error:
        return [Problem(f"{path}.kind", str(error))]
    problems: list[Problem] = []
    node: NodeSpec | None = None
    try:
        node = cls.model_validate(raw)
    except ValidationError as error:
        problems = _problems(error, cls, path)
    inputs = node.inputs if node else raw.get("inputs", ())
    if isinstance(inputs, (tuple, list, Mapping)):
        least, most = cls.arity
        if not least <= len(inputs) <= most and not any(one.path.startswith(f"{path}.inputs") for one in problems):
            wanted = str(least) if least == most else f"{least} to {most}" if most < 99 else f"at least {least}"
            problems.append(Problem(f"{path}.inputs", f"kind {kind!r} takes {wanted} input(s), not {len(inputs)}"))
    return problems or typing.cast(NodeSpec, node)


def _problems(error: ValidationError, model: type[BaseModel], root: str) -> list[Problem]:
    """Pydantic's errors in our words; of a union's branches only the one that got furthest."""
    details = error.errors(include_url=False)
    deepest: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for detail in details:
        deepest.setdefault(_yaml_location(detail["loc"], model), []).append(detail)
    problems = []
    for location, group in deepest.items():
        path = ".".join([root, *map(str, location)])
        problems.append(Problem(path, _message(group, location, model)))
    return problems


def _yaml_location(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[int | str, ...]:
    """Drop the parts of pydantic's location that name a branch of a union and not a key."""
    kept: list[int | str] = []
    known: Any = model
    for part in loc:
        if isinstance(part, int):
            kept.append(part)
            continue
        fields = _fields_of(known)
        if fields is None or part in fields:
            kept.append(part)
            known = fields[part].annotation if fields else None
        elif known is not None and not _is_branch(part):
            kept.append(part)
    return tuple(kept)


def _is_branch(part: str) -> bool:
    """Pydantic names a union's branch by its type, as in ``str``, ``list[int]`` or ``function-after[...]``."""
    return part in {"str", "int", "float", "bool", "constrained-int", "constrained-float", "none"} or "[" in part


def _fields_of(annotation: Any) -> dict[str, Any] | None:
    for model in _models_in(annotation):
        return dict(model.model_fields)
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if typing.get_origin(annotation) in (Union, types.UnionType, Annotated):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _message(group: list[ErrorDetails], location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    detail = group[0]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        allowed = _allowed_keys(location, model)
        return f"unknown key{did_you_mean(str(location[-1]), allowed)}; allowed: {one_of(allowed)}"
    if kind == "missing":
        return "is missing; give it a value"
    if kind == "literal_error":
        wanted = " or ".join(dict.fromkeys(str(one.get("ctx", {}).get("expected", one["msg"])) for one in group))
        words = [word.strip("' ") for word in wanted.replace(" or ", ",").split(",")]
        return f"{_shown(value)} is not allowed{did_you_mean(str(value), words)}; allowed: {wanted}"
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    wanted = " or ".join(dict.fromkeys(_lower_first(one["msg"]) for one in group))
    return f"{_shown(value)}: {wanted}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    known: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            known = (typing.get_args(known) or (None,))[0]
            continue
        fields = _fields_of(known)
        if not fields or part not in fields:
            arguments = typing.get_args(known)
            known = arguments[-1] if arguments else None  # a mapping's values
            continue
        known = fields[part].annotation
    return list(_fields_of(known) or {})


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
