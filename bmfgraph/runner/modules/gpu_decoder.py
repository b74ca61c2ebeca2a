"""Decode a video file to RGB images by NVDEC, the hardware decoder of NVIDIA's GPUs.

The decoder fills its surfaces on a CUDA stream of its own. On the same stream, each surface is copied to its place in
a batch, so the next copy into a surface is ordered after its use. The batch is converted to RGB on the stream of the
run's stages. A thread of its own decodes ahead: with many clips in one process, each call into CUDA may wait for the
interpreter, and NVDEC would wait with it.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from functools import partial
from itertools import compress
from queue import SimpleQueue
from typing import Any

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.runtimes.capture import NO_CAPTURE
from bmfgraph.errors import InstallError, RunError, first_line
from bmfgraph.media.reading import Clock
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.plan.types import bits_of
from bmfgraph.runner.modules.nvdec_surfaces import Pictures, Surfaces
from bmfgraph.stages.color import ToRgb
from bmfgraph.stages.cuda import graphed_on_cuda

__all__ = ["HINT", "GpuDecoder"]

HINT = "set decoder=ffmpeg, which decodes on the CPU"
_CODECS = {"h264": "H264", "hevc": "HEVC", "vp8": "VP8", "vp9": "VP9", "av1": "AV1"}
# Every GPU with a decoder supports these, so their capabilities need no check.
_ALWAYS_SUPPORTED = {(codec, format_) for codec in ("h264", "hevc", "vp9") for format_ in ("yuv420p", "yuvj420p")}


class GpuDecoder:
    """Decode a file on the GPU to RGB images.

    Attributes:
        ended: Whether there are no more frames.
    """

    def __init__(self, node: str, kind: str, params: NvdecParams, shared: torch.cuda.Stream, batch: int) -> None:
        """Open the file and the decoder.

        Args:
            node: Name of the node.
            kind: Its kind.
            params: The file, and the part of it that is read.
            shared: The stream of the run's stages.
            batch: Number of frames that are converted to RGB at once.
        """
        self._shared, self._batch = shared, batch
        self._library = _load_library()
        self._node, self._kind, self._params = node, kind, params
        self._clock = Clock(params)
        self._base, self._zero = params.time_base, self._clock.zero(params.time_base)
        self.ended = self._has_ended = self._is_closed = False
        self._device = device = _current_device()
        self._stream = torch.cuda.Stream(device)
        pixel_format, self._plane_rows, self._is_16_bit = _surface_layout(params)
        size = params.stored_width, params.stored_height
        deep = bits_of(params.pixel_format) > 8
        self._to_rgb = ToRgb(pixel_format, params.color, params.chroma, *size, device, deep=deep)
        self._slots: list[_Slots] = []
        """All sets of slots."""
        self._filling: _Slots | None = None
        self._full: SimpleQueue[tuple[_Slots | None, bool] | BaseException] = SimpleQueue()
        """Decoded slots, and whether they are the last, after which there may be none."""
        self._free: SimpleQueue[_Slots | None] = SimpleQueue()
        """Slots whose conversion has been enqueued; None closes the decoder."""
        self._views: dict[int, torch.Tensor] = {}
        """Views of the decoder's surfaces by address; the decoder uses a few of them in turn."""
        codec = getattr(self._library.cudaVideoCodec, _CODECS[params.codec])
        self._check_support(codec)
        self._surfaces = self._opened(codec)
        self._thread = threading.Thread(target=self._decode_ahead, name="bmfgraph-nvdec", daemon=True)
        self._thread.start()

    def _opened(self, codec: Any) -> Surfaces:
        stream, device = self._stream.cuda_stream, self._device.index
        decoder = self._library.CreateDecoder(
            gpuid=device, codec=codec, cudacontext=0, cudastream=stream, usedevicememory=True
        )
        return Surfaces(self._library, decoder, self._params, self._clock, self._batch, self._error)

    def read(self) -> list[tuple[int, torch.Tensor]]:
        """Return the next batch of decoded frames; at the end of the file the last ones, or none.

        Returns:
            For each frame its pts in the file's time base and its image, RGB [height, width, 3], uint8 or uint16, on
            the GPU. The images are ready for all work that is enqueued on the shared stream from now on.

        Raises:
            RunError: The file cannot be decoded by NVDEC.
        """
        decoded = self._full.get()
        if isinstance(decoded, BaseException):
            raise decoded
        slots, self.ended = decoded
        if slots is None:
            return []
        frames = self._converted(slots)
        self._free.put(slots)
        return frames

    def _decode_ahead(self) -> None:
        try:
            with torch.cuda.stream(self._stream):
                while not self._has_ended and not self._is_closed:
                    self._decode()
                self._pass_on(last=True)
        except BaseException as error:
            self._full.put(error)

    def _decode(self) -> None:
        """Decode the next pictures, and pass on each set of slots that they fill."""
        pictures = self._surfaces.read()
        self._has_ended = self._surfaces.ended
        times, views = self._inside(pictures)
        while times:
            slots = self._filling = self._filling or self._empty_slots()
            count = self._batch - len(slots.times)
            slots.copy(views[:count], times[:count])
            times, views = times[count:], views[count:]
            if len(slots.times) == self._batch:
                self._pass_on(last=False)

    def _pass_on(self, *, last: bool) -> None:
        """Give slots to the reader at once: a call may decode more pictures than all slots hold."""
        slots, self._filling = self._filling, None
        if slots is not None:
            slots.filled.record()
        self._full.put((slots, last))

    def _inside(self, pictures: Pictures) -> tuple[list[int], list[torch.Tensor]]:
        """Return the times, in ticks of the clip, and the surfaces of the pictures in the part that is read."""
        width, height, times, pointers = pictures
        params, clock = self._params, self._clock
        if clock.start is not None or clock.end is not None:
            # Pictures come in presentation order, so the first one past the end ends the file.
            self._has_ended = self._has_ended or (bool(times) and clock.is_past_end(times[-1], self._base))
            kept = [not (clock.is_before_start(pts, self._base) or clock.is_past_end(pts, self._base)) for pts in times]
            times, pointers = list(compress(times, kept)), list(compress(pointers, kept))
        # Rows of an odd width have one sample more.
        if times and (width - params.stored_width not in (0, 1) or height != params.stored_height):
            raise self._error(
                f"the frame size changes from {params.stored_width}x{params.stored_height} to {width}x{height}"
            )
        for pointer in pointers:
            if pointer not in self._views:
                # The planes follow each other without gaps.
                shape = (sum(self._plane_rows), width)
                self._views[pointer] = _surface_view(pointer, shape, self._is_16_bit, self._device)
        return [pts - self._zero for pts in times], [self._views[pointer] for pointer in pointers]

    def _empty_slots(self) -> _Slots:
        """Return slots that are no longer read when later work of the current stream begins."""
        # One set is filled, one waits, and the GPU reads one.
        if len(self._slots) < self._params.ahead:
            self._slots.append(_Slots(self._batch, self._rgb_images, is_graph=not self._to_rgb.is_one_kernel))
            return self._slots[-1]
        slots = self._free.get()
        if slots is None or self._is_closed:
            raise RuntimeError("the decoder is closed")
        slots.read.wait()
        return slots

    def _converted(self, slots: _Slots) -> list[tuple[int, torch.Tensor]]:
        """Return the times and images of slots, and empty them."""
        with torch.cuda.stream(self._shared):
            slots.filled.wait()
            images = slots.convert()
            slots.read.record()
        times, slots.times = slots.times, []
        return list(zip(times, images.unbind(), strict=False))

    def _rgb_images(self, surfaces: torch.Tensor) -> torch.Tensor:
        """Convert surfaces, as the display shows them: RGB [batch, height, width, 3]."""
        rgb = self._to_rgb.batch(surfaces.split(self._plane_rows, dim=1))
        params = self._params
        if params.mirrored:
            rgb = rgb.flip(3)
        if params.rotation:
            rgb = torch.rot90(rgb, params.rotation // 90, (2, 3))
        if params.crop:
            left, top, width, height = params.crop
            rgb = rgb[..., top : top + height, left : left + width]
        return rgb.permute(0, 2, 3, 1)

    def _check_support(self, codec: Any) -> None:
        params = self._params
        if (params.codec, params.pixel_format) in _ALWAYS_SUPPORTED:
            return
        sampling = next(name for name in ("420", "422", "444") if name in params.pixel_format)
        bits = next((int(digits) for digits in ("10", "12") if digits in params.pixel_format), 8)
        capabilities = self._library.GetDecoderCaps(
            gpuid=self._device.index,
            codec=codec,
            chromaformat=getattr(self._library.cudaVideoChromaFormat, sampling),
            bitdepth=bits,
        )
        if not capabilities["supported"]:
            name = torch.cuda.get_device_name(self._device)
            raise self._error(f"the decoder of this {name} does not support {params.codec} in {params.pixel_format}")

    def _error(self, cause: str) -> RunError:
        return RunError(self._node, self._kind, cause, hint=HINT, code=codes.UNSUPPORTED_GPU_DECODING)

    def stop(self) -> None:
        """End the decoding ahead, without a wait for its end."""
        self._is_closed = True
        self._free.put(None)

    def close(self) -> None:
        """Destroy the decoder, once the GPU no longer reads its surfaces."""
        self.stop()
        self._thread.join()
        self._stream.synchronize()
        self._shared.synchronize()
        self._slots.clear()
        self._filling = None
        self._views.clear()
        with NO_CAPTURE:
            self._surfaces.close()


class _Slots:
    """Copies of the surfaces of a batch.

    Args:
        count: Number of slots.
        function: Converts surfaces to images.
        is_graph: Whether it is recorded as a CUDA graph.

    Attributes:
        times: The pts of the slots that are in use.
        filled: Recorded behind the copies.
        convert: Returns the images of all slots.
        read: Recorded behind the conversion.
    """

    def __init__(self, count: int, function: Callable[[torch.Tensor], torch.Tensor], *, is_graph: bool) -> None:
        self.times: list[int] = []
        self.filled, self.read = torch.cuda.Event(), torch.cuda.Event()
        self._count, self._function, self._is_graph = count, function, is_graph
        self._places: list[torch.Tensor] = []

    def copy(self, surfaces: list[torch.Tensor], times: list[int]) -> None:
        """Copy surfaces to the next slots."""
        if not self._places:
            whole = surfaces[0].new_zeros((self._count, *surfaces[0].shape))
            self._places = list(whole.unbind())
            convert = partial(self._function, whole)
            self.convert = graphed_on_cuda(convert, whole.device) if self._is_graph else convert
        used = len(self.times)
        torch._foreach_copy_(self._places[used : used + len(surfaces)], surfaces)
        self.times += times


def _current_device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


class _CudaArray:
    """GPU memory behind the CUDA array interface."""

    def __init__(self, interface: dict[str, Any]) -> None:
        self.__cuda_array_interface__ = interface


def _surface_view(pointer: int, shape: tuple[int, int], is_16_bit: bool, device: torch.device) -> torch.Tensor:
    """View the decoder's memory as uint8 or int16; PyNvVideoCodec's DLPack is wrong for 16 bits and odd heights."""
    dtype = "<i2" if is_16_bit else "|u1"
    interface = {"shape": shape, "typestr": dtype, "data": (pointer, False), "strides": None, "version": 3}
    return torch.as_tensor(_CudaArray(interface), device=device)


def _surface_layout(params: NvdecParams) -> tuple[str, list[int], bool]:
    """Return the pixel format of NVDEC's surfaces, the rows of each plane, and whether samples have 16 bits."""
    pixel_format, height = params.pixel_format, params.stored_height
    bits = next((digits for digits in ("10", "12") if digits in pixel_format), "")
    if "444" in pixel_format:
        return pixel_format, [height] * 3, False
    if "422" in pixel_format:
        return f"p2{bits}le" if bits else "nv16", [height, height], bool(bits)
    return f"p0{bits}le" if bits else "nv12", [height, (height + 1) // 2], bool(bits)


def _load_library() -> Any:
    try:
        library = importlib.import_module("PyNvVideoCodec")
    except ModuleNotFoundError:
        raise InstallError(
            "PyNvVideoCodec is not installed", hint="pip install PyNvVideoCodec", code=codes.MISSING_PYNVVIDEOCODEC
        ) from None
    except Exception as error:
        raise InstallError(
            f"PyNvVideoCodec cannot be loaded ({first_line(error) or type(error).__name__})",
            hint="it needs NVIDIA's driver with its video libraries; in a container, "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
            code=codes.MISSING_PYNVVIDEOCODEC,
        ) from None
    if not torch.cuda.is_available():
        raise InstallError(
            "decoding on the GPU needs an NVIDIA GPU, and torch finds none", hint=HINT, code=codes.MISSING_GPU
        )
    return library
