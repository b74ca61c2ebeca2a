"""Test which changes make another engine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bmfgraph.engines.key import EngineKey, Profile
from tests.engines.engine_tools import CHANGES, ended, key, start


def test_every_field_is_tried() -> None:
    assert set(CHANGES) == {field.name for field in dataclasses.fields(EngineKey)}


@pytest.mark.parametrize(("field", "value"), CHANGES.items())
def test_each_field_alone_makes_another_engine(field: str, value: Any) -> None:
    changed = key(**{field: value})
    assert changed.digest() != key().digest()
    assert changed.changes(key().as_json()) == [field]


@pytest.mark.parametrize("part", ["min", "opt", "max"])
def test_each_shape_of_a_profile_makes_another_engine(part: str) -> None:
    before = key().profiles[0][1]
    changed = key(profiles=(("input", dataclasses.replace(before, **{part: (1, 3, 24, 33)})),))
    assert changed.digest() != key().digest()
    assert changed.changes(key().as_json()) == ["profiles"]


def test_two_fields_are_both_named() -> None:
    assert key(gpu="NVIDIA L4", precision="int8").changes(key().as_json()) == ["gpu", "precision"]


def test_a_field_that_an_older_key_lacks_is_a_change() -> None:
    older = {name: value for name, value in key().as_json().items() if name != "calibration"}
    assert key(calibration="c" * 64).changes(older) == ["calibration"]
    assert key().changes({**key().as_json(), "colour": "red"}) == ["colour"]


def test_the_same_key_has_the_same_digest_in_every_process() -> None:
    code = "from tests.engines.engine_tools import key; print(key().digest())"
    digests = {ended(start(code)).strip() for _ in range(2)}
    assert digests == {key().digest()}


def test_what_a_profile_holds() -> None:
    profile = Profile((1, 3, 16, 16), (1, 3, 24, 32), (4, 3, 48, 64))
    assert profile.holds((1, 3, 16, 16))
    assert profile.holds((4, 3, 48, 64))
    assert not profile.holds((5, 3, 48, 64))
    assert not profile.holds((1, 3, 15, 64))
    assert not profile.holds((1, 3, 24))
