"""The simulation of large batches: queues as the theory has them, no clip lost, and tables from one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("simpy", reason="the simulation needs SimPy")

from benchmarks.fleet import LONG, SLOWNESS, Clip, Fleet, lengths, over_a_day, simulate

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "scale.py"


def erlang_c(workers: int, load: float) -> float:
    """Return the probability that a clip waits in an M/M/c queue; ``load`` is the number of workers that are busy."""
    blocked = 1.0
    for count in range(1, workers + 1):
        blocked = load * blocked / (count + load * blocked)
    share = load / workers
    return blocked / (1 - share + share * blocked)


def test_a_queue_waits_as_long_as_erlang_says() -> None:
    workers, load, count = 8, 6.0, 40_000
    random = np.random.default_rng(3)
    arrivals = np.cumsum(random.exponential(1 / load, count))
    clips = [Clip(video, time) for video, time in zip(random.exponential(1.0, count), arrivals, strict=True)]
    outcome = simulate(Fleet(workers, speed=1.0), clips)
    chance = erlang_c(workers, load)
    assert outcome.utilisation == pytest.approx(load / workers, rel=0.03)
    assert float(np.mean(outcome.waits > 0)) == pytest.approx(chance, rel=0.06)
    assert float(np.mean(outcome.waits)) == pytest.approx(chance / (workers - load), rel=0.12)


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("one_process", [False, True])
def test_each_clip_is_done_or_left_out(one_process: bool, segments: int) -> None:
    random = np.random.default_rng(5)
    clips = [Clip(video, crashes=number % 50 == 0) for number, video in enumerate(lengths(300, random))]
    fleet = Fleet(
        16, speed=3.0, machine=4, shards=2, slow=1, mtbf=20_000.0, segments=segments, one_process=one_process,
        bits=1e6, bandwidth=40e6, journal=0.01,
    )  # fmt: skip
    outcome = simulate(fleet, clips)
    crashing = sum(clip.crashes for clip in clips)
    assert outcome.done + outcome.left_out == len(clips) == len(outcome.waits)
    assert outcome.left_out - outcome.healthy_left_out == crashing
    assert 0 < outcome.redone < 0.5
    assert outcome.utilisation <= 1


def test_storage_bounds_what_all_workers_do() -> None:
    clips = [Clip(100.0)] * 200
    fleet = Fleet(16, speed=2.0, bits=1e6)
    # 32 Mbit/s are wanted.
    free, bounded = (simulate(Fleet(**{**vars(fleet), "bandwidth": limit}), clips) for limit in (32e6, 8e6))
    assert free.makespan == pytest.approx(13 * 50)
    assert bounded.makespan == pytest.approx(sum(clip.video for clip in clips) * 1e6 / 8e6, rel=0.02)


def test_a_slow_machine_holds_up_its_shard_only_if_the_list_is_divided() -> None:
    clips = [Clip(60.0)] * 4000
    one_queue = simulate(Fleet(16, speed=1.0, machine=4, slow=1), clips).makespan
    divided = simulate(Fleet(16, speed=1.0, machine=4, shards=4, slow=1), clips).makespan
    assert one_queue == pytest.approx(4000 * 60 / (12 + 4 / SLOWNESS), rel=0.02)
    assert divided == pytest.approx(SLOWNESS * 1000 * 60 / 4, rel=0.1)


def test_segments_shorten_a_film() -> None:
    film = [Clip(8 * LONG)]
    assert simulate(Fleet(8, speed=1.0), film).makespan == 8 * LONG
    assert simulate(Fleet(8, speed=1.0, segments=8), film).makespan == LONG


def test_a_journal_bounds_short_clips() -> None:
    outcome = simulate(Fleet(64, speed=10.0, journal=0.01), [Clip(1.0)] * 5000)
    assert outcome.makespan == pytest.approx(50, rel=0.01)


def test_clips_of_a_day() -> None:
    random = np.random.default_rng(1)
    videos = lengths(1000, random)
    clips = over_a_day(videos, random)
    assert videos.sum() == pytest.approx(1000 * 3600)
    times = np.array([clip.arrival for clip in clips])
    assert np.all(np.diff(times) >= 0)
    noon = np.mean(np.abs(times - 43_200) < 3600)
    assert noon == pytest.approx(2 * 2 / 24, rel=0.15)


def test_the_script_prints_its_tables(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--hours", "100", "--clips", "20", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n**") == 8
    assert not list(tmp_path.iterdir())
