"""Encode in two passes: the first measures how hard each frame is, the second meets the bit rate.

The frames of the first pass are kept in a lossless file, because the pipeline makes each of them once.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bmfgraph.media.tracks import TrackPacket, Tracks
from bmfgraph.media.writing import Writer, Writing, joined_options, video_encoder
from bmfgraph.system.temporary import reserved_folder

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["TwoPassWriter", "open_writer"]

_PARAMS = {"libx264": "x264-params", "libx265": "x265-params"}
"""FFmpeg's option that carries the encoder's own parameters."""


class TwoPassWriter:
    """A :class:`Writer` whose file is encoded when all frames are known.

    Attributes:
        cut, damaged: See :class:`Writer`.
    """

    def __init__(self, settings: Writing) -> None:
        """Open the file of the first pass, and the lossless file, beside the output.

        Raises:
            av.FFmpegError: An encoder cannot be opened.
            OSError: A file cannot be created.
        """
        self._settings = settings
        self.cut = Fraction(0)
        self._stack = contextlib.ExitStack()
        try:
            self._folder = self._stack.enter_context(reserved_folder(Path(str(settings.path))))
            self._first: Any = video_encoder(self._of_pass(1))
            self._kept = Writer(_lossless(settings, self._folder / "kept.mkv"))
            self._spool: IO[bytes] = self._stack.enter_context((self._folder / "packets").open("w+b"))
        except BaseException:
            self._stack.close()
            raise
        self._special: list[TrackPacket] = []
        """Packets with side data or flags, in order."""
        self.damaged = 0
        self._tracks: Tracks | None = None
        self._times: list[tuple[Fraction, Fraction]] = []
        """Time and duration of each frame, in seconds."""

    def set_tracks(self, tracks: Tracks) -> None:
        """Keep the streams that are copied for the second pass."""
        self._tracks = tracks

    def write(self, picture: VideoFrame, time: Fraction, duration: Fraction) -> None:
        """Make the first pass of a frame, and keep it; see :meth:`Writer.write`."""
        self._times.append((time, duration))
        self._kept.write(picture, time, duration)
        self._first.encode(picture)

    def write_packets(self, packets: Iterable[TrackPacket]) -> None:
        """Keep packets for the second pass."""
        for track in packets:
            packet = track.packet
            if packet.is_discard or any(True for _ in packet.iter_sidedata()):
                # PyAV cannot make side data of bytes, and few packets have some.
                self._special.append(track)
                pickle.dump(None, self._spool)
                continue
            times = (packet.pts, packet.dts, packet.duration, packet.time_base, packet.is_keyframe)
            pickle.dump((packet.stream_index, bytes(packet), times), self._spool)

    def close(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Make the second pass.

        Args:
            stopped: Whether the run must end at once; asked before each frame.

        Raises:
            av.FFmpegError: It cannot be encoded or written.
        """
        with self._stack:
            self._first.encode(None)
            # The encoder writes what it has measured when it is freed.
            self._first = None
            self._kept.close()
            second = Writer(self._of_pass(2))
            try:
                self._second_pass(second, stopped)
            except BaseException:
                second.abandon()
                raise
            self.cut = second.cut
            if stopped():
                second.abandon()
            else:
                second.close()
            self.damaged = second.damaged

    def abandon(self) -> None:
        """Give both files up."""
        self._first = None
        self._kept.abandon()
        self._stack.close()

    def _second_pass(self, writer: Writer, stopped: Callable[[], bool]) -> None:
        import av

        if self._tracks is not None:
            writer.set_tracks(self._tracks)
        packets = self._kept_packets()
        waiting = next(packets, None)
        with av.open(str(self._folder / "kept.mkv")) as container:
            for picture, (time, duration) in zip(container.decode(video=0), self._times, strict=True):
                if stopped():
                    return
                while waiting is not None and waiting.start <= time:
                    writer.write_packets((waiting,))
                    waiting = next(packets, None)
                writer.write(picture, time, duration)
        while waiting is not None:
            writer.write_packets((waiting,))
            waiting = next(packets, None)

    def _kept_packets(self) -> Iterator[TrackPacket]:
        """Yield the packets of the streams beside the video again."""
        import av

        if self._tracks is None:
            return
        self._spool.seek(0)
        streams = {stream.index: stream for stream in self._tracks.streams}
        special = iter(self._special)
        with contextlib.suppress(EOFError):
            while True:
                record = pickle.load(self._spool)
                if record is None:
                    yield next(special)
                    continue
                index, data, times = record
                packet: Any = av.Packet(data)
                packet.stream = streams[index]
                packet.pts, packet.dts, packet.duration, packet.time_base, packet.is_keyframe = times
                yield TrackPacket(packet, self._tracks)

    def _of_pass(self, number: int) -> Writing:
        settings = self._settings
        own = f"pass={number}:stats={self._folder / 'stats'}"
        return replace(settings, options=joined_options(settings.options, (_PARAMS[settings.codec], own)), passes=1)


def open_writer(settings: Writing) -> Writer | TwoPassWriter:
    """Return the writer that makes the passes of the settings."""
    return Writer(settings) if settings.passes == 1 else TwoPassWriter(settings)


def _lossless(settings: Writing, path: Path) -> Writing:
    options = (("level", "3"), ("slices", "4"))
    kept = replace(settings, path=str(path), container="matroska", codec="ffv1", options=options, mux_options=())
    return replace(kept, tracks=(), chapters=False, metadata=False)
