"""Compute what 10,000 hours of video a day take, and simulate where a batch of that size breaks.

    python benchmarks/scale.py                               # all tables of docs/scale.md, in half a minute
    python benchmarks/scale.py --gpu-price 2.5 --bit-rate 8e6

Speeds are those that docs/gpu.md and docs/performance.md measured; prices and rates are assumptions. The script also
measures the journal of a batch in ``--folder``. It needs SimPy (extra ``dev``).
"""

from __future__ import annotations

import argparse
import gc
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fleet import LONG, Clip, Fleet, lengths, over_a_day, simulate  # type: ignore[import-not-found]  # beside this one

from bmfgraph.batches.journal import Journal

RATE = 25.0
"""Frames of a second of video."""
LARGER = 2.25
"""Pixels of 1080p by those of 720p."""
SPARE = 0.8
"""Share of the time in which a machine that is paid for works."""
CORES_OF_GPU = 24
"""Cores that come with the price of a GPU."""
ENCODING = 13.4 / 2
"""Frames per second that a core decodes, doubles to 1440p and encodes (docs/performance.md)."""
JOURNAL = 0.0092
"""Seconds of journal and list for a clip (docs/performance.md)."""
SHORT_CLIP = 0.032 + 0.2
"""Seconds for a clip besides its frames: a run (docs/performance.md), and the end of its decoder (docs/gpu.md)."""
START = 1.37
"""Seconds until a process is ready (docs/performance.md)."""
LIST = 0.0018
"""Seconds to list a clip (docs/performance.md)."""


@dataclass(frozen=True)
class Case:
    """A pipeline, and its measured speed."""

    title: str
    fps: float
    """Frames of 720p per second of a GPU or a core."""
    gpu: bool
    out: float
    """Bits that it writes for a second of video."""
    cores: float = 4.0
    """Cores beside each GPU."""
    encodes: bool = False
    """Whether CPU cores encode the frames that come from the GPU."""

    @property
    def at_1080p(self) -> float:
        """Frames per second at 1080p."""
        return self.fps / LARGER

    @property
    def speed(self) -> float:
        """Seconds of video in a second."""
        return self.at_1080p / RATE


@dataclass(frozen=True)
class Averages:
    """Means of several simulations, as a table shows them."""

    makespan: str
    utilisation: str
    redone: str
    left_out: str
    waits: list[str]
    """Hours in the queue: median, 95th and 99th percentile."""


def cases(options: argparse.Namespace) -> list[Case]:
    records = 8 * options.record * RATE
    return [
        Case("faces, H200, four clips in a process", 5931, True, records),
        Case("faces, H200, limit of seven NVDEC decoders", 10_572, True, records),
        Case("super resolution x2, animevideov3 fp16, H200", 183, True, options.output_rate, encodes=True),
        Case("faces (CenterFace), CPU", 58.8 / 2, False, records),
        Case("super resolution x2, vsr_x2_fast_video bf16, CPU", 9.7 / 2, False, options.output_rate),
    ]


