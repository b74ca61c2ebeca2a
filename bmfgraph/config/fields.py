"""What the fields of specs take: as pydantic's JSON Schema, and in plain words."""

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

__all__ = ["REFUSED", "Schema", "branches", "code", "model_schemas", "pointer", "spec_classes", "words"]

Schema = dict[str, Any]

REFUSED = {"nvdec": ("threads", "hwaccel")}
"""Fields that a kind inherits, and takes with their defaults only."""
_TAKEN_BEFORE: dict[str, Schema] = {
    "_no_window": {"type": "null"},
    "_one_or_many": {"type": "string"},
    "_shape": {"type": "string", "pattern": r"^[1-9]\d*(x[1-9]\d*)*$", "examples": ["1x3x480x640"]},
}
"""What our validators that run before pydantic's own take besides, by their names."""
_TYPES = {
    "boolean": ("true or false", "of true and false"),
    "integer": ("whole number", "whole numbers"),
    "null": ("null", "nulls"),
    "number": ("number", "numbers"),
    "object": ("mapping", "mappings"),
    "string": ("text", "texts"),
}
"""One of it, and several."""
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


class _Generator(GenerateJsonSchema):
    """Knows what our validators take besides, and lets pass what JSON has no words for."""

    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"non-serializable-default", "skipped-choice"}  # type: ignore[misc]

    def function_before_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().function_before_schema(schema)
        more = _TAKEN_BEFORE.get(getattr(schema["function"]["function"], "__name__", ""))
        return {"anyOf": [made, more]} if more else made

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def spec_classes(*, installed: bool = False) -> dict[str, type[NodeSpec]]:
    """The spec class of each kind of bmfgraph's own; ``installed``: of node packs too, those left out that fail."""
    own = sorted(point.name for point in distribution("bmfgraph").entry_points if point.group == GROUP)
    found = {}
    for kind in kinds() if installed else own:
        try:
            found[kind] = spec_class(kind)
        except RegistryError as error:
            if kind in own:
                raise
            say(f"left out: {error}")
    return found


def model_schemas(classes: Sequence[type[BaseModel]]) -> tuple[list[str], dict[str, Schema]]:
    """The name of each class's schema, and pydantic's schemas by name, those of nested models too."""
    refs, made = models_json_schema(
        [(cls, "validation") for cls in classes], ref_template=pointer("{model}"), schema_generator=_Generator
    )
    return [_name(refs[cls, "validation"]["$ref"]) for cls in classes], made["$defs"]


def pointer(name: str) -> str:
    """Where the schema of that name stands in the file."""
    return f"#/definitions/{name}"


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def branches(schema: Schema) -> Iterator[Schema]:
    """The schemas of which one must hold; a union chosen by a key counts as one."""
    found = [schema] if "discriminator" in schema else schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if not found or found == [schema]:
        yield schema
        return
    for one in found:
        yield from branches(one)


def words(schema: Schema, link: Callable[[str], str] = lambda name: "mapping", *, many: bool = False) -> str:
    """What a schema of pydantic's takes. ``link`` makes words of a nested model's name; ``many``: in the plural."""
    found: list[str] = []
    for one in branches(schema):
        if "discriminator" in one:
            found += [link(_name(ref)) for ref in one["discriminator"]["mapping"].values()]
        elif "$ref" in one:
            found.append(link(_name(one["$ref"])))
        elif "const" in one or "enum" in one:
            found += [", ".join(map(code, [one["const"]] if "const" in one else one["enum"]))]
        else:
            found.append(_typed(one, link, many))
    return " or ".join(dict.fromkeys(found))


def code(value: Any) -> str:
    """A value as YAML has it, between backticks; null without."""
    if value is None:
        return "null"
    if isinstance(value, str) and value not in ("", "null"):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"


def _typed(schema: Schema, link: Callable[[str], str], many: bool) -> str:
    kind = schema.get("type")
    if kind == "array":
        places = schema.get("prefixItems", ())
        inside = places[0] if places else schema.get("items", {})
        return " ".join(filter(None, ["list of", str(len(places) or ""), words(inside, link, many=True)]))
    inside = schema.get("additionalProperties")
    if kind == "object" and isinstance(inside, dict):
        return f"mapping from name to {words(inside, link)}"
    if kind not in _TYPES:
        return "anything"
    said = _TYPES[kind][many]
    if "examples" in schema:
        return f"{said} such as {schema['examples'][0]}"
    if "pattern" in schema:
        return f"{said} of the form {code(schema['pattern'])}"
    return said + _range(schema)


def _range(schema: Schema) -> str:
    if {"minimum", "maximum"} <= schema.keys():
        return f" ({schema['minimum']:g} to {schema['maximum']:g})"
    limits = [f"{said} {schema[key]:g}" for key, said in _LIMITS.items() if key in schema]
    return f" ({', '.join(limits)})" if limits else ""
