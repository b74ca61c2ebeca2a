"""Write a clip several times in a row."""

from __future__ import annotations

from pathlib import Path

import av


def looped(clip: Path, times: int, target: Path) -> Path:
    """Write the video of a clip several times in a row, without decoding, and return the target."""
    with av.open(str(target), "w") as out:
        target_stream = None
        shift = 0
        for _ in range(times):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                target_stream = target_stream or out.add_stream_from_template(stream)
                length = 0
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target_stream
                    out.mux(packet)
                shift += length
    return target