def table(title: str, head: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a table whose first column is text and whose others are numbers."""
    columns = head.count("|") + 1
    print(f"\n**{title}**\n\n| {head} |\n|---|{'---:|' * (columns - 1)}")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def number(value: float) -> str:
    """Return a number with as many digits as a plan needs."""
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def capacity(options: argparse.Namespace) -> None:
    """Print machines and prices."""
    frames = options.hours * 3600 * RATE / 86_400
    print(f"{options.hours:,.0f} hours a day are {frames:,.0f} frames in each second, on average.")
    rows, traffic = [], []
    for case in cases(options):
        busy = frames / case.at_1080p
        paid = busy / SPARE
        gpus = math.ceil(paid) if case.gpu else 0
        cores = paid * case.cores if case.gpu else paid
        if case.encodes:
            cores += frames / (ENCODING / LARGER) / SPARE
        extra = max(0.0, cores - paid * CORES_OF_GPU) if case.gpu else cores
        price = (case.gpu * paid * options.gpu_price + extra * options.core_price) * 24 / options.hours
        speeds = number(case.fps), number(case.at_1080p), number(busy)
        rows.append((case.title, *speeds, gpus or "", f"{math.ceil(cores):,}", f"{price:.3f}"))
        bits = options.bit_rate + case.out
        day = options.hours * 3600 / 86_400 * bits / 1e9
        stored = [options.hours * 3600 * part / 8 / 1e12 for part in (options.bit_rate, case.out)]
        month = bits * 3600 / 8 / 1e9 * options.storage_price
        each = f"{case.speed * bits / 1e6:,.1f}"
        traffic.append((case.title, *map(number, stored), number(day), number(2 * day), each, f"{month:.3f}"))
    head = "case | fps at 720p, measured | fps at 1080p | busy GPUs or cores | GPUs to pay | cores to pay | $ per hour"
    table("Machines", head, rows)
    head = "case | read, TB a day | written, TB a day | Gbit/s | at the peak | Mbit/s of a GPU or core | $ per hour"
    table("Network and storage, files kept for 30 days", head, traffic)


def measure_journal(folder: Path, clips: int) -> tuple[float, float]:
    """Return how many clips a second a journal lists, and how many it begins and ends."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        journal = Journal(Path(name) / "scale.journal")
        began = time.perf_counter()
        journal.begin_listing()
        for place in range(clips):
            journal.take_name(f"out/{place}.mp4", place)
            journal.list_clip(f"{place:016x}", place, f"clips/{place}.mp4", str(place), {})
            journal.set_waiting(f"{place:016x}", 60.0)
        journal.end_listing()
        listed = time.perf_counter()
        for place in range(clips):
            key, writes = f"{place:016x}", [f"out/{place}.mp4"]
            journal.begin(key, writes)
            journal.end(key, "0", reads={f"clips/{place}.mp4": [1, 1]}, writes=writes, frames=1500, seconds=1.0)
        ended = time.perf_counter()
        journal.close()
    return clips / (listed - began), clips / (ended - listed)


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}"


def averages(fleet: Fleet, orders: Sequence[Sequence[Clip]], seed: int) -> Averages:
    """Return what the orders of a list give on average, each with a seed of its own."""
    outcomes = [simulate(fleet, clips, seed + more) for more, clips in enumerate(orders)]
    rows = [
        (each.makespan, each.utilisation, each.redone, each.left_out, *(each.wait(part) for part in (50, 95, 99)))
        for each in outcomes
    ]
    makespan, utilisation, redone, left_out, *waits = np.mean(rows, axis=0)
    return Averages(hours(makespan), f"{utilisation:.0%}", f"{redone:.2%}", f"{left_out:.1f}", list(map(hours, waits)))


def shuffled(videos: Sequence[float], seed: int) -> list[list[Clip]]:
    """Return the clips in three random orders."""
    random = np.random.default_rng(seed)
    return [[Clip(float(video)) for video in random.permutation(videos)] for _ in range(3)]


def arrivals(options: argparse.Namespace, videos: Sequence[float], faces: Fleet, upscale: Fleet) -> None:
    """Print how long clips wait that arrive during a day."""
    clips = over_a_day(videos, np.random.default_rng(options.seed))
    rows = []
    for title, fleet in (("super resolution", upscale), ("faces", faces)):
        for more in (1.0, 1.25, 1.5):
            workers = math.ceil(fleet.workers * more / fleet.machine) * fleet.machine
            found = averages(replace(fleet, workers=workers), [clips], options.seed)
            rows.append((f"{title}, {workers} workers", found.utilisation, *found.waits, found.makespan))
    head = "fleet | utilisation | queue, median, h | p95, h | p99, h | last clip done, h"
    table("Clips that arrive during a day, twice as many at noon as on average", head, rows)


