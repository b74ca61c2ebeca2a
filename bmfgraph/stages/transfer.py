"""Run the node kinds ``upload`` and ``download``: copy items between CPU and GPU without a wait."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import torch

from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.plan.types import RGB_FORMATS
from bmfgraph.stages.base import Stage
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.cuda import AsyncDownload, GraphedFunction
from bmfgraph.stages.items import Frame, Sample
from bmfgraph.stages.pictures import frame_of_planes, planes_of, to_8_bits
from bmfgraph.stages.results import Segments

__all__ = ["Download", "Upload"]


_CUDA = torch.device("cuda")
_Item = Frame | Sample | Segments


class Upload(Stage):
    """Copy frames, samples and label maps to the GPU, and convert frames to RGB there."""

    params: UploadParams

    def open(self) -> None:
        source = self.params.frames
        self._to_rgb = None
        if source is not None and source.pixel_format not in RGB_FORMATS:
            size = source.width, source.height
            convert = ToRgb(source.pixel_format, source.color, source.chroma, *size, _CUDA, deep=source.bits > 8)
            self._to_rgb = GraphedFunction(_of_planes(convert))
        # On a stream of their own, copies do not queue behind inferences, so their page-locked memory is free sooner.
        self._stream = torch.cuda.Stream()

    def process(self, *items: Any) -> Iterable[_Item]:
        with torch.cuda.stream(self._stream):
            result, tensors = self._upload(items[0])
        shared = torch.cuda.current_stream()
        shared.wait_stream(self._stream)
        for tensor in tensors:
            tensor.record_stream(shared)
        return (result,)

    def _upload(self, item: _Item) -> tuple[_Item, Collection[torch.Tensor]]:
        """Return the item on the GPU, and its tensors."""
        if isinstance(item, Sample):
            tensors = {name: _to_gpu(tensor) for name, tensor in item.tensors.items()}
            return Sample(tensors, item.frames), tensors.values()
        if isinstance(item, Segments):
            classes = _to_gpu(item.classes)
            return replace(item, classes=classes), (classes,)
        if self._to_rgb is None:
            image = _to_gpu(item.pixels())
        else:
            planes = [_to_gpu(plane) for plane in planes_of(item.picture)]
            image = self._to_rgb(*planes).permute(1, 2, 0)
        return item.with_image(image), (image,)


def _of_planes(to_rgb: ToRgb) -> Callable[..., torch.Tensor]:
    return lambda *planes: to_rgb(planes)


def _to_gpu(tensor: torch.Tensor) -> torch.Tensor:
    # Torch keeps the page-locked copy until the GPU has read it.
    return tensor.pin_memory().to("cuda", non_blocking=True)


class Download(Stage):
    """Copy frames, samples and label maps to the CPU; frames first get the pixel format of their consumer."""

    params: DownloadParams

    def open(self) -> None:
        self._download: AsyncDownload[_Item] = AsyncDownload()
        params = self.params
        self._to_yuv = None
        if params.pixel_format is not None and params.pixel_format not in RGB_FORMATS:
            assert params.color is not None
            self._to_yuv = GraphedFunction(
                ToYuv(params.pixel_format, params.color, params.chroma, params.width, params.height, _CUDA)
            )

    def process(self, *items: Any) -> Iterable[_Item]:
        item = items[0]
        if isinstance(item, Sample):
            names = list(item.tensors)
            sample: Sample = item
            return self._download.put(
                list(item.tensors.values()), lambda copies: Sample(dict(zip(names, copies, strict=True)), sample.frames)
            )
        if isinstance(item, Segments):
            segments: Segments = item
            return self._download.put([item.classes], lambda copies: replace(segments, classes=copies[0]))
        frame: Frame = item
        pixel_format = self.params.pixel_format or "rgb24"
        pixels = to_8_bits(frame.pixels()) if pixel_format == "rgb24" else frame.pixels()
        planes = self._to_yuv(pixels) if self._to_yuv else (pixels.contiguous(),)
        return self._download.put(planes, lambda copies: frame_of_planes(frame, copies, pixel_format))

    def finish(self) -> Iterable[_Item]:
        return self._download.drain()
