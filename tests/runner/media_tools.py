"""Write and read clips of every kind, and record the frames that reach a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import spec_class
from bmfgraph.plan.plan import Inferred, InputType, Plan, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, PortType
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.run import run_plan
from bmfgraph.stages.base import Stage

Pixels = NDArray[np.uint8]

# Codes of the matrices in H.273 and in swscale.
MATRIX = {"bt601": 6, "bt709": 1, "bt2020": 9}
SWSCALE = {"bt601": 5, "bt709": 1, "bt2020": 9}
LIMITED, FULL = 1, 2
BICUBIC, FULL_CHROMA, ACCURATE = 4, 0x2000, 0x40000


# --------------------------------------------------------------------------------------------------- pipelines


@dataclass(frozen=True)
class RecordWork:
    """The key in SEEN under which the frames are kept."""

    key: str


class RecordSpec(NodeSpec):
    """Records the pixels and the time of every frame in :data:`SEEN`."""

    kind: Literal["record"] = "record"
    key: str = "seen"
    stage: ClassVar[str] = "tests.runner.media_tools:Record"

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((), RecordWork(self.key))


@dataclass(frozen=True)
class Seen:
    """One frame that reached a stage; ``time`` in seconds."""

    index: int
    time: Fraction
    pixels: Pixels


SEEN: dict[str, list[Seen]] = {}


class Record(Stage):
    """Keeps copies of the frames."""

    params: RecordWork

    def open(self) -> None:
        SEEN[self.params.key] = []

    def process(self, *items: Any) -> Iterable[Any]:
        frame = items[0]
        SEEN[self.params.key].append(Seen(frame.index, frame.time, frame.pixels().numpy().copy()))
        return ()


def compiled(nodes: Mapping[str, Mapping[str, Any] | NodeSpec]) -> Plan:
    """Compile a pipeline of nodes, as mappings like those of YAML or as specs."""
    specs = {
        name: node if isinstance(node, NodeSpec) else spec_class(node["kind"]).model_validate(dict(node))
        for name, node in nodes.items()
    }
    return compile_pipeline(PipelineSpec(name="test", nodes=specs))


def run(nodes: Mapping[str, Mapping[str, Any] | NodeSpec]) -> RunResult:
    """Compile a pipeline and run it."""
    return run_plan(compiled(nodes), overwrite=True)


def decoder(path: Path, **options: Any) -> dict[str, Any]:
    """Return a decoder node."""
    return {"kind": "decoder", "path": str(path), **options}


def encoder(path: Path, *inputs: str, **options: Any) -> dict[str, Any]:
    """Return an encoder node, with a fast preset by default."""
    fast = {} if options.get("codec", "x264") not in ("x264", "x265") else {"preset": "ultrafast"}
    return {"kind": "encoder", "inputs": list(inputs), "path": str(path), **fast, **options}


def through_rgb(before: str) -> dict[str, dict[str, Any]]:
    """Return nodes that convert frames to tensors and back, without a model; the last node is ``back``."""
    return {
        "tensor": {"kind": "preprocess", "inputs": [before], "dtype": "uint8", "layout": "NHWC"},
        "back": {"kind": "frames", "inputs": ["tensor"]},
    }


def transcode(
    source: Path,
    target: Path,
    *,
    rgb: bool = True,
    start: Any = None,
    end: Any = None,
    backend: str = "pyav",
    **out: Any,
) -> Path:
    """Decode, convert to RGB and back if ``rgb``, and encode with the audio.

    Args:
        source: The clip to read.
        target: The clip to write.
        rgb: Whether the frames become tensors and frames again.
        start: First second that is read.
        end: Second before which reading ends.
        backend: The back end of decoder and encoder, or both: ``pyav+bmf``.
        **out: Options of the encoder.
    """
    reads, _, writes = backend.partition("+")
    middle = through_rgb("source.video") if rgb else {}
    last = "back" if rgb else "source.video"
    run(
        {
            "source": decoder(source, start=start, end=end, backend=reads),
            **middle,
            "sink": encoder(target, last, "source.audio", backend=writes or reads, **out),
        }
    )
    return target


def recorded(source: Path, **options: Any) -> list[Seen]:
    """Return the frames of a clip that reach a stage."""
    run({"source": decoder(source, **options), "record": RecordSpec(inputs=("source.video",))})
    return SEEN.pop("seen")


# ------------------------------------------------------------------------------------------------------- clips


def scene(index: int, width: int, height: int) -> Pixels:
    """Draw a moving RGB image with saturated edges, gradients and some noise."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    out = np.stack([x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x + y + 9 * index) % 256], axis=-1)
    bars = (x + 5 * index) // 8 % 4
    stripe = y % 24 < 10
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
    out = np.where(stripe[..., None], colours[bars], out)
    noise = np.random.default_rng(index).integers(-12, 13, out.shape)
    return (out + noise).clip(0, 255).astype(np.uint8)


def soft_scene(index: int, width: int, height: int) -> Pixels:
    """Draw an RGB image without edges, which half-resolution chroma preserves."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    phase = index / 10
    waves = [np.sin(2 * np.pi * (x + phase)), np.cos(2 * np.pi * (y - phase)), np.sin(2 * np.pi * (x + y))]
    return (np.stack([128 + 100 * wave for wave in waves], axis=-1)).round().astype(np.uint8)


def as_yuv(pixels: Pixels, pix_fmt: str, matrix: str, full: bool) -> av.VideoFrame:
    """Convert RGB to another pixel format by PyAV's swscale."""
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    if pix_fmt.startswith(("rgb", "gbr", "bgr")):
        return frame.reformat(format=pix_fmt)
    result = frame.reformat(
        format=pix_fmt,
        dst_colorspace=SWSCALE[matrix],
        dst_color_range=FULL if full else LIMITED,
        interpolation=BICUBIC | FULL_CHROMA | ACCURATE,
    )
    return result


