"""From plain data (what YAML holds once composed) to a checked, frozen pipeline description."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, SerializeAsAny, ValidationError
from pydantic_core import ErrorDetails

from bmfgraph.errors import Problem, SpecError, did_you_mean, nearest, one_of, shown
from bmfgraph.nodes.base import Frozen, NodeSpec
from bmfgraph.registry import RegistryError, kinds, spec_class

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
    """The spec as far as the data are right, every mistake found, and the names of the nodes that have one."""
    if not isinstance(data, Mapping):
        return (
            None,
            [
                Problem(
                    _ROOT,
                    f"a pipeline is a mapping with `name` and `nodes`, not {shown(data)}",
                    code="E201",
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
                f"nodes are a mapping from name to node, not {shown(raw_nodes)}",
                code="E201",
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
        # An empty or broken `nodes` was told above in better words.
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


def _parse_node(name: str, raw: Any, others: list[str]) -> NodeSpec | list[Problem]:
    path = f"{_ROOT}.nodes.{name}"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return [
            Problem(
                path,
                f"a node's name is made of letters, digits, _ and -, not {name!r}",
                code="E202",
                hint="rename it, in the inputs of other nodes too",
            )
        ]
    if not isinstance(raw, Mapping):
        return [
            Problem(
                path,
                f"a node is a mapping with `kind` and its options, not {shown(raw)}",
                code="E201",
                hint=f"write it as {{kind: KIND, inputs: [...]}}, or take it out with ~{path}",
            )
        ]
    raw = dict(raw)
    shared = raw.pop("use", None) or {}
    if not isinstance(shared, Mapping):
        return [
            Problem(
                f"{path}.use",
                f"`use` takes a mapping of options, such as ${{encoder}}, not {shown(shared)}",
                code="E201",
                hint="write ${encoder} or ${decoder} for what is chosen, or leave `use` out",
            )
        ]
    raw = {**shared, **raw}
    kind = raw.get("kind")
    if not isinstance(kind, str):
        near = did_you_mean(name, others)
        meant = f"; or is it a node you know{near}" if near else ""
        hint = f"set {path}.kind; a `use` such as ${{decoder}} may bring it"
        return [Problem(f"{path}.kind", f"every node needs a kind: {one_of(kinds())}{meant}", code="E210", hint=hint)]
    try:
        cls = spec_class(kind)
    except RegistryError as error:
        return [Problem(f"{path}.kind", str(error), code=error.code, hint=error.hint)]
    problems: list[Problem] = []
    node: NodeSpec | None = None
    try:
        node = cls.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error, raw, cls, path)
    inputs = node.inputs if node else raw.get("inputs", ())
    if isinstance(inputs, (tuple, list, Mapping)):
        least, most = cls.arity
        if not least <= len(inputs) <= most and not any(one.path.startswith(f"{path}.inputs") for one in problems):
            between = f"{least} to {most}" if most < 99 else f"at least {least}"
            wanted = str(least) if least == most else between
            problems.append(
                Problem(
                    f"{path}.inputs",
                    f"kind {kind!r} takes {wanted} input(s), not {len(inputs)}",
                    code="E215",
                    hint=_inputs_hint(cls),
                )
            )
    return problems or typing.cast(NodeSpec, node)


def _inputs_hint(cls: type[NodeSpec]) -> str:
    """What a kind takes, as far as its description says so."""
    if cls.arity[1] == 0:
        return "leave `inputs` out"
    _, found, what = (cls.__doc__ or "").partition("Inputs: ")
    return f"give it {what.split('.')[0]}" if found else "write each as `node` or `node.port`"


def problems_of(error: ValidationError, data: Any, model: type[BaseModel], root: str) -> list[Problem]:
    """Pydantic's errors in our words; of a union's branches only the one that got furthest."""
    groups: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        groups.setdefault(_yaml_location(detail, data), []).append(detail)
    found = []
    for location, group in groups.items():
        if not any(other[: len(location)] == location for other in groups if other != location):
            path = ".".join([root, *map(str, location)])
            found.append(Problem(path, *_message(group, model, path)))
    return found


def _yaml_location(detail: ErrorDetails, data: Any) -> tuple[int | str, ...]:
    """The keys that lead to the value in the YAML: pydantic's location without the names of union branches."""
    kept: list[int | str] = []
    parts = detail["loc"]
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, (list, tuple)) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        elif not (last and detail["type"] == "missing"):
            continue
        kept.append(part)
    if detail["type"].startswith("union_tag"):
        kept.append(detail["ctx"]["discriminator"].strip("'"))
    return tuple(kept)


