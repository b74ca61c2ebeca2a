"""``decoder``: read a file with PyAV's FFmpeg, or with BMF's decoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError, Problem, RunError, SourceError
from bmfgraph.media.filtering import FilterStep
from bmfgraph.media.frame_facts import Fields, Orientation
from bmfgraph.media.frame_selection import selected_count
from bmfgraph.media.naming import input_words
from bmfgraph.media.opening import is_url
from bmfgraph.media.pipes import STANDARD_INPUT
from bmfgraph.media.probe import Media, MediaError, probe
from bmfgraph.media.reading import FileReading, VideoReading
from bmfgraph.media.sources import located_input
from bmfgraph.nodes.audio import AudioNodeSpec, file_options, span_text
from bmfgraph.nodes.backend import Backend, check_backend, check_file, check_media
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.decoder_options import DecoderOptions, Part
from bmfgraph.nodes.framing import crop_box, cropped, flattened, reduced, rgb_of, turned
from bmfgraph.nodes.tonemap import TonemapSpec
from bmfgraph.plan.description import BmfModuleSpec, Context, Files, Inferred, Needs, Requirement, SourceInfo
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import AudioSpec, Port, PortType

__all__ = ["SKIP_HINT", "DecoderParams", "DecoderSpec"]

_EXACT = Fraction(1, 2000)
"""Largest error of a frame's time, in seconds."""
SKIP_HINT = "it is cut off or damaged; set decoder.on_error=skip to keep what is there"


@dataclass(frozen=True)
class DecoderParams(VideoReading):
    """The streams to read, and the frames that they promise."""

    ahead: ClassVar[int] = 0
    """Batches that are decoded before the next node takes one."""
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
    first: int = field(metadata={"json": False})
    """Number of the first frame."""
    kept: tuple[int, int] | None = field(metadata={"json": False})
    """Numbers of the frames that sinks write, and of the first one behind them; None: all."""


