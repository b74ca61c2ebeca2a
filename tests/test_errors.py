"""The exceptions themselves; their texts are tested in test_error_messages.py."""

from __future__ import annotations

import pickle
from fractions import Fraction

import pytest

import bmfgraph.errors as errors
from bmfgraph.errors import (
    BmfgraphError,
    Cancelled,
    ConfigError,
    EngineError,
    InstallError,
    PipelineErrors,
    PlanError,
    Problem,
    RunError,
    SpecError,
    did_you_mean,
    join_sorted,
    one_error,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BmfgraphError("x", code="E899"), 1),
        (ConfigError("x", code="E106"), 2),
        (SpecError([Problem("a", "b", "E203")]), 2),
        (PlanError("n", "x", code="E301"), 2),
        (EngineError("n", "x", code="E609"), 1),
        (InstallError("x", code="E701"), 1),
        (PipelineErrors([PlanError("n", "x", code="E301"), InstallError("x", code="E701")]), 2),
        (RunError("n", "kind", "x", code="E801"), 1),
        (Cancelled("x"), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_error_has_its_exit_code_and_one_base(error: BmfgraphError, code: int) -> None:
    assert error.exit_code == code
    assert isinstance(error, BmfgraphError)


@pytest.mark.parametrize(
    "error",
    [
        SpecError([Problem("a", "b", "E203", "c"), Problem("d", "e", "E204")]),
        RunError("n", "kind", "x", frame=3, time=Fraction(1, 8), hint="y", code="E801"),
        Cancelled("x", hint="y"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_go_from_process_to_process(error: Exception) -> None:
    same = pickle.loads(pickle.dumps(error))
    assert type(same) is type(error)
    assert str(same) == str(error)
    assert same.args == error.args
    assert vars(same) == vars(error)


def test_the_docstring_draws_every_class_with_its_exit_code() -> None:
    assert errors.__doc__
    for name in errors.__all__:
        found = getattr(errors, name)
        if isinstance(found, type) and issubclass(found, BmfgraphError):
            (line,) = (line for line in errors.__doc__.splitlines() if name in line.split())
            if found is not BmfgraphError:
                assert line.endswith(f"exit code {found.exit_code}") or line.endswith(str(found.exit_code))


def test_a_hint_stands_on_its_own_line() -> None:
    assert str(BmfgraphError("it broke", hint="mend it", code="E899")) == "it broke\n  → mend it"
    assert str(BmfgraphError("it broke", code="E899")) == "it broke"


def test_a_run_error_says_as_much_as_is_known() -> None:
    assert str(RunError("sink", "encoder", "no space", code="E801")) == "node 'sink' (encoder): no space"
    full = RunError("sink", "encoder", "no space", frame=12, time=Fraction(1, 3), hint="delete something", code="E801")
    assert str(full) == "node 'sink' (encoder), frame 12 at 0.333 s: no space\n  → delete something"
    assert str(RunError("a", "b", "c", frame=0, time=Fraction(0), code="E801")) == "node 'a' (b), frame 0 at 0.000 s: c"


def test_one_mistake_takes_one_line_and_several_are_counted() -> None:
    one = SpecError([Problem("pipeline.name", "is missing", "E204")])
    assert str(one) == "pipeline.name: is missing"
    two = SpecError([Problem("a.b", "x", "E203"), Problem("c", "y", "E204")])
    assert str(two) == "2 mistakes in the pipeline:\n  a.b: x\n  c: y"
    assert [problem.path for problem in two.problems] == ["a.b", "c"]


def test_several_errors_keep_their_places_and_codes() -> None:
    one, other = PlanError("n", "x", hint="do this", code="E301"), InstallError("y", code="E701")
    both = one_error([one, other])
    assert isinstance(both, PipelineErrors)
    assert str(both) == "pipeline.nodes.n: x\n  → do this\ny"
    assert [(problem.path, problem.code, problem.hint) for problem in both.problems] == [
        ("pipeline.nodes.n", "E301", "do this"),
        ("", "E701", ""),
    ]
    assert both.exit_code == 2
    assert one_error([other, other]).exit_code == 1
    assert one_error([other]) is other


@pytest.mark.parametrize(
    ("word", "allowed", "text"),
    [
        ("raduis", ["radius", "size"], " (did you mean 'radius'?)"),
        ("zzz", ["radius", "size"], ""),
        ("x", [], ""),
        ("", ["a"], ""),
    ],
)
def test_did_you_mean(word: str, allowed: list[str], text: str) -> None:
    assert did_you_mean(word, allowed) == text


def test_one_of_sorts_and_names_nothing() -> None:
    assert join_sorted({"b", "a"}) == "a, b"
    assert join_sorted([]) == "none"
