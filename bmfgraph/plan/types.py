"""Define the types of edges: frames, tensors, audio, results.

All types are frozen, compare by value and print as one short phrase for messages and tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from bmfgraph.plan.frame_types import (
    HLG,
    PQ,
    RGB_FORMATS,
    Chroma,
    ColorSpec,
    Device,
    FrameSpec,
    HdrMetadata,
    Matrix,
    bits_of,
    default_matrix,
    nearest_format,
    sampling_of,
)
from bmfgraph.plan.result_types import (
    ClassesSpec,
    DetectionsSpec,
    EmbeddingsSpec,
    ResultSpec,
    SegmentsSpec,
    TextsSpec,
)

__all__ = [
    "HLG",
    "NO_WINDOW",
    "PQ",
    "RGB_FORMATS",
    "RUNTIME_NAMES",
    "AudioSpec",
    "BundleSpec",
    "Chroma",
    "ClassesSpec",
    "ColorSpec",
    "DetectionsSpec",
    "Device",
    "Dim",
    "EmbeddingsSpec",
    "FrameSpec",
    "HdrMetadata",
    "Matrix",
    "Placement",
    "Port",
    "PortType",
    "ResultSpec",
    "Runtime",
    "SegmentsSpec",
    "TensorMeaning",
    "TensorSpec",
    "TextsSpec",
    "Tiling",
    "TrackSpec",
    "Window",
    "bits_of",
    "default_matrix",
    "device_of",
    "nearest_format",
    "on_device",
    "sampling_of",
    "tiling_of",
]

Runtime = Literal["onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"]
RUNTIME_NAMES: dict[str, str] = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
    "tensorrt_rtx": "TensorRT-RTX",
}
"""The vendors' names of the runtimes, for people."""
Layout = Literal["NCHW", "NHWC"]
Channels = Literal["RGB", "BGR", "GRAY"]


@dataclass(frozen=True)
class Placement:
    """Position of the source image inside a tensor's height x width, in tensor pixels."""

    source_width: int
    source_height: int
    width: int
    """Width of the tensor."""
    height: int
    """Height of the tensor."""
    scale_x: float
    """Tensor pixels per source pixel."""
    scale_y: float
    left: float
    """Tensor x of the source image's left edge; negative where the image was cropped."""
    top: float
    region: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the only part of the source image that the tensor shows; None: all of it."""

    def shown_part(self) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the part of the source image that the tensor shows."""
        return self.region or (0, 0, self.source_width, self.source_height)

    def place_of_shown_part(self) -> tuple[int, int, int, int]:
        """Return left, top, width and height of that part in the tensor, without bars, rounded to its pixels."""
        left, top, width, height = self.shown_part()
        return (
            round(self.left + left * self.scale_x),
            round(self.top + top * self.scale_y),
            round(width * self.scale_x),
            round(height * self.scale_y),
        )

    def scaled_to(self, width: int, height: int) -> Placement:
        """Return the position of the source image after a model changed the tensor's size."""
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            scale_x=self.scale_x * x,
            scale_y=self.scale_y * y,
            left=self.left * x,
            top=self.top * y,
        )


@dataclass(frozen=True)
class Dim:
    """One dimension of a tensor: its name and size (None: free)."""

    name: str
    size: int | None

    def __str__(self) -> str:
        return str(self.size) if self.size is not None else self.name


@dataclass(frozen=True)
class TensorMeaning:
    """Meaning of an image tensor's numbers: value = (level - mean) / std per channel, with levels in 0..255."""

    layout: Layout = "NCHW"
    channels: Channels = "RGB"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        # Equal values of all channels collapse to one value, so that equal meanings compare equal.
        for name in ("mean", "std"):
            values = tuple(map(float, getattr(self, name)))
            object.__setattr__(self, name, values[:1] if len(set(values)) == 1 else values)

    @property
    def dims(self) -> tuple[str, str, str, str]:
        """Names of the four dims, in order."""
        if self.layout == "NCHW":
            return ("batch", "channels", "height", "width")
        return ("batch", "height", "width", "channels")

    @property
    def count(self) -> int:
        """Channels of one image."""
        return 1 if self.channels == "GRAY" else 3

    @property
    def normalised(self) -> bool:
        """Whether the values differ from the levels 0..255."""
        return any(self.mean) or any(value != 1 for value in self.std)

    def __str__(self) -> str:
        def short(values: tuple[float, ...]) -> str:
            return "/".join(f"{value:g}" for value in dict.fromkeys(values))

        scale = f" (x-{short(self.mean)})/{short(self.std)}" if self.normalised else ""
        return f"{self.layout} {self.channels}{scale}"


@dataclass(frozen=True)
class Window:
    """A temporal window: a model reads ``frames`` frames at once and produces those at ``outputs``."""

    frames: int = 1
    outputs: tuple[int, ...] = (0,)
    """Positions in the window, counted from 0, of the frames that it produces."""
    step: int = 1
    """Frames from one window to the next."""
    pad: Literal["edge"] = "edge"
    """Frames beyond the clip's ends: its first or last frame."""

    def __str__(self) -> str:
        return f"window of {self.frames}, outputs {list(self.outputs)}, step {self.step}, pad {self.pad}"


NO_WINDOW = Window()
"""One frame in, the same frame out."""


