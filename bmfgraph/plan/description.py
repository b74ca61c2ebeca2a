"""Define what a node kind tells the compiler, the runner and the views about its nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bmfgraph import error_codes as codes
from bmfgraph.plan.types import (
    NO_WINDOW,
    Device,
    FrameSpec,
    Matrix,
    Port,
    PortType,
    TensorMeaning,
    TensorSpec,
    Window,
    nearest_format,
)

if TYPE_CHECKING:
    from bmfgraph.errors import BmfgraphError, Problem
    from bmfgraph.plan.plan import Plan, PlanNode

__all__ = [
    "Align",
    "BmfModuleSpec",
    "Context",
    "Files",
    "Fit",
    "Framing",
    "Inferred",
    "InputType",
    "Interpolation",
    "ModelDescription",
    "ModelValue",
    "Needs",
    "NodeDescription",
    "PythonPackage",
    "Requirement",
    "Shrinking",
    "SourceInfo",
]


Fit = Literal["none", "stretch", "letterbox", "crop"]
Align = Literal["centre", "top_left"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "area"]


@dataclass(frozen=True)
class Framing:
    """How a frame becomes an image of another size."""

    fit: Fit | None = None
    """None: letterbox where the sizes differ, else none."""
    align: Align = "centre"
    """Place of a letterboxed frame."""
    pad_value: int = 0
    """Grey level of bars and padding."""
    resize: Interpolation = "bilinear"
    antialias: bool = True
    longest: int | None = None
    """The longer side of larger frames is shrunk to it, where the size is free; None or 0: it is not."""


@dataclass(frozen=True)
class Shrinking:
    """The size in pixels to which frames shrink, each pixel an average of the replaced ones."""

    width: int
    height: int
    mode: Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Requirement:
    """The input tensor that a consumer further down the graph needs, and the meaning of its numbers."""

    consumer: str
    tensor: TensorSpec
    meaning: TensorMeaning
    multiple: int = 1
    """Height and width must be divisible by it."""
    window: Window = NO_WINDOW
    """The model's temporal window, for a window node that does not set its own."""
    framing: Framing = Framing()
    """How a frame becomes the tensor, for a preprocess node that does not set it itself."""


@dataclass(frozen=True)
class InputType:
    """The type that a node accepts at one input.

    ``pixel_format`` is the format in which a node works on frames: FFmpeg's name, "" for any, or ``rgb``: rgb48le for
    frames of more than 8 bits, else rgb24.
    """

    type: type
    pixel_format: str = ""
    choices: tuple[str, ...] = ()
    """Instead of one format: those of which the node gets the one that keeps most of the frames' depth and chroma."""
    default_color: bool | Matrix = False
    """The output file cannot store its colours, so the frames get limited range and the matrix that readers assume.

    A matrix: readers assume it for frames of any size.
    """
    compressed: bool = False
    """Audio arrives as the packets of the source file, not decoded; only the back end ``bmf`` decodes it."""
    backend: Literal["pyav", "bmf"] = "pyav"
    """The library whose packets of audio the node reads."""

    def format_of(self, source: FrameSpec) -> str:
        """Return the pixel format in which these frames arrive; "" for their own."""
        if self.choices:
            return nearest_format(source, self.choices)
        return source.as_rgb(deep=True).pixel_format if self.pixel_format == "rgb" else self.pixel_format


@dataclass(frozen=True)
class Inferred:
    """The typed outputs of a node and its settings for the run, once its input types are known."""

    outputs: tuple[Port, ...]
    params: Any = None
    unused: tuple[int, ...] = ()
    """Indices of optional inputs that the node does not read with these options; the compiler disconnects them."""


@dataclass(frozen=True)
class Files:
    """The files of a node."""

    reads: tuple[str, ...] = ()
    writes: str | None = None
    video: bool = False
    """The written file is a clip of the first input's frames, which a reference can be compared with."""
    several: bool = False
    """Several files are written: ``writes`` is a pattern of their names, or the list that names the others."""


@dataclass(frozen=True)
class SourceInfo:
    """The frames that a source promises. Times in seconds; 0 means unknown."""

    frames: int = 0
    exact: bool = False
    """Whether ``frames`` is exact; otherwise the end of the file is judged by ``duration``."""
    duration: float = 0.0
    start: float | None = None
    """First and last time that is read; None: from the beginning, or to the end."""
    end: float | None = None
    time_grid: Fraction = Fraction(0)
    """Duration of the last frame."""
    may_be_short: bool = False
    """Whether fewer frames than promised are a warning instead of an error."""
    short_hint: str = ""
    """Advice for the user when fewer frames come than promised."""
    audio_only: bool = False
    """Whether only audio is read, and no frames."""
    pipe: str = ""
    """The pipe that it reads, which cannot be read twice; "" for anything else."""
    accounted: bool = False
    """Whether the source's module itself reports frames that are missing."""
    kept: tuple[int, int] | None = None
    """Numbers of the first frame that sinks write, and of the first one behind them; None: they write all."""


