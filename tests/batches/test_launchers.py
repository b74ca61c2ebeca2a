"""Test that launchers say what they lack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bmfgraph as bg
from bmfgraph.config.job import share
from bmfgraph.errors import InstallError


@pytest.mark.parametrize(("launcher", "package", "code"), [("ray", "ray", "E709"), ("slurm", "submitit", "E711")])
def test_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clip: Callable[..., Path], launcher: str, package: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    words = [f"launcher={launcher}", "journal=x.journal", "output=x.mp4"]
    with pytest.raises(InstallError, match=f"pip install 'bmfgraph.{launcher}.'") as caught:
        list(bg.batch("super_resolution", *words, input=str(clip("a.mp4"))))
    assert caught.value.problems[0].code == code
    assert not Path("x.mp4").exists()


@pytest.mark.parametrize(
    ("wanted", "total", "workers", "expected"),
    [(None, 8, 4, 1.0), (None, 8, 8, 1.0), (None, 1, 4, 0.25), (None, 1, 3, 0.3333), (None, 0, 4, 0.0), (2, 1, 4, 2)],
)
def test_workers_share_what_there_is(wanted: float | None, total: float, workers: int, expected: float) -> None:
    assert share(wanted, total, workers) == expected


def test_cells_that_are_chosen_one_by_one_stay_here(tmp_path: Path, clip: Callable[..., Path]) -> None:
    source = clip(str(tmp_path / "a.mp4"))
    words = [
        "pipeline=super_resolution",
        f"input={source}",
        "encoder.crf=20,30",
        "launcher=ray",
        "sweep.strategy=halving",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "bmfgraph", "-m", *words, "sweep.strategy=halving", "sweep.objective=fps"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "launcher=ray runs the cells of a grid" in ended.stderr