def as_rgb(frame: av.VideoFrame, matrix: str, full: bool) -> Pixels:
    """Convert a decoded frame to RGB by PyAV's swscale, with its most accurate settings."""
    name = frame.format.name
    if name.startswith(("rgb", "gbr", "bgr")):
        return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    if name == "gray":
        # Swscale takes grey of 8 bits for full range, whatever its tag says.
        luma = plane(frame, 0)
        neutral = np.full_like(luma, 128)
        return ideal_rgb(luma, neutral, neutral, matrix, full).round().astype(np.uint8)
    rgb = VideoReformatter().reformat(
        frame,
        format="rgb24",
        src_colorspace=SWSCALE[matrix],
        src_color_range=FULL if full else LIMITED,
        dst_color_range=FULL,
        interpolation=BICUBIC | FULL_CHROMA | ACCURATE,
    )
    return rgb.to_ndarray().astype(np.uint8, copy=False)


def ideal_rgb(y: Pixels, u: Pixels, v: Pixels, matrix: str, full: bool) -> NDArray[np.float64]:
    """Convert planes of equal size to RGB in 0..255, clipped, by the formulas of ITU-R BT.601, BT.709 and BT.2020."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]
    luma = y.astype(float) if full else (y.astype(float) - 16) * 255 / 219
    scale = 1.0 if full else 255 / 224
    cb, cr = (u.astype(float) - 128) * scale, (v.astype(float) - 128) * scale
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=-1).clip(0, 255)


@dataclass(frozen=True)
class Sound:
    """An audio track: start and duration in seconds, codec, channels."""

    codec: str = "aac"
    seconds: float = 1.0
    begin: float = 0.0
    layout: str = "stereo"
    rate: int = 48_000


def write(
    path: Path,
    pictures: Sequence[Pixels | av.VideoFrame],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    matrix: str = "bt601",
    full: bool = False,
    tagged: bool = False,
    rate: Fraction | int = 25,
    times: Sequence[Fraction] | None = None,
    time_base: Fraction | None = None,
    begin: Fraction | int = 0,
    sound: Sound | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip. ``times`` in seconds (else even at ``rate``, from ``begin`` on), rounded to ``time_base``."""
    first = pictures[0]
    height, width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
    base = time_base or 1 / Fraction(rate)
    settings = {"libx264": {"preset": "ultrafast", "crf": "20"}}.get(codec, {})
    with av.open(str(path), "w", options=dict(container or {})) as out:
        stream: Any = out.add_stream(codec, rate=Fraction(rate), options={**settings, **(options or {})})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        context = stream.codec_context
        context.time_base = base
        stream.time_base = base
        if tagged:
            context.colorspace = MATRIX[matrix]
            context.color_range = FULL if full else LIMITED
            context.color_primaries = MATRIX[matrix]
            context.color_trc = 6 if matrix == "bt601" else 1
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        track = _track(out, sound) if sound else None
        packets: list[Any] = []
        for index, picture in enumerate(pictures):
            frame = picture if isinstance(picture, av.VideoFrame) else as_yuv(picture, pix_fmt, matrix, full)
            time = times[index] if times is not None else begin + index / Fraction(rate)
            frame.pts, frame.time_base = round(time / base), base
            if tagged:
                frame.colorspace, frame.color_range = MATRIX[matrix], FULL if full else LIMITED
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if track and sound:
            packets += _tone(track, sound)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            out.mux(packet)
    return path


def _track(out: Any, sound: Sound) -> Any:
    return out.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)


def _tone(stream: Any, sound: Sound) -> list[Any]:
    packets: list[Any] = []
    channels = stream.codec_context.channels
    total, block = round(sound.seconds * sound.rate), 1024
    for begin in range(0, total, block):
        at = np.arange(begin, min(begin + block, total))
        waves = [np.sin(at * 2 * np.pi * (330 + 110 * channel) / sound.rate) for channel in range(channels)]
        data = (np.stack(waves) * 0.2).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=sound.layout)
        frame.sample_rate, frame.time_base = sound.rate, Fraction(1, sound.rate)
        frame.pts = begin + round(sound.begin * sound.rate)
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


# ----------------------------------------------------------------------------------------------------- reading


def frames_of(path: Path) -> list[av.VideoFrame]:
    """Decode all frames of the first video stream by PyAV."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def _origin(container: Any) -> Fraction:
    return Fraction(container.start_time or 0, 1_000_000)


def video_times(path: Path) -> list[Fraction]:
    """Return the presentation time of each frame, in seconds from the file's start."""
    with av.open(str(path)) as container:
        origin = _origin(container)
        return [frame.pts * Fraction(frame.time_base) - origin for frame in container.decode(video=0)]  # type: ignore[operator,arg-type]


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Return time, in seconds from the file's start, and bytes of each packet of the first audio stream."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        origin = _origin(container)
        return [
            (packet.pts * Fraction(packet.time_base) - origin, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.pts is not None and packet.size
        ]


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the PSNR of two 8-bit images in dB."""
    error = float(np.mean((one.astype(float) - other.astype(float)) ** 2))
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def plane(frame: av.VideoFrame, number: int) -> Pixels:
    """Return one 8-bit plane."""
    part = frame.planes[number]
    rows: Pixels = np.frombuffer(memoryview(part), np.uint8).reshape(-1, part.line_size)[: part.height, : part.width]
    return rows
