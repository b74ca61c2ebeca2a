"""Test the environment variables that the import sets for libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.runner.command import start

_SET = {"ORT_DISABLE_TELEMETRY": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "32"}


@pytest.mark.parametrize("name", _SET)
@pytest.mark.parametrize("own", [None, "8"])
def test_a_variable_is_set_unless_the_user_has_set_it(
    name: str, own: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests have imported bmfgraph.
    monkeypatch.delenv(name, raising=False)
    code = f"import os, bmfgraph; print(os.environ[{name!r}])"
    env = {} if own is None else {name: own}
    assert start([sys.executable, "-c", code], tmp_path, env=env).wait().success().out.strip() == (own or _SET[name])
