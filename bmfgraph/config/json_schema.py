"""Generate the JSON Schema of the files in ``conf/`` from the specs.

Editors that read it complete fields, show their descriptions and underline mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmfgraph.config.fields import Schema, branches, describe, model_schemas, pointer, spec_classes
from bmfgraph.config.job import GROUPS
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.nodes.registry import spec_class

__all__ = ["pipeline_schema"]

# All versions of yaml-language-server know this draft; some do not know newer ones.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_NAME = "^[A-Za-z0-9_-]+$"
_EDGE = r"^[A-Za-z0-9_-]+(\..+)?$"
_INTERPOLATION = r"\$\{.+\}|^\?\?\?$"
"""An interpolation, or the mark of a value that is still missing."""
_DEFAULTS: Schema = {
    "type": "array",
    "items": {"type": ["string", "object"]},
    "description": "Files that this file builds on, and choices such as `override /model: centerface`.",
}
_USE = "A config group under the node's own options, such as ${encoder}."
_GROUPS = tuple(group for group in GROUPS if group != "pipeline")


def pipeline_schema(*, installed: bool = False) -> dict[str, Any]:
    """Return the JSON Schema (draft-07) of pipeline files; ``definitions`` holds those of the other groups' files.

    Args:
        installed: With the kinds of all node packs that can be loaded.

    Raises:
        RegistryError: A kind of bmfgraph's own cannot be loaded.
    """
    classes = spec_classes(installed=installed)
    names, raw = model_schemas([*classes.values(), ModelSpec, EngineOptions])
    specs = {kind: raw.pop(name) for kind, name in zip(classes, names, strict=False)}
    nodes = {kind: _node_of(kind, classes[kind], subschema) for kind, subschema in specs.items()}
    groups = {
        "decoder": _joined(nodes, [kind for kind, cls in classes.items() if issubclass(cls, spec_class("decoder"))]),
        "encoder": _joined(nodes, [kind for kind, cls in classes.items() if issubclass(cls, spec_class("encoder"))]),
    }
    models = {name: _object(subschema) for name, subschema in raw.items()}
    model, engine = names[-2:]
    files = {
        "model": _file(models[model]),
        "engine": _file(models[engine]),
        **{group: _file(fields, without=("use", "inputs")) for group, fields in groups.items()},
    }
    definitions = {
        **models,
        **{f"{kind}_node": subschema for kind, subschema in nodes.items()},
        **{f"{group}_file": subschema for group, subschema in files.items()},
        "node": _node(nodes, groups),
        "whole_node": _whole_node({kind: _required(classes[kind], subschema) for kind, subschema in specs.items()}),
        "pipeline_file": _pipeline_file(),
        "decode": _preset_file(models),
        "pipeline": _entry("pipeline"),
        "model": _entry("model", {"if": {"not": {"required": ["defaults"]}}, "then": {"required": ["name"]}}),
        **{group: _entry(group) for group in _GROUPS[1:]},
    }
    return {"$schema": _DRAFT, **_entry("pipeline"), "definitions": dict(sorted(definitions.items()))}


def _entry(group: str, *rules: Schema) -> Schema:
    """Return the schema of a group's files.

    An editor adds the root's keys to the definition where it enters, so both have the same two keys.
    """
    return {"title": f"bmfgraph {group}", "allOf": [_ref(f"{group}_file"), *rules]}


def _ref(name: str) -> Schema:
    return {"$ref": pointer(name)}


# ------------------------------------------------------------------------------------------------ values


def _value(schema: Schema) -> Schema:
    """Convert pydantic's schema of a field to draft-07, and allow an interpolation."""
    plain: Schema = {"type": []}
    allowed: list[Any] = []
    others: list[Schema] = []
    for branch in branches(schema):
        if "discriminator" in branch:
            discriminator = branch["discriminator"]
            others.append(
                _chosen_by(
                    discriminator["propertyName"], {key: {"$ref": ref} for key, ref in discriminator["mapping"].items()}
                )
            )
        elif "$ref" in branch:
            others.append({"$ref": branch["$ref"]})
        elif "const" in branch or "enum" in branch:
            allowed += [branch["const"]] if "const" in branch else branch["enum"]
        elif "type" in branch:
            # Limits apply to their own type only, so all types fit into one schema.
            plain["type"].append(branch["type"])
            plain |= _limits(branch)
        else:
            return _notes(schema)
    if allowed:
        others.append({"enum": allowed})
    # Schemas of models allow interpolations themselves.
    if plain["type"] or allowed or not others:
        others.append(_or_interpolation(plain, describe(schema)))
    return (others[0] if len(others) == 1 else {"anyOf": others}) | _notes(schema)