@dataclass(frozen=True)
class Context:
    """The frames on which the result of one frame depends, so that a clip can be run in parts."""

    before: int = 0
    """Number of earlier frames; likewise ``after``."""
    after: int = 0
    step: int = 1
    """A part begins at a frame whose number is a multiple of it."""


@dataclass(frozen=True)
class BmfModuleSpec:
    """The BMF module that runs a node without a stage."""

    name: str = ""
    """BMF's own module, such as ``c_ffmpeg_filter``; "" where ``entry`` does all the work itself."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Options of BMF's module, as JSON has them."""
    entry: str = "bmfgraph.runner.modules.native:NativeModule"
    """``package.module:Class`` of a :class:`bmfgraph.runner.modules.base.BmfModule`."""
    hint: str = "see what FFmpeg says above"
    """Advice for the user when the module fails."""
    trim_audio: bool = False
    """Whether copied audio before the first frame is left out, because a decoder seeks frames but not audio."""


@dataclass(frozen=True)
class PythonPackage:
    """A Python package that a node imports when it runs."""

    module: str
    title: str
    """Its name in messages."""
    install: str
    """Arguments of ``pip install``."""
    code: str = codes.MISSING_NODE_PACKAGE


@dataclass(frozen=True)
class Needs:
    """The software that a node needs on the machine that runs it."""

    packages: tuple[PythonPackage, ...] = ()
    encoder: str = ""
    """FFmpeg's name of an encoder."""
    other_encoders: tuple[str, ...] = ()
    """Encoders that the user can choose instead."""
    hwaccel: str = ""
    """FFmpeg's name of a hardware decoder."""
    backend: Literal["pyav", "bmf"] = "pyav"
    """The library whose FFmpeg must have them."""
    decoder: str = ""
    """FFmpeg's name of a codec that BMF's FFmpeg must decode."""


@dataclass(frozen=True)
class ModelValue:
    """A value of a model's config, and where it comes from."""

    path: str
    """Dotted, below the model: ``inputs.images.std``."""
    value: Any
    origin: str
    """Such as YAML, preset yolov8, metadata, config.json, default."""


@dataclass(frozen=True)
class ModelDescription:
    """What is known about a model; the plan shows it, and no work depends on it."""

    name: str
    file: str
    licences: tuple[ModelValue, ...]
    """Every licence that is named, in the config or in the file."""
    values: tuple[ModelValue, ...]


class NodeDescription(Protocol):
    """The methods of a spec; :class:`bmfgraph.nodes.NodeSpec` documents and implements them."""

    @property
    def kind(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def arity(self) -> tuple[int, int]: ...
    @property
    def devices(self) -> tuple[Device, ...]: ...
    @property
    def transfer(self) -> bool: ...
    @property
    def takes_tiles(self) -> bool: ...
    @property
    def cpu_hint(self) -> str: ...
    @property
    def joiner(self) -> str: ...
    def ports(self) -> tuple[str, ...]: ...
    def compiled(self) -> NodeDescription: ...
    def check_options(self, name: str) -> None: ...
    def probe(self, name: str) -> object | None: ...
    def follower(self, node: PlanNode) -> tuple[str, NodeDescription] | None: ...
    def requires(self, node: PlanNode, index: int, own: Requirement | None) -> Requirement | None: ...
    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred: ...
    def accepts(self, index: int) -> InputType | None: ...
    def shrinking(self, params: Any) -> tuple[Shrinking, Any] | None: ...
    def identity(self, params: Any) -> bool: ...
    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]: ...
    def files(self, params: Any) -> Files: ...
    def writing_to(self, params: Any, path: Path) -> Any: ...
    def warnings(self, node: PlanNode, plan: Plan) -> Iterable[Problem]: ...
    def faults(self, node: PlanNode, plan: Plan) -> Iterable[BmfgraphError]: ...
    def written_bytes(self, params: Any, frames: FrameSpec, seconds: float) -> float: ...
    def source(self, params: Any) -> SourceInfo | None: ...
    def context(self, params: Any) -> Context | None: ...
    def reading(self, *, path: str | None = None, end: float | None = None) -> Mapping[str, Any]: ...
    def audio_reader(self, params: Any, audio: Any) -> NodeDescription | None: ...
    def engine_request(self, node: PlanNode) -> Any: ...
    def model_description(self, node: PlanNode) -> ModelDescription | None: ...
    def engine_of(self, params: Any) -> Any: ...
    def declaration(self, node: PlanNode) -> str: ...
    def with_engine(self, params: Any, engine: Any) -> Any: ...
    def needs(self, params: Any) -> Needs: ...
    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec | None: ...
