"""Define the errors of bmfgraph. Each has a code, which :mod:`bmfgraph.error_codes` explains.

BmfgraphError           any failure bmfgraph reports itself
├── ConfigError         the configuration cannot be composed                       exit code 2
├── SpecError           it composes, but does not describe a pipeline              exit code 2
├── PlanError           it describes a pipeline whose parts do not fit together    exit code 2
├── PipelineErrors      several errors at once                                     exit code 2
├── EngineError         a model or its engine cannot be fetched, built or loaded   exit code 1
├── InstallError        this machine lacks a library that the pipeline needs       exit code 1
└── RunError            a node failed on this input, output or machine             exit code 1
    └── Cancelled       the run was stopped (Ctrl-C, SIGTERM)                      exit code 130
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from bmfgraph import error_codes as codes

__all__ = [
    "BmfgraphError",
    "Cancelled",
    "ConfigError",
    "EngineError",
    "FieldError",
    "InstallError",
    "MediaError",
    "PipelineErrors",
    "PlanError",
    "Problem",
    "RunError",
    "SourceError",
    "SpecError",
    "UnplacedError",
    "did_you_mean",
    "first_line",
    "join_sorted",
    "nearest",
    "one_error",
    "short_repr",
    "without_passwords",
]

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
"""User and password of a URL."""
_QUERY = re.compile(r"(https?://[^?#\s'\"]*)\?[^\s'\"]*", re.IGNORECASE)
"""A URL with a query, which may hold a signature or a key."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the allowed word most similar to ``word``; "" if none is similar."""
    near = nearest(word, allowed)
    return f" (did you mean {near!r}?)" if near else ""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return the allowed word most similar to ``word``, ignoring case, except ``word`` itself; "" for none."""
    by_lower_case = {candidate.lower(): candidate for candidate in allowed if candidate != word}
    near = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=0.62)
    return by_lower_case[near[0]] if near else ""


def short_repr(value: object) -> str:
    """Return the repr of a value for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message that is not empty; "" if there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def join_sorted(words: Iterable[str]) -> str:
    """Return the words in alphabetical order, for the "allowed" part of a message; "none" if there are none."""
    return ", ".join(sorted(words)) or "none"


def without_passwords(text: str) -> str:
    """Return the text with *** for the user and password of every URL, and without the queries of URLs."""
    return _QUERY.sub(r"\1?", _USER.sub("***@", text))


@dataclass(frozen=True)
class Problem:
    """One mistake or warning."""

    path: str
    """Dotted YAML path, or ""."""
    message: str
    code: str
    """Such as E203, or W101 for a warning."""
    hint: str = ""
    """Advice for the user."""
    place: str = ""
    """Place in a run, such as ``node 'sink' (encoder), frame 3 at 0.120 s``; empty before a run."""

    def __post_init__(self) -> None:
        for name in ("path", "message", "hint"):
            object.__setattr__(self, name, without_passwords(getattr(self, name)))

    @property
    def severity(self) -> Literal["error", "warning"]:
        """``warning`` if a run can still begin, else ``error``."""
        return "warning" if self.code.startswith("W") else "error"

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.place or self.path, self.message)))


class FieldError(ValueError):
    """Raised by validators of specs; pydantic wraps it in its own error, from which the YAML path follows."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class UnplacedError(Exception):
    """Raised by code that does not know its node; callers re-raise it as a BmfgraphError."""

    def __init__(self, message: str, hint: str = "", *, code: str) -> None:
        super().__init__(message)
        self.hint, self.code = hint, code


class SourceError(UnplacedError):
    """A source does not exist or cannot be fetched; ``hint`` is the advice for the user."""


class MediaError(UnplacedError):
    """A file cannot be used as video input."""


class BmfgraphError(Exception):
    """Base of all errors; ``str()`` is the whole message for the user, ``problems`` holds its mistakes."""

    exit_code = 1
    trace = ""
    """Traceback of the original exception, if that was raised on another thread or in another process."""

    def __init__(self, message: str, *, hint: str = "", code: str, path: str = "", place: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(path, message, code, hint, place),)
        self.message, self.hint = str(self.problems[0]), self.problems[0].hint
        super().__init__(f"{self.message}\n  → {self.hint}" if hint else self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return _revived, (type(self), str(self)), self.__dict__


def _revived(cls: type[BmfgraphError], text: str) -> BmfgraphError:
    """Rebuild a pickled error, whose message is already complete."""
    return cls.__new__(cls, text)


class ConfigError(BmfgraphError):
    """The configuration cannot be composed: an override, a group or an interpolation is wrong."""

    exit_code = 2


class SpecError(BmfgraphError):
    """The configuration does not describe a pipeline; ``problems`` holds every mistake found."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [str(problem) for problem in problems]
        head = "" if len(lines) == 1 else f"{len(lines)} mistakes in the pipeline:\n  "
        super().__init__(head + "\n  ".join(lines), code=problems[0].code)
        self.problems = tuple(problems)


class PlanError(BmfgraphError):
    """Two parts of a pipeline do not fit; the message names the node, both sides and the remedy."""

    exit_code = 2

    def __init__(self, node: str, message: str, *, hint: str = "", code: str) -> None:
        self.node = node
        super().__init__(message, hint=hint, code=code, path=f"pipeline.nodes.{node}")


class PipelineErrors(BmfgraphError):
    """Several errors, each with its own place and code."""

    exit_code = 2

    def __init__(self, errors: Sequence[BmfgraphError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, errors)), code=errors[0].problems[0].code)
        self.problems = tuple(problem for error in errors for problem in error.problems)
        if all(error.exit_code == 1 for error in errors):
            self.exit_code = 1


class EngineError(BmfgraphError):
    """A model or engine cannot be fetched, built or loaded; ``node`` is the node that needs it."""

    def __init__(self, node: str, message: str, *, hint: str = "", code: str) -> None:
        self.node = node
        super().__init__(message, hint=hint, code=code, path=f"pipeline.nodes.{node}")


class InstallError(BmfgraphError):
    """A library that the pipeline needs is missing on this machine."""


class RunError(BmfgraphError):
    """A node failed; ``frame`` (counted from 0) and ``time`` (seconds) are None where they are unknown."""

    def __init__(
        self,
        node: str,
        kind: str,
        cause: str,
        *,
        frame: int | None = None,
        time: Fraction | None = None,
        hint: str = "",
        code: str,
        path: str | None = None,
    ) -> None:
        self.node, self.kind, self.cause, self.frame, self.time = node, kind, without_passwords(cause), frame, time
        place = f"node '{node}' ({kind})"
        if frame is not None:
            place += f", frame {frame}"
        if time is not None:
            place += f" at {float(time):.3f} s"
        super().__init__(
            cause, hint=hint, code=code, path=f"pipeline.nodes.{node}" if path is None else path, place=place
        )


class Cancelled(RunError):
    """The run was asked to stop before its end."""

    exit_code = 130

    def __init__(self, reason: str, *, hint: str = "nothing was written under the final name") -> None:
        super().__init__("run", "pipeline", f"stopped: {reason}", hint=hint, code=codes.RUN_CANCELLED, path="")


def one_error(errors: Sequence[BmfgraphError]) -> BmfgraphError:
    """Return the error itself if there is one only, else PipelineErrors of all."""
    return errors[0] if len(errors) == 1 else PipelineErrors(errors)
