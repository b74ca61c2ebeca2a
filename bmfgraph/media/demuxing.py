"""Read the packets of a file, note what is missing between them, and join times that jump."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bmfgraph.media.structure import hole_between
from bmfgraph.system.untrusted import open_regular

if TYPE_CHECKING:
    from av import Packet

__all__ = ["Demuxer"]

_JUMP_BACK = Fraction(1, 4)
"""Seconds by which the decoding times of a stream may run backwards: some muxers interleave so."""
_JUMP_AHEAD = Fraction(10)
"""Seconds; a transport stream whose times jump farther ahead was spliced."""
_NEAR = 1024
"""Bytes between two packets that are not looked at."""


class Demuxer:
    """Read the packets of all streams of an open container, in file order.

    Attributes:
        end: Seconds of the file at which the last packet of any stream ends.
        spliced: Number of jumps of the times that were joined.
        faults: What is wrong with the file, each once.
    """

    def __init__(self, container: Any, path: str = "", note_hole: Callable[[], None] = lambda: None) -> None:
        """Take a container at the position from which it is read.

        Args:
            container: PyAV's container.
            path: Its file, in which holes are looked for; "" for none.
            note_hole: Called before the first packet behind bytes that cannot be read.
        """
        self._container, self._path, self._note_hole = container, path, note_hole
        self._format = container.format.name.split(",")[0]
        self._position = 0
        """Position in the file behind all packets so far."""
        self._newest: dict[int, Fraction] = {}
        """Seconds at which the last packet of each stream ends, by decoding time."""
        self._shift = Fraction(0)
        """Seconds that are added to the file's times behind a splice."""
        self.end = Fraction(0)
        self.spliced = 0
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[Packet[Any]]:
        """Yield the packets, and PyAV's empty packet at the end of each stream. A read error ends the file."""
        from av import FFmpegError

        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self._fault(f"it cannot be read any further ({error.strerror})")
                for stream in self._container.streams:
                    yield _end_of(stream)
                return
            if packet is None:
                return
            if packet.size:
                self._check_position(packet)
                self._join(packet)
            yield packet

    def _check_position(self, packet: Any) -> None:
        if not self._path or self._format != "matroska" or packet.pos is None or packet.pos < 0:
            return
        if self._position and packet.pos - self._position > _NEAR:
            try:
                with open_regular(self._path) as file:
                    hole = hole_between(file, self._position, packet.pos)
            except OSError:
                hole = False
            if hole:
                self._fault("a part of it is damaged")
                self._note_hole()
        self._position = max(self._position, packet.pos + packet.size)

    def _join(self, packet: Any) -> None:
        """Shift the times of a packet so that its stream goes on without a jump."""
        decoding = packet.dts if packet.dts is not None else packet.pts
        base = Fraction(packet.time_base)
        if decoding is not None:
            time = decoding * base + self._shift
            last = self._newest.get(packet.stream_index)
            jump = time - last if last is not None else Fraction(0)
            sparse = packet.stream.type not in ("video", "audio")
            if not sparse and (jump < -_JUMP_BACK or (jump > _JUMP_AHEAD and self._format in ("mpegts", "mpeg"))):
                self._shift -= jump
                self.spliced += 1
                time -= jump
            if not sparse:
                self._newest[packet.stream_index] = time + (packet.duration or 0) * base
        if self._shift:
            ticks = round(self._shift / base)
            packet.pts = packet.pts + ticks if packet.pts is not None else None
            packet.dts = packet.dts + ticks if packet.dts is not None else None
        if packet.pts is not None:
            self.end = max(self.end, (packet.pts + (packet.duration or 0)) * base)

    def _fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)


def _end_of(stream: Any) -> Packet[Any]:
    """Return PyAV's empty packet, which makes a decoder give its last frames."""
    from av import Packet

    packet: Packet[Any] = Packet()
    packet.stream = stream
    return packet