def backlog(options: argparse.Namespace, videos: Sequence[float], upscale: Fleet) -> None:
    """Print how long a day's clips take that all wait at the beginning."""
    orders = shuffled(videos, options.seed)
    longest = [sorted(orders[0], key=lambda clip: -clip.video)]
    parts = upscale.workers // upscale.machine
    rows = []
    for title, lists, changes in (
        ("one queue", orders, {}),
        ("longest first", longest, {}),
        ("segments=8", orders, {"segments": 8}),
        ("one slow machine", orders, {"slow": 1}),
        ("one slow machine, longest first", longest, {"slow": 1}),
        ("one slow machine, segments=8", orders, {"slow": 1, "segments": 8}),
        (f"{parts} shards", orders, {"shards": parts}),
        (f"{parts} shards, segments=8", orders, {"shards": parts, "segments": 8}),
        (f"{parts} shards, one slow machine", orders, {"shards": parts, "slow": 1}),
        (f"{upscale.workers} shards of a GPU", orders, {"shards": upscale.workers, "machine": 1}),
    ):
        found = averages(replace(upscale, **changes), lists, options.seed)
        rows.append((title, found.makespan, found.utilisation, *found.waits))
    head = "rules | makespan, h | utilisation | queue, median, h | p95, h | p99, h"
    table(f"A backlog of a day, super resolution, {upscale.workers} workers", head, rows)


def failures(options: argparse.Namespace, videos: Sequence[float], upscale: Fleet) -> None:
    """Print what failing machines cost, and a command that dies and goes on a minute later."""
    orders = shuffled(videos, options.seed)
    rows = []
    command = {"machine": upscale.workers, "repair": 60.0, "attempts": 3}
    for title, mtbf, segments, changes in (
        ("a machine", 1000, 1, {}),
        ("a machine", 24, 1, {}),
        ("a machine", 24, 8, {}),
        ("a machine", 6, 1, {}),
        ("a machine", 6, 8, {}),
        ("a machine", 2, 1, {}),
        ("a machine", 2, 8, {}),
        ("the command", 6, 1, command),
        ("the command", 6, 8, command),
    ):
        fleet = replace(upscale, mtbf=3600.0 * mtbf, segments=segments, **changes)
        found = averages(fleet, orders, options.seed)
        name = f"{title}, every {mtbf:,} h" + ", segments=8" * (segments > 1)
        rows.append((name, found.makespan, found.utilisation, found.redone, found.left_out))
    head = "what fails | makespan, h | utilisation | work redone | clips left out"
    table("The same backlog with failures", head, rows)


def crashes(options: argparse.Namespace, videos: Sequence[float], faces: Fleet) -> None:
    """Print what clips cost that end their process."""
    random = np.random.default_rng(options.seed)
    clips = [Clip(video, crashes=bool(random.random() < 0.001)) for video in videos]
    shards = faces.workers // faces.machine
    # The same command lists its part of the clips again.
    again = START + LIST * len(clips) / shards
    rows = []
    in_process = {"shards": shards, "one_process": True, "attempts": 3, "start": again}
    for title, changes in (
        ("launcher=ray", {}),
        ("a shard for each GPU, four clips in its process", in_process),
        ("a shard for each GPU, launcher=local", {"shards": shards, "attempts": 1, "overhead": START}),
    ):
        outcome = simulate(replace(faces, **changes), clips, options.seed)
        bad = outcome.left_out - outcome.healthy_left_out
        shares = f"{outcome.utilisation:.0%}", f"{outcome.redone:.2%}"
        rows.append((title, hours(outcome.makespan), *shares, bad, outcome.healthy_left_out))
    head = "rules | makespan, h | utilisation | work lost | crashing clips left out | others left out"
    table("A backlog of a day, faces, one clip of a thousand ends its process", head, rows)


