"""Repair MP4 and MOV files whose frames are unevenly spaced."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from bmfgraph.stages.base import Stage
from bmfgraph.system.temporary import publish, reserved

__all__ = ["Repair", "RepairParams", "show_last_frames"]


@dataclass(frozen=True)
class RepairParams:
    """Parameters of :class:`Repair`.

    Attributes:
        path: The file.
        last: Duration of its last frame in seconds.
        held: Keeps the lock on the repaired file.
    """

    path: str
    last: Fraction
    held: contextlib.ExitStack


class Repair(Stage):
    """Repair the file of an encoder once the graph has ended and the file is complete."""

    params: RepairParams

    def close(self) -> None:
        path = Path(self.params.path)
        if path.exists():
            show_last_frames(path, self.params.last, self.params.held)


def show_last_frames(path: Path, last: Fraction, held: contextlib.ExitStack) -> bool:
    """Rewrite a file so that players show all its frames, the last one for ``last`` seconds.

    FFmpeg 4 writes no duration for the last frame of such a file, and ends its edit list where the last packet is
    decoded, so players drop the frames that are shown later. The muxer of PyAV's FFmpeg gets both right when the
    packets are copied, and the last one has a duration. The copy replaces the file when it is complete.

    Args:
        path: An MP4 or MOV file. Beside it, there must be room for a copy.
        last: Duration of the last frame in seconds.
        held: Gets the lock on the copy, which others may delete once the lock is gone.

    Returns:
        False where the file cannot be read, because the run failed before its end; then it is left as it is.

    Raises:
        OSError: The copy cannot be written.
    """
    # Without `advanced_editlist=0` FFmpeg itself drops the frames after the end of the edit list.
    try:
        source = av.open(str(path), options={"advanced_editlist": "0"}, metadata_errors="replace")
    except av.FFmpegError:
        return False
    copy = held.enter_context(reserved(path))
    with source, av.open(str(copy), "w", format=_muxer(source), options=_options(source)) as target:
        _copy_packets(source, target, last)
    publish(copy, path)
    return True


def _muxer(source: Any) -> str:
    return "mov" if source.metadata.get("major_brand", "").startswith("qt") else "mp4"


def _options(source: Any) -> dict[str, str]:
    # MPEG-4's own header has no colour tags, and the muxer writes them by itself only if all three are known.
    # The encoder gives them to mp4 files alone.
    mpeg4 = any(stream.codec_context.name == "mpeg4" for stream in source.streams.video)
    return {"movflags": "write_colr"} if mpeg4 and _muxer(source) == "mp4" else {}


def _copy_packets(source: Any, target: Any, last: Fraction) -> None:
    # `opaque` copies the codec parameters alone, so no encoder of the codec is needed.
    streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
    for stream in source.streams.video:
        if stream.sample_aspect_ratio:
            # The codec parameters lack the ratio where only the container has it, as for VP9.
            streams[stream.index].codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    # The newest packet of each stream waits, because only the end of the file shows that it is the last.
    waiting: dict[int, Any] = {}
    for packet in source.demux():
        # PyAV ends each stream with an empty packet.
        if packet.dts is None:
            continue
        index = packet.stream_index
        if index in waiting:
            target.mux(waiting[index])
        packet.stream = streams[index]
        waiting[index] = packet
    for index, packet in waiting.items():
        if source.streams[index].type == "video":
            packet.duration = max(1, round(last / packet.time_base))
        target.mux(packet)
