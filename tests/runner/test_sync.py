"""Test that sound and picture keep together, with the clip and the measurement of benchmarks/sync.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import sync


@pytest.mark.sample(1)
@pytest.mark.parametrize(("audio", "backend"), [("copy", "pyav"), ("aac", "pyav"), ("aac", "bmf")])
def test_flashes_and_beeps_stay_together(tmp_path: Path, audio: str, backend: str) -> None:
    source, target = tmp_path / "clip.mkv", tmp_path / "out.mp4"
    assert sync.write_clip(source, 16) == 2
    flashes, beeps = sync.events(source)
    assert flashes == pytest.approx([5.005, 15.015], abs=1e-6)
    assert beeps == pytest.approx(flashes, abs=0.004)
    sync.copy(source, target, audio, backend)
    drift = sync.drift(source, target)
    assert drift.events == 2
    assert drift.most < 1
    assert abs(drift.first) < (1 if audio == "copy" else 25)


def test_a_drift_is_seen(tmp_path: Path) -> None:
    source, late = tmp_path / "clip.mkv", tmp_path / "late.mkv"
    sync.write_clip(source, 16)
    sync.write_clip(late, 16, stretch=1.0002)
    assert sync.drift(source, late).most == pytest.approx(2.0, abs=0.1)
