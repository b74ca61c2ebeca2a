"""``encoder``: write frames and audio to a file with PyAV's or BMF's encoder, or measure without writing."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError
from bmfgraph.nodes.backend import Backend, check_backend
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.codecs import (
    AUDIO_IN,
    CODECS,
    CONTAINERS,
    CRF_RANGE,
    LARGEST,
    MATRICES,
    VIDEO_IN,
    Container,
    EncoderParams,
    bits_per_second,
    codec_options,
    mux_options,
    native_options,
)
from bmfgraph.nodes.path_kind import OutputPath
from bmfgraph.nodes.pixel_formats import NATIVE_FORMATS, PIXEL_FORMATS, PixelFormat, automatic_formats
from bmfgraph.plan.description import BmfModuleSpec, Files, Inferred, InputType, Needs, Requirement
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Device, FrameSpec, PortType, sampling_of

__all__ = ["CODECS", "DiscardSpec", "EncoderParams", "EncoderSpec"]


class EncoderSpec(NodeSpec):
    """Writes a file. Inputs: frames, and audio if wanted."""

    kind: Literal["encoder"] = "encoder"
    path: OutputPath | None = Field(
        default=None,
        min_length=1,
        description="The file, with the words `{stem} {name} {pipeline} {model}` where wanted; null with "
        "`container: null`.",
    )
    codec: Literal["x264", "x265", "nvenc", "vp9", "mpeg4"] = Field(
        default="x264", description="The video codec; not every container can hold each."
    )
    crf: float | None = Field(default=None, ge=0, le=63, description="Constant quality: x264 0..51, vp9 0..63.")
    bit_rate: int | str | None = Field(default=None, description="Bits per second, such as 4000000 or 4M.")
    preset: (
        Literal[
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
            "slower",
            "veryslow",
            "placebo",
        ]
        | None
    ) = Field(default=None, description="Speed against size (x264, x265).")
    pixel_format: PixelFormat | None = Field(
        default=None,
        description="How colours are stored; null: with the source's depth and chroma, as far as the codec has them. "
        "yuv420p plays everywhere.",
    )
    gop: int | None = Field(
        default=None, ge=1, le=100_000, description="Largest number of frames between two key frames."
    )
    threads: int | None = Field(default=None, ge=1, le=64, description="Encoder threads; null lets FFmpeg choose.")
    container: Container | None = Field(
        default=None,
        description="Null: by the path's extension. `null` in quotes measures: nothing is written.",
    )
    backend: Backend = Field(
        default="pyav", description="The library that encodes: PyAV with its FFmpeg, or BMF's module with FFmpeg 4."
    )
    audio: Literal["copy", "aac", "none"] = Field(
        default="copy", description="Copy or encode the audio input, or drop it."
    )
    audio_bit_rate: int | str | None = Field(
        default=None, description="Bits per second for `audio: aac`, such as 128k; null: FFmpeg's own."
    )

    arity: ClassVar[tuple[int, int]] = (1, 2)
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
        if self.backend == "bmf":
            check_backend(name, self, self.native_fields)
        self._check_codec(name, self._container(name))

    def accepts(self, index: int) -> InputType:
        if index:
            return InputType(AudioSpec, compressed=self.audio == "copy", backend=self.backend)
        # FFmpeg writes no colours into MPEG-4's own header, and these containers have no place for them.
        extension = Path(self.path or "").suffix.lower()
        untagged = (self.container or CONTAINERS.get(extension)) in ("avi", "mpegts", "mov")
        choices = (self.pixel_format,) if self.pixel_format else automatic_formats(CODECS[self.codec])
        if self.backend == "bmf":
            choices = tuple(name for name in choices if name in NATIVE_FORMATS)
        return InputType(FrameSpec, choices=choices, default_color=self.codec == "mpeg4" and untagged)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, source_audio = inputs[0], inputs[1] if len(inputs) > 1 else None
        assert isinstance(frames, FrameSpec)
        container = self._container(node.name)
        self._check_codec(node.name, container)
        self._check_frames(node.name, frames, container)
        audio = self._audio(node.name, source_audio, container)
        crf = self.crf
        if crf is None and self.bit_rate is None and self.codec in CRF_RANGE:
            crf = {"x264": 18.0, "x265": 20.0, "nvenc": 19.0, "vp9": 24.0}[self.codec]
        assert not isinstance(self.audio_bit_rate, str)
        codec = CODECS[self.codec]
        bit_rate = self.bit_rate if self.bit_rate or self.codec != "mpeg4" else frames.width * frames.height * 8
        assert not isinstance(bit_rate, str)
        params = EncoderParams(
            path=None if container == "null" else self.path,
            container=container,
            codec=codec,
            pixel_format=self.accepts(0).format_of(frames) or frames.pixel_format,
            options=codec_options(codec, container, crf=crf, preset=self.preset, gop=self.gop, bit_rate=bit_rate),
            mux_options=mux_options(codec, container),
            backend=self.backend,
            crf=crf,
            preset=self.preset,
            bit_rate=bit_rate,
            threads=self.threads,
            width=frames.width,
            height=frames.height,
            rate=frames.rate,
            aspect=frames.aspect,
            matrix=MATRICES[frames.color.matrix],
            full_range=frames.color.full_range,
            primaries=frames.color.primaries,
            transfer=frames.color.transfer,
            time_base=_time_base(frames, container, self.codec),
            audio=audio,
            audio_bit_rate=self.audio_bit_rate,
        )
        # BMF's encoder would encode any audio that arrives, so an unused input is disconnected.
        return Inferred((), params, unused=() if audio or source_audio is None else (1,))

    def files(self, params: EncoderParams) -> Files:
        return Files(writes=params.path, video=params.path is not None)

    def needs(self, params: EncoderParams) -> Needs:
        if params.backend == "pyav":
            # PyAV's FFmpeg has them all; opening one shows whether the machine has its hardware.
            return Needs()
        return Needs(encoder=params.codec, other_encoders=tuple(CODECS.values()))

    def written_bytes(self, params: EncoderParams, frames: FrameSpec, seconds: float) -> float:
        return seconds * bits_per_second(params, float(frames.rate) * frames.width * frames.height) / 8

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: EncoderParams = node.params
        return Path(params.path).name if params.path else "nothing written", f"{params.codec} · {params.container}"

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec | None:
        params: EncoderParams = node.params
        hint = f"is there room on the disk, and does this FFmpeg have {params.codec}?"
        if params.backend == "pyav":
            return BmfModuleSpec(entry="bmfgraph.runner.modules.encoder:EncoderModule", hint=hint)
        name = "native_encoder:NativeEncoderModule" if len(node.inputs) > 1 else "native:NativeModule"
        reader = plan.node(node.inputs[1].node) if len(node.inputs) > 1 else None
        info = reader.spec.source(reader.params) if reader else None
        return BmfModuleSpec(
            "c_ffmpeg_encoder",
            native_options(params),
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
        extension = Path(self.path).suffix.lower()
        container = self.container or CONTAINERS.get(extension)
        if container is None:
            raise PlanError(
                name,
                f"path {self.path!r}: extension {extension!r} has no known container; allowed: {', '.join(CONTAINERS)}",
                hint=f"give the file one of them, or set pipeline.nodes.{name}.container",
                code=codes.UNKNOWN_CONTAINER,
            )
        return container

    def _check_codec(self, name: str, container: str) -> None:
        if self.codec not in VIDEO_IN[container]:
            raise PlanError(
                name,
                f"{container} files cannot hold codec {self.codec}; allowed: {', '.join(sorted(VIDEO_IN[container]))}",
                hint="choose another codec (encoder=...) or another extension",
                code=codes.CODEC_CONTAINER_CONFLICT,
            )
        if self.crf is not None:
            if self.codec not in CRF_RANGE:
                raise PlanError(
                    name,
                    f"crf {self.crf:g}: codec {self.codec} has no constant quality",
                    hint=f"set pipeline.nodes.{name}.crf=null and a bit_rate, such as 4M",
                    code=codes.INVALID_CRF,
                )
            minimum, maximum = CRF_RANGE[self.codec]
            if not minimum <= self.crf <= maximum:
                raise PlanError(
                    name,
                    f"crf {self.crf:g} is out of range for {self.codec}: {minimum}..{maximum}",
                    hint=f"set pipeline.nodes.{name}.crf within it; a lower value is better and larger",
                    code=codes.INVALID_CRF,
                )
            if self.bit_rate is not None and self.codec != "vp9":
                raise PlanError(
                    name,
                    f"crf {self.crf:g} and bit_rate {self.bit_rate} are both set, and {self.codec} supports only one",
                    hint=f"set pipeline.nodes.{name}.crf=null or pipeline.nodes.{name}.bit_rate=null",
                    code=codes.INVALID_CRF,
                )
        if self.preset is not None and self.codec not in ("x264", "x265"):
            raise PlanError(
                name,
                f"preset {self.preset}: codec {self.codec} has no presets; only x264 and x265 have",
                hint=f"set pipeline.nodes.{name}.preset=null",
                code=codes.UNSUPPORTED_PRESET,
            )
        formats = PIXEL_FORMATS[CODECS[self.codec]]
        if self.backend == "bmf":
            formats = tuple(allowed for allowed in formats if allowed in NATIVE_FORMATS)
        if self.pixel_format is not None and self.pixel_format not in formats:
            raise PlanError(
                name,
                f"codec {self.codec} supports pixel_format {', '.join(formats)}, not {self.pixel_format}",
                hint=f"set pipeline.nodes.{name}.pixel_format={formats[0]}, or choose another codec (encoder=...)",
                code=codes.UNSUPPORTED_PIXEL_FORMAT,
            )

    def _check_frames(self, name: str, frames: FrameSpec, container: str) -> None:
        if frames.variable_rate and container == "avi":
            raise PlanError(
                name,
                "an avi file has a constant frame rate, but these frames are unevenly spaced",
                hint="write .mkv or .mp4",
                code=codes.VARIABLE_RATE_AVI,
            )
        maximum = LARGEST.get(self.codec, max(frames.width, frames.height))
        if container != "null" and max(frames.width, frames.height) > maximum:
            raise PlanError(
                name,
                f"frames of {frames.width}x{frames.height} are too large for {self.codec}: at most {maximum} pixels "
                "per side",
                hint="choose another codec (encoder=...), or make the frames smaller in a preprocess node",
                code=codes.FRAME_TOO_LARGE,
            )
        pixel_format = self.accepts(0).format_of(frames)
        x_step, y_step = sampling_of(pixel_format) or (1, 1)
        if frames.width % x_step or frames.height % y_step:
            raise PlanError(
                name,
                f"{pixel_format} needs an even width{' and height' if y_step > 1 else ''}, "
                f"not {frames.width}x{frames.height}",
                hint=f"set pipeline.nodes.{name}.pixel_format=yuv444p"
                if self.codec != "mpeg4"
                else "choose another codec (encoder=x264) with pixel_format=yuv444p",
                code=codes.ODD_FRAME_SIZE,
            )

    def _audio(self, name: str, audio: PortType | None, container: str) -> str | None:
        if audio is None or self.audio == "none" or container == "null":
            return None
        assert isinstance(audio, AudioSpec)
        if self.audio == "copy":
            allowed = AUDIO_IN.get(container)
            refused = next((t for t in audio.of_kind("audio") if allowed is not None and t.codec not in allowed), None)
            if allowed is not None and refused is not None:
                choice = "none, or write .mkv" if container == "webm" else "aac, or none"
                raise PlanError(
                    name,
                    f"{container} files cannot hold the source's audio, {refused.codec}; "
                    f"allowed: {', '.join(sorted(allowed))}",
                    hint=f"set pipeline.nodes.{name}.audio={choice}",
                    code=codes.UNSUPPORTED_AUDIO,
                )
        elif container == "webm":
            raise PlanError(
                name,
                "webm files cannot hold audio aac; allowed: opus, vorbis",
                hint=f"set pipeline.nodes.{name}.audio=none, or write .mkv",
                code=codes.UNSUPPORTED_AUDIO,
            )
        return self.audio


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


def _time_base(frames: FrameSpec, container: str, codec: str) -> Fraction:
    """Seconds per tick of the written frame times: one tick per frame at a constant rate, else the source's grid."""
    steady = frames.time_grid is None or container == "avi"
    time_grid = 1 / frames.rate if steady else frames.time_grid
    assert time_grid is not None
    if codec == "mpeg4":
        # MPEG-4's own header has 16 bits for the time base.
        return time_grid if time_grid.denominator <= 65535 else Fraction(1, 60_000)
    # MPEG's clock of 90 kHz is fine enough for all others.
    return time_grid if steady or time_grid.denominator <= 90_000 else Fraction(1, 90_000)
