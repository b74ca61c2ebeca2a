"""JSON Schema of the files in ``conf/``, made from the specs.

An editor that reads it completes fields, shows what they mean and underlines what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmfgraph.config.fields import REFUSED, Schema, branches, model_schemas, pointer, spec_classes, words
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.nodes.registry import spec_class

__all__ = ["pipeline_schema"]

# The newest that all versions of yaml-language-server know.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_NAME = "^[A-Za-z0-9_-]+$"
_EDGE = r"^[A-Za-z0-9_-]+(\..+)?$"
_INTERPOLATION = r"\$\{.+\}|^\?\?\?$"
"""What OmegaConf puts another value in place of, and what stands for a value still to be given."""
_DEFAULTS: Schema = {
    "type": "array",
    "items": {"type": ["string", "object"]},
    "description": "What this file builds on, and choices such as `override /model: centerface`.",
}
_USE = "A config group under the node's own options, such as ${encoder}."
_GROUPS = ("model", "engine", "decoder", "encoder")


def pipeline_schema(*, installed: bool = False) -> dict[str, Any]:
    """JSON Schema (draft-07) of pipeline files; those of the other groups' files stand under ``definitions``.

    ``installed``: with the kinds of all node packs that can be loaded, not only those of bmfgraph itself.
    """
    classes = spec_classes(installed=installed)
    names, raw = model_schemas([*classes.values(), ModelSpec, EngineOptions])
    specs = {kind: raw.pop(name) for kind, name in zip(classes, names, strict=False)}
    nodes = {kind: _node_of(kind, classes[kind], one) for kind, one in specs.items()}
    groups = {
        "decoder": _joined(nodes, [kind for kind, cls in classes.items() if issubclass(cls, spec_class("decoder"))]),
        "encoder": _joined(nodes, [kind for kind, cls in classes.items() if issubclass(cls, spec_class("encoder"))]),
    }
    models = {name: _object(one) for name, one in raw.items()}
    model, engine = names[-2:]
    files = {
        "model": _file(models[model]),
        "engine": _file(models[engine]),
        **{group: _file(fields, without=("use", "inputs")) for group, fields in groups.items()},
    }
    definitions = {
        **models,
        **{f"{kind}_node": one for kind, one in nodes.items()},
        **{f"{group}_file": one for group, one in files.items()},
        "node": _node(nodes, groups),
        "whole_node": _whole_node({kind: _required(classes[kind], one) for kind, one in specs.items()}),
        "pipeline_file": _pipeline_file(),
        "pipeline": _entry("pipeline"),
        "model": _entry("model", {"if": {"not": {"required": ["defaults"]}}, "then": {"required": ["name"]}}),
        **{group: _entry(group) for group in _GROUPS[1:]},
    }
    return {"$schema": _DRAFT, **_entry("pipeline"), "definitions": dict(sorted(definitions.items()))}


def _entry(group: str, *rules: Schema) -> Schema:
    """The schema of a group's files. Editors add the root's keys to a definition they enter by: both have these two."""
    return {"title": f"bmfgraph {group}", "allOf": [_ref(f"{group}_file"), *rules]}


def _ref(name: str) -> Schema:
    return {"$ref": pointer(name)}


# ------------------------------------------------------------------------------------------------ values


def _value(schema: Schema) -> Schema:
    """What YAML may have for a field: what pydantic's schema says, in draft-07, or an interpolation."""
    plain: Schema = {"type": []}
    allowed: list[Any] = []
    others: list[Schema] = []
    for one in branches(schema):
        if "discriminator" in one:
            found = one["discriminator"]
            others.append(
                _chosen_by(found["propertyName"], {key: {"$ref": ref} for key, ref in found["mapping"].items()})
            )
        elif "$ref" in one:
            others.append({"$ref": one["$ref"]})
        elif "const" in one or "enum" in one:
            allowed += [one["const"]] if "const" in one else one["enum"]
        elif "type" in one:
            # The limits of one type do not bind another, so all fit into one schema.
            plain["type"].append(one["type"])
            plain |= _limits(one)
        else:
            return _notes(schema)
    if allowed:
        others.append({"enum": allowed})
    # Models take interpolations themselves.
    if plain["type"] or allowed or not others:
        others.append(_or_text(plain, words(schema)))
    return (others[0] if len(others) == 1 else {"anyOf": others}) | _notes(schema)


def _or_text(schema: Schema, said: str) -> Schema:
    """The schema, which takes an interpolation as well. ``said``: what it takes, for the editor's message."""
    types = schema["type"]
    if "string" not in types:
        schema |= {"type": [*types, "string"], "pattern": _INTERPOLATION}
    elif "pattern" in schema:
        schema["pattern"] += f"|{_INTERPOLATION}"
    if "pattern" in schema:
        schema["patternErrorMessage"] = f"Allowed: {said.replace('`', '')}, or an interpolation such as ${{input}}."
    if len(schema["type"]) == 1:
        schema["type"] = schema["type"][0]
    return schema


def _notes(schema: Schema) -> Schema:
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    if isinstance(notes.get("default"), dict):
        # All of a nested model's own defaults.
        del notes["default"]
    return notes


def _limits(schema: Schema) -> Schema:
    """What a schema says of values of its one type."""
    left_out = ("type", "title", "description", "default", "format", "examples", "prefixItems")
    kept = {key: one for key, one in schema.items() if key not in left_out}
    if places := schema.get("prefixItems"):
        kept["items"] = _value(places[0]) if all(one == places[0] for one in places) else list(map(_value, places))
    elif kept.get("items"):
        kept["items"] = _value(kept["items"])
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _value(kept["additionalProperties"])
    return kept


