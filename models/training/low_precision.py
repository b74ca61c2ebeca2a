"""Makes int8 versions of the ONNX files, and measures what lower precisions cost on video.

    python -m bmfgraph.models.training.low_precision int8 --model A.onnx --clips train.mp4 --out A_int8.onnx
    python -m bmfgraph.models.training.low_precision check --models A.onnx A_int8.onnx --clips test.mp4 --stills DIR

``check`` runs each file as it is in ONNX Runtime, wholly in fp16 there, and in bf16 in OpenVINO, which computes in it
only on CPUs that can.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from bmfgraph.engines.onnx.int8 import quantize
from bmfgraph.engines.onnx.precision import prepare_network

from .resample import Picture
from .scoring import INPUTS, ScoredWindow, read_passages, scored_window, still_scores, window_scores
from .upscaler import Upscaler

_OPSET = 13
# The first layers see the picture and the last ones make it: their rounding would be seen, and they are cheap.
_KEPT = ("skip", "convs.0", "head", "tail")
_FACTORS = (0.8, 0.65, 0.5, 0.4, 0.3)  # of the range that calibration saw
_TUNED_SIDE = 96  # px of the frames that scales are tuned on
_HOPELESS = 1.02  # growth of the error at which smaller scales are not tried any more
_WARNINGS_OFF = 3
_SETS = ("Set5", "Set14", "BSD100")

_log = logging.getLogger(__name__)


def calibration_frames(clips: Sequence[Path], windows: int = 2) -> list[Picture]:
    """Small frames of clips, uint8 (1, 3, H, W), made in each way that the evaluation knows.

    Args:
        clips: not those of the evaluation.
        windows: of each clip.
    """
    passages = [passage for clip in clips for passage in read_passages(clip, windows)]
    kinds = list(INPUTS)
    lows = [scored_window(passage, kinds[i % len(kinds)]).low[2] for i, passage in enumerate(passages)]
    return [np.ascontiguousarray(low.transpose(2, 0, 1)[None]) for low in lows]


def int8_version(path: Path, frames: Sequence[Picture]) -> onnx.ModelProto:
    """Quantises a network for single pictures to int8, with QuantizeLinear and DequantizeLinear nodes.

    Layers at either end stay in floating point.  The scales of the activations start at the range that calibration
    saw, and each in turn is made smaller as long as the output comes closer to the original's: rare large values
    are clipped for finer steps.

    Args:
        path: the ONNX file.
        frames: uint8 (1, 3, H, W).

    Raises:
        OnnxError: there are no frames, or the file cannot be quantised.
    """
    original = onnx.load(path)
    (name,) = (value.name for value in original.graph.input)
    kept = [node.name for node in original.graph.node if node.name in _KEPT]
    samples = ({name: frame} for frame in frames)
    quantized: onnx.ModelProto = quantize(onnx.load(path), samples, opset=_OPSET, kept=kept)
    quantized.graph.name, quantized.producer_name = original.graph.name + "_int8", original.producer_name
    _tune(quantized, original, [frame[:, :, :_TUNED_SIDE, :_TUNED_SIDE] for frame in frames])
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


def _tune(quantized: onnx.ModelProto, original: onnx.ModelProto, frames: Sequence[Picture]) -> None:
    wanted = _outputs(original, frames)
    tensors = {tensor.name: tensor for tensor in quantized.graph.initializer}
    quantizers = [node for node in quantized.graph.node if node.op_type == "QuantizeLinear"]
    scales = dict.fromkeys(node.input[1] for node in quantizers if node.input[0] not in tensors)

    def error() -> float:
        outputs = _outputs(quantized, frames)
        return float(np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(outputs, wanted, strict=True)]))

    least = first = error()
    for name in scales:
        base = best = numpy_helper.to_array(tensors[name]).copy()
        for factor in _FACTORS:
            tried = (base * factor).astype(base.dtype)
            tensors[name].CopyFrom(numpy_helper.from_array(tried, name))
            found = error()
            if found < least:
                least, best = found, tried
            elif found > least * _HOPELESS:
                break
        tensors[name].CopyFrom(numpy_helper.from_array(best, name))
    _log.info("%s: mean square error %.4f, %.4f after tuning", quantized.graph.name, first, least)


def _outputs(model: onnx.ModelProto, frames: Sequence[Picture]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _WARNINGS_OFF
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, {session.get_inputs()[0].name: frame})[0] for frame in frames]


def bf16_runner(path: Path) -> Callable[[Picture], Picture]:
    """A function that runs a file in OpenVINO in bf16, on tensors in the layout of the file."""
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    return lambda tensor: np.array(compiled(tensor)[0])


def _int8(options: argparse.Namespace) -> None:
    onnx.save(int8_version(options.model, calibration_frames(options.clips)), options.out)


def _check(options: argparse.Namespace) -> None:
    passages = [passage for clip in options.clips for passage in read_passages(clip, 1)]
    stills = [name for name in _SETS if options.stills and (options.stills / name).exists()]

    @cache
    def windows_by_kind(scale: int) -> list[list[ScoredWindow]]:
        return [[scored_window(passage, kind, scale) for passage in passages] for kind in INPUTS]

    sys.stdout.write("\t".join(["Y-PSNR, dB", *stills, *INPUTS]) + "\n")
    for path in options.models:
        for label, model in _variants(path, options.out):
            row = [label]
            if not model.takes_windows:
                row += [f"{still_scores(model, options.stills / name / 'image_SRF_2').psnr:.3f}" for name in stills]
            else:
                row += ["-"] * len(stills)
            row += [f"{window_scores(model, some).psnr:.3f}" for some in windows_by_kind(model.scale)]
            sys.stdout.write("\t".join(row) + "\n")
            sys.stdout.flush()


def _variants(path: Path, folder: Path) -> list[tuple[str, Upscaler]]:
    """The file as it is, wholly in fp16, and in bf16."""
    found = [(path.stem, Upscaler(path))]
    if "_int8" not in path.stem:
        half = folder / f"{path.stem}_fp16.onnx"
        onnx.save(prepare_network(path, {}, "fp16", strongly_typed=True), half)
        found.append((f"{path.stem} fp16", Upscaler(half)))
        brain = Upscaler(path)
        brain.runner = bf16_runner(path)
        found.append((f"{path.stem} bf16", brain))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Make int8 versions, and measure lower precisions.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("int8", help="quantise a file")
    command.add_argument("--model", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=_int8)
    command = commands.add_parser("check", help="score files in their own precision, in fp16 and in bf16")
    command.add_argument("--models", type=Path, nargs="+", required=True)
    command.add_argument("--stills", type=Path, help="folder with Set5, Set14 and BSD100, or some of them")
    command.add_argument("--out", type=Path, default=Path(), help="folder for the fp16 files")
    command.set_defaults(run=_check)
    for command in commands.choices.values():
        command.add_argument("--clips", type=Path, nargs="+", required=True)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.run(options)


if __name__ == "__main__":
    main()
