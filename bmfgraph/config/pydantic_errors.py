"""Translate pydantic's validation errors into Problems."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bmfgraph import error_codes as codes
from bmfgraph.config.annotations import nested_models, union_members
from bmfgraph.errors import FieldError, Problem, join_sorted, nearest, short_repr

__all__ = ["problems_of"]

_SYNONYMS = {"gpu": "cuda"}
"""Other words for allowed values, whose letters are not similar."""


def problems_of(error: ValidationError, data: Any, model: type[BaseModel], root: str) -> list[Problem]:
    """Return a problem for each wrong value.

    Pydantic reports an error for every branch of a union; only those of the branch that got furthest count.

    Args:
        error: Pydantic's error.
        data: The plain data that were validated.
        model: The model that validated them.
        root: Dotted YAML path of the data; "" for the whole configuration.
    """
    groups: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        groups.setdefault(_yaml_location(detail, data), []).append(detail)
    problems = []
    for location, group in groups.items():
        if not any(other[: len(location)] == location for other in groups if other != location):
            path = ".".join(filter(None, [root, *map(str, location)]))
            problems.append(Problem(path, *_message(group, model, path)))
    return problems


def _yaml_location(detail: ErrorDetails, data: Any) -> tuple[int | str, ...]:
    """Return the keys that lead to the value in the YAML: pydantic's location without the names of union branches."""
    location: list[int | str] = []
    parts = detail["loc"]
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, (list, tuple)) and isinstance(part, int):
            data = data[part] if part < len(data) else None
        elif not (last and detail["type"] == "missing"):
            continue
        location.append(part)
    if detail["type"].startswith("union_tag"):
        location.append(detail["ctx"]["discriminator"].strip("'"))
    return tuple(location)


def _message(group: list[ErrorDetails], model: type[BaseModel], path: str) -> tuple[str, str, str]:
    """Return message, code and hint for the errors of one value."""
    detail = group[0]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    or_omit = ", or leave it out" if _optional(detail["loc"], model) else ""
    if kind == "extra_forbidden":
        allowed = _allowed_keys(detail["loc"][:-1], model)
        key, parent = str(detail["loc"][-1]), path.rpartition(".")[0]
        near = nearest(key, allowed) or _nested_key(detail["loc"], model)
        hint = f"write {parent}.{near}, or take it out" if near else "take it out"
        suggestion = f" (did you mean {near!r}?)" if near else ""
        return f"unknown key{suggestion}; allowed: {join_sorted(allowed)}", codes.UNKNOWN_KEY, hint
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
            others = [_expected(other) for other in group if other["type"] != "literal_error"]
            choices = list(dict.fromkeys([*_literals(detail["loc"], model), *others]))
        else:
            value, choices = context["tag"], _tags(_at(detail["loc"], model))
        same = _SYNONYMS.get(str(value).lower(), "")
        near = same if same in choices else nearest(str(value), choices)
        suggestion = f" (did you mean {near!r}?)" if near else ""
        return (
            f"{short_repr(value)} is not allowed{suggestion}; allowed: {', '.join(choices)}",
            codes.INVALID_CHOICE,
            f"set {path}={near}{or_omit}" if near else f"set {path} to one of them{or_omit}",
        )
    if kind == "value_error":
        error = context.get("error", detail["msg"])
        return (
            str(error),
            codes.CONFLICTING_VALUES,
            error.hint if isinstance(error, FieldError) else f"correct {path}{or_omit}",
        )
    expected = " or ".join(dict.fromkeys(map(_expected, group)))
    return f"{short_repr(value)}: must be {expected}", _code(kind), _advice(detail, path, expected) + or_omit


def _code(kind: str) -> str:
    """Return the code for a value of the wrong type, out of range, or of the wrong form."""
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


def _advice(detail: ErrorDetails, path: str, expected: str) -> str:
    """Return the hint for a value that must be ``expected``."""
    kind = _kind(detail)
    if kind in _RANGES:
        return f"set {path} to {_RANGES[kind].format(**detail['ctx'])}"
    if kind in _ADVICE and " or " not in expected:
        return _ADVICE[kind].format(path)
    return f"set {path} to {expected}" if kind in _EXPECTED else f"correct {path}"


def _optional(location: tuple[int | str, ...], model: type[BaseModel]) -> bool:
    """Return whether a value may be left out."""
    key = str(location[-1])
    parents = nested_models(_at(location[:-1], model))
    return any(not parent.model_fields[key].is_required() for parent in parents if key in parent.model_fields)


_EXPECTED = {
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


def _kind(detail: ErrorDetails) -> str:
    """Return pydantic's name of an error. A text's length behind a validator of its own is reported as a list's."""
    short_text = detail["type"] == "too_short" and isinstance(detail.get("input"), str)
    return "string_too_short" if short_text else detail["type"]


def _expected(detail: ErrorDetails) -> str:
    """Complete the message "must be ..."."""
    text = _EXPECTED.get(_kind(detail))
    return text.format(**detail.get("ctx", {})) if text else f"right: {detail['msg']}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    return [key for parent in nested_models(_at(location, model)) for key in parent.model_fields]


def _nested_key(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Find a misplaced key in the sibling mappings, such as ``engine.batch`` for ``batch``; "" if it is in none."""
    wrong = str(location[-1])
    for parent in nested_models(_at(location[:-1], model)):
        for key, field in parent.model_fields.items():
            if any(wrong in sibling.model_fields for sibling in nested_models(field.annotation)):
                return f"{key}.{wrong}"
    return ""


def _at(location: tuple[int | str, ...], annotation: Any) -> Any:
    """Return the annotation that pydantic's location leads to; None if the location is unknown."""
    for part in location:
        annotation = _inside(annotation, part)
    return annotation


def _inside(annotation: Any, part: int | str) -> Any:
    branches = list(union_members(annotation))
    models = nested_models(annotation)
    for branch in branches if len(branches) > 1 else ():
        origin = typing.get_origin(branch)
        if branch in models and (part == branch.__name__ or part in _tags(branch)):
            return branch
        if origin is dict and str(part).startswith("dict["):
            return branch
        if origin is typing.Literal and str(part).startswith("literal["):
            return branch
    for branch in branches:
        arguments, is_dict = typing.get_args(branch), typing.get_origin(branch) is dict
        if branch in models and part in branch.model_fields:
            return branch.model_fields[str(part)].annotation
        if arguments and isinstance(part, int) != is_dict:
            return arguments[-1] if is_dict else arguments[0]
    return None


def _literals(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """List the values of the annotation's Literals."""
    literals = (member for member in union_members(_at(location, model)) if typing.get_origin(member) is typing.Literal)
    return [str(value) for literal in literals for value in typing.get_args(literal)]


def _tags(annotation: Any) -> list[str]:
    """List the discriminator values of a union's branches."""
    return [
        str(tag)
        for model in nested_models(annotation)
        for field in model.model_fields.values()
        if typing.get_origin(field.annotation) is typing.Literal and len(typing.get_args(field.annotation)) == 1
        for tag in typing.get_args(field.annotation)
    ]
