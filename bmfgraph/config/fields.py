"""Describe what the fields of specs accept: as annotations, as JSON Schema, and in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import distribution
from typing import Any, ClassVar

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind, models_json_schema

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import GROUP, RegistryError, kinds, spec_class
from bmfgraph.system.console import say

__all__ = [
    "Schema",
    "branches",
    "code",
    "describe",
    "model_schemas",
    "pointer",
    "spec_classes",
]

Schema = dict[str, Any]

_ACCEPTED_BEFORE: dict[str, Schema] = {
    "_no_window": {"type": "null"},
    "_one_or_many": {"type": "string"},
    "_shape": {"type": "string", "pattern": r"^[1-9]\d*(x[1-9]\d*)*$", "examples": ["1x3x480x640"]},
}
"""Schemas of the values that validators accept besides pydantic's own, by the validators' names."""
_TYPES = {
    "boolean": ("true or false", "of true and false"),
    "integer": ("whole number", "whole numbers"),
    "null": ("null", "nulls"),
    "number": ("number", "numbers"),
    "object": ("mapping", "mappings"),
    "string": ("text", "texts"),
}
"""Names of JSON's types in the singular and the plural."""
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


class _Generator(GenerateJsonSchema):
    """Add the values that validators accept, and accept everything for types that JSON Schema cannot express."""

    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"non-serializable-default", "skipped-choice"}  # type: ignore[misc]

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        own = super().function_before_schema(schema)
        more = _ACCEPTED_BEFORE.get(getattr(schema["function"]["function"], "__name__", ""))
        return {"anyOf": [own, more]} if more else own

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def spec_classes(*, installed: bool = False) -> dict[str, type[NodeSpec]]:
    """Return the spec class of each kind.

    Args:
        installed: With the kinds of node packs. A kind that cannot be loaded is left out, with a message.

    Raises:
        RegistryError: A kind of bmfgraph's own cannot be loaded.
    """
    own = sorted(point.name for point in distribution("bmfgraph").entry_points if point.group == GROUP)
    classes = {}
    for kind in kinds() if installed else own:
        try:
            classes[kind] = spec_class(kind)
        except RegistryError as error:
            if kind in own:
                raise
            say(f"left out: {error}")
    return classes


def model_schemas(classes: Sequence[type[BaseModel]]) -> tuple[list[str], dict[str, Schema]]:
    """Return the name of each class's schema, and all schemas by name, with those of nested models."""
    refs, schemas = models_json_schema(
        [(cls, "validation") for cls in classes], ref_template=pointer("{model}"), schema_generator=_Generator
    )
    return [_name(refs[cls, "validation"]["$ref"]) for cls in classes], schemas["$defs"]


def pointer(name: str) -> str:
    """Return the JSON pointer of a schema in the file."""
    return f"#/definitions/{name}"


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def branches(schema: Schema) -> Iterator[Schema]:
    """List the schemas of which one must hold; a union with a discriminator counts as one schema."""
    members = (
        [schema] if "discriminator" in schema else schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    )
    if not members or members == [schema]:
        yield schema
        return
    for member in members:
        yield from branches(member)


def describe(schema: Schema, link: Callable[[str], str] = lambda name: "mapping", *, plural: bool = False) -> str:
    """Describe in words what a schema accepts.

    Args:
        schema: A schema of pydantic's.
        link: Makes text of a nested model's name.
        plural: Describe several values.
    """
    texts: list[str] = []
    for branch in branches(schema):
        if "discriminator" in branch:
            texts += [link(_name(ref)) for ref in branch["discriminator"]["mapping"].values()]
        elif "$ref" in branch:
            texts.append(link(_name(branch["$ref"])))
        elif "const" in branch or "enum" in branch:
            texts += [", ".join(map(code, [branch["const"]] if "const" in branch else branch["enum"]))]
        else:
            texts.append(_typed(branch, link, plural))
    return " or ".join(dict.fromkeys(texts))


def code(value: Any) -> str:
    """Write a value as in YAML, between backticks; null without."""
    if value is None:
        return "null"
    if isinstance(value, str) and value not in ("", "null"):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


def _typed(schema: Schema, link: Callable[[str], str], plural: bool) -> str:
    kind = schema.get("type")
    if kind == "array":
        places = schema.get("prefixItems", ())
        inside = places[0] if places else schema.get("items", {})
        return " ".join(filter(None, ["list of", str(len(places) or ""), describe(inside, link, plural=True)]))
    inside = schema.get("additionalProperties")
    if kind == "object" and isinstance(inside, dict):
        return f"mapping from name to {describe(inside, link)}"
    if kind not in _TYPES:
        return "anything"
    text = _TYPES[kind][plural]
    if "examples" in schema:
        return f"{text} such as {schema['examples'][0]}"
    if "pattern" in schema:
        return f"{text} of the form {code(schema['pattern'])}"
    return text + _range(schema)


def _range(schema: Schema) -> str:
    if {"minimum", "maximum"} <= schema.keys():
        return f" ({schema['minimum']:g} to {schema['maximum']:g})"
    limits = [f"{text} {schema[key]:g}" for key, text in _LIMITS.items() if key in schema]
    return f" ({', '.join(limits)})" if limits else ""
