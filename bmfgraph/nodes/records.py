"""``records``: write the results of each frame to a file that other programs read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.path_kind import OutputPath
from bmfgraph.plan.description import Files, Inferred, InputType, Needs, PythonPackage, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import DetectionsSpec, EmbeddingsSpec, PortType, ResultSpec
from bmfgraph.system.text import shortened

__all__ = ["RecordsParams", "RecordsSpec"]

_BY_EXTENSION = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".zip": "yolo",
}  # fmt: skip
_TABLES = ("csv", "parquet")
_BOXES_ONLY = ("coco", "yolo")
_PYARROW = PythonPackage("pyarrow", "Apache Arrow", "pyarrow")


@dataclass(frozen=True)
class RecordsParams:
    """The file, and what is written."""

    path: str
    format: str
    empty_frames: bool = True
    columns: tuple[str, ...] = ()
    """Of a table: the values of an object."""
    labels: tuple[str, ...] = ()
    """Of COCO and YOLO: the classes by their numbers."""
    width: int = 0
    """Of the frames, in pixels."""
    height: int = 0
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


class RecordsSpec(NodeSpec):
    """Writes the results of each frame: as JSON one object a frame, as a table one row for each of its objects."""

    kind: Literal["records"] = "records"
    path: OutputPath = Field(
        min_length=1, description="The file to write, with the words `{stem} {name} {pipeline} {model}` where wanted."
    )
    format: Literal["jsonl", "json", "csv", "parquet", "coco", "yolo"] | None = Field(
        default=None,
        description="Null: by the file's extension. coco: one JSON document of COCO's form; yolo: a .zip file with a "
        "text file for each frame; parquet needs the extra `parquet`.",
    )
    empty_frames: bool | None = Field(
        default=None, description="Write frames without a result as well; null: true, but false for parquet and yolo."
    )

    stage: ClassVar[str] = "bmfgraph.stages.records:Write"
    arity: ClassVar[tuple[int, int]] = (1, 8)
    joiner: ClassVar[str] = "bmfgraph.stages.record_files:join_records"

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(ResultSpec)

    def check_options(self, name: str) -> None:
        self._format(name)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        file_format = self._format(node.name)
        first = inputs[0]
        assert isinstance(first, ResultSpec)
        if len(inputs) > 1 and file_format not in ("jsonl", "json"):
            raise PlanError(
                node.name,
                f"format {file_format} holds the results of one node, and {len(inputs)} are connected",
                hint="write .jsonl, or use a records node for each of them",
                code=codes.RECORDS_FORMAT_MISMATCH,
            )
        if sum(isinstance(kind, EmbeddingsSpec) for kind in inputs) > 1:
            raise PlanError(
                node.name,
                "a record holds one embedding, and several are connected",
                hint="use a records node for each of them",
                code=codes.RECORDS_FORMAT_MISMATCH,
            )
        if file_format in _BOXES_ONLY and not isinstance(first, DetectionsSpec):
            raise PlanError(
                node.name,
                f"format {file_format} holds detections, not {first}",
                hint="write .jsonl, .csv or .parquet",
                code=codes.RECORDS_FORMAT_MISMATCH,
            )
        boxes = first if isinstance(first, DetectionsSpec) and file_format in _BOXES_ONLY else None
        params = RecordsParams(
            path=self.path,
            format=file_format,
            empty_frames=file_format not in ("parquet", "yolo") if self.empty_frames is None else self.empty_frames,
            columns=first.columns() if file_format in _TABLES else (),
            labels=boxes.labels if boxes else (),
            width=first.source.width if boxes else 0,
            height=first.source.height if boxes else 0,
            keypoints=boxes.keypoints if boxes else (),
            skeleton=boxes.skeleton if boxes else (),
        )
        return Inferred((), params)

    def files(self, params: RecordsParams) -> Files:
        return Files(writes=params.path)

    def needs(self, params: RecordsParams) -> Needs:
        return Needs(packages=(_PYARROW,) if params.format == "parquet" else ())

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (shortened(Path(node.params.path).name, 24),)

    def _format(self, name: str) -> str:
        extension = Path(self.path).suffix.lower()
        file_format = self.format or _BY_EXTENSION.get(extension)
        if file_format is None:
            raise PlanError(
                name,
                f"path {self.path!r}: extension {extension!r} has no known format; allowed: {', '.join(_BY_EXTENSION)}",
                hint=f"set pipeline.nodes.{name}.format to jsonl, json, csv, parquet, coco or yolo",
                code=codes.UNKNOWN_RECORDS_FORMAT,
            )
        return file_format
