"""Generate pages of the documentation from the code: ``docs/nodes.md`` and ``docs/errors.md``.

The tests compare the pages with what is generated, and write them with ``--regenerate-golden``.
"""

from __future__ import annotations

import inspect
import re

from bmfgraph.config.fields import Schema, code, describe, model_schemas, spec_classes
from bmfgraph.error_codes import CODES
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.engine import EngineOptions
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.plan.types import AudioSpec, BundleSpec, DetectionsSpec, FrameSpec, ResultSpec, TensorSpec

__all__ = ["errors_page", "nodes_reference"]

_BEGIN = """\
# Nodes and their options

*Generated from the code by `pytest tests/config/test_json_schema.py --regenerate-golden`; do not edit by hand.*

A node is a mapping with a `kind` and the fields of that kind. Two more fields go with every kind:

- `inputs`: where each input comes from, `node` or `node.port`. A list, or one of them alone.
- `use`: a config group under the node's own options, such as `"${encoder}"`. The kind, too, may come from there.

Any value may be an interpolation such as `${input}`, or `???` for one that is still to be given. Every field can be
set on the command line: `pipeline.nodes.NODE.FIELD=VALUE`, `model.FIELD=VALUE`, `engine.FIELD=VALUE`.

Kinds: %(kinds)s.

Config groups: `model/` files hold a %(model)s, `engine/` files %(engine)s, `decoder/` and `encoder/`
files fields of [decoder](#decoder) or [nvdec](#nvdec) and of [encoder](#encoder).

## In an editor

Editors with yaml-language-server (VS Code's YAML extension, Neovim, Emacs and others) complete these fields, show what
they mean and underline mistakes. The files in `conf/` name their schema. For files of your own, put it beside their
folders:

```console
$ python -m bmfgraph schema > my_conf/schema.json     # --installed: with the kinds of your node packs
```

```yaml
# @package _global_
# yaml-language-server: $schema=../schema.json
```

These are the first lines of `my_conf/pipeline/NAME.yaml`. Hydra looks for `# @package` at the very beginning only, so
that line stays first where there is one. Files in `my_conf/model/` begin with

```yaml
# yaml-language-server: $schema=../schema.json#/definitions/model
```

and those in `engine/`, `decoder/` and `encoder/` likewise, with their group's name at the end.
"""
_CARRIES = {
    AudioSpec: "sound",
    BundleSpec: "the outputs of a model",
    DetectionsSpec: "detections",
    FrameSpec: "frames",
    ResultSpec: "results",
    TensorSpec: "a tensor",
}

_GROUPS = {
    "E1": "Command line and configuration",
    "E2": "Pipeline description",
    "E3": "Nodes that do not fit together",
    "E4": "Files",
    "E5": "Models",
    "E6": "Engines and runtimes",
    "E7": "Installation",
    "E8": "While running",
    "W1": "Warnings",
}


def nodes_reference() -> str:
    """Return the text of ``docs/nodes.md``: bmfgraph's own kinds with their fields, then the models in those fields."""
    classes = spec_classes()
    names, raw = model_schemas([*classes.values(), ModelSpec, EngineOptions])
    specs = {kind: raw.pop(name) for kind, name in zip(classes, names, strict=False)}
    kinds = ", ".join(f"[{kind}](#{kind})" for kind in classes)
    model, engine = map(_link, names[-2:])
    parts = [_BEGIN % {"kinds": kinds, "model": model, "engine": engine}]
    parts += [_kind(kind, classes[kind], schema) for kind, schema in specs.items()]
    parts += [
        f"## {_title(name)}\n\n{_description(schema)}\n\n{_table(schema)}" for name, schema in sorted(raw.items())
    ]
    return "\n".join(parts)


def _kind(kind: str, cls: type[NodeSpec], schema: Schema) -> str:
    left_out = ("kind", "inputs", *cls.fixed_fields)
    fields = {name: field for name, field in schema["properties"].items() if name not in left_out}
    table = _table(schema | {"properties": fields}) if fields else ""
    return f"## {kind}\n\n{_description(schema)}\n\n{_ends(cls)}\n\n{table}"


def _description(schema: Schema) -> str:
    return " ".join(inspect.cleandoc(schema.get("description", "")).split())


def _ends(cls: type[NodeSpec]) -> str:
    """Describe the number and the types of the inputs, and the names of the outputs."""
    node = cls.model_construct()
    minimum, maximum = cls.arity
    types = dict.fromkeys(accepted.type for index in range(maximum) if (accepted := node.accepts(index)))
    carried = ", ".join(_CARRIES.get(kind, "") for kind in types)
    count = str(maximum) if minimum == maximum else f"{minimum} to {maximum}"
    inputs = f"{count}{f' ({carried})' if carried else ''}" if maximum else "none"
    ports = ", ".join(f"`{port}`" for port in node.ports()) or "none"
    return f"Inputs: {inputs}. Outputs: {ports}."


def _table(schema: Schema) -> str:
    rows = ["| field | takes | default | meaning |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        default = "required" if name in required else _default(field)
        cells = (f"`{name}`", describe(field, _link), default, field.get("description", ""))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells).replace("  ", " ").rstrip() + " |")
    return "\n".join(rows) + "\n"


def _default(schema: Schema) -> str:
    """Write the default of a field; the default of a model is the empty mapping."""
    value = schema.get("default", {})
    return code({} if isinstance(value, dict) else value)


def _link(name: str) -> str:
    return f"[{_title(name).lower()}](#{_anchor(_title(name))})"


def _title(name: str) -> str:
    """`WindowOptions` as a heading: `Window options`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def errors_page() -> str:
    """Return the text of ``docs/errors.md``."""
    lines = [
        "# Errors and warnings",
        "",
        "<!-- from bmfgraph/error_codes/, by python -m pytest tests/test_error_codes.py --regenerate-golden -->",
        "",
        "Every message has a code. Errors end with exit code 2 where the configuration is wrong, else with 1 (130 if",
        "a run was stopped). `python -m bmfgraph check` finds those of groups E1 to E7 before a frame is decoded,",
        "all at once.",
    ]
    for prefix, group in _GROUPS.items():
        lines += ["", f"## {group}", "", "| code | meaning | what to do |", "|---|---|---|"]
        entries = ((code, entry) for code, entry in CODES.items() if code.startswith(prefix))
        lines += [f"| {code} | {entry.meaning} | {entry.fix} |" for code, entry in entries]
    return "\n".join(lines) + "\n"
