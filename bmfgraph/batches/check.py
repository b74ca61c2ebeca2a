"""Check the clips of a manifest or at addresses before any of them runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bmfgraph import error_codes as codes
from bmfgraph.batches.entries import entries
from bmfgraph.batches.names import Names
from bmfgraph.batches.staging import check_clip
from bmfgraph.compile.job import CheckResult
from bmfgraph.errors import BmfgraphError, ConfigError, Problem
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.clips import of_clip

__all__ = ["check_clips", "shared_name"]


def check_clips(configure: Callable[[Mapping[str, Any]], dict[str, Any]]) -> CheckResult:
    """Return the problems of all clips that ``input`` names, each once.

    Args:
        configure: Returns the configuration with the overrides of a clip; without any, the common one.

    Raises:
        ConfigError: The list or manifest cannot be read, or a row is malformed.
    """
    value = configure({})["input"]
    names = Names(configure)
    problems: dict[Problem, None] = {}
    owners: dict[str, str] = {}
    plan: Plan | None = None
    for entry in entries(value):
        try:
            config = of_clip(configure(entry.changes), entry.clip, entry.index, entry.relative)
            result = check_clip(config)
            plan = plan or result.plan
            problems |= dict.fromkeys(result.problems)
            for name in names.of(entry):
                if (other := owners.setdefault(name, entry.clip)) != entry.clip:
                    raise shared_name(other, entry.clip, name)
        except BmfgraphError as error:
            problems |= dict.fromkeys(error.problems)
    errors_first = sorted(problems, key=lambda problem: problem.severity != "error")
    return CheckResult(tuple(errors_first), plan or Plan("batch", ()))


def shared_name(clip: str, other: str, path: str) -> ConfigError:
    """Return the error of two clips that would write one file."""
    return ConfigError(
        f"the clips {clip!r} and {other!r} would both write {path!r}",
        path="output",
        hint="put {stem}, {relpath} or {index} into the names of outputs, records and the report",
        code=codes.SHARED_OUTPUT,
    )
