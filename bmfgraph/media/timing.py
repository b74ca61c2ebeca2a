"""Measure the frame times of a file with PyAV: rate, time grid, and start."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bmfgraph.media.demuxing import Demuxer

__all__ = ["Timing", "frame_timing"]

# Frame rates to try if a file does not state its own.
_RATES = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120")
)
_EXACT = Fraction(1, 2000)
"""Largest error of a frame time, in seconds."""
_MOST_PACKETS, _MOST_BYTES = 20_000, 64 << 20
"""Packets and bytes that are read to learn the frame times. Longer files are sampled."""
_LIVE = (300, 4 << 20)
"""The same for what comes slowly."""
_SAMPLES = 8
"""Positions at which a longer file is sampled."""
_FASTEST = 1000
"""Frames per second; a single frame that claims more has no rate."""
_MOST_TIES = 16
_REORDERED = 16
"""Largest number of frames that a codec stores out of order."""


@dataclass(frozen=True)
class Timing:
    """Frame times of a file, counted from its start."""

    rate: Fraction
    """Frames per second."""
    time_grid: Fraction
    """Seconds of which every frame time is a multiple."""
    variable: bool
    """Whether frames come at uneven times."""
    origin: Fraction
    """Earliest time of any stream in seconds, as FFmpeg 4 computes it."""
    zero: Fraction
    """Time in seconds that counts as 0: the first frame where it lies before 0, else the container's start."""
    count: int = 0
    """Number of frames that are shown; 0 if the file was sampled."""
    length: Fraction = Fraction(0)
    """Seconds from the start of the file to the end of the last frame; 0 if the file was sampled."""
    end: Fraction = Fraction(0)
    """Seconds at which the last packet of any stream ends, among the packets read first."""
    ties: int = 1
    """Largest number of frames of equal times."""
    hidden: int = 0
    """Frames that an edit list hides."""


def frame_timing(container: Any, stream: Any, *, live: bool = False) -> Timing:
    """Measure the frame times. Count them from the start of the file.

    Args:
        container: A new container of PyAV, not read yet.
        stream: The video stream in it.
        live: It cannot be sought, and its bytes may come slowly.
    """
    base = Fraction(stream.time_base)
    times = _read_times(container, stream, live)
    origin = Fraction(container.start_time or 0, 1_000_000)
    start = max(origin, Fraction(0))
    if container.format.name.startswith("matroska"):
        # Its times count from 0. Newer versions of FFmpeg leave out the audio that a decoder only needs to start.
        start = Fraction(0)
        origin = min(origin, times.first) if times.first is not None else origin
    average = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    if times.count == 1 and average > _FASTEST:
        average = Fraction(25)
    first = times.runs[0][0] * base - times.untimed / average if times.runs else Fraction(0)
    zero = first if first < 0 else start
    runs = [[time - round(zero / base) for time in run] for run in times.runs]
    if not runs:
        length = times.count / average if times.whole else Fraction(0)
        return Timing(average, 1 / average, False, origin, zero, times.count, length)
    span = runs[0][-1] * base
    if times.ties > 1:
        span_rate = times.count / span if times.whole and span else average
        return Timing(
            span_rate,
            base / times.ties,
            True,
            origin,
            zero,
            times.count,
            span + 1 / span_rate,
            times.end,
            times.ties,
            times.hidden,
        )
    finest = math.gcd(*itertools.chain(*runs)) * base if times.whole else base
    stated = (average, *(Fraction(rate) for rate in (stream.guessed_rate, stream.base_rate) if rate))
    rate, variable = average, True
    for likely in dict.fromkeys((*itertools.chain(*map(_likely, stated)), *_RATES)):
        if _even(runs, base * likely):
            rate, variable = likely, False
            break
    # A video may start between two places of the grid, which counts from the audio's start: use a finer grid.
    offset = runs[0][0] * base * rate
    on_grid = not variable and times.whole and abs(offset - round(offset)) / rate <= max(base, _EXACT)
    grid = 1 / rate if on_grid else finest or base
    length = span + (times.last_duration * base or 1 / rate) if times.whole else Fraction(0)
    return Timing(
        rate, grid, variable, origin, zero, times.count if times.whole else 0, length, times.end, 1, times.hidden
    )


