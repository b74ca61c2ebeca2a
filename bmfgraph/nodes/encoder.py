"""``encoder``: write frames and audio to a file with PyAV's or BMF's encoder, or measure without writing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError, Problem
from bmfgraph.media.hdr import hdr_options
from bmfgraph.media.writing import Writing, joined_options
from bmfgraph.nodes.backend import Backend, check_audio, check_backend, check_even_times
from bmfgraph.nodes.codecs import CODECS, MATRICES, CodecName, bits_per_second, codec_options
from bmfgraph.nodes.containers import (
    CONTAINERS,
    PIPED,
    SEGMENTED,
    STANDARD_OUTPUT,
    UNHELD,
    UNTAGGED,
    VIDEO_IN,
    Container,
    container_of,
    default_codec,
    is_several_files,
    mux_options,
    written_time_base,
)
from bmfgraph.nodes.depth import depth_warnings
from bmfgraph.nodes.encoder_checks import check_codec, check_frames, check_native, written_audio
from bmfgraph.nodes.native_encoder import native_options
from bmfgraph.nodes.path_kind import OutputPath
from bmfgraph.nodes.pixel_formats import NATIVE_FORMATS, PixelFormat, automatic_formats
from bmfgraph.nodes.tracks import CopyingSpec, TrackPlan, native_problems, plan_tracks
from bmfgraph.plan.description import BmfModuleSpec, Files, Inferred, InputType, Needs, Requirement
from bmfgraph.plan.plan import Plan, PlanNode, Ref
from bmfgraph.plan.types import AudioSpec, Device, FrameSpec, PortType
from bmfgraph.system.text import shortened

__all__ = ["DiscardSpec", "EncoderParams", "EncoderSpec"]


@dataclass(frozen=True)
class EncoderParams(Writing):
    """Settings of an encoder."""

    backend: Backend
    audio: str | None
    """What the back end `bmf` does with the audio: ``copy``, ``aac``, or None without any."""
    audio_bit_rate: int | None


class EncoderSpec(CopyingSpec):
    """Writes a file. Inputs: frames, and a source's `audio`: all that belongs to its video."""

    kind: Literal["encoder"] = "encoder"
    path: OutputPath | None = Field(
        default=None,
        min_length=1,
        description="The file, a pattern for numbered pictures such as `frame_%05d.png`, or `-` for standard output; "
        "null with `container: null`. The words `{stem} {name} {pipeline} {model}` may stand in it.",
    )
    codec: CodecName | None = Field(
        default=None,
        description="The video codec; null: the usual one of the container. Not every container can hold each.",
    )
    crf: float | None = Field(default=None, ge=0, le=63, description="Constant quality: x264 0..51, vp9 0..63.")
    bit_rate: int | str | None = Field(default=None, description="Bits per second, such as 4000000 or 4M.")
    passes: Literal[1, 2] = Field(default=1, description="Two passes meet a bit rate better (x264, x265).")
    preset: str | int | None = Field(
        default=None, description="Speed against size: `fast` for x264 and x265, `8` for svtav1, `hq` for prores."
    )
    tune: str | None = Field(default=None, description="Kind of picture, such as `film` or `grain` (x264, x265).")
    pixel_format: PixelFormat | None = Field(
        default=None,
        description="How colours are stored; null: with the source's depth and chroma, as far as the codec has them. "
        "yuv420p plays everywhere.",
    )
    gop: int | None = Field(
        default=None, ge=1, le=100_000, description="Largest number of frames between two key frames."
    )
    faststart: bool = Field(
        default=False, description="Put the index of an mp4 or mov at its start, for players on the web."
    )
    threads: int | None = Field(default=None, ge=1, le=64, description="Encoder threads; null lets FFmpeg choose.")
    container: Container | None = Field(
        default=None,
        description="Null: by the path's extension. `null` in quotes measures: nothing is written.",
    )
    backend: Backend = Field(
        default="pyav", description="The library that encodes: PyAV with its FFmpeg, or BMF's module with FFmpeg 4."
    )
    arity: ClassVar[tuple[int, int]] = (1, 2)
    joiner: ClassVar[str] = "bmfgraph.media.joining:join_video"
    native_fields: ClassVar[frozenset[str]] = frozenset(
        [
            "kind",
            "inputs",
            "path",
            "codec",
            "crf",
            "bit_rate",
            "preset",
            "pixel_format",
            "gop",
            "threads",
            "container",
            "audio",
            "audio_bit_rate",
            "backend",
        ]
    )
    """Options that BMF's own encoder has."""

    @field_validator("bit_rate", "audio_bit_rate")
    @classmethod
    def _bits(cls, value: int | str | None) -> int | None:
        if value is None:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", str(value))
        bits = int(float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]]) if match else 0
        if bits < 1000:
            raise FieldError(f"{value!r} is not a bit rate", "write bits per second, such as 4000000, 4000k or 4M")
        return bits

    @field_validator("container", mode="before")
    @classmethod
    def _no_extension(cls, value: object) -> object:
        container = CONTAINERS.get(f".{value}")
        if container not in (None, value):
            raise FieldError(f"{value!r} is an extension", f"set it to {container}, or leave it out")
        return value

    def ports(self) -> tuple[str, ...]:
        return ()

    def compiled(self) -> EncoderSpec:
        return DiscardSpec(**self.model_dump()) if self.container == "null" else self

    def check_options(self, name: str) -> None:
        container = self._container(name)
        codec = self._codec(container)
        if self.backend == "bmf":
            check_backend(name, self, self.native_fields)
            check_native(name, codec, container, self.audio)
        check_codec(name, self, codec, container)

    def accepts(self, index: int) -> InputType:
        if index:
            return InputType(AudioSpec, compressed=self.audio == "copy", backend=self.backend)
        container = self.container or container_of(self.path or "") or "null"
        codec = self._codec(container)
        untagged: bool | Literal["bt601"] = codec in UNTAGGED.get(container, ())
        if codec in ("mjpeg", "webp"):
            # Readers of JPEG and WebP assume it, whatever the size.
            untagged = "bt601"
        choices = (self.pixel_format,) if self.pixel_format else automatic_formats(CODECS[codec].encoder, container)
        if codec == "prores" and self.preset and not self.pixel_format:
            choices = tuple(name for name in choices if ("444" in name) == str(self.preset).startswith("444"))
        if self.backend == "bmf":
            choices = tuple(name for name in choices if name in NATIVE_FORMATS)
        return InputType(FrameSpec, choices=choices, default_color=untagged)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, source_audio = inputs[0], inputs[1] if len(inputs) > 1 else None
        assert isinstance(frames, FrameSpec)
        container = self._container(node.name)
        name = self._codec(container)
        codec, path = CODECS[name], self.path or ""
        frames = replace(frames, pixel_format=self.accepts(0).format_of(frames) or frames.pixel_format)
        check_frames(node.name, frames, name, container)
        audio, tracks = None, TrackPlan()
        if self.backend == "bmf":
            check_even_times(node.name, frames, container)
            audio = written_audio(node.name, source_audio, self.audio, container)
            if audio and isinstance(source_audio, AudioSpec):
                check_audio(node.name, source_audio)
        elif isinstance(source_audio, AudioSpec):
            tracks = plan_tracks(node.name, self, source_audio, container)
        crf = self.crf
        if crf is None and self.bit_rate is None:
            crf = codec.default_quality
        assert not isinstance(self.audio_bit_rate, str)
        bit_rate = self.bit_rate if self.bit_rate or name != "mpeg4" else frames.width * frames.height * 8
        assert not isinstance(bit_rate, str)
        rgb = frames.pixel_format.startswith(("rgb", "bgr", "gbr"))
        preset = None if self.preset is None else str(self.preset)
        # A segment begins with a key frame.
        gop = self.gop or (max(1, round(2 * frames.rate)) if container in SEGMENTED else None)
        options = codec_options(codec, container, crf=crf, preset=preset, tune=self.tune, gop=gop, bit_rate=bit_rate)
        metadata = hdr_options(codec.encoder, frames.hdr) if frames.hdr and self.backend == "pyav" else None
        params = EncoderParams(
            path=None if container == "null" else self.path,
            container=container,
            # A picture file of WebP holds one picture, and the container an animation.
            codec="libwebp" if name == "webp" and container == "image2" else codec.encoder,
            pixel_format=frames.pixel_format,
            options=joined_options(options, metadata),
            mux_options=mux_options(name, container, path, faststart=self.faststart),
            passes=self.passes,
            holds_last=container not in UNHELD,
            backend=self.backend,
            bit_rate=bit_rate,
            threads=self.threads,
            width=frames.width,
            height=frames.height,
            rate=frames.rate,
            aspect=frames.aspect,
            matrix=0 if rgb else MATRICES[frames.color.matrix],
            full_range=rgb or frames.color.full_range,
            primaries=frames.color.primaries,
            transfer=frames.color.transfer,
            time_base=written_time_base(frames.time_grid, frames.rate, container, name),
            audio=audio,
            audio_bit_rate=self.audio_bit_rate,
            tracks=tracks.writings,
            chapters=tracks.chapters,
            metadata=tracks.metadata,
        )
        # BMF's encoder would encode any audio that arrives, so an unused input is disconnected.
        return Inferred((), params, unused=() if audio or tracks or source_audio is None else (1,))

    def faults(self, node: PlanNode, plan: Plan) -> Iterable[PlanError]:
        params: EncoderParams = node.params
        count = max((info.frames for _, info in plan.sources() if info.exact), default=0)
        if params.container == "image2" and not node.files.several and count > 1:
            path = Path(str(params.path))
            yield PlanError(
                node.name,
                f"path {str(path)!r} is one picture, but the clip has {count} frames",
                hint=f"write a sequence, such as {path.stem}_%05d{path.suffix}, or read one frame with decoder.end",
                code=codes.INVALID_SEQUENCE_NAME,
            )

    def files(self, params: EncoderParams) -> Files:
        if params.path in (None, STANDARD_OUTPUT):
            return Files()
        several = is_several_files(params.container, str(params.path))
        return Files(writes=params.path, video=not several, several=several)

    def needs(self, params: EncoderParams) -> Needs:
        others = tuple(codec.encoder for name, codec in CODECS.items() if name in VIDEO_IN[params.container])
        return Needs(encoder=params.codec, other_encoders=others, backend=params.backend)

    def warnings(self, node: PlanNode, plan: Plan) -> Iterable[Problem]:
        depth = depth_warnings(node, plan, chosen=self.pixel_format is not None) if node.params.path else ()
        return (*depth, *self._track_warnings(node, plan))

    def _track_warnings(self, node: PlanNode, plan: Plan) -> tuple[Problem, ...]:
        # An input of which nothing is written is disconnected, and a node that reads audio alone can stand between.
        refs = (Ref.parse(self.inputs[1]), *node.inputs[1:]) if len(self.inputs) > 1 else ()
        ports = (plan.node(ref.node).output(ref.port) for ref in refs if plan.has(ref.node))
        source = next((port.type for port in ports if port is not None), None)
        if not isinstance(source, AudioSpec):
            return ()
        if self.backend == "bmf":
            return native_problems(node.name, source)
        return plan_tracks(node.name, self, source, self._container(node.name)).problems

    def written_bytes(self, params: EncoderParams, frames: FrameSpec, seconds: float) -> float:
        codec = CODECS[self._codec(params.container)]
        pixels = float(frames.rate) * frames.width * frames.height
        return seconds * bits_per_second(codec, self.crf, params.bit_rate, pixels) / 8 * params.passes

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: EncoderParams = node.params
        if params.path == STANDARD_OUTPUT:
            return "standard output", f"{params.codec} · {params.container}"
        name = shortened(Path(params.path).name, 24) if params.path else "nothing written"
        return name, f"{params.codec} · {params.container}"

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec | None:
        params: EncoderParams = node.params
        hint = f"do the options suit {params.codec}, and is there room on the disk?"
        if params.backend == "pyav":
            return BmfModuleSpec(entry="bmfgraph.runner.modules.encoder:EncoderModule", hint=hint)
        name = "native_encoder:NativeEncoderModule" if len(node.inputs) > 1 else "native:NativeModule"
        reader = plan.node(node.inputs[1].node) if len(node.inputs) > 1 else None
        info = reader.spec.source(reader.params) if reader else None
        return BmfModuleSpec(
            "c_ffmpeg_encoder",
            native_options(params, params.audio, params.audio_bit_rate),
            entry=f"bmfgraph.runner.modules.{name}",
            hint=hint,
            trim_audio=info is not None and info.start is not None,
        )

    def _container(self, name: str) -> str:
        if self.path is None:
            raise PlanError(
                name,
                "path is missing",
                hint=f"set pipeline.nodes.{name}.path, or container: 'null'",
                code=codes.MISSING_ENCODER_PATH,
            )
        container = self.container or container_of(self.path)
        if container is None and self.path == STANDARD_OUTPUT:
            raise PlanError(
                name,
                "standard output has no extension that names a container",
                hint=f"set pipeline.nodes.{name}.container, such as yuv4mpegpipe, nut, matroska or rawvideo",
                code=codes.UNKNOWN_CONTAINER,
            )
        if self.path == STANDARD_OUTPUT and container not in (*PIPED, "null"):
            raise PlanError(
                name,
                f"container {container} cannot be written into a pipe; allowed: {', '.join(PIPED)}",
                hint=f"set pipeline.nodes.{name}.container to one of them, such as matroska",
                code=codes.UNPIPEABLE_CONTAINER,
            )
        if container is None:
            extension = Path(self.path).suffix.lower()
            raise PlanError(
                name,
                f"path {self.path!r}: extension {extension!r} has no known container; allowed: {', '.join(CONTAINERS)}",
                hint=f"give the file one of them, or set pipeline.nodes.{name}.container",
                code=codes.UNKNOWN_CONTAINER,
            )
        return container

    def _codec(self, container: str) -> str:
        return self.codec or default_codec(container, self.path or "")


class DiscardSpec(EncoderSpec):
    """The encoder with `container: null`: a stage drops the frames, on any device and in any pixel format."""

    stage: ClassVar[str] = "bmfgraph.stages.discard:Discard"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")

    def accepts(self, index: int) -> InputType:
        return super().accepts(index) if index else InputType(FrameSpec)

    def needs(self, params: EncoderParams) -> Needs:
        return Needs()

    def written_bytes(self, params: EncoderParams, frames: FrameSpec, seconds: float) -> float:
        return 0.0

    def bmf_module(self, node: PlanNode, plan: Plan) -> None:
        return None

    def _container(self, name: str) -> str:
        return "null"