@dataclass(frozen=True)
class Tiling:
    """Overlapping tiles of equal size that cover a picture, row by row; in pixels of the model's input."""

    width: int
    """Width of a tile; larger than the picture where that was padded on the right."""
    height: int
    lefts: tuple[int, ...]
    """Left edge of each column, rising."""
    tops: tuple[int, ...]
    """Top edge of each row, rising."""
    picture_width: int
    picture_height: int
    overlap: int
    """Least overlap of two neighbours."""

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Left and top edge of each tile, in the order of the tensor's rows."""
        return tuple((left, top) for top in self.tops for left in self.lefts)

    def __str__(self) -> str:
        return f"{len(self.lefts)}x{len(self.tops)} tiles of {self.width}x{self.height}"


@dataclass(frozen=True)
class TensorSpec:
    """One tensor per item; the images of a window lie side by side along the channels, tiles along the first dim."""

    name: str
    dims: tuple[Dim, ...]
    dtype: str
    meaning: TensorMeaning | None = None
    pictures: int = 1
    """Number of images along the channels."""
    window: Window = NO_WINDOW
    placement: Placement | None = None
    source: FrameSpec | None = None
    """The frames that the tensor was made from."""
    device: Device = "cpu"
    tiling: Tiling | None = None
    """The tiles along the first dim; None: the tensor is of the whole picture. ``placement`` is the picture's."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes in order; None for a free dim."""
        return tuple(dim.size for dim in self.dims)

    def size_of(self, name: str) -> int | None:
        """Return the size of the dim of that name; None if it is free or does not exist."""
        return next((dim.size for dim in self.dims if dim.name == name), None)

    def __str__(self) -> str:
        meaning = f" {self.meaning}" if self.meaning else ""
        return f"{self.dtype}[{'x'.join(map(str, self.dims))}]{meaning}"


@dataclass(frozen=True)
class BundleSpec:
    """Several named tensors that belong to the same frames: the outputs of a model."""

    tensors: tuple[TensorSpec, ...]
    decode: Any = None
    """The model's ``decode`` settings: how to read objects from its outputs."""
    layouts: tuple[tuple[str, Any], ...] = ()
    """Meaning of the outputs that are not images, by name."""
    inputs: tuple[tuple[str, TensorMeaning], ...] = ()
    """Meaning of the numbers that the model reads, by the names of its inputs."""

    def __str__(self) -> str:
        return "tensors " + ", ".join(f"{tensor.name} {tensor}" for tensor in self.tensors)


@dataclass(frozen=True)
class TrackSpec:
    """A stream of a file that travels beside its video, as compressed packets."""

    stream: int
    """Index among all streams of the file."""
    kind: Literal["audio", "subtitle", "data", "attachment", "picture"]
    """An attachment is a file such as a font; a picture is a cover."""
    codec: str
    """FFmpeg's name; "" if it has none."""
    language: str = ""
    """As the file names it, such as ``eng``."""
    rate: int = 0
    """Samples per second of audio."""
    channels: int = 0

    def __str__(self) -> str:
        sound = f" {self.rate} Hz {self.channels} ch" if self.rate else ""
        codec = f" {self.codec}" if self.codec else ""
        return f"{self.kind}{codec}{sound}{f' ({self.language})' if self.language else ''}"


@dataclass(frozen=True)
class AudioSpec:
    """The audio of a file on its way to an encoder, and what belongs to it: subtitles, attachments, data, chapters."""

    tracks: tuple[TrackSpec, ...]
    backend: Literal["pyav", "bmf"] = "pyav"
    """The library whose packets travel."""
    chapters: int = 0
    metadata: tuple[str, ...] = ()
    """Names of the tags of the file and its video, such as ``title``."""

    def of_kind(self, kind: str) -> tuple[TrackSpec, ...]:
        """Return the tracks of a kind."""
        return tuple(track for track in self.tracks if track.kind == kind)

    def __str__(self) -> str:
        chapters = [f"{self.chapters} chapter{'s' if self.chapters > 1 else ''}"] if self.chapters else []
        return ", ".join([*map(str, self.tracks), *chapters]) or "metadata"


PortType = FrameSpec | TensorSpec | BundleSpec | AudioSpec | ResultSpec


@dataclass(frozen=True)
class Port:
    """A named output of a node."""

    name: str
    type: PortType


def device_of(kind: PortType) -> Device | None:
    """Return the device that holds the values of an edge; None for types that are always on the CPU."""
    if isinstance(kind, BundleSpec):
        return kind.tensors[0].device
    return getattr(kind, "device", None)


def on_device(kind: PortType, device: Device) -> PortType:
    """Return the same type on another device; types that are always on the CPU stay as they are."""
    if isinstance(kind, BundleSpec):
        return replace(kind, tensors=tuple(replace(tensor, device=device) for tensor in kind.tensors))
    return replace(kind, device=device) if isinstance(kind, (FrameSpec, TensorSpec, SegmentsSpec)) else kind


def tiling_of(kind: PortType) -> Tiling | None:
    """Return the tiles that the tensors of an edge hold; None for other types and whole pictures."""
    if isinstance(kind, BundleSpec):
        return kind.tensors[0].tiling
    return kind.tiling if isinstance(kind, TensorSpec) else None
