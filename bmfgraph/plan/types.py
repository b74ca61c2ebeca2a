"""Define the types of edges: frames, tensors, audio, detections.

All types are frozen, compare by value and print as one short phrase for messages and tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

__all__ = [
    "NO_WINDOW",
    "RUNTIME_NAMES",
    "AudioSpec",
    "BundleSpec",
    "Chroma",
    "ColorSpec",
    "DetectionsSpec",
    "Device",
    "Dim",
    "FrameSpec",
    "Matrix",
    "Placement",
    "Port",
    "PortType",
    "Runtime",
    "TensorMeaning",
    "TensorSpec",
    "Window",
    "default_matrix",
    "device_of",
    "on_device",
]

Device = Literal["cpu", "cuda"]
Runtime = Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
RUNTIME_NAMES: dict[str, str] = {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""The vendors' names of the runtimes, for people."""
Layout = Literal["NCHW", "NHWC"]
Channels = Literal["RGB", "BGR", "GRAY"]
Matrix = Literal["bt601", "bt709", "bt2020", "rgb"]
Chroma = Literal["left", "center", ""]
"""Horizontal place of the chroma samples of 4:2:0 and 4:2:2: on the left luma sample or between two ("": unknown)."""


@dataclass(frozen=True)
class ColorSpec:
    """Relation of YUV to RGB: the conversion matrix, and whether luma spans 16..235 or 0..255."""

    matrix: Matrix
    full_range: bool
    tagged: bool = True
    """False: the stream has no colour tags, and the matrix was chosen by the frame size."""

    @property
    def yuv(self) -> Matrix:
        """Matrix to write with; RGB sources become BT.709."""
        return "bt709" if self.matrix == "rgb" else self.matrix

    def __str__(self) -> str:
        return f"{self.matrix}/{'full' if self.full_range else 'limited'}{'' if self.tagged else '?'}"


def default_matrix(width: int, height: int) -> Matrix:
    """Return the matrix that players assume for untagged video: BT.709 for large frames, else BT.601."""
    return "bt709" if width >= 1280 or height > 576 else "bt601"


@dataclass(frozen=True)
class FrameSpec:
    """Video frames. ``width`` and ``height`` in pixels, as displayed (rotation applied)."""

    width: int
    height: int
    pixel_format: str
    color: ColorSpec
    rate: Fraction
    time_base: Fraction
    variable_rate: bool = False
    time_grid: Fraction | None = None
    """Seconds; every frame's time is a multiple of it. None: the time from one frame to the next, 1/rate."""
    chroma: Chroma = ""
    device: Device = "cpu"

    def as_rgb(self, width: int | None = None, height: int | None = None) -> FrameSpec:
        """Return the type of the RGB24 frames that a stage makes of these, in another size if one is given."""
        return replace(
            self,
            width=width or self.width,
            height=height or self.height,
            pixel_format="rgb24",
            color=ColorSpec(self.color.yuv, False, self.color.tagged),
        )

    def __str__(self) -> str:
        rate = float(self.rate)
        return f"frames {self.width}x{self.height} {self.pixel_format} {self.color} {rate:g} fps on {self.device}"


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
class TensorSpec:
    """One tensor per item; the images of a window lie side by side along the channels."""

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

    def __str__(self) -> str:
        return "tensors " + ", ".join(f"{tensor.name} {tensor}" for tensor in self.tensors)


@dataclass(frozen=True)
class AudioSpec:
    """Compressed or decoded audio on its way to an encoder."""

    codec: str
    rate: int
    channels: int
    copied: bool

    def __str__(self) -> str:
        return f"audio {self.codec} {self.rate} Hz {self.channels} ch{' copied' if self.copied else ''}"


@dataclass(frozen=True)
class DetectionsSpec:
    """Labelled boxes of each frame, in source pixels: x1, y1, x2, y2 with y downwards."""

    labels: tuple[str, ...]
    source: FrameSpec

    def __str__(self) -> str:
        return f"detections of {'/'.join(self.labels)} in {self.source.width}x{self.source.height}"


PortType = FrameSpec | TensorSpec | BundleSpec | AudioSpec | DetectionsSpec


@dataclass(frozen=True)
class Port:
    """A named output of a node."""

    name: str
    type: PortType


def device_of(kind: PortType) -> Device | None:
    """Return the device that holds the values of an edge; None for types that are always on the CPU."""
    if isinstance(kind, BundleSpec):
        return kind.tensors[0].device
    return kind.device if isinstance(kind, (FrameSpec, TensorSpec)) else None


def on_device(kind: PortType, device: Device) -> PortType:
    """Return the same type on another device; types that are always on the CPU stay as they are."""
    if isinstance(kind, BundleSpec):
        return replace(kind, tensors=tuple(replace(tensor, device=device) for tensor in kind.tensors))
    return replace(kind, device=device) if isinstance(kind, (FrameSpec, TensorSpec)) else kind
