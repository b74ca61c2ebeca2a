"""Runs the exported ONNX files on the CPU for the evaluation, and interpolates bicubically for comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from .resample import Picture

_WARNINGS_OFF = 3


class Upscaler:
    """One ONNX file, 8 bits in and out.

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
        self._input = self._session.get_inputs()[0].name
        self.name = path.stem
        self.takes_windows = self._input == "input:0"

    def __call__(self, frames: Picture) -> Picture:
        """Upscales by two.

        Args:
            frames: uint8 (N, H, W, 3), RGB: single pictures, or the seven frames of one window.

        Returns:
            uint8 (N, 2H, 2W, 3); for a window its frames 2, 3 and 4, counted from 0.

        Raises:
            ValueError: a window has not seven frames.
        """
        if not self.takes_windows:
            return self._run(frames.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        if len(frames) != 7:
            raise ValueError(f"{self.name} takes windows of 7 frames, not {len(frames)}")
        joined = self._run(np.concatenate(list(frames), axis=2)[None])[0]
        return np.stack(np.split(joined, joined.shape[2] // 3, axis=2))

    def _run(self, tensor: Picture) -> Picture:
        output: Picture = self._session.run(None, {self._input: np.ascontiguousarray(tensor)})[0]
        return output


def bicubic(frames: Picture) -> Picture:
    """Upscales uint8 (N, H, W, 3) by two with Pillow's bicubic interpolation."""
    size = 2 * frames.shape[2], 2 * frames.shape[1]
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames])