def _or_interpolation(schema: Schema, description: str) -> Schema:
    """Allow an interpolation besides what a schema accepts; ``description`` names that in the editor's message."""
    types = schema["type"]
    if "string" not in types:
        schema |= {"type": [*types, "string"], "pattern": _INTERPOLATION}
    elif "pattern" in schema:
        schema["pattern"] += f"|{_INTERPOLATION}"
    if "pattern" in schema:
        schema["patternErrorMessage"] = (
            f"Allowed: {description.replace('`', '')}, or an interpolation such as ${{input}}."
        )
    if len(schema["type"]) == 1:
        schema["type"] = schema["type"][0]
    return schema


def _notes(schema: Schema) -> Schema:
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    if isinstance(notes.get("default"), dict):
        # It would repeat all defaults of a nested model.
        del notes["default"]
    return notes


def _limits(schema: Schema) -> Schema:
    """Return the limits that a schema sets for its type."""
    left_out = ("type", "title", "description", "default", "format", "examples", "prefixItems")
    kept = {key: subschema for key, subschema in schema.items() if key not in left_out}
    if places := schema.get("prefixItems"):
        kept["items"] = (
            _value(places[0]) if all(subschema == places[0] for subschema in places) else list(map(_value, places))
        )
    elif kept.get("items"):
        kept["items"] = _value(kept["items"])
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _value(kept["additionalProperties"])
    return kept


def _object(schema: Schema) -> Schema:
    """Return the schema of a model: a mapping of its fields, or an interpolation."""
    fields = {name: _value(subschema) for name, subschema in schema.get("properties", {}).items()}
    model = _notes(schema) | _or_interpolation({"type": ["object"]}, "mapping") | {"properties": fields}
    return model | {key: schema[key] for key in ("required", "additionalProperties") if key in schema}


def _chosen_by(key: str, choices: Mapping[str, Schema]) -> Schema:
    """Return the schema of a mapping whose ``key`` selects its other fields."""
    return _or_interpolation({"type": ["object"]}, "mapping") | {
        "properties": {key: _value({"enum": list(choices)})},
        "required": [key],
        "allOf": [{"if": _has(key, word), "then": subschema} for word, subschema in choices.items()],
    }


def _has(key: str, word: str) -> Schema:
    return {"type": "object", "properties": {key: {"const": word}}, "required": [key]}


# ------------------------------------------------------------------------------------------------- nodes


def _node_of(kind: str, cls: type[NodeSpec], schema: Schema) -> Schema:
    """Return the schema of a node of one kind. Required fields are in ``whole_node``: another file may have them."""
    node = _object(schema)
    node.pop("required", None)
    fields = node["properties"]
    for name in cls.fixed_fields:
        fields[name] = _value({"enum": [schema["properties"][name]["default"]]})
    minimum, maximum = cls.arity
    edge = _or_interpolation({"type": ["string"], "pattern": _EDGE}, "node or node.port")
    inputs = {key: subschema for key, subschema in fields["inputs"].items() if key != "default"}
    fields["inputs"] = inputs | {"minItems": minimum, "maxItems": maximum, "items": edge}
    fields["kind"] = {"const": kind, "description": schema.get("description", "")}
    # `node` has its schema.
    fields["use"] = True
    return node


def _required(cls: type[NodeSpec], schema: Schema) -> list[str]:
    return ["inputs"] * bool(cls.arity[0]) + [key for key in schema.get("required", ()) if key != "kind"]


def _node(nodes: Mapping[str, Schema], groups: Mapping[str, Schema]) -> Schema:
    """Return the schema of a node or a part of one. If a group sets its kind, the fields of the group's kinds apply."""
    node = _chosen_by("kind", {kind: _ref(f"{kind}_node") for kind in nodes})
    del node["required"]
    fields = node["properties"]
    fields["kind"]["anyOf"][0]["enumDescriptions"] = [
        subschema["properties"]["kind"]["description"] for subschema in nodes.values()
    ]
    fields["use"] = _or_interpolation({"type": ["object", "null"]}, "mapping") | {"description": _USE}
    for group, joined in groups.items():
        from_group = _has("use", f"${{{group}}}") | {"not": {"required": ["kind"]}}
        node["allOf"].append({"if": from_group, "then": joined})
    return node


