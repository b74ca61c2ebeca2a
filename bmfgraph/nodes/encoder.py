"""``encoder``: frames (and audio) to a file, through BMF's native FFmpeg encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import AudioSpec, Device, FrameSpec, PortType

__all__ = ["CODECS", "EncoderParams", "EncoderSpec"]

Container = Literal["mp4", "mov", "matroska", "webm", "avi", "mpegts", "null"]
_BY_EXTENSION: dict[str, Container] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
}
_VIDEO_IN: dict[str, set[str]] = {
    "mp4": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
    "mov": {"x264", "x265", "nvenc", "mpeg4"},
    "matroska": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
    "webm": {"vp9"},
    "avi": {"x264", "mpeg4"},
    "mpegts": {"x264", "x265", "nvenc", "mpeg4"},
    "null": {"x264", "x265", "nvenc", "vp9", "mpeg4"},
}
_AUDIO_IN: dict[str, set[str]] = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
    "avi": {"mp3", "ac3", "aac", "pcm_s16le"},
    "mpegts": {"aac", "mp3", "ac3", "eac3", "mp2", "opus"},
}
CODECS = {"x264": "libx264", "x265": "libx265", "nvenc": "h264_nvenc", "vp9": "libvpx-vp9", "mpeg4": "mpeg4"}
"""FFmpeg's name of each codec's encoder."""
_CRF_RANGE = {"x264": (0, 51), "x265": (0, 51), "nvenc": (1, 51), "vp9": (0, 63)}
_LARGEST = {"x264": 16384, "nvenc": 4096, "vp9": 65535, "mpeg4": 8191}
"""Most pixels of a side that the encoder, or the format itself, takes."""
_CHROMA = {"yuv420p": (2, 2), "yuv420p10le": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}


@dataclass(frozen=True)
class EncoderParams:
    """What the encoder is asked for. ``time_base`` in seconds a tick."""

    path: str | None
    container: str
    codec: str
    pixel_format: str
    crf: float | None
    bit_rate: int | None
    preset: str | None
    gop: int | None
    threads: int | None
    rate: Fraction
    time_base: Fraction
    audio: str | None
    """``copy``, an audio codec, or None without audio."""
    audio_bit_rate: int | None


class EncoderSpec(NodeSpec):
    """Writes a file. Inputs: frames, and audio if wanted."""

    kind: Literal["encoder"]
    path: str | None = Field(default=None, min_length=1, description="The file; null with `container: null`.")
    codec: Literal["x264", "x265", "nvenc", "vp9", "mpeg4"] = Field(
        default="x264", description="What the video is coded with; not every file format takes each."
    )
    crf: float | None = Field(default=None, ge=0, le=63, description="Constant quality: x264 0..51, vp9 0..63.")
    bit_rate: int | str | None = Field(default=None, description="Bits a second, such as 4000000 or 4M.")
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
    pixel_format: Literal["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"] = Field(
        default="yuv420p", description="How colours are stored; yuv420p plays everywhere."
    )
    gop: int | None = Field(default=None, ge=1, le=100_000, description="Most frames between two key frames.")
    threads: int | None = Field(default=None, ge=1, le=64, description="Encoder threads; null lets FFmpeg choose.")
    container: Container | None = Field(
        default=None,
        description="Null: by the path's extension. `null` in quotes measures: nothing is written.",
    )
    audio: Literal["copy", "aac", "none"] = Field(default="copy", description="What becomes of the audio input.")
    audio_bit_rate: int | str | None = Field(
        default=None, description="Bits a second for `audio: aac`, such as 128k; null: FFmpeg's own."
    )

    arity: ClassVar[tuple[int, int]] = (1, 2)

    @property
    def stage(self) -> str:  # type: ignore[override]
        """A stage of ours where nothing is encoded: it takes frames wherever they lie, in any pixel format."""
        return "bmfgraph.stages.discard:Discard" if self.container == "null" else ""

    @property
    def devices(self) -> tuple[Device, ...]:  # type: ignore[override]
        return ("cpu", "cuda") if self.container == "null" else ("cpu",)

    @field_validator("bit_rate", "audio_bit_rate")
    @classmethod
    def _bits(cls, value: int | str | None) -> int | None:
        if value is None:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", str(value))
        bits = int(float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]]) if match else 0
        if bits < 1000:
            raise ValueError(f"{value!r} is no bit rate; write bits a second, such as 4000000, 4000k or 4M")
        return bits

    @field_validator("container", mode="before")
    @classmethod
    def _no_extension(cls, value: object) -> object:
        found = _BY_EXTENSION.get(f".{value}")
        if found not in (None, value):
            raise ValueError(f"{value!r} is an extension; set it to {found}, or leave it out")
        return value

    def ports(self) -> tuple[str, ...]:
        return ()

    def probe(self, name: str) -> None:
        """Refuse what is wrong whatever the frames are."""
        self._check_options(name, self._container(name))

    def accepts(self, index: int) -> InputType:
        if index:
            return InputType(AudioSpec)
        if self.container == "null":
            return InputType(FrameSpec)
        # FFmpeg writes no colours into MPEG-4's own header, and these containers have no place for them.
        extension = Path(self.path or "").suffix.lower()
        silent = (self.container or _BY_EXTENSION.get(extension)) in ("avi", "mpegts", "mov")
        return InputType(FrameSpec, self.pixel_format, default_color=self.codec == "mpeg4" and silent)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames, sound = inputs[0], inputs[1] if len(inputs) > 1 else None
        assert isinstance(frames, FrameSpec)
        container = self._container(node.name)
        self._check_options(node.name, container)
        self._check_frames(node.name, frames, container)
        audio = self._audio(node.name, sound, container)
        crf = self.crf
        if crf is None and self.bit_rate is None and self.codec in _CRF_RANGE:
            crf = {"x264": 18.0, "x265": 20.0, "nvenc": 19.0, "vp9": 24.0}[self.codec]
        assert not isinstance(self.bit_rate, str)
        assert not isinstance(self.audio_bit_rate, str)
        params = EncoderParams(
            path=None if container == "null" else self.path,
            container=container,
            codec=CODECS[self.codec],
            pixel_format=self.pixel_format,
            crf=crf,
            bit_rate=self.bit_rate if self.bit_rate or self.codec != "mpeg4" else frames.width * frames.height * 8,
            preset=self.preset,
            gop=self.gop,
            threads=self.threads,
            rate=frames.rate,
            time_base=_time_base(frames, container, self.codec),
            audio=audio,
            audio_bit_rate=self.audio_bit_rate,
        )
        return Inferred((), params)

    def _container(self, name: str) -> str:
        if self.container == "null":
            return "null"
        if self.path is None:
            raise PlanError(
                name, "path is missing", hint=f"set pipeline.nodes.{name}.path, or container: 'null'", code="E340"
            )
        extension = Path(self.path).suffix.lower()
        found = self.container or _BY_EXTENSION.get(extension)
        if found is None:
            raise PlanError(
                name,
                f"path {self.path!r}: extension {extension!r} says no container; allowed: {', '.join(_BY_EXTENSION)}",
                hint=f"give the file one of them, or set pipeline.nodes.{name}.container",
                code="E341",
            )
        return found

    def _check_options(self, name: str, container: str) -> None:
        if self.codec not in _VIDEO_IN[container]:
            raise PlanError(
                name,
                f"codec {self.codec} does not go into a {container} file; allowed there: "
                f"{', '.join(sorted(_VIDEO_IN[container]))}",
                hint="choose another codec (encoder=...) or another extension",
                code="E342",
            )
        if self.crf is not None:
            if self.codec not in _CRF_RANGE:
                raise PlanError(
                    name,
                    f"crf {self.crf:g}: codec {self.codec} has no constant quality",
                    hint=f"set pipeline.nodes.{name}.crf=null and a bit_rate, such as 4M",
                    code="E343",
                )
            minimum, maximum = _CRF_RANGE[self.codec]
            if not minimum <= self.crf <= maximum:
                raise PlanError(
                    name,
                    f"crf {self.crf:g} is out of range for {self.codec}: {minimum}..{maximum}",
                    hint=f"set pipeline.nodes.{name}.crf within it; less is better and larger",
                    code="E343",
                )
            if self.bit_rate is not None and self.codec != "vp9":
                raise PlanError(
                    name,
                    f"crf {self.crf:g} and bit_rate {self.bit_rate} are both set, and {self.codec} takes only one",
                    hint=f"set pipeline.nodes.{name}.crf=null or pipeline.nodes.{name}.bit_rate=null",
                    code="E343",
                )
        if self.preset is not None and self.codec not in ("x264", "x265"):
            raise PlanError(
                name,
                f"preset {self.preset}: codec {self.codec} has no presets; x264 and x265 have",
                hint=f"set pipeline.nodes.{name}.preset=null",
                code="E344",
            )
        if self.codec in ("mpeg4", "nvenc") and self.pixel_format != "yuv420p":
            raise PlanError(
                name,
                f"codec {self.codec} takes pixel_format yuv420p, not {self.pixel_format}",
                hint=f"set pipeline.nodes.{name}.pixel_format=yuv420p, or choose another codec (encoder=...)",
                code="E345",
            )

    def _check_frames(self, name: str, frames: FrameSpec, container: str) -> None:
        if frames.variable_rate and container == "avi":
            raise PlanError(
                name,
                "an avi file gives every frame the same time, but these frames are unevenly spaced",
                hint="write .mkv or .mp4",
                code="E346",
            )
        maximum = _LARGEST.get(self.codec, max(frames.width, frames.height))
        if container != "null" and max(frames.width, frames.height) > maximum:
            raise PlanError(
                name,
                f"frames of {frames.width}x{frames.height} are too large for {self.codec}: sides of {maximum} at most",
                hint="choose another codec (encoder=...), or make the frames smaller in a preprocess node",
                code="E349",
            )
        across, down = _CHROMA[self.pixel_format]
        if frames.width % across or frames.height % down:
            raise PlanError(
                name,
                f"{self.pixel_format} needs even sizes{' across' if down == 1 else ''}, "
                f"not {frames.width}x{frames.height}",
                hint=f"set pipeline.nodes.{name}.pixel_format=yuv444p"
                if self.codec != "mpeg4"
                else "choose another codec (encoder=x264) with pixel_format=yuv444p",
                code="E347",
            )

    def _audio(self, name: str, sound: PortType | None, container: str) -> str | None:
        if sound is None or self.audio == "none" or container == "null":
            return None
        assert isinstance(sound, AudioSpec)
        if self.audio == "copy":
            allowed = _AUDIO_IN.get(container)
            if allowed is not None and sound.codec not in allowed:
                instead = "none, or write .mkv" if container == "webm" else "aac, or none"
                raise PlanError(
                    name,
                    f"audio {sound.codec} cannot be copied into a {container} file; "
                    f"it takes: {', '.join(sorted(allowed))}",
                    hint=f"set pipeline.nodes.{name}.audio={instead}",
                    code="E348",
                )
        elif container == "webm":
            raise PlanError(
                name,
                "audio aac does not go into a webm file; it takes: opus, vorbis",
                hint=f"set pipeline.nodes.{name}.audio=none, or write .mkv",
                code="E348",
            )
        return self.audio


def _time_base(frames: FrameSpec, container: str, codec: str) -> Fraction:
    """The grid of the written frame times: one tick a frame at a constant rate, else as fine as it takes."""
    steady = frames.time_grid is None or container == "avi"
    time_grid = 1 / frames.rate if steady else frames.time_grid
    assert time_grid is not None
    if codec == "mpeg4":
        # Its own header has 16 bits for it.
        return time_grid if time_grid.denominator <= 65535 else Fraction(1, 60_000)
    # The clock of MPEG is fine enough for all others.
    return time_grid if steady or time_grid.denominator <= 90_000 else Fraction(1, 90_000)
