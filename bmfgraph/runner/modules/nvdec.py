"""The host of NVIDIA's hardware decoder.

PyAV reads the file and NVDEC gets one frame's data at a time, so that every frame has the time that the
container gives it. The decoder copies its surfaces on a CUDA stream of our own, on which they are also made
RGB: the next copy into the same memory comes after that by itself, and nobody waits.
"""

from __future__ import annotations

import heapq
import importlib
import json
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import torch
from bmf import Packet

from bmfgraph.errors import InstallError, RunError
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.runner.modules.base import HANDOVER, MICRO, BmfModule, ModuleConfig
from bmfgraph.stages.color import ToRgb
from bmfgraph.stages.cuda import recorded
from bmfgraph.stages.cuda import stream as shared_stream
from bmfgraph.stages.items import Frame

__all__ = ["Clock", "NvdecModule", "Order", "Packets", "Reader"]

_BATCH = 4
"""Frames that one call of BMF's gives: fewer cost time, more cost memory."""
_EARLIER = Fraction(1)
"""Seconds before the start to seek to: files are searched by the times of decoding."""
_CODECS = {"h264": "H264", "hevc": "HEVC", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}
# What every GPU decodes that has a decoder.
_EVERYWHERE = {(codec, form) for codec in ("h264", "hevc", "vp9") for form in ("yuv420p", "yuvj420p")}
_ELSE = "set decoder=ffmpeg, which decodes on the CPU"


class Clock:
    """When frames are shown, counted as BMF's decoder does: from the file's start, or from ``start``."""

    def __init__(self, params: NvdecParams) -> None:
        base = params.time_base
        # Decimals as they were written, not the binary fractions near them.
        self._start = None if params.start is None else Fraction(str(params.start))
        self._end = None if params.end is None else Fraction(str(params.end))
        self._base = base
        self._zero = round(max(params.origin, Fraction(0)) / base)
        self._shift = self._zero + round((self._start or 0) / base)
        self.seek: int | None = None
        """Where to begin to read, in the stream's time base."""
        if self._start is not None and self._start > _EARLIER:
            self.seek = self._zero + int((self._start - _EARLIER) / base)

    def of(self, pts: int) -> int:
        """A frame's new pts."""
        return pts - self._shift

    def wanted(self, pts: int) -> bool:
        """Whether the frame is asked for."""
        return not (self._start is not None and (pts - self._zero) * self._base < self._start) and not self.over(pts)

    def over(self, pts: int) -> bool:
        """Whether this frame and all after it are beyond the end."""
        return self._end is not None and (pts - self._zero) * self._base >= self._end


class Packets:
    """A file's compressed frames as they are stored, as data that NVDEC takes."""

    def __init__(self, params: NvdecParams, clock: Clock) -> None:
        self._work = params
        self._seek = clock.seek if clock.seek is not None and self._leads_up_to(clock) else None

    def _leads_up_to(self, clock: Clock) -> bool:
        """Whether seeking ends at a frame that needs none before it, and not behind the start."""
        with av.open(self._work.path, metadata_errors="replace") as container:
            stream = container.streams[self._work.video]
            try:
                container.seek(clock.seek or 0, stream=stream)
                first = next((packet for packet in container.demux(stream) if packet.size), None)
            except av.FFmpegError:
                return False
            return first is not None and first.is_keyframe and first.pts is not None and not clock.wanted(first.pts)

    def __iter__(self) -> Iterator[Any]:
        """PyAV's packets. A file that cannot be read on ends there, as it does for FFmpeg."""
        codec = self._work.codec
        with av.open(self._work.path, metadata_errors="replace") as container:
            stream = container.streams[self._work.video]
            annex_b = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream) if codec in ("h264", "hevc") else None
            if self._seek is not None:
                container.seek(self._seek, stream=stream)
            try:
                for packet in container.demux(stream):
                    if packet.size:
                        yield from annex_b.filter(packet) if annex_b else (packet,)
            except av.FFmpegError:
                return


