"""Run the node kind ``records``: write the results of each frame to a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bmfgraph.nodes.records import RecordsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.record_files import FORMATS
from bmfgraph.stages.results import records_of

__all__ = ["Write"]


class Write(Stage):
    """Write results: ``pts`` in seconds, places in pixels of the source frame."""

    params: RecordsParams

    def open(self) -> None:
        self._file = FORMATS[self.params.format](self.params)

    def process(self, *items: Any) -> Iterable[Any]:
        return self.process_batch([items])

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        columns = [records_of(column) for column in zip(*rows, strict=True)]
        for (first, *_), (record, *others) in zip(rows, zip(*columns, strict=True), strict=True):
            for other in others:
                for key, values in other.items():
                    # Several nodes of a kind share a key.
                    record[key] = record[key] + values if key in record else values
            if self.params.empty_frames or any(record.values()):
                self._file.write(first.index, round(first.frame.seconds, 6), record)
        return ()

    def finish(self) -> Iterable[Any]:
        # Close the file here, because an error in `finish` names this node; a full disk often shows only now.
        self._file.finish()
        return ()

    def close(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()
