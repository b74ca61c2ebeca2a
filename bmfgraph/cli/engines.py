"""`python -m bmfgraph engines`: what is in the engine store, whether it is whole, and what can go."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.engines.manifest import StoredEngine
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import ConfigError, did_you_mean, join_sorted
from bmfgraph.system.console import say

__all__ = ["engines_command"]

_LIBRARIES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
_DAY = 24 * 3600.0
_PIPE_WIDTH = 10_000


def engines_command(verb: str, *, store: str, as_json: bool, **options: Any) -> int:
    """Manage the engine store.

    Args:
        verb: list, show, prune or verify.
        store: Folder of the store.
        as_json: Print JSON.
        options: ``key`` for show; ``unused_days``, ``damaged``, ``model``, ``all`` and ``dry_run`` for prune.

    Returns:
        The exit code.

    Raises:
        ConfigError: The store has no such engine or model.
    """
    run: Callable[[EngineStore, argparse.Namespace], int]
    run = {"list": _list, "show": _show, "prune": _prune, "verify": _verify}[verb]
    try:
        return run(EngineStore(Path(store)), argparse.Namespace(json=as_json, **options))
    except StoreError as error:
        say(f"error[E614]: {error}\n  → name another folder with --store, or check who may read and write there")
        return 1


def _refusal(message: str) -> ConfigError:
    return ConfigError(message, hint="python -m bmfgraph engines --help", code="E114")


def _list(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    if options.json:
        _print_json([_facts(entry) for entry in entries])
    elif not entries:
        print(f"no engines in {str(store.root)!r}")
    else:
        _print_table(entries)
    return 0


def _print_table(entries: Sequence[StoredEngine]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("model", "key", "precision", "runtime", "gpu", "shapes", "MB", "built", "state"):
        table.add_column(title, justify="right" if title == "MB" else "left", overflow="fold")
    for entry in entries:
        facts = _facts(entry)
        table.add_row(
            facts["model"],
            facts["key"],
            facts["precision"],
            facts["runtime"],
            facts["gpu"],
            "\n".join(facts["shapes"]),
            f"{facts['bytes'] / 1e6:.1f}",
            facts["built"][:10],
            facts["damage"] or "ok",
        )
    # Into a pipe or a file there is no width to keep to.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False).print(table)


def _facts(entry: StoredEngine) -> dict[str, Any]:
    """What the list says of an engine; empty where its manifest cannot be read."""
    key = entry.manifest.get("key", {})
    runtime = _LIBRARIES.get(key.get("runtime", ""), key.get("runtime", ""))
    return {
        "model": entry.model,
        "key": entry.folder.name,
        "precision": key.get("precision", ""),
        "runtime": f"{runtime} {key.get('version', '')}".strip(),
        "gpu": key.get("gpu", ""),
        "shapes": [f"{name} {_shapes(profile)}" for name, profile in key.get("profiles", {}).items()],
        "bytes": entry.size,
        "built": entry.manifest.get("built", {}).get("created", ""),
        "damage": entry.damage(),
    }


def _shapes(profile: dict[str, list[int]]) -> str:
    sizes = ["x".join(map(str, profile[part])) for part in ("min", "opt", "max")]
    return sizes[0] if len(set(sizes)) == 1 else f"{sizes[0]}..{sizes[2]} (best {sizes[1]})"


def _show(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    found = [entry for entry in entries if entry.folder.name.startswith(options.key)]
    if len(found) != 1:
        keys = [entry.folder.name for entry in found or entries]
        what = f"{len(found)} engines have" if found else "no engine has"
        listed = f"; there are: {', '.join(keys[:8])}{', ...' if len(keys) > 8 else ''}" if keys else ""
        near = "" if found else did_you_mean(options.key, keys)
        raise _refusal(f"{what} a key that begins with {options.key!r} in {str(store.root)!r}{near}{listed}")
    if found[0].fault:
        say(f"error[E613]: {found[0].folder}: {found[0].fault}\n  → {_MENDING}")
        return 1
    _print_json(found[0].manifest)
    return 0


_MENDING = "the next run builds it anew; python -m bmfgraph engines prune deletes it"


def _verify(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    damaged = [(entry, damage) for entry in entries if (damage := entry.damage())]
    if options.json:
        _print_json(
            {
                "engines": len(entries),
                "damaged": [{"folder": str(entry.folder), "damage": damage} for entry, damage in damaged],
            }
        )
    else:
        for entry, damage in damaged:
            print(f"{entry.folder}: {damage}")
        print(f"{len(entries)} engine(s), {len(damaged)} damaged")
    if damaged:
        say(f"{len(damaged)} engine(s) are damaged\n  → {_MENDING}")
    return 1 if damaged else 0


def _prune(store: EngineStore, options: argparse.Namespace) -> int:
    if options.model is not None and not any(entry.model == options.model for entry in store.entries()):
        models = {entry.model for entry in store.entries()}
        near = did_you_mean(options.model, models)
        raise _refusal(f"{str(store.root)!r} has no engines of {options.model!r}{near}; models: {join_sorted(models)}")
    removed, busy = store.prune(lambda entry: _why(entry, options), dry_run=options.dry_run)
    total = sum(one.bytes for one in removed)
    if options.json:
        found = [{"folder": str(one.folder), "bytes": one.bytes, "why": one.why} for one in removed]
        _print_json({"removed": found, "bytes": total, "dry_run": options.dry_run})
    else:
        done = "would delete" if options.dry_run else "deleted"
        for one in removed:
            print(f"{done} {one.folder} ({one.bytes / 1e6:.1f} MB): {one.why}")
        print(f"{done} {len(removed)} item(s), {total} bytes")
    for entry in busy:
        say(f"kept {entry.folder}: a process builds it right now")
    return 0


def _why(entry: StoredEngine, options: argparse.Namespace) -> str:
    """Why an engine goes; empty where it stays."""
    if options.model is not None and entry.model != options.model:
        return ""
    if options.all:
        return "all were chosen"
    if options.unused_days is not None:
        unused = (time.time() - entry.last_used) / _DAY
        if unused >= options.unused_days:
            return f"not used for {unused:.0f} day(s)"
    elif options.model is not None and not options.damaged:
        return f"all of {options.model!r} were chosen"
    if options.damaged or options.unused_days is None:
        return entry.damage()
    return ""


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))