def _message(group: list[ErrorDetails], model: type[BaseModel], path: str) -> tuple[str, str, str]:
    """What is wrong, its code, and what to do."""
    detail = group[0]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    leave = ", or leave it out" if _optional(detail["loc"], model) else ""
    if kind == "extra_forbidden":
        allowed = _allowed_keys(detail["loc"][:-1], model)
        word, parent = str(detail["loc"][-1]), path.rpartition(".")[0]
        near = nearest(word, allowed)
        hint = f"write {parent}.{near}, or take it out" if near else "take it out"
        return f"unknown key{did_you_mean(word, allowed)}; allowed: {one_of(allowed)}", "E203", hint
    if kind == "missing":
        if isinstance(detail["loc"][-1], int):
            return "is missing", "E204", "make the list longer"
        return "is missing", "E204", f"set {path}, or write it where the others are"
    if kind == "union_tag_not_found":
        return f"is missing; allowed: {one_of(_tags(_at(detail['loc'], model)))}", "E204", f"set {path} to one of them"
    if kind in ("literal_error", "union_tag_invalid"):
        if kind == "literal_error":
            wanted = " or ".join(dict.fromkeys(one.get("ctx", {}).get("expected") or _wanted(one) for one in group))
        else:
            value, wanted = context["tag"], context["expected_tags"]
        words = [word.strip("' ") for word in wanted.replace(" or ", ",").split(",")]
        near = nearest(str(value), words)
        return (
            f"{shown(value)} is not allowed{did_you_mean(str(value), words)}; allowed: {', '.join(words)}",
            "E205",
            f"set {path}={near}{leave}" if near else f"set {path} to one of them{leave}",
        )
    if kind == "value_error":
        # Written as "what is wrong; what to do".
        message, _, hint = str(context.get("error", detail["msg"])).partition("; ")
        return message, "E209", hint or f"correct {path}{leave}"
    wanted = " or ".join(dict.fromkeys(_wanted(one) for one in group))
    return f"{shown(value)}: must be {wanted}", _code(kind), _advice(detail, path, wanted) + leave


def _code(kind: str) -> str:
    """Of a value that is not as it must be: of the wrong type, out of range, or of the wrong form."""
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return "E206"
    return "E207" if kind.startswith(("greater", "less", "finite")) else "E208"


_RANGES = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}
_ADVICE = {
    "tuple_type": "write {} in brackets, such as [1, 2]",
    "list_type": "write {} in brackets, such as [1, 2]",
    "dict_type": "write {} in braces, such as {{key: value}}",
    "mapping_type": "write {} in braces, such as {{key: value}}",
    "model_type": "write {} in braces, such as {{key: value}}",
    "string_type": "give {} a text; one that looks like a number, true or null stands in quotes",
    "string_too_short": "give {} a value",
    "string_pattern_mismatch": "write {} in that form",
    "too_short": "give {} an entry at least",
    "too_long": "make {} shorter",
}


def _advice(detail: ErrorDetails, path: str, wanted: str) -> str:
    """What to do about a value that must be what ``wanted`` says."""
    kind = detail["type"]
    if kind in _RANGES:
        return f"set {path} to {_RANGES[kind].format(**detail['ctx'])}"
    if kind in _ADVICE and " or " not in wanted:
        return _ADVICE[kind].format(path)
    return f"set {path} to {wanted}" if kind in _WORDS else f"correct {path}"


def _optional(location: tuple[int | str, ...], model: type[BaseModel]) -> bool:
    """Whether a value may be left out."""
    fields = (one.model_fields for one in _branches(_at(location[:-1], model)) if _is_model(one))
    return any(not one[str(location[-1])].is_required() for one in fields if str(location[-1]) in one)


_WORDS = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text that is not empty",
    "string_type": "text (in quotes)",
    "too_long": "a list of at most {max_length}",
    "too_short": "not empty",
    "tuple_type": "a list",
}


def _wanted(detail: ErrorDetails) -> str:
    """What a value must be, for "must be ..."."""
    words = _WORDS.get(detail["type"])
    return words.format(**detail.get("ctx", {})) if words else f"right: {detail['msg']}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    found = _at(location, model)
    return [key for one in _branches(found) if _is_model(one) for key in one.model_fields]


def _at(location: tuple[int | str, ...], annotation: Any) -> Any:
    """The annotation that pydantic's location leads to; None where it leads nowhere we know."""
    for part in location:
        annotation = _inside(annotation, part)
    return annotation


def _inside(annotation: Any, part: int | str) -> Any:
    branches = _branches(annotation)
    for one in branches:
        if len(branches) > 1 and _is_model(one) and (part == one.__name__ or part in _tags(one)):
            return one
        if len(branches) > 1 and typing.get_origin(one) is dict and str(part).startswith("dict["):
            return one
    for one in branches:
        arguments = typing.get_args(one)
        if _is_model(one) and part in one.model_fields:
            return one.model_fields[str(part)].annotation
        if arguments and isinstance(part, int) != (typing.get_origin(one) is dict):
            return arguments[-1] if typing.get_origin(one) is dict else arguments[0]
    return None


def _branches(annotation: Any) -> list[Any]:
    """A union's branches, else the annotation itself."""
    if typing.get_origin(annotation) is Annotated:
        return _branches(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return [found for one in typing.get_args(annotation) for found in _branches(one)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tags(annotation: Any) -> list[str]:
    """The words by which a discriminated union's branches are chosen."""
    return [
        str(word)
        for model in _branches(annotation)
        if _is_model(model)
        for field in model.model_fields.values()
        if typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1
        for word in typing.get_args(field.annotation)
    ]
