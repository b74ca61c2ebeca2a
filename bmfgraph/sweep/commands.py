"""Write the command lines of a sweep's cells: the one that repeats a measurement, and the one to ship."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bmfgraph.api import Job
from bmfgraph.config.overrides import dir_flags, free_node_fields, key_and_value, quoted

__all__ = ["changed_settings", "command_of", "own_overrides", "with_changes", "without_measuring"]

_SWEEP_KEYS = ("sweep.", "hydra.", "hydra/")
"""Beginnings of the keys that a cell does not need when it runs alone."""
_MEASURING = ("progress", "report", "reference")
"""Keys that change nothing in the outputs of a run."""


def own_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that a cell needs when it runs alone: those of the pipeline, not of the sweep."""
    return tuple(override for override in overrides if not f"{_key(override)}.".startswith(_SWEEP_KEYS))


def command_of(overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the command line that runs one cell alone.

    Args:
        overrides: The overrides of the cell.
        arguments: The command line of the sweep, whose folders of configuration the cell needs too.
    """
    own = map(_without_needless_mark, own_overrides(overrides))
    return shlex.join(["python", "-m", "bmfgraph", *dir_flags(arguments), *own])


def with_changes(command: str, before: Job, after: Job) -> str:
    """Return a command line with the overrides that make one job of another."""
    changes = map(_without_needless_mark, changed_settings(before.config, after.config))
    return " ".join(filter(None, (command, shlex.join(changes))))


def without_measuring(
    overrides: Sequence[str], varied: Collection[str], job: Job
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Separate the overrides of the job from those that only make measuring short or quiet.

    The latter are a part of the input that ends early, a sink that writes nothing, progress, report and reference. A
    key that the sweep varies is never one of them.

    Args:
        overrides: The overrides of a cell.
        varied: The keys that differ from cell to cell.
        job: The job of the cell.

    Returns:
        The overrides of the job, and the others.
    """
    ends, starts = _spans(job)
    keys = {_key(override) for override in overrides}
    dropped = {*_MEASURING, *ends, *(starts if keys & ends else ())} - set(varied)
    left_out = tuple(
        override
        for override in overrides
        if _key(override) in dropped or (_key(override) not in varied and _writes_nothing(override))
    )
    kept = tuple(override for override in overrides if override not in left_out)
    return kept, tuple(map(_without_needless_mark, left_out))


def _spans(job: Job) -> tuple[set[str], set[str]]:
    """Return the keys that set the end, and the start, of what is read from an input."""
    nodes = job.spec.pipeline.nodes if job.spec.pipeline else {}
    sources = [name for name, spec in nodes.items() if "end" in spec.reading(end=1.0)]
    places = ["decoder", *(f"pipeline.nodes.{name}" for name in sources)]
    return {f"{place}.end" for place in places}, {f"{place}.start" for place in places}


def _writes_nothing(override: str) -> bool:
    key, value = _key(override), key_and_value(override)[1].strip("'\"")
    return (key, value) in (("encoder", "measure"), ("output", "null"), ("output", "")) or (
        key.rpartition(".")[2] == "container" and value == "null"
    )


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """List the overrides that make one configuration of another.

    Args:
        before: A configuration as plain data.
        after: The same with other values.
        path: Key of both in a larger configuration.
    """
    start = f"{path}." if path else ""
    yield from (f"~{start}{key}" for key in before if key not in after)
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            yield from changed_settings(old, value, f"{start}{key}")
        elif key not in before or old != value:
            yield f"{'' if key in before else '++'}{start}{key}={_hydra_text(value)}"


def _hydra_text(value: Any) -> str:
    """Write plain data in Hydra's grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_hydra_text, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower()


def _key(override: str) -> str:
    return key_and_value(override)[0].lstrip("+~")


def _without_needless_mark(override: str) -> str:
    bare = override.removeprefix("++")
    return bare if free_node_fields([bare]) == [override] else override
