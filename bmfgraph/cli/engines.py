"""List, show, verify and delete the engines of a store: the verb ``engines``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.engines.manifest import StoredEngine
from bmfgraph.engines.store import EngineStore, ForeignFolderError, Removed, StoreError
from bmfgraph.errors import ConfigError, Problem, did_you_mean, join_sorted
from bmfgraph.plan.types import RUNTIME_NAMES
from bmfgraph.system.console import print_problems, say
from bmfgraph.system.text import counted, printable, size_text

__all__ = ["engines_command"]

_DAY = 24 * 3600.0
_PIPE_WIDTH = 10_000
"""Columns of a table in a pipe or file, where no line is wrapped."""
_REPAIR = "the next run builds it anew; python -m bmfgraph engines prune deletes it"


def engines_command(verb: str, *, store: str, as_json: bool, **options: Any) -> int:
    """Manage the engine store.

    Args:
        verb: list, show, prune or verify.
        store: Folder of the store.
        as_json: Print JSON.
        options: ``key`` for show; ``unused_days``, ``damaged``, ``model``, ``all``, ``dry_run`` and ``yes`` for
            prune.

    Returns:
        The exit code.

    Raises:
        ConfigError: The store has no such engine or model, or the folder is not a store.
    """
    run: Callable[[EngineStore, argparse.Namespace], int]
    run = {"list": _list, "show": _show, "prune": _prune, "verify": _verify}[verb]
    try:
        return run(EngineStore(Path(store)), argparse.Namespace(json=as_json, **options))
    except StoreError as error:
        say(
            f"error[{codes.UNUSABLE_ENGINE_STORE}]: {error}\n"
            "  → name another folder with --store, or check who may read and write there"
        )
        return 1


def _refusal(message: str) -> ConfigError:
    return ConfigError(message, hint="python -m bmfgraph engines --help", code=codes.INVALID_ARGUMENT)


def _list(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    if options.json:
        _print_json([_summary(entry) for entry in entries])
    elif not entries:
        print(f"no engines in {str(store.root)!r}")
    else:
        _print_table([_summary(entry) for entry in entries])
    return 0


def _print_table(summaries: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("model", "key", "precision", "runtime", "gpu", "shapes", "size", "built", "state"):
        table.add_column(title, justify="right" if title == "size" else "left", overflow="fold")
    for engine in summaries:
        table.add_row(
            *(printable(engine[field]) for field in ("model", "key", "precision", "runtime", "gpu")),
            "\n".join(map(printable, engine["shapes"])),
            size_text(engine["bytes"]),
            printable(engine["built"][:10]),
            engine["damage"] or "ok",
        )
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False).print(table)


def _summary(entry: StoredEngine) -> dict[str, Any]:
    """Summarize an engine; the fields that come from the manifest are empty where it cannot be read."""
    key = entry.manifest.get("key", {})
    runtime = RUNTIME_NAMES.get(key.get("runtime", ""), key.get("runtime", ""))
    return {
        "model": entry.model,
        "key": entry.folder.name,
        "precision": key.get("precision", ""),
        "runtime": f"{runtime} {key.get('version', '')}".strip(),
        "gpu": key.get("gpu", ""),
        "shapes": [f"{name} {_profile_text(profile)}" for name, profile in key.get("profiles", {}).items()],
        "bytes": entry.size,
        "built": entry.manifest.get("built", {}).get("created", ""),
        "damage": entry.damage(),
    }


def _profile_text(profile: dict[str, list[int]]) -> str:
    smallest, best, largest = ("x".join(map(str, profile[part])) for part in ("min", "opt", "max"))
    return best if smallest == largest else f"{smallest}..{largest} (best {best})"


def _show(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    matches = [entry for entry in entries if entry.folder.name.startswith(options.key)]
    if len(matches) != 1:
        keys = [entry.folder.name for entry in matches or entries]
        subject = f"{len(matches)} engines have" if matches else "no engine has"
        listed = f"; there are: {', '.join(keys[:8])}{', ...' if len(keys) > 8 else ''}" if keys else ""
        near = "" if matches else did_you_mean(options.key, keys)
        raise _refusal(f"{subject} a key that begins with {options.key!r} in {str(store.root)!r}{near}{listed}")
    (entry,) = matches
    if entry.manifest_error:
        print_problems([Problem(str(entry.folder), str(entry.manifest_error), codes.DAMAGED_ENGINE, _REPAIR)])
        return 1
    _print_json(entry.manifest)
    return 0


def _verify(store: EngineStore, options: argparse.Namespace) -> int:
    entries = store.entries()
    damages = [(entry, damage) for entry in entries if (damage := entry.damage())]
    if options.json:
        damaged = [{"folder": str(entry.folder), "damage": damage} for entry, damage in damages]
        _print_json({"engines": len(entries), "damaged": damaged})
    else:
        for entry, damage in damages:
            print(f"{entry.folder}: {damage}")
        print(f"{len(entries)} engine(s), {len(damages)} damaged")
    if damages:
        message = f"{counted(len(damages), 'engine')} of the store cannot be used"
        print_problems([Problem("", message, codes.DAMAGED_ENGINE, _REPAIR)])
    return 1 if damages else 0


def _prune(store: EngineStore, options: argparse.Namespace) -> int:
    models = {entry.model for entry in store.entries()}
    if options.model is not None and options.model not in models:
        near = did_you_mean(options.model, models)
        raise _refusal(f"{str(store.root)!r} has no engines of {options.model!r}{near}; models: {join_sorted(models)}")

    def prune(*, dry_run: bool) -> tuple[list[Removed], list[StoredEngine]]:
        return store.prune(lambda entry: _prune_reason(entry, options), dry_run=dry_run)

    try:
        asks = not (options.dry_run or options.yes) and sys.stdin is not None and sys.stdin.isatty()
        if asks and not _confirmed(prune(dry_run=True)[0]):
            say("nothing was deleted")
            return 1
        removed, busy = prune(dry_run=options.dry_run)
    except ForeignFolderError as error:
        raise ConfigError(
            str(error), path="--store", hint="name the folder of engine.store", code=codes.FOREIGN_STORE_FOLDER
        ) from None
    total = sum(item.bytes for item in removed)
    if options.json:
        items = [{"folder": str(item.folder), "bytes": item.bytes, "why": item.why} for item in removed]
        _print_json({"removed": items, "bytes": total, "dry_run": options.dry_run})
    else:
        action = "would delete" if options.dry_run else "deleted"
        for item in removed:
            print(f"{action} {_item_text(item)}")
        print(f"{action} {len(removed)} item(s), {total} bytes")
    for entry in busy:
        say(f"kept {entry.folder}: a process builds it right now")
    return 0


def _confirmed(items: Sequence[Removed]) -> bool:
    """Show what would be deleted, and ask the user for consent."""
    if not items:
        return True
    for item in items:
        say(f"will delete {_item_text(item)}")
    print(f"delete {counted(len(items), 'item')}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _item_text(item: Removed) -> str:
    return f"{printable(str(item.folder))} ({size_text(item.bytes)}): {item.why}"


def _prune_reason(entry: StoredEngine, options: argparse.Namespace) -> str:
    """Return why the options delete an engine; empty where it stays."""
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
