"""Decode the video of a file with PyAV, and read the packets of its other streams beside it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bmfgraph.media.alpha import picture_decoder
from bmfgraph.media.frame_passage import FramePassage
from bmfgraph.media.frame_selection import Selected, Timed
from bmfgraph.media.gaps import GapFinder
from bmfgraph.media.ledger import FrameLedger, Loss
from bmfgraph.media.opening import format_of
from bmfgraph.media.reading import VideoReading
from bmfgraph.media.stamping import Stamper
from bmfgraph.media.structure import file_damage, file_doubt
from bmfgraph.media.tracks import TrackPacket, TrackReader

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["DecodedFrame", "Decoder"]

_MARGINS = (1, 4, 16, 64, None)
"""Seconds before ``start`` to which a reader seeks, in this order; None: it reads from the beginning.

Containers are searched by decoding time, which lies before presentation time, and some lead to a later key frame.
"""
_EXACT_ENDS = frozenset(("mov", "matroska", "avi", "gif", "asf", "flv", "mxf"))
"""Containers whose headers say exactly when the last stream ends."""
_SLACK = Fraction(1, 10)
"""Seconds by which the end may lie before the header's, besides one frame and a half."""
_EVEN = frozenset(("asf", "mpeg", "mpegts", "mxf", "nut"))
"""Containers without an index of their frames, whose frames usually come at a constant rate."""
_SQUARE = Fraction(1)
"""Aspect of square pixels."""
_KEPT = 1000
"""Times of damaged frames that are kept."""
_MOST_PACKETS = 256
"""Packets of the tracks that one call returns at most."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame, and its time from the start of the clip, in ticks of the reading's ``time_base``."""

    picture: VideoFrame
    pts: int
    duration: Fraction
    """Seconds for which it is shown; 0: unknown."""


