"""Test child processes with limits, and how each end of a child is told."""

from __future__ import annotations

from typing import Any

import pytest

from bmfgraph.engines.limited import Failure, call_limited


def call(function: str, request: Any) -> Any:
    return call_limited(function, request, memory=300 << 20, seconds=1, wall_seconds=60.0)


def test_a_result() -> None:
    assert call("builtins:len", {"a": 1, "b": 2}) == 2


@pytest.mark.parametrize(
    ("code", "kind", "reports"),
    [
        ("bytearray(1 << 40)", "memory", ()),
        ("from bmfgraph.engines.limited import report; report('far'); x = b'x' * (400 << 20)", "memory", ("far",)),
        ("while True: pass", "time", ()),
        ("import os; os.abort()", "crash", ()),
        ("import os; os.kill(os.getpid(), 9)", "killed", ()),
        ("import os; os.write(1, b'result {\"value\": 1}'); os._exit(3)", "failed", ()),
        ("1 / 0", "failed", ()),
    ],
)
def test_a_failure(code: str, kind: str, reports: tuple[str, ...]) -> None:
    failure = call("builtins:exec", code)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.reports) == (kind, reports)


def test_a_child_that_never_ends_is_stopped() -> None:
    failure = call_limited(
        "time:sleep",
        60,  # type: ignore[arg-type]
        memory=300 << 20,
        seconds=5,
        wall_seconds=1.0,
    )
    assert failure == Failure("failed", "was stopped after 1 s")