def storage(options: argparse.Namespace, videos: Sequence[float], faces: Fleet, upscale: Fleet) -> None:
    """Print how a fleet slows down where the storage is too slow."""
    clips = [Clip(video) for video in videos if video < LONG][:20_000]
    amount = sum(clip.video for clip in clips)
    rows = []
    for title, fleet, bandwidth, sizes in (
        ("faces", faces, 10e9, (8, 16, 24, 32)),
        ("super resolution", upscale, 10e9, (64, 128, 192)),
        ("super resolution", upscale, 25e9, (192, 320)),
    ):
        for gpus in sizes:
            workers = gpus * (faces.machine if fleet is faces else 1)
            outcome = simulate(replace(fleet, workers=workers, bandwidth=bandwidth), clips, options.seed)
            speed, ideal = amount / outcome.makespan, workers * fleet.speed
            wanted = f"{ideal * fleet.bits / 1e9:.1f}"
            rows.append((f"{title}, {bandwidth / 1e9:.0f} Gbit/s, {gpus} GPUs", wanted, *map(number, (ideal, speed))))
    head = "storage and fleet | Gbit/s wanted | hours of video an hour, unlimited | simulated"
    table("Storage that all share, clips of less than an hour", head, rows)


def short_clips(options: argparse.Namespace, faces: Fleet) -> None:
    """Print where one journal is the limit."""
    rows = []
    sizes = (60, 24, 1), (10, 24, 1), (10, 96, 1), (10, 96, 4), (2, 24, 1), (2, 96, 1), (2, 96, 4)
    for seconds, workers, shards in sizes:
        fleet = replace(faces, workers=workers, shards=shards, overhead=SHORT_CLIP, journal=JOURNAL)
        clips = [Clip(float(seconds))] * 10_000
        outcome = simulate(fleet, clips, options.seed)
        ideal = workers / (seconds / fleet.speed + SHORT_CLIP)
        done = len(clips) / outcome.makespan
        title = f"{seconds} s, {workers} workers, {shards} journal{'s' * (shards > 1)}"
        rows.append((title, *map(number, (ideal, done)), f"{outcome.utilisation:.0%}", number(done * seconds * 24)))
    head = "clips | clips a second, workers alone | simulated | utilisation | hours of video a day"
    table("Short clips, faces, a journal that takes 9.2 ms of each", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10_000, help="hours of video a day")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bit-rate", type=float, default=5e6, help="bits of a second of input")
    parser.add_argument("--output-rate", type=float, default=24e6, help="bits of a second of upscaled video")
    parser.add_argument("--record", type=float, default=239, help="bytes of the record of a frame")
    parser.add_argument("--gpu-price", type=float, default=3.5, help="dollars for an hour of a GPU and its cores")
    parser.add_argument("--core-price", type=float, default=0.04, help="dollars for an hour of a core")
    parser.add_argument("--storage-price", type=float, default=0.02, help="dollars for a GB in a month")
    parser.add_argument("--clips", type=int, default=1000, help="clips for the measurement of the journal")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the journal is measured")
    options = parser.parse_args()
    # Few of the many small objects are garbage that needs a search.
    gc.set_threshold(200_000)
    capacity(options)
    listed, ended = measure_journal(options.folder, options.clips)
    print(f"\nA journal lists {listed:,.0f} clips a second, or notes begin and end of {ended:,.0f}.")
    faces_case, _, upscale_case, *_ = cases(options)
    videos = [float(video) for video in lengths(options.hours, np.random.default_rng(options.seed))]
    fleets = []
    for case, side_by_side, machine in ((faces_case, 4, 4), (upscale_case, 1, 8)):
        paid = options.hours / 24 / (case.speed / side_by_side) / SPARE
        workers = max(1, math.ceil(paid / machine)) * machine
        bits = options.bit_rate + case.out
        fleets.append(Fleet(workers, case.speed / side_by_side, machine, bits=bits))
    faces, upscale = fleets
    films = sum(video >= 36_000 for video in videos)
    print(f"The clips of a day: {len(videos):,}, mean {np.mean(videos) / 60:.1f} minutes, {films} films of ten hours.")
    arrivals(options, videos, faces, upscale)
    backlog(options, videos, upscale)
    failures(options, videos, upscale)
    crashes(options, videos, faces)
    storage(options, videos, faces, upscale)
    short_clips(options, faces)


if __name__ == "__main__":
    main()
