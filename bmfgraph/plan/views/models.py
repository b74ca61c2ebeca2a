"""Show where each value of a model's config comes from."""

from __future__ import annotations

from typing import Any

from bmfgraph.plan.description import ModelDescription
from bmfgraph.plan.plan import Plan, json_ready

__all__ = ["models_json", "models_text"]

_FEW = 3
_LONGEST = 60


def models_json(plan: Plan) -> dict[str, Any]:
    """Return the models of a plan as JSON, by the node that runs them."""
    return {
        name: {
            "name": model.name,
            "file": model.file,
            "licences": [{"licence": licence.value, "from": licence.origin} for licence in model.licences],
            "values": {value.path: {"value": json_ready(value.value), "from": value.origin} for value in model.values},
        }
        for name, model in plan.models().items()
    }


def models_text(plan: Plan) -> str:
    """Return the models of a plan as text: a line for each origin, with its values; "" without models."""
    return "".join(_model_text(name, model) for name, model in plan.models().items())


def _model_text(node: str, model: ModelDescription) -> str:
    licences = ", ".join(f"{_value_text(licence.value)} ({licence.origin})" for licence in model.licences) or "unknown"
    lines = [f"{node}: model {model.name}, licence {licences}"]
    groups: dict[str, dict[str, list[str]]] = {}
    for value in model.values:
        part, _, key = value.path.rpartition(".")
        groups.setdefault(value.origin, {}).setdefault(part, []).append(f"{key} {_value_text(value.value)}")
    # The defaults come last, as they say least.
    for origin in sorted(groups, key=lambda word: word == "default"):
        lines += [f"  {origin:<24}  {part}: {', '.join(values)}" for part, values in groups[origin].items()]
    return "\n".join(lines) + "\n"


def _value_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        values = [_value_text(part) for part in value[:_FEW]] if len(value) > 2 * _FEW else map(_value_text, value)
        return f"[{', '.join(values)}" + (f", ... {len(value)} in all]" if len(value) > 2 * _FEW else "]")
    value = json_ready(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_value_text(part)}' for key, part in value.items())}}}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text if text.isprintable() else repr(text)
