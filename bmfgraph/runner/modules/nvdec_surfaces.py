"""Get decoded surfaces from NVDEC: packet by packet, or from a thread of PyNvVideoCodec that decodes ahead."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bmfgraph.engines.runtimes.capture import NO_CAPTURE
from bmfgraph.errors import RunError
from bmfgraph.media.opening import is_url, open_video
from bmfgraph.media.reading import Clock
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.runner.modules.packet_reader import PacketReader, PtsMatcher

__all__ = ["AheadSurfaces", "PacketSurfaces", "Surface", "Surfaces", "ahead_surfaces"]

_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""FFmpeg's names of the containers whose times FFmpeg and PyNvVideoCodec read alike."""
_PACKETS = 64
"""First packets whose times are compared with those of the first frames."""


class Surface(NamedTuple):
    """A decoded picture in the decoder's memory, which is overwritten after the next read."""

    pts: int
    pointer: int
    width: int
    height: int


class Surfaces(Protocol):
    """The pictures of a file in presentation order, with the pts that the container gives them."""

    ended: bool
    """Whether there are no more."""

    def read(self) -> list[Surface]:
        """Return the next pictures, none or several. The copies of the last ones are enqueued by now."""

    def close(self) -> None:
        """Destroy the decoder."""


class PacketSurfaces:
    """Decode one packet at a time.

    Args:
        library: PyNvVideoCodec.
        decoder: Its decoder, which copies surfaces on the stream that is current when they are read.
        params: The file, and the part of it that is read.
        clock: Times of the file.
        fail: Makes the error of the node.
    """

    def __init__(
        self, library: Any, decoder: Any, params: NvdecParams, clock: Clock, fail: Callable[[str], RunError]
    ) -> None:
        self.ended = False
        self._library, self._decoder, self._fail = library, decoder, fail
        self._matcher = PtsMatcher()
        self._packets = iter(PacketReader(params, clock))
        self._discarded: set[int] = set()
        """Frames that the container hides: they are decoded only because others refer to them."""
        self._begun = False

    def read(self) -> list[Surface]:
        packet = next(self._packets, None)
        data = self._library.PacketData()
        if packet is None:
            self.ended = True
            data.bsl_data = data.bsl = 0
        else:
            if packet.pts is None:
                raise self._fail("a frame of the file has no presentation time")
            data.bsl_data, data.bsl, data.pts = packet.buffer_ptr, packet.buffer_size, packet.pts
            self._matcher.add(packet.pts)
            if packet.is_discard:
                self._discarded.add(packet.pts)
        # NVDEC makes its decoder with the first frames, and then waits for the whole GPU.
        with contextlib.nullcontext() if self._begun else NO_CAPTURE:
            decoded = self._decoder.Decode(data)
        surfaces = []
        for surface in decoded:
            self._begun = True
            pts = self._matcher.match(surface.timestamp)
            if pts is None:
                raise self._fail("NVDEC returned more frames than the file has packets")
            if pts in self._discarded:
                self._discarded.discard(pts)
                continue
            size = self._decoder.GetWidth(), self._decoder.GetHeight()
            surfaces.append(Surface(pts, surface.GetPtrToPlane(0), *size))
        return surfaces

    def close(self) -> None:
        self._packets = iter(())
        self._decoder = None


class AheadSurfaces:
    """Take pictures from a thread that stays ahead, so that NVDEC works while Python does other things.

    Args:
        decoder: PyNvVideoCodec's ThreadedDecoder.
        batch: Number of pictures that are taken at once.
        fail: Makes the error of the node.
    """

    def __init__(self, decoder: Any, batch: int, fail: Callable[[str], RunError]) -> None:
        self.ended = False
        self._decoder, self._batch, self._fail = decoder, batch, fail
        self._last: int | None = None
        # NVDEC makes its decoder with the first frames, and then waits for the whole GPU.
        with NO_CAPTURE:
            self.first = self._next()
        self._waiting = self.first

    def read(self) -> list[Surface]:
        surfaces, self._waiting = self._waiting or self._next(), []
        self.ended = not surfaces
        return surfaces

    def _next(self) -> list[Surface]:
        surfaces = []
        for frame in self._decoder.get_batch_frames(self._batch):
            pts = frame.timestamp
            if self._last is not None and pts <= self._last:
                raise self._fail(f"NVDEC gave a frame the time {pts} after {self._last}, in ticks of the file")
            self._last = pts
            # Luma is followed by half as many rows of chroma.
            surfaces.append(Surface(pts, frame.GetPtrToPlane(0), frame.shape[1], frame.shape[0] * 2 // 3))
        return surfaces

    def close(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.end()


def ahead_surfaces(
    library: Any,
    params: NvdecParams,
    clock: Clock,
    *,
    device: int,
    stream: int,
    batch: int,
    fail: Callable[[str], RunError],
) -> AheadSurfaces | None:
    """Let PyNvVideoCodec read and decode a file on a thread of its own.

    Args:
        library: PyNvVideoCodec.
        params: The file, and the part of it that is read.
        clock: Times of the file.
        device: Number of the GPU.
        stream: Address of the CUDA stream on which the surfaces are filled.
        batch: Number of pictures that are taken at once.
        fail: Makes the error of the node.

    Returns:
        The surfaces; None where their times would not be those of FFmpeg: for a file of another kind, one that hides
        frames, or a part that begins later.
    """
    times = None if clock.start is not None else _first_times(params)
    if times is None or not hasattr(library, "ThreadedDecoder"):
        return None
    with contextlib.ExitStack() as undo:
        try:
            with NO_CAPTURE:
                decoder = library.ThreadedDecoder(
                    # An absolute path is never read as an address.
                    str(Path(params.path).absolute()),
                    buffer_size=2 * batch,
                    gpu_id=device,
                    cuda_stream=stream,
                    use_device_memory=True,
                )
            undo.callback(decoder.end)
            surfaces = AheadSurfaces(decoder, batch, fail)
        except Exception:
            # Packet by packet, the failure gets a place and a cause.
            return None
        if not surfaces.first or not all(surface.pts in times for surface in surfaces.first):
            return None
        undo.pop_all()
        return surfaces


def _first_times(params: NvdecParams) -> set[int] | None:
    """Return the pts of the first packets; None for files that are read packet by packet."""
    even = params.stored_width % 2 == 0 and params.stored_height % 2 == 0
    if is_url(params.path) or params.codec not in ("h264", "hevc") or "420" not in params.pixel_format or not even:
        return None
    with open_video(params.path, params.protocols) as container:
        stream = container.streams[params.video]
        if container.format.name not in _CONTAINERS or len(container.streams.video) > 1:
            return None
        if any(entry.is_discard for entry in stream.index_entries):
            return None
        times: set[int] = set()
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and not packet.is_discard:
                times.add(packet.pts)
            elif packet.size:
                return None
            if len(times) == _PACKETS:
                break
        return times
