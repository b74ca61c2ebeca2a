"""Runs ONNX files on the CPU for the evaluation, and interpolates for comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from .clips import WINDOW
from .resample import Picture, to_uint8

_WARNINGS_OFF = 3
_PROBE = 16  # px


class Upscaler:
    """One ONNX file: 8 bits in and out, or float32 in 0..1.

    A file whose input is called ``input:0`` takes windows of seven frames (see the model card), any other one
    takes single pictures.

    Args:
        path: the ONNX file.
        threads: for one operator; operators run one after the other.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _WARNINGS_OFF
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (first,) = self._session.get_inputs()
        self._input, self._is_float = first.name, first.type == "tensor(float)"
        self.name = path.stem
        self.takes_windows = self._input == "input:0"
        self.runner: Callable[[NDArray[Any]], NDArray[Any]] = self._onnxruntime
        """What runs the file; another runtime can be put in its place."""
        probe = np.zeros((WINDOW if self.takes_windows else 1, _PROBE, _PROBE, 3), np.uint8)
        self.scale = self(probe).shape[1] // _PROBE

    def __call__(self, frames: Picture) -> Picture:
        """Upscales.

        Args:
            frames: uint8 (N, H, W, 3), RGB: single pictures, or the seven frames of one window.

        Returns:
            uint8 (N, scale * H, scale * W, 3); for a window its frames 2, 3 and 4, counted from 0.

        Raises:
            ValueError: a window has not seven frames.
        """
        if not self.takes_windows:
            return self._run(frames.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        if len(frames) != WINDOW:
            raise ValueError(f"{self.name} takes windows of {WINDOW} frames, not {len(frames)}")
        joined = self._run(np.concatenate(list(frames), axis=2)[None])[0]
        return np.stack(np.split(joined, joined.shape[2] // 3, axis=2))

    def _run(self, tensor: Picture) -> Picture:
        fed: NDArray[Any] = np.ascontiguousarray(tensor)
        if self._is_float:
            fed = fed.astype(np.float32) / 255
        output = self.runner(fed)
        return to_uint8(output * 255) if self._is_float else output

    def _onnxruntime(self, tensor: NDArray[Any]) -> NDArray[Any]:
        output: NDArray[Any] = self._session.run(None, {self._input: tensor})[0]
        return output


def interpolated(frames: Picture, scale: int, filter_: Image.Resampling) -> Picture:
    """Upscales uint8 (N, H, W, 3) with one of Pillow's filters."""
    size = scale * frames.shape[2], scale * frames.shape[1]
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, filter_)) for frame in frames])


class Interpolation:
    """An interpolation that can be scored beside networks.

    Args:
        name: "bicubic" or "lanczos".
        scale: by which it enlarges.
    """

    takes_windows = False

    def __init__(self, name: str, scale: int) -> None:
        self.name, self.scale = name, scale

    def __call__(self, frames: Picture) -> Picture:
        """Upscales uint8 (N, H, W, 3)."""
        return interpolated(frames, self.scale, Image.Resampling[self.name.upper()])


AnyUpscaler = Upscaler | Interpolation