class Order:
    """Tells which packet a decoded frame came from."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._fed: set[int] = set()

    def feed(self, pts: int) -> None:
        """A packet went in."""
        heapq.heappush(self._waiting, pts)
        self._fed.add(pts)

    def pop(self, told: int) -> int | None:
        """The pts of the frame that came out, in the order of being shown; None where there was no packet for it.

        ``told``: what the decoder says. It makes times up where it lost count; then the earliest packet that
        nothing came of is meant.
        """
        if told not in self._fed:
            told = self._waiting[0] if self._waiting else -1
        found = None
        # What should have come before will not come any more.
        while self._waiting and self._waiting[0] <= told:
            found = heapq.heappop(self._waiting)
            self._fed.discard(found)
        return found


class Reader:
    """Decodes a file on the GPU; gives its frames as RGB, each with its pts."""

    def __init__(self, node: str, kind: str, params: NvdecParams) -> None:
        self._nvc = _library()
        self._node, self._kind, self._work = node, kind, params
        self._clock, self._order = Clock(params), Order()
        self._packets = iter(Packets(params, self._clock))
        self._hidden: set[int] = set()
        """Frames that are decoded for others' sake."""
        self.ended = False
        self._device = device = _device()
        self._stream = torch.cuda.Stream(device)
        form, self._rows, self._deep = _surface(params)
        self._to_rgb = ToRgb(form, params.color, params.chroma, params.width, params.height, device)
        self._converted = recorded(self._convert, device)
        self._known: dict[int, torch.Tensor] = {}
        """The decoder's surfaces by their address; it has a few, which it uses in turn."""
        codec = getattr(self._nvc.cudaVideoCodec, _CODECS[params.codec])
        self._check_gpu(codec)
        self._decoder = self._nvc.CreateDecoder(
            gpuid=device.index,
            codec=codec,
            cudacontext=0,
            cudastream=self._stream.cuda_stream,
            usedevicememory=True,
        )

    def read(self, count: int) -> list[tuple[int, torch.Tensor]]:
        """At least ``count`` frames unless the end comes first: pts and uint8 [height, width, 3], ready for
        what is enqueued on the shared stream from now on.
        """
        made: list[tuple[int, torch.Tensor]] = []
        with torch.cuda.stream(self._stream):
            while len(made) < count and not self.ended:
                made += self._next()
        if made:
            _hand_over([image for _, image in made], self._stream)
        return made

    def _next(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Feed one packet, or the end, and convert what comes out; all that comes must be taken before the next."""
        packet = next(self._packets, None)
        data = self._nvc.PacketData()
        if packet is None:
            self.ended = True
            data.bsl_data = data.bsl = 0
        else:
            if packet.pts is None:
                raise RunError(
                    self._node, self._kind, "the file does not say when a frame is shown", hint=_ELSE, code="E413"
                )
            data.bsl_data, data.bsl, data.pts = packet.buffer_ptr, packet.buffer_size, packet.pts
            self._order.feed(packet.pts)
            if packet.is_discard:
                self._hidden.add(packet.pts)
        for surface in self._decoder.Decode(data):
            pts = self._order.pop(surface.timestamp)
            if pts is None:
                raise RunError(
                    self._node, self._kind, "NVDEC gave a frame that is not in the file", hint=_ELSE, code="E413"
                )
            if pts in self._hidden:
                self._hidden.discard(pts)
            elif self._clock.over(pts):
                self.ended = True
                return
            elif self._clock.wanted(pts):
                yield self._clock.of(pts), self._picture(surface.GetPtrToPlane(0))

    def _picture(self, pointer: int) -> torch.Tensor:
        width, height = self._decoder.GetWidth(), self._decoder.GetHeight()
        params = self._work
        # Rows of an odd width end with one sample more.
        if (width - params.width, height) not in ((0, params.height), (1, params.height)):
            why = f"the pictures change from {params.width}x{params.height} to {width}x{height}"
            raise RunError(self._node, self._kind, why, hint=_ELSE, code="E413")
        if pointer not in self._known:
            # Plane under plane, without gaps.
            self._known[pointer] = _look_at(pointer, (sum(self._rows), width), self._deep, self._device)
        # One recording for all surfaces: to make one takes longer than to copy many.
        made: torch.Tensor = self._converted(self._known[pointer])
        return made

    def _convert(self, surface: torch.Tensor) -> torch.Tensor:
        rgb = self._to_rgb(surface.split(self._rows))
        if self._work.rotation:
            rgb = torch.rot90(rgb, self._work.rotation // 90, (1, 2))
        return rgb.permute(1, 2, 0)

    def _check_gpu(self, codec: Any) -> None:
        params = self._work
        if (params.codec, params.pixel_format) in _EVERYWHERE:
            return
        sampling = next(one for one in ("420", "422", "444") if one in params.pixel_format)
        bits = next((int(one) for one in ("10", "12") if one in params.pixel_format), 8)
        can = self._nvc.GetDecoderCaps(
            gpuid=self._device.index,
            codec=codec,
            chromaformat=getattr(self._nvc.cudaVideoChromaFormat, sampling),
            bitdepth=bits,
        )
        if not can["supported"]:
            name = torch.cuda.get_device_name(self._device)
            why = f"the decoder of this {name} does not know {params.codec} in {params.pixel_format}"
            raise RunError(self._node, self._kind, why, hint=_ELSE, code="E413")

    def close(self) -> None:
        """Let go of the decoder, once nothing reads its surfaces any more."""
        self._stream.synchronize()
        self._known.clear()
        self._packets = iter(())
        self._decoder = None


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


def _hand_over(pictures: list[torch.Tensor], stream: torch.cuda.Stream) -> None:
    """What the run's shared stream does from now on waits for the pictures, and their memory for it."""
    shared = shared_stream()
    shared.wait_stream(stream)
    for image in pictures:
        image.record_stream(shared)


class _Surface:
    def __init__(self, interface: dict[str, Any]) -> None:
        self.__cuda_array_interface__ = interface


def _look_at(pointer: int, shape: tuple[int, int], deep: bool, device: torch.device) -> torch.Tensor:
    """The decoder's memory, uint8 or int16, without a copy; its DLPack form is wrong for 16 bits and odd heights."""
    kind = "<i2" if deep else "|u1"
    interface = {"shape": shape, "typestr": kind, "data": (pointer, False), "strides": None, "version": 3}
    return torch.as_tensor(_Surface(interface), device=device)


def _surface(params: NvdecParams) -> tuple[str, list[int], bool]:
    """How NVDEC gives the pictures: the pixel format, the rows of each plane, and whether samples have 16 bits."""
    form, height = params.pixel_format, params.height
    bits = next((one for one in ("10", "12") if one in form), "")
    if "444" in form:
        return form, [height] * 3, False
    if "422" in form:
        return f"p2{bits}le" if bits else "nv16", [height, height], bool(bits)
    return f"p0{bits}le" if bits else "nv12", [height, (height + 1) // 2], bool(bits)


def _library() -> Any:
    try:
        library = importlib.import_module("PyNvVideoCodec")
    except ModuleNotFoundError:
        raise InstallError("PyNvVideoCodec is not installed", hint="pip install PyNvVideoCodec", code="E706") from None
    except Exception as error:
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InstallError(
            f"PyNvVideoCodec cannot be loaded ({why})",
            hint="it needs NVIDIA's driver with its video libraries; in a container, "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
            code="E706",
        ) from None
    if not torch.cuda.is_available():
        raise InstallError("decoding on the GPU needs an NVIDIA GPU, and torch finds none", hint=_ELSE, code="E605")
    return library


class NvdecModule(BmfModule):
    """Runs the hardware decoder: a source with one output, frames on the GPU."""

    def __init__(self, node: int, option: dict[str, Any]) -> None:
        job = HANDOVER.pop(option["job"])
        assert isinstance(job, ModuleConfig)
        self._begin(job.watch, job.meter.name)
        self.job = job
        self.made = 0
        self.busy = threading.Lock()
        self.reader: Reader | None = None
        self.template: Any = None
        """A frame of BMF's that knows how wide its pixels are, for others to take it from."""
        try:
            self.info = _info(job)
            self.template = _template(self.info, job.params)
            self.reader = Reader(job.meter.name, job.meter.kind, job.params)
        except Exception as error:
            self._failed(error, doing="cannot start")

    def _work(self, task: Any) -> None:
        job, meter = self.job, self.job.meter
        with self.busy:
            if self.reader is None:
                return self._end(task)
            began = time.perf_counter()
            frames = self.reader.read(_BATCH)
            meter.add(began, time.perf_counter(), len(frames))
            ended = self.reader.ended
        outputs = task.get_outputs()
        for pts, image in frames:
            frame = Frame(self.made, self._carrier(pts), job.matrix, image)
            self.made += 1
            meter.frames += 1
            meter.last_time = frame.time
            for number in range(len(job.outlets)):
                packet = Packet(frame)
                packet.timestamp = round(frame.time * MICRO)
                outputs[number].put(packet)
        if ended:
            self._end(task)
        return None

    def _carrier(self, pts: int) -> Any:
        """A frame of BMF's that has the time and the colours, and next to no picture."""
        from bmf import VideoFrame
        from bmf import hmp as mp
        from bmf.lib._bmf.sdk import Rational

        base = self.job.params.time_base
        video = VideoFrame(mp.Frame(2, 2, self.info))
        if self.template is not None:
            video.copy_props(self.template)
            video.private_merge(self.template)
        video.pts = pts
        video.time_base = Rational(base.numerator, base.denominator)
        return video

    def _failed(self, error: BaseException, doing: str = "") -> None:
        meter = self.job.meter
        if doing:
            self.watch.fail(meter, error, doing=doing, hint=_ELSE)
        else:
            self.watch.fail(meter, error, frame=meter.frames, time=meter.last_time, hint=_ELSE)

    def close(self) -> None:
        # BMF closes a node from another thread when those after it have ended, even while it is at work.
        with self.busy:
            super().close()
            reader, self.reader = self.reader, None
            if reader is not None:
                # Taking the decoder down holds the GPU up for a fifth of a second, with frames still on their way.
                self.watch.on_shutdown.append(reader.close)


def _info(job: ModuleConfig) -> Any:
    """BMF's description of the frames, with the stream's primaries and transfer curve."""
    from bmf import hmp as mp

    spaces = {"bt601": mp.kCS_SMPTE170M, "bt709": mp.kCS_BT709, "bt2020": mp.kCS_BT2020_NCL}
    primaries, transfer = mp.ColorPrimaries(job.params.primaries), mp.ColorTransferCharacteristic(job.params.transfer)
    return mp.PixelInfo(mp.kPF_RGB24, mp.PixelColorModel(spaces[job.matrix], mp.kCR_MPEG, primaries, transfer))


def _template(info: Any, params: NvdecParams) -> Any:
    """A frame with the file's sample aspect ratio, which only FFmpeg's filter can give it; None for square pixels."""
    aspect, base = params.aspect, params.time_base
    if aspect == 1:
        return None
    from bmf import Task, VideoFrame
    from bmf import hmp as mp
    from bmf.lib._bmf import engine
    from bmf.lib._bmf.sdk import Rational

    end = [{"stream": 0, "pin": 0}]
    filters = [{"name": "setsar", "para": f"{aspect.numerator}/{aspect.denominator}", "inputs": end, "outputs": end}]
    module = engine.Module("c_ffmpeg_filter", json.dumps({"filters": filters}), "c++", "", "")
    module.init()
    task = Task(0, [0], [0])
    square = VideoFrame(mp.Frame(2, 2, info))
    # The filter leaves a note of the time base in the frame, which the encoder believes.
    square.pts, square.time_base = 0, Rational(base.numerator, base.denominator)
    packet = Packet(square)
    packet.timestamp = 0
    task.get_inputs()[0].put(packet)
    module.process(task)
    made = task.get_outputs()[0].get().get(VideoFrame)
    module.close()
    return made
