"""Repair of MP4 and MOV files whose frames are unevenly spaced.

FFmpeg 4 gives the last frame of such a file no duration, and its edit list ends where the last packet is
decoded: readers leave out the frames that are shown later. Numbers are changed in place, nothing is moved.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from bmfgraph.stages.base import Stage

__all__ = ["Repair", "RepairParams", "show_last_frames"]


@dataclass(frozen=True)
class RepairParams:
    """The file, and for how long, in seconds, its last frame shall be shown."""

    path: str
    last: Fraction


class Repair(Stage):
    """Belongs to an encoder: once the graph has ended and the file is written, it is repaired."""

    params: RepairParams

    def close(self) -> None:
        path = Path(self.params.path)
        if path.exists():
            show_last_frames(path, self.params.last)


@dataclass(frozen=True)
class _Box:
    name: bytes
    start: int
    """Of the content, behind the header."""
    end: int


def show_last_frames(path: Path, last: Fraction) -> bool:
    """Show every video frame, the last one for ``last`` seconds. False where the file is not complete."""
    with path.open("r+b") as file:
        place = 0
        size = path.stat().st_size
        while place + 8 <= size:
            file.seek(place)
            length, name = struct.unpack(">I4s", file.read(8))
            if length == 1:
                (length,) = struct.unpack(">Q", file.read(8))
            if length < 8 or place + length > size:
                return False
            if name == b"moov":
                file.seek(place)
                moov = bytearray(file.read(length))
                _repair(moov, last)
                file.seek(place)
                file.write(moov)
                return True
            place += length
    return False


def _repair(data: bytearray, last: Fraction) -> None:
    movie = _Box(b"moov", 8, len(data))
    header = _find(data, movie, b"mvhd")
    scale = _scale(data, header)
    for track in _boxes(data, movie):
        if track.name != b"trak":
            continue
        kind = _find(data, track, b"mdia", b"hdlr")
        if data[kind.start + 8 : kind.start + 12] != b"vide":
            continue
        media = _find(data, track, b"mdia", b"mdhd")
        ticks = _scale(data, media)
        spacing = _find(data, track, b"mdia", b"minf", b"stbl", b"stts")
        _lengthen_last(data, spacing, max(1, round(last * ticks)))
        shown, decoded = _extent(data, track, spacing)
        _set_duration(data, media, decoded)
        edits = _find(data, track, b"edts", b"elst")
        total = _set_edits(data, edits, shown, Fraction(scale, ticks))
        _set_duration(data, _find(data, track, b"tkhd"), total)
        _set_duration(data, header, max(total, _duration(data, header)))


def _boxes(data: bytearray, parent: _Box) -> Iterator[_Box]:
    place = parent.start
    while place + 8 <= parent.end:
        length, name = struct.unpack_from(">I4s", data, place)
        if length < 8:
            return
        yield _Box(name, place + 8, min(place + length, parent.end))
        place += length


def _find(data: bytearray, parent: _Box, *names: bytes) -> _Box:
    for name in names:
        parent = next((box for box in _boxes(data, parent) if box.name == name), _Box(name, 0, 0))
    return parent


# A header box has: version, flags, two times, then (tkhd: track number, reserved) or (others: ticks a second),
# then the duration; version 1 has 64-bit times and duration.


def _scale(data: bytearray, box: _Box) -> int:
    ticks: int = struct.unpack_from(">I", data, box.start + (20 if data[box.start] else 12))[0]
    return ticks


def _duration_place(data: bytearray, box: _Box) -> tuple[str, int]:
    between = 8 if box.name == b"tkhd" else 4
    return (">Q", box.start + 20 + between) if data[box.start] else (">I", box.start + 12 + between)


def _duration(data: bytearray, box: _Box) -> int:
    form, place = _duration_place(data, box)
    value: int = struct.unpack_from(form, data, place)[0]
    return value


def _set_duration(data: bytearray, box: _Box, value: int) -> None:
    form, place = _duration_place(data, box)
    struct.pack_into(form, data, place, value)


def _runs(data: bytearray, box: _Box, form: str) -> list[tuple[int, int]]:
    """The entries of a table of (how many samples, value)."""
    if not box.end:
        return []
    (count,) = struct.unpack_from(">I", data, box.start + 4)
    return [struct.unpack_from(form, data, box.start + 8 + 8 * number) for number in range(count)]


def _lengthen_last(data: bytearray, spacing: _Box, ticks: int) -> None:
    """The last sample has an entry of its own where its duration is missing."""
    runs = _runs(data, spacing, ">II")
    if runs and runs[-1][0] == 1 and runs[-1][1] < ticks:
        struct.pack_into(">I", data, spacing.start + 8 + 8 * (len(runs) - 1) + 4, ticks)


def _extent(data: bytearray, track: _Box, spacing: _Box) -> tuple[int, int]:
    """Where the last frame ends that is shown, and the last that is decoded, in ticks of the track."""
    shifts = iter(_runs(data, _find(data, track, b"mdia", b"minf", b"stbl", b"ctts"), ">Ii"))
    left, shift = 0, 0
    time = shown = 0
    for count, step in _runs(data, spacing, ">II"):
        for _ in range(count):
            if not left:
                left, shift = next(shifts, (1 << 32, 0))
            left -= 1
            # The frame shown last lasts as long as the one decoded last.
            shown = max(shown, time + shift)
            time += step
    final = _runs(data, spacing, ">II")[-1][1] if time else 0
    return max(time, shown + final), time


def _set_edits(data: bytearray, edits: _Box, shown: int, scale: Fraction) -> int:
    """Let the last edit reach to the end of the last frame; gives the length of all edits together."""
    if not edits.end:
        return int(-(-shown * scale // 1))
    long = bool(data[edits.start])
    (count,) = struct.unpack_from(">I", data, edits.start + 4)
    total = 0
    for number in range(count):
        form, size = (">Qq", 20) if long else (">Ii", 12)
        place = edits.start + 8 + size * number
        duration, begin = struct.unpack_from(form, data, place)
        if begin >= 0:
            duration = int(-(-(shown - begin) * scale // 1))
            struct.pack_into(form, data, place, duration, begin)
        total += duration
    return total
