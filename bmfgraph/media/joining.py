"""Join the parts of a clip that were encoded apart into one file, without coding again.

Each part begins with a key frame and refers to no frame outside of it, because its encoder knew no other frames. So
the packets follow each other, with the times that their frames have in the whole clip. Decoding times are computed
anew for all packets together: those of the parts overlap where an encoder reorders frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bmfgraph.media.opening import open_video
from bmfgraph.media.tracks import TrackReader
from bmfgraph.media.writing import Writer, Writing

if TYPE_CHECKING:
    from bmfgraph.media.reading import FileReading

__all__ = ["JoinError", "Span", "decoding_times", "join_video"]

_AHEAD = Fraction(1)
"""Seconds by which the other streams are written before the video."""
_PACKETS = 64


class JoinError(Exception):
    """Parts do not fit together."""


@dataclass(frozen=True)
class Span:
    """The frames of one part."""

    ticks: NDArray[np.int64]
    """Presentation time of each frame, from the start of the clip."""
    base: Fraction
    """Seconds per tick."""


def join_video(
    settings: Writing, parts: Sequence[Path], spans: Sequence[Span], reading: FileReading | None = None
) -> None:
    """Write the packets of the parts, and the other streams of the source, to one file.

    Args:
        settings: The settings of the whole file.
        parts: The files, in order.
        spans: The frames of each.
        reading: The source of the other streams; None for none.

    Raises:
        JoinError: A part holds other frames than it should, or was encoded with other parameters.
        av.FFmpegError: A file cannot be read or written.
    """
    videos = [_Part(path) for path in parts]
    for part, span in zip(videos, spans, strict=True):
        part.check(videos[0], span)
    base = settings.time_base
    pts = np.concatenate([part.placed(span, base) for part, span in zip(videos, spans, strict=True)])
    shown, dts = np.sort(pts), decoding_times(pts)
    if len(shown) > 1 and (np.diff(shown) <= 0).any():
        raise JoinError("frames of the parts have equal times")
    durations = np.append(np.diff(shown), videos[-1].last_duration(base))[np.searchsorted(shown, pts)]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(open_video(str(parts[0])))
        writer = _CopyingWriter(settings, first.streams.video[0])
        stack.callback(writer.abandon)
        tracks = None
        if reading is not None:
            tracks = TrackReader(reading)
            stack.callback(tracks.close)
            writer.set_tracks(tracks.tracks)
        reached = Fraction(-1)
        for number, packet in enumerate(packet for part in videos for packet in part.packets()):
            packet.pts, packet.dts, packet.time_base = int(pts[number]), int(dts[number]), base
            while tracks is not None and not tracks.ended and reached < packet.pts * base + _AHEAD:
                found = tracks.read(_PACKETS)
                writer.write_packets(found)
                reached = max((each.start for each in found), default=reached)
            writer.copy(packet, int(durations[number]))
        while tracks is not None and not tracks.ended:
            writer.write_packets(tracks.read(_PACKETS))
        writer.close()


def decoding_times(pts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the decoding time of each packet: the presentation times in rising order, as early as reordering demands.

    Args:
        pts: Presentation times in the order of decoding, int64 [n], all different.
    """
    shown = np.sort(pts)
    delay = int(np.max(np.arange(len(pts)) - np.searchsorted(shown, pts), initial=0))
    if not delay:
        return shown
    step = int(shown[1] - shown[0]) if len(shown) > 1 else 1
    early = shown[0] - step * np.arange(delay, 0, -1)
    return np.concatenate([early, shown])[: len(pts)]


def _rescaled(ticks: NDArray[np.int64], ratio: Fraction) -> NDArray[np.int64]:
    """Return the products as ``round`` gives them: to the nearest, and halves to the even number."""
    whole, rest = np.divmod(ticks * ratio.numerator, ratio.denominator)
    up = (2 * rest > ratio.denominator) | ((2 * rest == ratio.denominator) & (whole % 2 == 1))
    result: NDArray[np.int64] = whole + up
    return result


class _Part:
    """The video of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_video(str(path)) as container:
            stream: Any = container.streams.video[0]
            context = stream.codec_context
            self._form = (context.codec.name, context.width, context.height, context.pix_fmt, context.extradata)
            self._base = Fraction(stream.time_base)
            read = [(packet.pts, packet.duration or 0) for packet in container.demux(stream) if packet.size]
        if not read or any(pts is None for pts, _ in read):
            raise JoinError(f"part {str(path)!r} has frames without a time")
        self._pts = np.array([pts for pts, _ in read], np.int64)
        # In an mp4, durations are those from one decoding time to the next, and only the end of all is that of a frame.
        self._duration: int = max(pts + duration for pts, duration in read) - int(self._pts.max())

    def check(self, first: _Part, span: Span) -> None:
        """Check that the part follows the first one, and has these frames."""
        if len(self._pts) != len(span.ticks):
            raise JoinError(f"part {str(self._path)!r} has {len(self._pts)} frames instead of {len(span.ticks)}")
        shown = np.sort(self._pts)
        expected = _rescaled(span.ticks - span.ticks[0], span.base / self._base)
        # Both ends of a distance are rounded.
        if (np.abs(shown - shown[0] - expected) > 1).any():
            raise JoinError(f"part {str(self._path)!r} has frames at other times")
        if self._form != first._form:
            raise JoinError(f"part {str(self._path)!r} was encoded with other parameters than the first one")

    def placed(self, span: Span, base: Fraction) -> NDArray[np.int64]:
        """Return the ticks of each packet in the whole file, int64, in the order of decoding."""
        return _rescaled(span.ticks, span.base / base)[np.searchsorted(np.sort(self._pts), self._pts)]

    def last_duration(self, base: Fraction) -> int:
        """Return the ticks for which the last frame is shown."""
        return max(1, round(self._duration * self._base / base))

    def packets(self) -> Iterator[Any]:
        """Yield the packets in the order of decoding."""
        with open_video(str(self._path)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    yield packet


class _CopyingWriter(Writer):
    """Write one file of packets that are encoded already, and the packets of other streams."""

    def __init__(self, settings: Writing, template: Any) -> None:
        """Open the file.

        Args:
            settings: The settings; those of the encoder are not used.
            template: PyAV's stream of such packets.

        Raises:
            av.FFmpegError: The file cannot be opened.
        """
        self._template = template
        super().__init__(settings)

    def copy(self, packet: Any, duration: int) -> None:
        """Write a packet, with times in the settings' time base.

        Args:
            packet: The packet.
            duration: Ticks for which its frame is shown.

        Raises:
            av.FFmpegError: It cannot be written.
        """
        assert packet.pts is not None
        self._frames += 1
        self._durations[packet.pts] = duration
        packet.stream = self._video
        self._mux_video([packet])

    def _added_video(self, container: Any, settings: Writing) -> Any:
        stream = container.add_stream_from_template(self._template, opaque=True)
        stream.time_base = settings.time_base
        return stream

    def _rest(self) -> list[Any]:
        return []