class DecoderSpec(DecoderOptions):
    """Reads a file. Outputs: `video`, and `audio` where the file has some."""

    kind: Literal["decoder"] = "decoder"

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
                hint="give an address with http:// or https://, or fetch it first; "
                "the commands run and batch take s3:// and gs://",
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
                rate=_as_fraction(self.rate),
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
        if self.backend == "bmf":
            check_file(name, media)
        return media

    def follower(self, node: PlanNode) -> tuple[str, NodeSpec] | None:
        if self.hdr != "tonemap" or not node.metadata.frames.is_hdr:
            return None
        return "video", TonemapSpec(inputs=(f"{node.name}.video",))

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
        if not native:
            frames = turned(frames, Orientation(media.rotation, media.mirrored))
        whole_frames, fps = frames, _as_fraction(self.fps)
        flattening: tuple[FilterStep, ...] = ()
        if media.alpha and not native:
            flattening, frames = flattened(frames)
        box = crop_box(self.crop, whole_frames, node.name, chroma=self._crops_chroma) if self.crop else None
        frames = reduced(cropped(frames, box), self.every, fps)
        outputs = [Port("video", frames)]
        audio = self._audio(media.audio)
        if audio is not None:
            outputs.append(Port("audio", audio))
        span = self.part or self
        whole = span.start is None and span.end is None
        until = min(span.end or media.duration, media.duration) if media.duration else span.end or 0.0
        duration = max(0.0, until - (span.start or 0.0))
        count = media.frame_count if whole else round(duration * media.frames.rate)
        params = DecoderParams(
            path=str(media.path),
            video=media.video_stream,
            tracks=tuple(track.stream for track in media.audio.tracks) if media.audio else (),
            start=span.start,
            end=span.end,
            counted_from=self.start,
            first=self.part.first if self.part else 0,
            kept=self.part.kept if self.part else None,
            protocols=media.protocols,
            picture_rate=_as_fraction(self.rate),
            live=media.live,
            origin=media.origin,
            zero=max(media.origin, Fraction(0)) if native else media.zero,
            subticks=subticks,
            time_grid=whole_frames.time_grid or 1 / whole_frames.rate,
            threads=self.threads,
            hwaccel=self.hwaccel,
            width=whole_frames.width,
            height=whole_frames.height,
            pixel_format=whole_frames.pixel_format,
            color=whole_frames.color,
            rotation=media.rotation,
            mirrored=media.mirrored,
            deinterlace=self._deinterlaced(media),
            crop=box,
            size_change=self.size_change,
            time_base=whole_frames.time_base,
            rate=whole_frames.rate,
            every=self.every,
            fps=fps,
            flattening=flattening,
            background=rgb_of(self.background),
            backend=self.backend,
            codec=media.codec,
            frame_count=selected_count(count, duration, self.every, fps),
            exact_count=media.exact_count and whole and fps is None,
            duration=duration,
            on_error=self.on_error,
            pictures=media.pictures,
        )
        return Inferred(tuple(outputs), params)

    _crops_chroma: ClassVar[bool] = True
    """Whether frames are cut before they become RGB."""

    def _deinterlaced(self, media: Media) -> Fields | Literal["all"]:
        if self.backend == "bmf" or self.deinterlace == "off":
            return ""
        return media.fields or ("all" if self.deinterlace == "bwdif" else "")

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
            time_grid=1 / params.fps if params.fps else params.time_grid * params.every,
            may_be_short=params.on_error == "skip",
            short_hint=SKIP_HINT,
            pipe=params.path if params.live else "",
            accounted=self._accounts(params),
            kept=params.kept,
        )

    def context(self, params: DecoderParams) -> Context | None:
        if params.fps is not None or params.live or is_url(params.path) or params.pictures or params.backend == "bmf":
            return None
        # The filter looks at the frames before and after a field.
        fields = 2 if params.deinterlace else 0
        return Context(fields, fields, params.every)

    def reading(self, *, path: str | None = None, end: float | None = None) -> dict[str, Any]:
        return {key: value for key, value in (("path", path), ("end", end)) if value is not None}

    def reading_part(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"part": Part(**part)}

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        params: DecoderParams = node.params
        name = "standard input" if params.path == STANDARD_INPUT else Path(params.path.partition("?")[0]).name
        count = len(params.pictures)
        pictures = [f"{count} picture{'s' * (count != 1)} at {float(params.rate):g} per second"] if count else []
        alpha = [f"transparent pixels on {self.background}"] if params.flattening else []
        details = [*alpha, *span_text(params.start, params.end)]
        details += ["deinterlaced"] if params.deinterlace else []
        details += [f"turned by {params.rotation} degrees"] if params.rotation else []
        details += ["mirrored"] if params.mirrored else []
        if params.crop:
            left, top, width, height = params.crop
            details.append(f"{width}x{height} at {left},{top}")
        details += [f"each {params.every}th frame"] if params.every > 1 else []
        details += [f"at {float(params.fps):g} fps"] if params.fps else []
        return name, *pictures, *([", ".join(details)] if details else [])

    def warnings(self, node: PlanNode, plan: Plan) -> Iterable[Problem]:
        media: Media = node.metadata
        if media.fields and not node.params.deinterlace:
            yield Problem(
                f"pipeline.nodes.{node.name}",
                f"input {str(media.path)!r} is interlaced, and its fields stay mixed",
                codes.INTERLACED_VIDEO,
                f"set pipeline.nodes.{node.name}.backend=pyav"
                if self.backend == "bmf"
                else f"set pipeline.nodes.{node.name}.deinterlace=auto",
            )

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
            "c_ffmpeg_decoder",
            options,
            entry="bmfgraph.runner.modules.native_decoder:NativeDecoderModule",
            hint=f"see what FFmpeg says above, or set pipeline.nodes.{node.name}.backend=pyav",
        )


def _as_fraction(rate: float | str | None) -> Fraction | None:
    """Return a rate with the decimals that the user wrote."""
    return None if rate is None else Fraction(str(rate))


def _sounds(audio: AudioSpec) -> AudioSpec:
    """Return the audio streams alone."""
    return replace(audio, tracks=audio.of_kind("audio"), chapters=0, metadata=())
