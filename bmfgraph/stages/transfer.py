"""Run the node kinds ``upload`` and ``download``: copy items between CPU and GPU without a wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from bmfgraph.nodes.transfer import DownloadParams, UploadParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.bmf_frames import frame_of_planes
from bmfgraph.stages.color import ToRgb, ToYuv
from bmfgraph.stages.cuda import AsyncDownload, GraphedFunction
from bmfgraph.stages.items import Frame, Sample

__all__ = ["Download", "Upload"]


_CUDA = torch.device("cuda")


class Upload(Stage):
    """Copy frames and samples to the GPU, and convert frames to RGB there."""

    params: UploadParams

    def open(self) -> None:
        source = self.params.frames
        self._to_rgb = None
        if source is not None and source.pixel_format != "rgb24":
            convert = ToRgb(source.pixel_format, source.color, source.chroma, source.width, source.height, _CUDA)
            self._to_rgb = GraphedFunction(_of_planes(convert))
        # On a stream of their own, copies do not queue behind inferences, so their page-locked memory is free sooner.
        self._stream = torch.cuda.Stream()

    def process(self, *items: Any) -> Iterable[Frame | Sample]:
        with torch.cuda.stream(self._stream):
            result = self._upload(items[0])
        shared = torch.cuda.current_stream()
        shared.wait_stream(self._stream)
        for tensor in result.tensors.values() if isinstance(result, Sample) else (result.pixels(),):
            tensor.record_stream(shared)
        return (result,)

    def _upload(self, item: Frame | Sample) -> Frame | Sample:
        if isinstance(item, Sample):
            return Sample({name: _to_gpu(tensor) for name, tensor in item.tensors.items()}, item.frames)
        if self._to_rgb is None:
            image = _to_gpu(item.pixels())
        else:
            planes = [_to_gpu(torch.from_numpy(plane.numpy())) for plane in item.video.frame().data()]
            image = self._to_rgb(*planes).permute(1, 2, 0)
        return Frame(item.index, item.video, item.matrix, image)


def _of_planes(to_rgb: ToRgb) -> Callable[..., torch.Tensor]:
    return lambda *planes: to_rgb(planes)


def _to_gpu(tensor: torch.Tensor) -> torch.Tensor:
    # Torch keeps the page-locked copy until the GPU has read it.
    return tensor.pin_memory().to("cuda", non_blocking=True)


class Download(Stage):
    """Copy frames and samples to the CPU; frames are first converted to the pixel format of their consumer."""

    params: DownloadParams

    def open(self) -> None:
        self._download: AsyncDownload[Frame | Sample] = AsyncDownload()
        params = self.params
        self._to_yuv = None
        if params.pixel_format not in (None, "rgb24"):
            assert params.pixel_format is not None
            assert params.color is not None
            self._to_yuv = GraphedFunction(
                ToYuv(params.pixel_format, params.color, params.chroma, params.width, params.height, _CUDA)
            )

    def process(self, *items: Any) -> Iterable[Frame | Sample]:
        item = items[0]
        if isinstance(item, Sample):
            names = list(item.tensors)
            sample: Sample = item
            return self._download.put(
                list(item.tensors.values()), lambda copies: Sample(dict(zip(names, copies, strict=True)), sample.frames)
            )
        frame: Frame = item
        pixel_format = self.params.pixel_format or "rgb24"
        planes = self._to_yuv(frame.pixels()) if self._to_yuv else (frame.pixels().contiguous(),)
        return self._download.put(planes, lambda copies: frame_of_planes(frame, copies, pixel_format))

    def finish(self) -> Iterable[Frame | Sample]:
        return self._download.drain()
