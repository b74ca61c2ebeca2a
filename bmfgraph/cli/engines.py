"""List, show, verify and delete the engines of a store: the verb ``engines``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bmfgraph.cli.arguments import Parser, refused
from bmfgraph.engines.manifest import StoredEngine
from bmfgraph.engines.store import EngineStore, StoreError
from bmfgraph.errors import did_you_mean, join_sorted
from bmfgraph.plan.types import RUNTIME_NAMES
from bmfgraph.system.console import say
from bmfgraph.system.text import size_text

__all__ = ["engines_command"]

_PROG = "python -m bmfgraph engines"
VERBS = {
    "list": "the engines in the store",
    "show": "all that an engine was built from, and its tensors, as JSON",
    "prune": "delete engines; without a choice those that are damaged, and what ended builds left behind",
    "verify": "compare all engines with their checksums; exit code 1 if one is damaged",
}
_EXAMPLES = """\
examples
  python -m bmfgraph engines list
  python -m bmfgraph engines show 7428dd
  python -m bmfgraph engines verify --store /data/engines
  python -m bmfgraph engines prune --unused-days 30 --dry-run
  python -m bmfgraph engines prune --model centerface
  python -m bmfgraph engines prune --all

exit codes: 0 done, 1 an engine is damaged or the store cannot be used, 2 wrong words
"""
_DAY = 24 * 3600.0
_PIPE_WIDTH = 10_000
"""Columns of a table in a pipe or file, where no line is wrapped."""
_REPAIR = "the next run builds it anew; python -m bmfgraph engines prune deletes it"


def engines_command(words: Sequence[str]) -> int:
    """Do what the words after ``engines`` say; returns the exit code. Raises ConfigError for words without sense."""
    try:
        options = _options(words)
        store = EngineStore(Path(options.store))
        run: Callable[[EngineStore, argparse.Namespace], int] = options.run
        return run(store, options)
    except StoreError as error:
        say(f"error[E614]: {error}\n  → name another folder with --store, or check who may read and write there")
        return 1
    except SystemExit as done:  # argparse has shown its help.
        return int(done.code or 0)


def _options(words: Sequence[str]) -> argparse.Namespace:
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--store", metavar="DIR", help="folder of the engines (default: engines)")
    common.add_argument("--json", action="store_true", help="for programs")
    parser = Parser(
        parents=[common],
        prog=_PROG,
        description="Engines that were built, and are used again.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
    parsers = {
        name: verbs.add_parser(name, parents=[common], help=text, description=text) for name, text in VERBS.items()
    }
    parsers["list"].set_defaults(run=_list)
    parsers["show"].set_defaults(run=_show)
    parsers["show"].add_argument("key", metavar="KEY", help="the first digits of an engine's key")
    parsers["verify"].set_defaults(run=_verify)
    prune = parsers["prune"]
    prune.set_defaults(run=_prune)
    prune.add_argument("--unused-days", metavar="N", type=_days, help="engines that nobody asked for in N days")
    prune.add_argument("--damaged", action="store_true", help="engines that are damaged")
    prune.add_argument("--model", metavar="NAME", help="of that model only: all its engines, or those chosen above")
    prune.add_argument("--all", action="store_true", help="all engines")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    first = next((word for word in words if not word.startswith("-")), None)
    if words and words[0] == first and first not in VERBS:
        raise refused(f"unknown verb {first!r}{did_you_mean(first, VERBS)}; verbs: {join_sorted(VERBS)}", _PROG)
    # A default of the parser's own would overrule what stands before the verb.
    known = ["--store", "--json", "--help", "--unused-days", "--damaged", "--model", "--all", "--dry-run"]
    return parser.read(words, known, argparse.Namespace(store="engines", json=False))


def _days(word: str) -> float:
    try:
        days = float(word)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of days")
    return days


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
            *(engine[field] for field in ("model", "key", "precision", "runtime", "gpu")),
            "\n".join(engine["shapes"]),
            size_text(engine["bytes"]),
            engine["built"][:10],
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
        raise refused(f"{subject} a key that begins with {options.key!r} in {str(store.root)!r}{near}{listed}", _PROG)
    (entry,) = matches
    if entry.manifest_error:
        say(f"error[E613]: {entry.folder}: {entry.manifest_error}\n  → {_REPAIR}")
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
        say(f"{len(damages)} engine(s) are damaged\n  → {_REPAIR}")
    return 1 if damages else 0


def _prune(store: EngineStore, options: argparse.Namespace) -> int:
    models = {entry.model for entry in store.entries()}
    if options.model is not None and options.model not in models:
        near = did_you_mean(options.model, models)
        raise refused(
            f"{str(store.root)!r} has no engines of {options.model!r}{near}; models: {join_sorted(models)}", _PROG
        )
    removed, busy = store.prune(lambda entry: _prune_reason(entry, options), dry_run=options.dry_run)
    total = sum(item.bytes for item in removed)
    if options.json:
        items = [{"folder": str(item.folder), "bytes": item.bytes, "why": item.why} for item in removed]
        _print_json({"removed": items, "bytes": total, "dry_run": options.dry_run})
    else:
        action = "would delete" if options.dry_run else "deleted"
        for item in removed:
            print(f"{action} {item.folder} ({size_text(item.bytes)}): {item.why}")
        print(f"{action} {len(removed)} item(s), {total} bytes")
    for entry in busy:
        say(f"kept {entry.folder}: a process builds it right now")
    return 0


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
