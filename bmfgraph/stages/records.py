"""Run the node kind ``records``: write the results of each frame to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from bmfgraph.nodes.records import RecordsParams
from bmfgraph.stages.base import Stage
from bmfgraph.stages.items import Result
from bmfgraph.stages.record_files import FORMATS
from bmfgraph.stages.results import Detections, rounded

__all__ = ["Write", "records_of"]

_T = TypeVar("_T")


class Write(Stage):
    """Write results: ``pts`` in seconds, places in pixels of the source frame."""

    params: RecordsParams

    def open(self) -> None:
        self._file = FORMATS[self.params.format](self.params)

    def process(self, *items: Any) -> Iterable[Any]:
        return self.process_batch([items])

    def process_batch(self, rows: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        columns = [records_of(column) for column in zip(*rows, strict=True)]
        for (first, *_), records in zip(rows, zip(*columns, strict=True), strict=True):
            _for_frame(first, partial(self._write, first, records))
        return ()

    def _write(self, first: Result, records: Sequence[dict[str, Any]]) -> None:
        """Write the records of a frame."""
        whole: dict[str, Any] = {}
        for record in records:
            for key, values in record.items():
                # Several nodes of a kind share a key.
                whole[key] = whole[key] + values if key in whole else values
        if self.params.empty_frames or any(whole.values()):
            self._file.write(first.index, round(first.frame.seconds, 6), whole)

    def finish(self) -> Iterable[Any]:
        # Close the file here, because an error in `finish` names this node; a full disk often shows only now.
        self._file.finish()
        return ()

    def close(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()


def records_of(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the record of each result, in less time for several of them at once."""
    found = [result for result in results if type(result) is Detections]
    # A stage of somebody else may give arrays that do not belong together, which the record of one frame refuses.
    if not found or len(found) < len(results) or any(one.corners.shape != (len(one.scores), 4) for one in found):
        return [_for_frame(result, result.record) for result in results]
    scores = rounded(np.concatenate([result.scores for result in found]), 4)
    boxes = rounded(np.concatenate([result.corners for result in found]), 2)
    ends = [0, *accumulate(len(result.scores) for result in found)]
    spans = map(slice, ends, ends[1:])
    return [
        _for_frame(result, partial(result.record_with, scores[span], boxes[span]))
        for result, span in zip(found, spans, strict=True)
    ]


def _for_frame(result: Result, work: Callable[[], _T]) -> _T:
    """Do work; the error of a run names the frame of the result for which it failed."""
    try:
        return work()
    except Exception as error:
        error.item = result  # type: ignore[attr-defined]
        raise
