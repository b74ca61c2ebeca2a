"""Decode a video file to RGB images by NVDEC, the hardware decoder of NVIDIA's GPUs.

The decoder fills its surfaces on a CUDA stream of its own. On the same stream, each surface is copied to its place in
a batch, and the batch is converted to RGB. The next copy into a surface is therefore ordered after its use, and no
thread waits.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch

from bmfgraph import error_codes as codes
from bmfgraph.engines.runtimes.capture import NO_CAPTURE
from bmfgraph.errors import InstallError, RunError, first_line
from bmfgraph.media.reading import Clock
from bmfgraph.nodes.nvdec import NvdecParams
from bmfgraph.plan.types import bits_of
from bmfgraph.runner.modules.nvdec_surfaces import Surface, Surfaces
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
        self.ended = False
        self._device = device = _current_device()
        self._stream = torch.cuda.Stream(device)
        pixel_format, self._plane_rows, self._is_16_bit = _surface_layout(params)
        size = params.stored_width, params.stored_height
        deep = bits_of(params.pixel_format) > 8
        self._to_rgb = ToRgb(pixel_format, params.color, params.chroma, *size, device, deep=deep)
        self._slots: torch.Tensor | None = None
        """Copies of the surfaces of the next batch."""
        self._places: list[torch.Tensor] = []
        """The slot of each frame."""
        self._times: list[int] = []
        """The pts of the slots that are in use."""
        self._convert = graphed_on_cuda(self._rgb_images, device)
        self._views: dict[int, torch.Tensor] = {}
        """Views of the decoder's surfaces by address; the decoder uses a few of them in turn."""
        codec = getattr(self._library.cudaVideoCodec, _CODECS[params.codec])
        self._check_support(codec)
        self._surfaces = self._opened(codec)

    def _opened(self, codec: Any) -> Surfaces:
        stream, device = self._stream.cuda_stream, self._device.index
        decoder = self._library.CreateDecoder(
            gpuid=device, codec=codec, cudacontext=0, cudastream=stream, usedevicememory=True
        )
        return Surfaces(self._library, decoder, self._params, self._clock, self._batch, self._error)

    def read(self) -> list[tuple[int, torch.Tensor]]:
        """Decode at least one batch of frames, or all up to the end.

        Returns:
            For each frame its pts in the file's time base and its image, RGB [height, width, 3], uint8 or uint16, on
            the GPU. The images are ready for all work that is enqueued on the shared stream from now on.

        Raises:
            RunError: The file cannot be decoded by NVDEC.
        """
        frames: list[tuple[int, torch.Tensor]] = []
        with torch.cuda.stream(self._stream):
            while not frames and not self.ended:
                surfaces = self._surfaces.read()
                self.ended = self._surfaces.ended
                inside = [surface for surface in surfaces if self._is_inside(surface.pts)]
                while inside:
                    count = self._batch - len(self._times)
                    self._keep(inside[:count])
                    inside = inside[count:]
                    if len(self._times) == self._batch:
                        frames += self._converted()
            if self.ended:
                frames += self._converted()
        return frames

    def _is_inside(self, pts: int) -> bool:
        """Return whether a frame belongs to the part that is read; the first one past its end ends the file."""
        past = self._clock.is_past_end(pts, self._base)
        self.ended = self.ended or past
        return not past and not self._clock.is_before_start(pts, self._base)

    def _keep(self, surfaces: Sequence[Surface]) -> None:
        """Copy surfaces to the next slots: NVDEC overwrites them."""
        params, views = self._params, []
        for surface in surfaces:
            # Rows of an odd width have one sample more.
            wider, height = surface.width - params.stored_width, surface.height
            if wider not in (0, 1) or height != params.stored_height:
                raise self._error(
                    f"the frame size changes from {params.stored_width}x{params.stored_height} "
                    f"to {surface.width}x{height}"
                )
            if surface.pointer not in self._views:
                # The planes follow each other without gaps.
                shape = (sum(self._plane_rows), surface.width)
                self._views[surface.pointer] = _surface_view(surface.pointer, shape, self._is_16_bit, self._device)
            views.append(self._views[surface.pointer])
        if self._slots is None:
            self._slots = views[0].new_zeros((self._batch, *views[0].shape))
            self._places = list(self._slots.unbind())
        used = len(self._times)
        torch._foreach_copy_(self._places[used : used + len(views)], views)
        self._times += [surface.pts - self._zero for surface in surfaces]

    def _converted(self) -> list[tuple[int, torch.Tensor]]:
        """Return the times and images of the slots in use, and free the slots."""
        if not self._times:
            return []
        images = self._convert()
        self._share(images)
        times, self._times = self._times, []
        return list(zip(times, images.unbind(), strict=False))

    def _rgb_images(self) -> torch.Tensor:
        """Convert all slots, as the display shows them: RGB [batch, height, width, 3]."""
        assert self._slots is not None
        rgb = self._to_rgb.batch(self._slots.split(self._plane_rows, dim=1))
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

    def _share(self, images: torch.Tensor) -> None:
        """Order later work of the shared stream after the images, and keep their memory until that work is done."""
        self._shared.wait_stream(self._stream)
        images.record_stream(self._shared)

    def close(self) -> None:
        """Destroy the decoder, once the GPU no longer reads its surfaces."""
        self._stream.synchronize()
        self._views.clear()
        with NO_CAPTURE:
            self._surfaces.close()


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
