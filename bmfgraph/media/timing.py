"""Measure the frame times of a file with PyAV: rate, time grid, and start."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

__all__ = ["Timing", "frame_timing"]

# Frame rates to try if a file does not state its own.
_RATES = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120")
)
_EXACT = Fraction(1, 2000)
"""Largest error of a frame time, in seconds."""
_MOST_PACKETS, _MOST_BYTES = 20_000, 64 << 20
"""Packets and bytes that are read to learn the frame times. Longer files are sampled."""
_SAMPLES = 8
"""Positions at which a longer file is sampled."""
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
    """Time stamp of the file's start in seconds."""
    count: int = 0
    """Number of frames; 0 if the file was sampled."""
    length: Fraction = Fraction(0)
    """Seconds from the start of the file to the last frame; 0 if the file was sampled."""
    end: Fraction = Fraction(0)
    """Seconds at which the last packet of any stream ends, among the packets read first."""


def frame_timing(container: Any, stream: Any) -> Timing:
    """Measure the frame times. Like BMF's decoder, count them from the start of the file.

    Args:
        container: A new container of PyAV, not read yet.
        stream: The video stream in it.
    """
    base = Fraction(stream.time_base)
    times = _read_times(container, stream)
    origin = Fraction(container.start_time or 0, 1_000_000)
    if container.format.name.startswith("matroska"):
        # Newer versions of FFmpeg leave out the audio that a decoder only needs to start.
        origin = min(origin, times.first)
    zero = round(max(origin, Fraction(0)) / base)
    runs = [[time - zero for time in run] for run in times.runs]
    average = Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    if not runs:
        return Timing(average, 1 / average, False, origin)
    count = len(runs[0]) if times.whole else 0
    length = runs[0][-1] * base if times.whole else Fraction(0)
    finest = math.gcd(*itertools.chain(*runs)) * base if times.whole else base
    stated = (average, *(Fraction(rate) for rate in (stream.guessed_rate, stream.base_rate) if rate))
    for rate in dict.fromkeys((*itertools.chain(*map(_likely, stated)), *_RATES)):
        if _even(runs, base * rate):
            # A video may start between two places of the grid, which counts from the audio's start: use a finer grid.
            offset = runs[0][0] * base * rate
            on_grid = abs(offset - round(offset)) / rate <= max(base, _EXACT)
            time_grid = 1 / rate if on_grid or not finest else finest
            return Timing(rate, time_grid, False, origin, count, length, times.end)
    return Timing(average, finest or base, True, origin, count, length, times.end)


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


@dataclass(frozen=True)
class _Times:
    runs: list[list[int]]
    """Presentation times in ticks, without gaps within a run."""
    whole: bool
    """True if there is one run for the whole file; false if the file was sampled."""
    first: Fraction
    """Earliest time of any stream in seconds, at most 0."""
    end: Fraction
    """Seconds at which the last packet of any stream ends, among the packets read first."""


def _read_times(container: Any, stream: Any) -> _Times:
    times, whole, first, end = _read_packets(container, stream, _MOST_PACKETS, _MOST_BYTES)
    if whole:
        return _Times([times] if times else [], True, first, end)
    runs = [times[:-_REORDERED]]
    for part in range(1, _SAMPLES):
        container.seek(container.duration * part // _SAMPLES + (container.start_time or 0))
        times, at_end, _, _ = _read_packets(container, stream, 100, _MOST_BYTES)
        # Frames are not stored in presentation order, so a run has gaps at both ends.
        run = times[_REORDERED:] if at_end else times[_REORDERED:-_REORDERED]
        runs += [run] if run else []
    return _Times(runs, False, first, end)


def _read_packets(container: Any, stream: Any, packets: int, size: int) -> tuple[list[int], bool, Fraction, Fraction]:
    """Read packets up to a number, or a size in bytes. Return as in _Times; the bool is true at the end of the file."""
    times = set()
    first = end = Fraction(0)
    for packet in container.demux():
        if packet.pts is None or packet.time_base is None or packet.stream.type not in ("video", "audio"):
            continue
        if packet.stream_index == stream.index:
            times.add(packet.pts)
        first = min(first, packet.pts * packet.time_base)
        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        size -= packet.size
        if len(times) >= packets or size <= 0:
            return sorted(times), False, first, end
    return sorted(times), True, first, end