def _likely(rate: Fraction) -> tuple[Fraction, ...]:
    """Return the common rate next to a rate that was measured in milliseconds, if there is one, and the rate itself."""
    near = min(_RATES, key=lambda usual: abs(usual - rate))
    return (near, rate) if abs(near - rate) < rate / 5000 else (rate,)


def _even(runs: list[list[int]], step: Fraction) -> bool:
    """Return whether frames are 1 / ``step`` ticks apart, apart from rounding. No frame may be missing in a run."""
    errors = []
    for run in runs:
        first = round((run[0] - runs[0][0]) * step)
        errors += [time - (first + index) / step for index, time in enumerate(run)]
    return max(errors) - min(errors) <= 1


@dataclass
class _Times:
    runs: list[list[int]]
    """Presentation times of shown frames in ticks, each once, without gaps within a run."""
    whole: bool
    """True if there is one run for the whole file; false if the file was sampled."""
    count: int = 0
    """Shown frames among the packets read first."""
    untimed: int = 0
    """Packets without a time before the first one that has one."""
    hidden: int = 0
    """Frames that an edit list hides."""
    ties: int = 1
    """Largest number of frames of equal times."""
    last_duration: int = 0
    """Ticks for which the last frame is shown; 0: unknown."""
    first: Fraction | None = None
    """Earliest time of any stream in seconds."""
    end: Fraction = Fraction(0)
    """Seconds at which the last packet of any stream ends, among the packets read first."""


def _read_times(container: Any, stream: Any, live: bool) -> _Times:
    from av import FFmpegError

    times = _read_packets(container, stream, *(_LIVE if live else (_MOST_PACKETS, _MOST_BYTES)))
    if times.whole:
        return times
    times.runs = [times.runs[0][:-_REORDERED] or times.runs[0]] if times.runs else []
    for part in range(1, _SAMPLES if not live and container.duration else 1):
        try:
            container.seek(container.duration * part // _SAMPLES + (container.start_time or 0))
        except FFmpegError:  # Some servers send a file only from its beginning.
            break
        sample = _read_packets(container, stream, 100, _MOST_BYTES)
        if sample.runs:
            # Frames are not stored in presentation order, so a run has gaps at both ends.
            run = sample.runs[0][_REORDERED:] if sample.whole else sample.runs[0][_REORDERED:-_REORDERED]
            times.runs += [run] if run else []
        times.ties = max(times.ties, sample.ties)
    return times


def _read_packets(container: Any, stream: Any, packets: int, size: int) -> _Times:
    """Read packets up to a number, or a size in bytes; ``whole`` is true at the end of the file."""
    shown: Counter[int] = Counter()
    times = _Times([], True)
    last = None
    for packet in Demuxer(container):
        if packet.stream.type not in ("video", "audio") or not packet.size:
            continue
        video = packet.stream_index == stream.index
        if video and packet.is_discard:
            times.hidden += 1
        elif video:
            times.count += 1
            if packet.pts is not None:
                shown[packet.pts] += 1
                if last is None or packet.pts >= last:
                    last, times.last_duration = packet.pts, packet.duration or 0
            elif not shown:
                times.untimed += 1
        if packet.pts is not None:
            time = packet.pts * packet.time_base
            times.first = time if times.first is None else min(times.first, time)
            times.end = max(times.end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        size -= packet.size
        if times.count >= packets or size <= 0:
            times.whole = False
            break
    times.runs = [sorted(shown)] if shown else []
    times.ties = min(max(shown.values(), default=1), _MOST_TIES)
    return times