def _joined(nodes: Mapping[str, Schema], kinds: Sequence[str]) -> Schema:
    """Return the schema with the fields of all kinds of a group."""
    fields: Schema = {}
    for kind in kinds:
        fields = nodes[kind]["properties"] | fields
    fields["kind"] = _value({"enum": list(kinds), "description": "Kind of the node."})
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _whole_node(required: Mapping[str, list[str]]) -> Schema:
    """Return the schema of a complete node: it has the required fields of its kind, unless `use` may have them."""
    alone = {"not": {"required": ["use"]}}
    rules = [{"if": _has("kind", kind) | alone, "then": {"required": keys}} for kind, keys in required.items() if keys]
    return {"allOf": [_ref("node"), {"if": {"type": "object", **alone}, "then": {"required": ["kind"]}}, *rules]}


# ------------------------------------------------------------------------------------------------- files


def _file(schema: Schema, without: Sequence[str] = ()) -> Schema:
    """Return the schema of a group's file. Every field is optional: another file may have it."""
    fields = {key: subschema for key, subschema in schema["properties"].items() if key not in without}
    return _or_interpolation({"type": ["object"]}, "mapping") | {
        "properties": {"defaults": _DEFAULTS, **fields},
        "additionalProperties": False,
    }


def _preset_file(models: Mapping[str, Schema]) -> Schema:
    """Return the schema of a preset: the fields of the decoding, and the meaning of the model's tensors."""
    outputs = {"type": "array", "items": _ref("OutputMeaning"), "description": "Meaning of the outputs, in order."}
    inputs = {"anyOf": [_ref("InputMeaning")], "description": "Meaning of the inputs."}
    feeds = {"type": "object", "description": "Values of inputs that are no pictures, by their names."}
    more = {"inputs": inputs, "feeds": feeds, "outputs": outputs}
    tasks = {
        name.removesuffix("Decode").lower(): {
            "type": "object", "properties": schema["properties"] | more, "additionalProperties": False
        }
        for name, schema in models.items() if name.endswith("Decode")
    }  # fmt: skip
    return _chosen_by("task", tasks)


def _pipeline_file() -> Schema:
    """Return the schema of a pipeline file. A file that builds on another one may leave fields out."""
    builds_on = {"defaults": {"contains": {"type": "string", "not": {"const": "_self_"}}}}
    return {
        "type": "object",
        "if": {"properties": builds_on, "required": ["defaults"]},
        "then": _form(_graph("node"), closed=False),
        "else": _form(_graph("whole_node") | {"required": ["name", "nodes"]}, closed=True),
    }


def _form(graph: Schema, *, closed: bool) -> Schema:
    """Return the schema of one of two forms: keys of the whole configuration beside ``pipeline:``, or the pipeline.

    Args:
        graph: Schema of the pipeline.
        closed: A file without ``pipeline:`` has no keys of the whole configuration.
    """
    groups = {group: _ref(f"{group}_file") for group in _GROUPS}
    inside = {"pipeline": graph | {"description": "The graph of nodes."}, "defaults": _DEFAULTS}
    # `pipeline` is absent here; the schema has it so that editors offer it.
    fields = graph["properties"] | inside | ({} if closed else groups)
    return {
        "if": {"required": ["pipeline"]},
        "then": {"properties": groups | inside},
        "else": graph | {"properties": fields, "additionalProperties": not closed},
    }


def _graph(node: str) -> Schema:
    name = _or_interpolation({"type": ["string"], "pattern": _NAME}, "letters, digits, _ and -")
    names = {"pattern": _NAME, "patternErrorMessage": "A node's name is made of letters, digits, _ and -."}
    nodes = {"minProperties": 1, "propertyNames": names, "additionalProperties": _ref(node)}
    return {
        "type": "object",
        "properties": {
            "name": name | {"description": "Names the pipeline in reports and output files."},
            "nodes": _or_interpolation({"type": ["object"]}, "mapping")
            | nodes
            | {"description": "The nodes, by their names."},
        },
        "additionalProperties": False,
    }