class Decoder(TrackReader):
    """Decode the frames of a file from ``start`` to ``end``, and read the packets of its tracks on the way."""

    _reading: VideoReading

    def __init__(self, reading: VideoReading) -> None:
        """Open the file and its video decoder.

        Raises:
            av.FFmpegError: It cannot be opened.
            OSError: It is missing.
        """
        super().__init__(reading)
        self._zero = self._clock.zero(reading.time_base)
        self._passage = FramePassage(reading, self._zero)
        self._refused: list[str] = []
        base = self._passage.time_base
        # Most frames have the same duration, and arithmetic with fractions is slow.
        self._seconds = lru_cache(maxsize=64)(lambda ticks: ticks * base)
        self._passed = self._passage.passed_on(self._begun(), self._aspect)

    @property
    def faults(self) -> list[str]:
        """What was noticed of damage so far."""
        return [*self._demuxer.faults, *self._refused]

    def decode(self, count: int) -> tuple[list[DecodedFrame], list[TrackPacket]]:
        """Decode ``count`` frames or a few more; fewer at the end, and where many packets lie between them.

        Returns:
            The frames, and the packets of the tracks that lie between them in the file.

        Raises:
            av.FFmpegError: The file cannot be read.
        """
        frames: list[DecodedFrame] = []
        packets: list[TrackPacket] = []
        # A file may hold all audio before the first frame.
        while len(frames) < count and len(packets) < _MOST_PACKETS:
            item = next(self._passed, None)
            if item is None:
                self.ended = True
                break
            if isinstance(item, Timed):
                frames.append(DecodedFrame(item.picture, item.pts, self._seconds(item.duration)))
            else:
                packets.append(item)
        return frames, packets

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the frames' times."""
        return self._passage.time_base

    @property
    def changes(self) -> list[str]:
        """What was converted to the format of the other frames so far."""
        return self._passage.changes

    @property
    def selected(self) -> Selected | None:
        """Numbers of frames that were left out and repeated so far; None where all are passed on."""
        return self._passage.selected

    def loss(self) -> Loss:
        """Return what could not be read; called after the end."""
        count, times = self._ledger.lost()
        inside = [pts for pts in times if self._is_inside(pts)]
        lost = [pts for pts in inside if self._first is None or pts >= self._first]
        frames = count - len(times) + len(lost)
        damaged = [pts for pts in self._ledger.damaged if self._is_inside(pts)]
        damage, doubts = self._structure()
        if doubts and damaged[-1:] == [self._newest]:
            # The frame at the cut is what there is of it.
            damaged.pop()
        reasons = [*self.faults, *damage]
        missing = self._missing_end()
        if missing > 0:
            frames += max(1, round(missing * self._reading.rate)) + self._ledger.unsent()
            reasons.append(f"its last {float(missing):.2f} s are missing")
        return Loss(
            frames=frames,
            times=tuple(self._clip_time(pts) for pts in lost),
            leading=len(inside) - len(lost),
            damaged=len(damaged),
            damaged_times=tuple(self._clip_time(pts) for pts in damaged[:_KEPT]),
            # A transport stream takes a splice for missing packets.
            corrupt=max(0, self._ledger.corrupt - self._demuxer.spliced),
            spliced=self._demuxer.spliced,
            reasons=tuple(reasons),
            doubts=(*doubts, *self._gaps()),
        )

    def _aspect(self) -> Fraction:
        """Return the width of a pixel divided by its height, as the stream has it now."""
        aspect: Fraction | None = self._video.codec_context.sample_aspect_ratio
        return aspect or _SQUARE

    def _hwaccel(self) -> str:
        return self._reading.hwaccel

    def _enter(self) -> None:
        """Begin later: where the first frame lies tells whether a seek was right."""

    def _open(self) -> None:
        super()._open()
        reading = self._reading
        self._video: Any = self._container.streams[reading.video]
        self._codec: Any = picture_decoder(self._video)
        self._codec.thread_type = "AUTO"
        if reading.threads:
            self._codec.thread_count = reading.threads

    def close(self) -> None:
        """Close the file, and let its frames go at once: the reader is part of a cycle, which Python frees late."""
        super().close()
        self._passed = iter(())
        self._video = self._codec = None

    def _restart(self) -> None:
        super()._restart()
        reading = self._reading
        self._base = reading.time_base * reading.subticks
        self._step = max(1, round(1 / reading.rate / self._base))
        self._stamper = Stamper(self._step, reading.subticks)
        self._suspects: deque[int] = deque(maxlen=256)
        """Times of the packets beside which others may be missing, in ticks."""
        self._past_end = self._hole = False
        self._first: int | None = None
        self._newest: int | None = None
        """Time of the first and the last frame of the file that was decoded, in ticks."""
        self._intervals = GapFinder()
        codec = self._container.streams[reading.video].codec_context.codec.canonical_name
        self._ledger = FrameLedger(reading.rate, self._base, codec)

    def _begun(self) -> Iterator[Any]:
        """Yield the items of the file from a point at or before ``start``."""
        start = self._clock.start
        if start is None or start <= _MARGINS[0] or self._reading.live:
            return self._items()
        for margin in _MARGINS:
            if margin is not None and (start <= margin or not self._sought(start - margin)):
                continue
            if margin is None:
                self._container.close()
                self._open()
            items = self._items()
            # Packets before the first frame that is shown are kept until it is known where the file was entered.
            seen = list(itertools.islice(_until_frame(items), 4096))
            if margin is None or self._starts_early():
                return itertools.chain(seen, items)
        raise AssertionError("the file was read from its beginning")

    def _sought(self, time: Fraction) -> bool:
        from av import FFmpegError

        try:
            self._container.seek(round((self._clock.origin + time) / self._base), stream=self._video)
        except FFmpegError:
            return False
        self._restart()
        return True

    def _starts_early(self) -> bool:
        start = self._clock.start
        return self._first is not None and start is not None and self._clock.seconds(self._first, self._base) <= start

    def _items(self) -> Iterator[Any]:
        """Yield packets of the tracks, and decoded frames with their times: those between ``start`` and ``end``."""
        from av import FFmpegError

        for packet in self._demuxer:
            # PyAV's empty packet at the end of a stream has its stream, but the index 0.
            if packet.stream.index != self._video.index:
                if (track := self._track_packet(packet)) is not None:
                    yield track
                elif self._past_end and self._tracks_past_end():
                    return
                continue
            if self._past_end:
                if self._tracks_past_end():
                    return
                continue
            if packet.size:
                self._ledger.send(packet)
                self._suspect(packet)
            try:
                pictures = self._codec.decode(packet)
            except FFmpegError as error:
                self._refuse(f"a packet cannot be decoded ({error.strerror})")
                continue
            for picture in pictures:
                self._account(picture)
                yield from self._shown(self._stamper.push(picture, picture.pts))
        yield from self._shown(self._stamper.finish())

    def _account(self, picture: Any) -> None:
        """Note a decoded frame, and the frames that are missing before it."""
        self._ledger.receive(picture)
        pts = picture.pts
        if pts is None:
            return
        if picture.is_corrupt:
            self._suspects.append(pts)
        if self._newest is not None:
            if pts - self._newest > 1.5 * self._step and self._beside_suspect(pts):
                self._ledger.skip(self._newest, pts)
            else:
                self._intervals.push(self._newest, pts)
        self._first = pts if self._first is None else self._first
        self._newest = pts

    def _shown(self, frames: Iterator[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
        """Yield the frames between ``start`` and ``end``."""
        base = self._reading.time_base
        for picture, pts in frames:
            if self._past_end or self._clock.is_before_start(pts, base):
                continue
            if self._clock.is_past_end(pts, base):
                self._past_end = True
                continue
            yield picture, pts

    def _suspect(self, packet: Any) -> None:
        if (packet.is_corrupt or self._hole) and packet.pts is not None:
            self._suspects.append(packet.pts)
            self._hole = False

    def _note_hole(self) -> None:
        self._hole = True

    def _beside_suspect(self, pts: int) -> bool:
        assert self._newest is not None
        near = 2 * self._step
        return any(self._newest - near <= suspect <= pts + near for suspect in self._suspects)

    def _refuse(self, reason: str) -> None:
        if reason not in self._refused:
            self._refused.append(reason)

    def _is_inside(self, pts: int) -> bool:
        return not (self._clock.is_before_start(pts, self._base) or self._clock.is_past_end(pts, self._base))

    def _structure(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the damage and the doubts of the file's structure, if it was read to its end."""
        if self._clock.end is not None:
            return (), ()
        name, path = format_of(self._container), self._reading.path
        try:
            damage, doubt = file_damage(path, name), file_doubt(path, name)
        except (OSError, ValueError):  # It is no file.
            return (), ()
        return (damage,) if damage else (), (doubt,) if doubt else ()

    def _gaps(self) -> tuple[str, ...]:
        if format_of(self._container) not in _EVEN:
            return ()
        gaps = {pts: count for pts, count in self._intervals.gaps(self._base).items() if self._is_inside(pts)}
        return tuple(
            f"{count} frame{'s' * (count != 1)} may be missing behind {self._clip_time(pts):.3f} s"
            for pts, count in gaps.items()
        )

    def _clip_time(self, pts: int) -> float:
        return float(self._clock.seconds(pts, self._base))

    def _missing_end(self) -> Fraction:
        """Return the seconds between the end of the last packet and the end that the container's header promises."""
        container = self._container
        name = format_of(container)
        if name == "avi" and self._clock.end is None and self._video.frames:
            # Its header counts the frames, one tick each.
            counted: Fraction = self._video.frames * Fraction(self._video.time_base)
            return max(Fraction(0), counted - self._demuxer.reached(self._video.index))
        promised = Fraction(container.duration or 0, 1_000_000)
        if name != "matroska":  # Its duration counts from 0, those of all others from the first time.
            promised += Fraction(container.start_time or 0, 1_000_000)
        if self._clock.end is not None and self._clock.origin + self._clock.end < promised:
            return Fraction(0)
        slack = 3 / (2 * self._reading.rate) + _SLACK if name in _EXACT_ENDS else max(Fraction(1, 2), promised / 50)
        missing = promised - self._demuxer.end
        return missing if missing > slack else Fraction(0)


def _until_frame(items: Iterator[Any]) -> Iterator[Any]:
    """Yield items up to and with the first frame."""
    for item in items:
        yield item
        if isinstance(item, tuple):
            return
