"""Everything bmfgraph raises.

BmfgraphError           any failure bmfgraph reports itself
├── ConfigError         the configuration cannot be composed                       exit code 2
├── SpecError           it composes, but does not describe a pipeline              exit code 2
├── PlanError           it describes a pipeline whose parts do not fit together    exit code 2
├── EngineError         a model or its engine cannot be had, read or loaded        exit code 1
├── InstallError        this machine lacks a library that the pipeline needs       exit code 1
└── RunError            a node failed on this input, output or machine             exit code 1
    └── Cancelled       somebody asked the run to stop (Ctrl-C, SIGTERM)           exit code 130
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "BmfgraphError",
    "Cancelled",
    "ConfigError",
    "EngineError",
    "InstallError",
    "PlanError",
    "Problem",
    "RunError",
    "SpecError",
    "did_you_mean",
    "one_of",
    "shown",
]


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the allowed word nearest to ``word``, else the empty string."""
    near = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def shown(value: object) -> str:
    """A value for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_of(words: Iterable[str]) -> str:
    """The words in order, for the "allowed" part of a message."""
    return ", ".join(sorted(words)) or "none"


class BmfgraphError(Exception):
    """Base of all errors; ``str()`` is the whole message for the user, ``hint`` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message}\n  → {hint}" if hint else message)


class ConfigError(BmfgraphError):
    """The configuration cannot be composed: an override, a group or an interpolation is wrong."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One mistake in a configuration: where it is (a dotted YAML path) and what is wrong with it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SpecError(BmfgraphError):
    """The configuration does not describe a pipeline; ``problems`` holds every mistake found."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        head = "" if len(lines) == 1 else f"{len(lines)} mistakes in the pipeline:\n  "
        super().__init__(head + "\n  ".join(lines))


class PlanError(BmfgraphError):
    """Two parts of a pipeline do not fit; says the node, both sides and what would join them."""

    exit_code = 2

    def __init__(self, node: str, message: str, *, hint: str = "") -> None:
        self.node = node
        super().__init__(f"pipeline.nodes.{node}: {message}", hint=hint)


class EngineError(BmfgraphError):
    """A model or engine cannot be fetched, read or loaded; names the node that asked for it."""

    def __init__(self, node: str, message: str, *, hint: str = "") -> None:
        self.node = node
        super().__init__(f"pipeline.nodes.{node}: {message}", hint=hint)


class InstallError(BmfgraphError):
    """A library that the pipeline needs is missing on this machine."""


class RunError(BmfgraphError):
    """A node failed: its name and kind, the frame (counted from 0) and its time in seconds where known."""

    def __init__(
        self,
        node: str,
        kind: str,
        cause: str,
        *,
        frame: int | None = None,
        time: Fraction | None = None,
        hint: str = "",
    ) -> None:
        self.node, self.kind, self.cause, self.frame, self.time = node, kind, cause, frame, time
        where = f"node '{node}' ({kind})"
        if frame is not None:
            where += f", frame {frame}"
        if time is not None:
            where += f" at {float(time):.3f} s"
        super().__init__(f"{where}: {cause}", hint=hint)


class Cancelled(RunError):
    """The run was asked to stop before its end."""

    exit_code = 130

    def __init__(self, why: str, *, hint: str = "nothing was written under the final name") -> None:
        super().__init__("run", "pipeline", f"stopped: {why}", hint=hint)
