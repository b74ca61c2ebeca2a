"""Node kinds of a third party: a stage, a source, a sink with a file, and one that wraps a BMF module."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph.errors import PlanError
from bmfgraph.nodes import (
    BmfModuleSpec,
    ColorSpec,
    Files,
    FrameSpec,
    Inferred,
    InputType,
    Needs,
    NodeSpec,
    Plan,
    PlanNode,
    Port,
    PortType,
    PythonPackage,
    Requirement,
    SourceInfo,
)


@dataclass(frozen=True)
class Strength:
    """How much of the inverted picture is mixed in, 0..1."""

    amount: float


class InvertSpec(NodeSpec):
    """Inverts frames."""

    kind: Literal["invert"] = "invert"
    amount: float = Field(default=1.0, ge=0, le=1)

    stage: ClassVar[str] = "nodepack_stage:Invert"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        if frames.width < 2:
            raise PlanError(node.name, f"frames of width {frames.width} are too narrow", hint="use wider ones")
        return Inferred((Port("out", frames.as_rgb()),), Strength(self.amount))

    def identity(self, params: Strength) -> bool:
        return params.amount == 0


@dataclass(frozen=True)
class Pattern:
    """Frames to make."""

    width: int
    height: int
    frames: int
    promised: int


class PatternSpec(NodeSpec):
    """Makes grey frames, each one level lighter than the one before, 25 a second."""

    kind: Literal["test_pattern"] = "test_pattern"
    width: int = Field(default=64, ge=2)
    height: int = Field(default=48, ge=2)
    frames: int = Field(default=10, ge=0)
    promised: int | None = Field(default=None, description="Frames that it promises; null: those that it makes.")

    stage: ClassVar[str] = "nodepack_stage:Pattern"
    arity: ClassVar[tuple[int, int]] = (0, 0)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        color = ColorSpec("bt601", False, tagged=False)
        frames = FrameSpec(self.width, self.height, "rgb24", color, Fraction(25), Fraction(1, 25))
        promised = self.frames if self.promised is None else self.promised
        return Inferred((Port("out", frames),), Pattern(self.width, self.height, self.frames, promised))

    def source(self, params: Pattern) -> SourceInfo:
        return SourceInfo(frames=params.promised, exact=True, duration=params.promised / 25, time_grid=Fraction(1, 25))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (f"{node.params.promised} grey frames",)


class MirrorSpec(NodeSpec):
    """Swaps left and right with FFmpeg's filter `hflip`."""

    kind: Literal["mirror"] = "mirror"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "yuv420p")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        frames = inputs[0]
        return Inferred((Port("out", dataclasses.replace(frames, pixel_format="yuv420p")),))

    def bmf_module(self, node: PlanNode, plan: Plan) -> BmfModuleSpec:
        ends = [{"stream": 0, "pin": 0}]
        return BmfModuleSpec(
            "c_ffmpeg_filter", {"filters": [{"name": "hflip", "para": "", "inputs": ends, "outputs": ends}]}
        )


@dataclass(frozen=True)
class Table:
    """The file to write."""

    path: str
    package: str


class ChecksumsSpec(NodeSpec):
    """Writes a line for each frame: its number, its time and the checksum of its pixels."""

    kind: Literal["checksums"] = "checksums"
    path: str
    package: str = Field(default="zlib", description="The Python module that computes the checksum.")

    stage: ClassVar[str] = "nodepack_stage:Checksums"

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((), Table(self.path, self.package))

    def files(self, params: Table) -> Files:
        return Files(writes=params.path)

    def written_bytes(self, params: Table, frames: FrameSpec, seconds: float) -> float:
        return float(frames.rate) * seconds * 20

    def needs(self, params: Table) -> Needs:
        return Needs(packages=(PythonPackage(params.package, params.package, params.package),))

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return Path(node.params.path).name, f"by {node.params.package}"
