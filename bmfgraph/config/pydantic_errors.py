"""The errors of pydantic in the form that all errors have: place, mistake, and what to do."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bmfgraph import error_codes as codes
from bmfgraph.config.annotations import nested_models, union_members
from bmfgraph.errors import FieldError, Problem, did_you_mean, join_sorted, nearest, short_repr

__all__ = ["problems_of"]


def problems_of(error: ValidationError, data: Any, model: type[BaseModel], root: str) -> list[Problem]:
    """Pydantic's errors in our words; of a union's branches only the one that got furthest."""
    groups: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        groups.setdefault(_yaml_location(detail, data), []).append(detail)
    found = []
    for location, group in groups.items():
        if not any(other[: len(location)] == location for other in groups if other != location):
            path = ".".join(filter(None, [root, *map(str, location)]))
            found.append(Problem(path, *_message(group, model, path)))
    return found


def _yaml_location(detail: ErrorDetails, data: Any) -> tuple[int | str, ...]:
    """Return the keys that lead to the value in the YAML: pydantic's location without the names of union branches."""
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
    """Return the message, the code and the hint of a mistake."""
    detail = group[0]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    leave = ", or leave it out" if _optional(detail["loc"], model) else ""
    if kind == "extra_forbidden":
        allowed = _allowed_keys(detail["loc"][:-1], model)
        word, parent = str(detail["loc"][-1]), path.rpartition(".")[0]
        near = nearest(word, allowed) or _deeper(detail["loc"], model)
        hint = f"write {parent}.{near}, or take it out" if near else "take it out"
        meant = f" (did you mean {near!r}?)" if near else ""
        return f"unknown key{meant}; allowed: {join_sorted(allowed)}", codes.UNKNOWN_KEY, hint
    if kind == "missing":
        if isinstance(detail["loc"][-1], int):
            return "is missing", codes.MISSING_FIELD, "make the list longer"
        return "is missing", codes.MISSING_FIELD, f"set {path}"
    if kind == "union_tag_not_found":
        return (
            f"is missing; allowed: {join_sorted(_tags(_at(detail['loc'], model)))}",
            codes.MISSING_FIELD,
            f"set {path} to one of them",
        )
    if kind in ("literal_error", "union_tag_invalid"):
        if kind == "literal_error":
            others = [_wanted(other) for other in group if other["type"] != "literal_error"]
            words = list(dict.fromkeys([*_literals(detail["loc"], model), *others]))
        else:
            value, words = context["tag"], _tags(_at(detail["loc"], model))
        near = nearest(str(value), words)
        return (
            f"{short_repr(value)} is not allowed{did_you_mean(str(value), words)}; allowed: {', '.join(words)}",
            codes.INVALID_CHOICE,
            f"set {path}={near}{leave}" if near else f"set {path} to one of them{leave}",
        )
    if kind == "value_error":
        error = context.get("error", detail["msg"])
        return (
            str(error),
            codes.CONFLICTING_VALUES,
            error.hint if isinstance(error, FieldError) else f"correct {path}{leave}",
        )
    wanted = " or ".join(dict.fromkeys(_wanted(one) for one in group))
    return f"{short_repr(value)}: must be {wanted}", _code(kind), _advice(detail, path, wanted) + leave


def _code(kind: str) -> str:
    """Describe a value of the wrong type, out of range, or of the wrong form."""
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return codes.WRONG_TYPE
    return codes.VALUE_OUT_OF_RANGE if kind.startswith(("greater", "less", "finite")) else codes.MALFORMED_VALUE


_RANGES = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}
_ADVICE = {
    "tuple_type": "write {} in brackets, such as [a, b]",
    "list_type": "write {} in brackets, such as [a, b]",
    "dict_type": "write {} in braces, such as {{key: value}}",
    "mapping_type": "write {} in braces, such as {{key: value}}",
    "model_type": "write {} in braces, such as {{key: value}}",
    "model_attributes_type": "write {} in braces, such as {{key: value}}",
    "string_type": "give {} a text; one that looks like a number, true or null stands in quotes",
    "string_too_short": "give {} a value",
    "string_pattern_mismatch": "write {} in that form",
    "too_short": "give {} an entry at least",
    "too_long": "make {} shorter",
}


def _advice(detail: ErrorDetails, path: str, wanted: str) -> str:
    """Return the hint for a value that must be what ``wanted`` says."""
    kind = detail["type"]
    if kind in _RANGES:
        return f"set {path} to {_RANGES[kind].format(**detail['ctx'])}"
    if kind in _ADVICE and " or " not in wanted:
        return _ADVICE[kind].format(path)
    return f"set {path} to {wanted}" if kind in _WORDS else f"correct {path}"


def _optional(location: tuple[int | str, ...], model: type[BaseModel]) -> bool:
    """Whether a value may be left out."""
    fields = (one.model_fields for one in nested_models(_at(location[:-1], model)))
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
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text that is not empty",
    "string_type": "text (in quotes)",
    "too_long": "a list of at most {max_length}",
    "too_short": "not empty",
    "tuple_type": "a list",
}


def _wanted(detail: ErrorDetails) -> str:
    """Describe a valid value, for "must be ..."."""
    words = _WORDS.get(detail["type"])
    return words.format(**detail.get("ctx", {})) if words else f"right: {detail['msg']}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    found = _at(location, model)
    return [key for one in nested_models(found) for key in one.model_fields]


def _deeper(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return the path of a key of that name in the mappings beside it, such as ``engine.batch``; "" if none has it."""
    word = str(location[-1])
    for one in nested_models(_at(location[:-1], model)):
        for key, field in one.model_fields.items():
            if any(word in inner.model_fields for inner in nested_models(field.annotation)):
                return f"{key}.{word}"
    return ""


def _at(location: tuple[int | str, ...], annotation: Any) -> Any:
    """Return the annotation that pydantic's location leads to; None if there is none."""
    for part in location:
        annotation = _inside(annotation, part)
    return annotation


def _inside(annotation: Any, part: int | str) -> Any:
    branches = list(union_members(annotation))
    models = nested_models(annotation)
    for one in branches:
        if len(branches) > 1 and one in models and (part == one.__name__ or part in _tags(one)):
            return one
        if len(branches) > 1 and typing.get_origin(one) is dict and str(part).startswith("dict["):
            return one
        if len(branches) > 1 and typing.get_origin(one) is typing.Literal and str(part).startswith("literal["):
            return one
    for one in branches:
        arguments = typing.get_args(one)
        if one in models and part in one.model_fields:
            return one.model_fields[str(part)].annotation
        if arguments and isinstance(part, int) != (typing.get_origin(one) is dict):
            return arguments[-1] if typing.get_origin(one) is dict else arguments[0]
    return None


def _literals(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Return the values that the annotation lists."""
    literals = (member for member in union_members(_at(location, model)) if typing.get_origin(member) is typing.Literal)
    return [str(value) for literal in literals for value in typing.get_args(literal)]


def _tags(annotation: Any) -> list[str]:
    """Return the words by which a discriminated union's branches are chosen."""
    return [
        str(word)
        for model in nested_models(annotation)
        for field in model.model_fields.values()
        if typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1
        for word in typing.get_args(field.annotation)
    ]
