"""``upload`` and ``download`` at work: through page-locked memory, without waiting."""

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
    """Frames and samples to the GPU; frames as RGB."""

    params: UploadParams

    def open(self) -> None:
        given = self.params.frames
        rgb = given is None or given.pixel_format == "rgb24"
        self._to_rgb = (
            None
            if rgb or given is None
            else GraphedFunction(
                _of_planes(ToRgb(given.pixel_format, given.color, given.chroma, given.width, given.height, _CUDA))
            )
        )

        # Copies do not stand in line behind inferences, so that their page-locked memory is soon free again.
        self._stream = torch.cuda.Stream()

    def process(self, *items: Any) -> Iterable[Frame | Sample]:
        item = items[0]
        with torch.cuda.stream(self._stream):
            made = self._uploaded(item)
        shared = torch.cuda.current_stream()
        shared.wait_stream(self._stream)
        for tensor in made.tensors.values() if isinstance(made, Sample) else (made.pixels(),):
            tensor.record_stream(shared)
        return (made,)

    def _uploaded(self, item: Frame | Sample) -> Frame | Sample:
        if isinstance(item, Sample):
            return Sample({name: _up(tensor) for name, tensor in item.tensors.items()}, item.frames)
        if self._to_rgb is None:
            image = _up(item.pixels())
        else:
            planes = [_up(torch.from_numpy(plane.numpy())) for plane in item.video.frame().data()]
            image = self._to_rgb(*planes).permute(1, 2, 0)
        return Frame(item.index, item.video, item.matrix, image)


def _of_planes(to_rgb: ToRgb) -> Callable[..., torch.Tensor]:
    return lambda *planes: to_rgb(planes)


def _up(tensor: torch.Tensor) -> torch.Tensor:
    # The page-locked copy is kept by torch until the GPU has read it.
    return tensor.pin_memory().to("cuda", non_blocking=True)


class Download(Stage):
    """Frames and samples to the CPU; frames in the pixel format that is wanted there."""

    params: DownloadParams

    def open(self) -> None:
        self._late: AsyncDownload[Frame | Sample] = AsyncDownload()
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
            return self._late.put(
                list(item.tensors.values()), lambda copies: Sample(dict(zip(names, copies, strict=True)), sample.frames)
            )
        frame: Frame = item
        pixel_format = self.params.pixel_format or "rgb24"
        planes = self._to_yuv(frame.pixels()) if self._to_yuv else (frame.pixels().contiguous(),)
        return self._late.put(planes, lambda copies: frame_of_planes(frame, copies, pixel_format))

    def finish(self) -> Iterable[Frame | Sample]:
        return self._late.rest()
