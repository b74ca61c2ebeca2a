"""Get decoded surfaces from NVDEC: packet by packet, or from a thread of PyNvVideoCodec that decodes ahead."""

from __future__ import annotations

import contextlib
import itertools
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
"""FFmpeg's names of containers that hold a packet for each frame."""
_REORDERED = 32
"""Packets that are read before the frame of the first of them: H.264 and H.265 reorder 16 frames at most."""


class Surface(NamedTuple):
    """A decoded picture in the decoder's memory, which is overwritten after the next read."""

    pts: int
    pointer: int
    width: int
    height: int


class Surfaces(Protocol):
    """The pictures of a file in presentation order, with the pts that the container gives them."""

    ended: bool
    """Whether all pictures have been read."""

    def read(self) -> list[Surface]:
        """Return the next pictures, none or several. The copies of the last ones are enqueued by now."""

    def close(self) -> None:
        """Destroy the decoder."""


class _Times:
    """The pts of frames in presentation order, from those of the packets in the order of the file."""

    def __init__(self, fail: Callable[[str], RunError]) -> None:
        self._fail = fail
        self._matcher = PtsMatcher()
        self._hidden: set[int] = set()
        """Frames that the container hides: they are decoded only because others refer to them."""

    def add(self, packet: Any) -> None:
        """Register a packet of PyAV."""
        if packet.pts is None:
            raise self._fail("a frame of the file has no presentation time")
        self._matcher.add(packet.pts)
        if packet.is_discard:
            self._hidden.add(packet.pts)

    def of(self, reported: int) -> int | None:
        """Return the pts of the next frame, for which the decoder reports a time; None for a hidden frame."""
        pts = self._matcher.match(reported)
        if pts is None:
            raise self._fail("NVDEC returned more frames than the file has packets")
        if pts in self._hidden:
            self._hidden.discard(pts)
            return None
        return pts


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
        self._library, self._decoder, self._times = library, decoder, _Times(fail)
        self._packets = iter(PacketReader(params, clock))
        self._begun = False

    def read(self) -> list[Surface]:
        packet = next(self._packets, None)
        data = self._library.PacketData()
        if packet is None:
            self.ended = True
            data.bsl_data = data.bsl = 0
        else:
            self._times.add(packet)
            data.bsl_data, data.bsl, data.pts = packet.buffer_ptr, packet.buffer_size, packet.pts
        # NVDEC makes its decoder with the first frames, and then waits for the whole GPU.
        with contextlib.nullcontext() if self._begun else NO_CAPTURE:
            decoded = self._decoder.Decode(data)
        surfaces = []
        for surface in decoded:
            self._begun = True
            if (pts := self._times.of(surface.timestamp)) is not None:
                size = self._decoder.GetWidth(), self._decoder.GetHeight()
                surfaces.append(Surface(pts, surface.GetPtrToPlane(0), *size))
        return surfaces

    def close(self) -> None:
        self._packets.close()
        self._decoder = None


class AheadSurfaces:
    """Take pictures from a thread that stays ahead, so that NVDEC works while Python does other things.

    The times that the thread reports are wrong after some key frames, so those of the packets are read besides.

    Args:
        decoder: PyNvVideoCodec's ThreadedDecoder.
        params: The file.
        clock: Times of the file.
        batch: Number of pictures that are taken at once.
        fail: Makes the error of the node.
    """

    def __init__(
        self, decoder: Any, params: NvdecParams, clock: Clock, batch: int, fail: Callable[[str], RunError]
    ) -> None:
        self.ended = False
        self._decoder, self._batch, self._times = decoder, batch, _Times(fail)
        self._packets = iter(PacketReader(params, clock, annex_b=False))
        self._ahead = 0
        """Packets whose frames have not come."""
        # NVDEC makes its decoder with the first frames, and then waits for the whole GPU.
        with NO_CAPTURE:
            self._waiting = self._next()

    def read(self) -> list[Surface]:
        surfaces, self._waiting = self._waiting or self._next(), []
        return surfaces

    def _next(self) -> list[Surface]:
        frames = self._decoder.get_batch_frames(self._batch)
        self.ended = not frames
        for packet in itertools.islice(self._packets, len(frames) + _REORDERED - self._ahead):
            self._times.add(packet)
            self._ahead += 1
        self._ahead -= len(frames)
        surfaces = []
        for frame in frames:
            if (pts := self._times.of(frame.timestamp)) is not None:
                # Luma is followed by half as many rows of chroma.
                surfaces.append(Surface(pts, frame.GetPtrToPlane(0), frame.shape[1], frame.shape[0] * 2 // 3))
        return surfaces

    def close(self) -> None:
        self._packets.close()
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
        The surfaces; None for a file that is read packet by packet: of another kind, or from a later second on.
    """
    if not hasattr(library, "ThreadedDecoder") or clock.start is not None or not _is_plain(params):
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
            surfaces = AheadSurfaces(decoder, params, clock, batch, fail)
        except Exception:
            # Packet by packet, the failure gets a place and a cause.
            return None
        undo.pop_all()
        return surfaces


def _is_plain(params: NvdecParams) -> bool:
    """Return whether FFmpeg and PyNvVideoCodec read the same packets of a file, into surfaces of its size."""
    even = params.stored_width % 2 == 0 and params.stored_height % 2 == 0
    if is_url(params.path) or params.codec not in ("h264", "hevc") or "420" not in params.pixel_format or not even:
        return False
    with open_video(params.path, params.protocols) as container:
        return container.format.name in _CONTAINERS and len(container.streams.video) == 1
