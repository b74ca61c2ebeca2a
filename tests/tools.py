"""What several tests build: clips, tiny ONNX models, plan nodes."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import onnx
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import TypeAdapter

from bmfgraph.engines.spec import EngineSpec
from bmfgraph.nodes.decode import AnyDecode, read_preset
from bmfgraph.nodes.model import OutputMeaning
from bmfgraph.nodes.registry import spec_class
from bmfgraph.plan.plan import PlanNode, Ref, Requirement
from bmfgraph.plan.types import BundleSpec, ColorSpec, Dim, FrameSpec, Placement, TensorMeaning, TensorSpec
from bmfgraph.stages.base import Stage

StageKind = TypeVar("StageKind", bound=Stage)

Pixels = NDArray[np.uint8]

CODECS = {".webm": "libvpx-vp9", ".avi": "mpeg4"}
SAMPLE_RATE = 48_000


def picture(index: int, width: int, height: int) -> Pixels:
    """RGB test picture number ``index``: slow gradients and a bright square that moves right."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    out = np.stack([x * 200 // width, y * 200 // height, (x + y + 8 * index) % 200], axis=-1).astype(np.uint8)
    left = (4 * index) % max(1, width - 8)
    out[height // 3 : height // 3 + 8, left : left + 8] = (250, 240, 60)
    return out


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 8,
    rate: int | Fraction = 25,
    pix_fmt: str = "yuv420p",
    codec: str | None = None,
    audio: str | None = None,
    times: Sequence[float] | None = None,
    rotation: int = 0,
    color: tuple[int, int] | None = None,
    options: Mapping[str, str] | None = None,
    draw: Callable[[int, int, int], Pixels] = picture,
) -> Path:
    """Write a clip. ``times``: seconds of each frame; ``color``: H.273 matrix and range; ``audio``: a codec."""
    codec = codec or CODECS.get(path.suffix, "libx264")
    defaults = {"preset": "ultrafast", "crf": "12"} if codec == "libx264" else {}
    width, height = size
    count = len(times) if times is not None else frames
    container_options = {"video_track_timescale": "1000"} if times is not None and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=Fraction(rate), options={**defaults, **(options or {})})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        context = stream.codec_context
        if times is not None:
            context.time_base = Fraction(1, 1000)
        if codec == "mpeg4":
            context.bit_rate = 2_000_000
        if color:
            context.colorspace, context.color_range = color
        sound = container.add_stream(audio, rate=SAMPLE_RATE, layout="mono") if audio else None
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(draw(index, width, height), format="rgb24")
            base = Fraction(1, 1000) if times is not None else 1 / Fraction(rate)
            frame.time_base = base
            frame.pts = round(times[index] / base) if times is not None else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            assert isinstance(sound, AudioStream)
            container.mux(_tone(sound, count / float(rate)))
    if rotation:
        _rotate(path, rotation)
    return path


