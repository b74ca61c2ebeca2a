"""``records``: write detections as JSON Lines, JSON or CSV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bmfgraph import error_codes as codes
from bmfgraph.errors import PlanError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.path_kind import FilePath
from bmfgraph.plan.description import Files, Inferred, InputType, Requirement
from bmfgraph.plan.plan import PlanNode
from bmfgraph.plan.types import DetectionsSpec, PortType

__all__ = ["RecordsParams", "RecordsSpec"]

_BY_EXTENSION = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}


@dataclass(frozen=True)
class RecordsParams:
    """The file, and its format."""

    path: str
    format: str


class RecordsSpec(NodeSpec):
    """Writes detections: JSON Lines or a JSON array with one object per frame, or CSV with one row per box."""

    kind: Literal["records"] = "records"
    path: FilePath = Field(min_length=1, description="The file to write.")
    format: Literal["jsonl", "json", "csv"] | None = Field(default=None, description="Null: by the file's extension.")

    stage: ClassVar[str] = "bmfgraph.stages.records:Write"

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(DetectionsSpec)

    def check_options(self, name: str) -> None:
        self._format(name)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((), RecordsParams(self.path, self._format(node.name)))

    def files(self, params: RecordsParams) -> Files:
        return Files(writes=params.path)

    def summary(self, node: PlanNode, inputs: tuple[PortType, ...]) -> tuple[str, ...]:
        return (Path(node.params.path).name,)

    def _format(self, name: str) -> str:
        extension = Path(self.path).suffix.lower()
        file_format = self.format or _BY_EXTENSION.get(extension)
        if file_format is None:
            raise PlanError(
                name,
                f"path {self.path!r}: extension {extension!r} has no known format; allowed: {', '.join(_BY_EXTENSION)}",
                hint=f"set pipeline.nodes.{name}.format to jsonl, json or csv",
                code=codes.UNKNOWN_RECORDS_FORMAT,
            )
        return file_format
