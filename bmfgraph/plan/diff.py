"""Compare two plans: nodes, edges, devices, engines, settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bmfgraph.plan.plan import Plan
from bmfgraph.system.text import shortened

__all__ = ["changed_keys", "diff_json", "plan_diff"]

Change = list[Any]
"""Old and new value; None for a missing one."""

_IN_PHRASE = {
    "frame": {"width", "height", "pixel_format", "color", "rate", "device"},
    "tensor": {"shape"},
    "audio": {"codec", "rate", "channels", "copied"},
    "detections": {"labels", "source"},
}
"""Fields that the short phrase of a type contains."""
_LONGEST = 100
"""Largest number of characters of a value in a line."""


def plan_diff(old: Plan, new: Plan) -> str:
    """Return a line for each difference from ``old`` to ``new``, sorted by node; "" for equal plans.

    ``- name (kind)`` marks a removed node, ``+ name (kind)`` an added node; other lines are ``node.field: old → new``.
    """
    diff = diff_json(old, new)
    lines = [f"{path}: {_change_text(change)}" for path, change in diff["plan"].items()]
    lines += [f"- {name} ({kind})" for name, kind in diff["removed"].items()]
    lines += [f"+ {name} ({kind})" for name, kind in diff["added"].items()]
    for name, fields in diff["changed"].items():
        lines += [f"{name}.{path}: {_change_text(change)}" for path, change in fields.items()]
    return "".join(f"{line}\n" for line in lines)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """List the dotted keys whose values differ between two configurations."""
    for key in dict.fromkeys([*old, *new]):
        before, after, place = old.get(key), new.get(key), f"{path}.{key}" if path else str(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from changed_keys(before, after, place)
        elif before != after:
            yield place


def diff_json(old: Plan, new: Plan) -> dict[str, Any]:
    """Return the differences as plain data: ``plan``, ``removed``, ``added`` and ``changed``.

    ``removed`` and ``added`` map names of nodes to their kinds, ``changed`` maps them to what changed: dotted
    paths of fields, each with ``[old, new]``. ``plan`` has such paths for the plan itself: its name, the order of
    its nodes. For equal plans all four are empty.
    """
    before, after = old.as_json(), new.as_json()
    nodes, others = ({node["name"]: node for node in plan.pop("nodes")} for plan in (before, after))
    shell = _sorted(_different(before, after))
    order, new_order = [name for name in nodes if name in others], [name for name in others if name in nodes]
    if order != new_order:
        shell["order"] = [order, new_order]
    changed = {name: _sorted(_different(nodes[name], others[name])) for name in sorted(order)}
    return {
        "plan": shell,
        "removed": {name: nodes[name]["kind"] for name in sorted(nodes.keys() - others.keys())},
        "added": {name: others[name]["kind"] for name in sorted(others.keys() - nodes.keys())},
        "changed": {name: fields for name, fields in changed.items() if fields},
    }


def _sorted(changes: Iterable[tuple[str, Change]]) -> dict[str, Change]:
    return dict(sorted(changes, key=lambda change: change[0]))


def _different(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Change]]:
    """List every difference with its path. Items of lists are matched by name."""
    if old == new:
        return
    before, after = _named(old), _named(new)
    if before is None or after is None:
        yield path, [_phrase(old), _phrase(new)]
        return
    kind, same_kind = before.get("type"), before.get("type") == after.get("type")
    # The tensors of a bundle show all of its differences.
    phrase_differs = before.get("is") != after.get("is") and not (same_kind and kind == "bundle")
    in_phrase = {"is", *_IN_PHRASE.get(kind, ())} if phrase_differs and kind else {"is"}
    inside = [
        change
        for key in dict.fromkeys([*before, *after])
        if key not in in_phrase and same_kind
        for change in _different(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    ]
    if phrase_differs:
        yield path, [before.get("is"), after.get("is")]
    elif not inside:
        yield path, [list(before), list(after)]
    yield from inside


def _named(value: Any) -> dict[str, Any] | None:
    """Return a mapping as it is, and a list by its items' names; None if an item has none, and for other values."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return None
    pairs = [
        (item["name"], item)
        if isinstance(item, dict) and "name" in item
        else (item[0], item[1])
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)
        else None
        for item in value
    ]
    named = dict(pair for pair in pairs if pair)
    return named if len(named) == len(value) else None


def _phrase(value: Any) -> Any:
    """Return the phrase of a type, and other values unchanged."""
    return value.get("is", value) if isinstance(value, dict) else value


def _change_text(change: Change) -> str:
    old, new = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in change)
    return f"{shortened(old, _LONGEST)} → {shortened(new, _LONGEST)}"