def _tone(stream: AudioStream, seconds: float) -> list[Any]:
    packets = []
    total, block = int(seconds * SAMPLE_RATE), 1024
    for begin in range(0, total, block):
        wave = np.sin(np.arange(begin, min(begin + block, total)) * 2 * np.pi * 440 / SAMPLE_RATE)
        frame = av.AudioFrame.from_ndarray((wave * 8000).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, begin, Fraction(1, SAMPLE_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _rotate(path: Path, degrees: int) -> None:
    """Write a rotation into the display matrix of an MP4's first track, as phones do."""
    corner = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in corner)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def cut(path: Path, target: Path, share: float) -> Path:
    """The first part of a file."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def holed(path: Path, target: Path, begin: float = 0.4, end: float = 0.6) -> Path:
    """Write a copy of a file with zeros between two shares of its length."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * begin), int(len(data) * end)
    data[first:last] = bytes(last - first)
    target.write_bytes(data)
    return target


# ------------------------------------------------------------------------------------------------ ONNX models

Shape = Sequence[int | str | None]
_TYPES = {
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "string": TensorProto.STRING,
}


def tensor_info(name: str, dtype: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _TYPES[dtype], list(shape))


def save_model(
    path: Path,
    nodes: Iterable[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    weights_as_inputs: bool = False,
) -> Path:
    """Check and write an ONNX model."""
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    listed = [
        helper.make_tensor_value_info(one.name, one.data_type, list(one.dims))
        for one in (initializers if weights_as_inputs else [])
    ]
    graph = helper.make_graph(list(nodes), "tiny", [*inputs, *listed], list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def double_model(path: Path, *, channels: int = 3) -> Path:
    """``input`` uint8 [N, 3, H, W] to ``output`` of twice the size, each pixel four times."""
    return save_model(
        path,
        [
            helper.make_node(
                "Resize",
                ["input", "", "scales"],
                ["output"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        [tensor_info("input", "uint8", ["N", channels, "H", "W"])],
        [tensor_info("output", "uint8", ["N", channels, "H2", "W2"])],
        {"scales": np.array([1, 1, 2, 2], np.float32)},
    )


def negate_model(path: Path, *, shape: Shape = ("N", 3, "H", "W"), weights_as_inputs: bool = False) -> Path:
    """``input`` float32 to ``output`` = 255 - input."""
    return save_model(
        path,
        [helper.make_node("Sub", ["white", "input"], ["output"])],
        [tensor_info("input", "float32", shape)],
        [tensor_info("output", "float32", shape)],
        {"white": np.array(255, np.float32)},
        weights_as_inputs=weights_as_inputs,
    )


def middle_model(path: Path) -> Path:
    """``input:0`` uint8 [1, H, W, 21], 7 pictures, to ``output:0`` [1, H, W, 9], those at 2, 3 and 4."""
    return save_model(
        path,
        [helper.make_node("Slice", ["input:0", "begin", "end", "axes"], ["output:0"])],
        [tensor_info("input:0", "uint8", [1, "H", "W", 21])],
        [tensor_info("output:0", "uint8", [1, "H", "W", 9])],
        {"begin": np.array([6], np.int64), "end": np.array([15], np.int64), "axes": np.array([3], np.int64)},
    )


def detector_model(path: Path, *, size: tuple[int, int] = (48, 64), classes: int = 2) -> Path:
    """``input`` float32 [1, 3, h, w] to ``scores`` [1, 3, classes] and ``boxes`` [1, 3, 4], always the same."""
    scores = np.zeros((1, 3, classes), np.float32)
    scores[0, :, 1] = (0.9, 0.8, 0.1)
    boxes = np.array([[[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.5, 0.5], [0, 0, 1, 1]]], np.float32)
    return save_model(
        path,
        [
            helper.make_node("ReduceMin", ["input"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "nothing"], ["zero"]),
            helper.make_node("Add", ["some_scores", "zero"], ["scores"]),
            helper.make_node("Add", ["some_boxes", "zero"], ["boxes"]),
        ],
        [tensor_info("input", "float32", [1, 3, *size])],
        [tensor_info("scores", "float32", scores.shape), tensor_info("boxes", "float32", boxes.shape)],
        {"some_scores": scores, "some_boxes": boxes, "nothing": np.array(0, np.float32)},
    )


def mix_model(path: Path) -> Path:
    """``a`` and ``b`` float32 [N, 3, H, W] to ``output`` = 3/4 a + 1/4 b."""
    shape: Shape = ["N", 3, "H", "W"]
    return save_model(
        path,
        [
            helper.make_node("Mul", ["a", "most"], ["main"]),
            helper.make_node("Mul", ["b", "rest"], ["other"]),
            helper.make_node("Add", ["main", "other"], ["output"]),
        ],
        [tensor_info(name, "float32", shape) for name in ("a", "b")],
        [tensor_info("output", "float32", shape)],
        {"most": np.array(0.75, np.float32), "rest": np.array(0.25, np.float32)},
    )


def quantised_model(path: Path) -> Path:
    """``input`` float32 [N, 3, H, W] to ``output``, itself in steps of 2."""
    shape: Shape = ["N", 3, "H", "W"]
    return save_model(
        path,
        [
            helper.make_node("QuantizeLinear", ["input", "step", "zero"], ["small"]),
            helper.make_node("DequantizeLinear", ["small", "step", "zero"], ["output"]),
        ],
        [tensor_info("input", "float32", shape)],
        [tensor_info("output", "float32", shape)],
        {"step": np.array(2, np.float32), "zero": np.array(0, np.int8)},
    )


def identity_model(
    path: Path,
    dtype: str,
    shapes: Mapping[str, Shape],
    outputs: Mapping[str, Shape] | None = None,
) -> Path:
    """Every input handed on as ``<name>_out``, or under the names given with their declared shapes."""
    named = outputs or {f"{name}_out": shape for name, shape in shapes.items()}
    return save_model(
        path,
        [helper.make_node("Identity", [one], [other]) for one, other in zip(shapes, named, strict=True)],
        [tensor_info(name, dtype, shape) for name, shape in shapes.items()],
        [tensor_info(name, dtype, shape) for name, shape in named.items()],
    )


def shaped_model(
    path: Path,
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Sequence[int]],
    metadata: Mapping[str, str] | None = None,
    dtype: str = "float32",
) -> Path:
    """Inputs of these shapes, and outputs of these sizes full of zeros, as a network's file declares them."""
    sizes = {f"{name}_size": np.array(shape, np.int64) for name, shape in outputs.items()}
    zero = numpy_helper.from_array(np.zeros(1, dtype), "zero")
    nodes = [helper.make_node("ConstantOfShape", [f"{name}_size"], [name], value=zero) for name in outputs]
    save_model(
        path,
        nodes,
        [tensor_info(name, dtype, shape) for name, shape in inputs.items()],
        [tensor_info(name, dtype, tuple(shape)) for name, shape in outputs.items()],
        sizes,
    )
    model = onnx.load(str(path))
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path


# ------------------------------------------------------------------------------------------------- plan nodes


def frames(width: int = 64, height: int = 48, pixel_format: str = "yuv420p", **other: Any) -> FrameSpec:
    """Frames on an edge."""
    settings: dict[str, Any] = {
        "color": ColorSpec("bt601", False),
        "rate": Fraction(25),
        "time_base": Fraction(1, 12800),
    }
    return FrameSpec(width, height, pixel_format, **(settings | other))


def placement(width: int, height: int, /, **other: Any) -> Placement:
    """A source of that size that fills its tensor, unless told otherwise."""
    whole = Placement(width, height, width, height, 1.0, 1.0, 0.0, 0.0)
    return replace(whole, **other)


def tensor(
    width: int = 64,
    height: int = 48,
    *,
    layout: str = "NCHW",
    channels: int = 3,
    dtype: str = "uint8",
    name: str = "input",
    meaning: TensorMeaning | None = None,
    **other: Any,
) -> TensorSpec:
    """A picture tensor on an edge, made from frames of its own size."""
    sizes = {"batch": 1, "channels": channels, "height": height, "width": width}
    order = ("batch", "channels", "height", "width") if layout == "NCHW" else ("batch", "height", "width", "channels")
    settings: dict[str, Any] = {
        "meaning": meaning or TensorMeaning(layout=layout),  # type: ignore[arg-type]
        "placement": placement(width, height),
        "source": frames(width, height),
    }
    return TensorSpec(name, tuple(Dim(one, sizes[one]) for one in order), dtype, **(settings | other))


def model_output(
    shape: Shape, place: Placement, decode: Mapping[str, Any], *, dtype: str = "float32", **meaning: Any
) -> BundleSpec:
    """The output ``out`` of a model on an edge, with what its config says; the keys of a preset are the defaults."""
    settings: Any = TypeAdapter(AnyDecode).validate_python(dict(decode))
    presets = read_preset(settings.preset)["outputs"] if settings.preset else [{}]
    dims = tuple(Dim(f"dim{at}", size if isinstance(size, int) else None) for at, size in enumerate(shape))
    source = frames(place.source_width, place.source_height)
    out = TensorSpec("out", dims, dtype, placement=place, source=source)
    meaning = presets[0] | meaning
    layouts = (("out", OutputMeaning.model_validate(meaning)),) if meaning else ()
    return BundleSpec((out,), settings, layouts)


def want(
    width: int | None = None,
    height: int | None = None,
    *,
    dtype: str = "uint8",
    multiple: int = 1,
    meaning: TensorMeaning | None = None,
    **other: Any,
) -> Requirement:
    """What a model further down asks for; None where it is free."""
    meaning = meaning or TensorMeaning()
    dims = (Dim("batch", None), Dim("channels", meaning.count), Dim("height", height), Dim("width", width))
    return Requirement("net", TensorSpec("input", dims, dtype, meaning), meaning, multiple, **other)


def node(kind: str, *inputs: str, name: str = "n", facts: Any = None, **options: Any) -> PlanNode:
    """A plan node as ``lower`` makes it, with its spec checked."""
    spec = spec_class(kind).model_validate({"kind": kind, "inputs": list(inputs), **options})
    return PlanNode(name, spec, tuple(Ref.parse(one) for one in inputs), metadata=facts)


def engine_request(path: Path, **other: Any) -> EngineSpec:
    """A request to run a model as it is, by ONNX Runtime on one thread of the CPU, unless told otherwise."""
    settings: dict[str, Any] = {
        "runtime": "onnxruntime",
        "device": "cpu",
        "path": str(path),
        "onnx": str(path),
        "sha256": "",
        "precision": "fp32",
        "batch": 1,
        "threads": 1,
        "input_shapes": (),
        "output_shapes": (),
        "tensors": (),
        "dim_overrides": (),
    }
    return EngineSpec(**(settings | other))


def opened(stage: StageKind) -> StageKind:
    """The stage, opened."""
    stage.open()
    return stage


@contextlib.contextmanager
def file_system(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, such as 64k, mounted on a new folder; where that cannot be the test is skipped."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