def _object(schema: Schema) -> Schema:
    """A model: a mapping of its fields, or an interpolation that stands for one."""
    fields = {name: _value(one) for name, one in schema.get("properties", {}).items()}
    made = _notes(schema) | _or_text({"type": ["object"]}, "mapping") | {"properties": fields}
    return made | {key: schema[key] for key in ("required", "additionalProperties") if key in schema}


def _chosen_by(key: str, choices: Mapping[str, Schema]) -> Schema:
    """A mapping whose ``key`` says what else it holds."""
    return _or_text({"type": ["object"]}, "mapping") | {
        "properties": {key: _value({"enum": list(choices)})},
        "required": [key],
        "allOf": [{"if": _has(key, word), "then": one} for word, one in choices.items()],
    }


def _has(key: str, word: str) -> Schema:
    return {"type": "object", "properties": {key: {"const": word}}, "required": [key]}


# ------------------------------------------------------------------------------------------------- nodes


def _node_of(kind: str, cls: type[NodeSpec], schema: Schema) -> Schema:
    """A node whose kind is known. What it must have is told by `whole_node`: another file or `use` may bring it."""
    made = _object(schema)
    made.pop("required", None)
    fields = made["properties"]
    for name in REFUSED.get(kind, ()):
        fields[name] = _value({"enum": [schema["properties"][name]["default"]]})
    minimum, maximum = cls.arity
    edge = _or_text({"type": ["string"], "pattern": _EDGE}, "node or node.port")
    inputs = {key: one for key, one in fields["inputs"].items() if key != "default"}
    fields["inputs"] = inputs | {"minItems": minimum, "maxItems": maximum, "items": edge}
    fields["kind"] = {"const": kind, "description": schema.get("description", "")}
    # Told of in `node`.
    fields["use"] = True
    return made


def _required(cls: type[NodeSpec], schema: Schema) -> list[str]:
    return ["inputs"] * bool(cls.arity[0]) + [key for key in schema.get("required", ()) if key != "kind"]


def _node(nodes: Mapping[str, Schema], groups: Mapping[str, Schema]) -> Schema:
    """A node or a part of one; where its kind comes from a group, it has the fields that the group's kinds have."""
    made = _chosen_by("kind", {kind: _ref(f"{kind}_node") for kind in nodes})
    del made["required"]
    fields = made["properties"]
    fields["kind"]["anyOf"][0]["enumDescriptions"] = [
        one["properties"]["kind"]["description"] for one in nodes.values()
    ]
    fields["use"] = _or_text({"type": ["object", "null"]}, "mapping") | {"description": _USE}
    for group, joined in groups.items():
        from_group = _has("use", f"${{{group}}}") | {"not": {"required": ["kind"]}}
        made["allOf"].append({"if": from_group, "then": joined})
    return made


def _joined(nodes: Mapping[str, Schema], kinds: Sequence[str]) -> Schema:
    """The fields of kinds that stand in for each other."""
    fields: Schema = {}
    for kind in kinds:
        fields = nodes[kind]["properties"] | fields
    fields["kind"] = _value({"enum": list(kinds), "description": "What the node is."})
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _whole_node(required: Mapping[str, list[str]]) -> Schema:
    """A node that no other file completes: it has all that its kind needs, unless `use` may bring it."""
    alone = {"not": {"required": ["use"]}}
    rules = [{"if": _has("kind", kind) | alone, "then": {"required": keys}} for kind, keys in required.items() if keys]
    return {"allOf": [_ref("node"), {"if": {"type": "object", **alone}, "then": {"required": ["kind"]}}, *rules]}


# ------------------------------------------------------------------------------------------------- files


def _file(schema: Schema, without: Sequence[str] = ()) -> Schema:
    """A group's file, or a part of one: any of the fields may come from elsewhere."""
    fields = {key: one for key, one in schema["properties"].items() if key not in without}
    return _or_text({"type": ["object"]}, "mapping") | {
        "properties": {"defaults": _DEFAULTS, **fields},
        "additionalProperties": False,
    }


def _pipeline_file() -> Schema:
    """What builds on another file may leave things out."""
    builds_on = {"defaults": {"contains": {"type": "string", "not": {"const": "_self_"}}}}
    return {
        "type": "object",
        "if": {"properties": builds_on, "required": ["defaults"]},
        "then": _form(_graph("node"), closed=False),
        "else": _form(_graph("whole_node") | {"required": ["name", "nodes"]}, closed=True),
    }


def _form(graph: Schema, *, closed: bool) -> Schema:
    """With `pipeline:` a file for the whole configuration, which has keys of its own, else the pipeline itself.

    ``closed``: what has no `pipeline:` is no part of a whole configuration either.
    """
    groups = {group: _ref(f"{group}_file") for group in _GROUPS}
    inside = {"pipeline": graph | {"description": "The graph of nodes."}, "defaults": _DEFAULTS}
    # `pipeline` is not there, but an editor shall offer it.
    fields = graph["properties"] | inside | ({} if closed else groups)
    return {
        "if": {"required": ["pipeline"]},
        "then": {"properties": groups | inside},
        "else": graph | {"properties": fields, "additionalProperties": not closed},
    }


def _graph(node: str) -> Schema:
    name = _or_text({"type": ["string"], "pattern": _NAME}, "letters, digits, _ and -")
    names = {"pattern": _NAME, "patternErrorMessage": "A node's name is made of letters, digits, _ and -."}
    nodes = {"minProperties": 1, "propertyNames": names, "additionalProperties": _ref(node)}
    return {
        "type": "object",
        "properties": {
            "name": name | {"description": "Names the pipeline in reports and output files."},
            "nodes": _or_text({"type": ["object"]}, "mapping")
            | nodes
            | {"description": "The nodes, by names of yours."},
        },
        "additionalProperties": False,
    }
