"""Write records in the formats of files: JSON Lines, JSON, CSV, Parquet, COCO and YOLO."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import orjson

from bmfgraph.media.rle import decode
from bmfgraph.nodes.records import RecordsParams

__all__ = ["FORMATS", "Coco", "Csv", "Json", "JsonLines", "Parquet", "RecordFile", "Yolo", "join_records"]

Record = Mapping[str, Any]
_BOX = ("x1", "y1", "x2", "y2")
_TEXTS = ("label", "text", "mask")
"""Columns that hold text; all others hold numbers."""
_ROWS = 4096
"""Rows that are written to a Parquet file at once."""


class RecordFile:
    """A text file of records, one method call for each frame.

    Args:
        params: Path and contents.
    """

    newline: ClassVar[str | None] = None

    def __init__(self, params: RecordsParams) -> None:
        self.params = params
        self.file = Path(params.path).open("w", encoding="utf-8", newline=self.newline)  # noqa: SIM115
        self.begin()

    def begin(self) -> None:
        """Write what comes before the first frame."""

    def write(self, index: int, pts: float, record: Record) -> None:
        """Write the results of a frame.

        Args:
            index: Number of the frame from 0.
            pts: Seconds.
            record: What the results return from ``record``.
        """
        raise NotImplementedError

    def end(self) -> None:
        """Write what comes after the last frame."""

    def finish(self) -> None:
        """Complete the file and close it."""
        self.end()
        self.file.close()

    def close(self) -> None:
        """Close the file as it is."""
        self.file.close()


def _json(index: int, pts: float, record: Record) -> str:
    """Return a frame as JSON, which has no NaN: such a number becomes null."""
    return orjson.dumps({"frame": index, "pts": pts, **record}, option=orjson.OPT_SERIALIZE_NUMPY).decode()


class JsonLines(RecordFile):
    """A line for each frame, with an object of JSON."""

    def write(self, index: int, pts: float, record: Record) -> None:
        self.file.write(_json(index, pts, record) + "\n")


class Json(RecordFile):
    """One array of JSON with an object for each frame."""

    def begin(self) -> None:
        self._separator = "[\n"

    def write(self, index: int, pts: float, record: Record) -> None:
        self.file.write(self._separator + _json(index, pts, record))
        self._separator = ",\n"

    def end(self) -> None:
        self.file.write("[]\n" if self._separator == "[\n" else "\n]\n")


def _rows(index: int, pts: float, record: Record, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row for each object of a frame; a single one without values where it has none."""
    ((_, values),) = record.items()
    if values and not isinstance(values[0], Mapping):
        return [{"frame": index, "pts": pts, **dict(zip(columns, values, strict=True))}]
    rows: list[dict[str, Any]] = []
    objects: Sequence[Mapping[str, Any]] = values or ({},)
    for value in objects:
        row: dict[str, Any] = {"frame": index, "pts": pts, **value}
        row |= zip(_BOX, row.pop("box", ()), strict=False)
        points = [part for point in row.pop("keypoints", ()) for part in point]
        row |= zip(columns[len(columns) - len(points) :], points, strict=True)
        if "mask" in row:
            row["mask"] = json.dumps(row["mask"])
        rows.append(row)
    return rows


class Csv(RecordFile):
    """A row for each object. A frame without one has a row with empty columns."""

    newline = ""

    def begin(self) -> None:
        columns = ("frame", "pts", *self.params.columns)
        self._writer = csv.DictWriter(self.file, columns, restval="", extrasaction="ignore")
        self._writer.writeheader()

    def write(self, index: int, pts: float, record: Record) -> None:
        self._writer.writerows(_rows(index, pts, record, self.params.columns))


class Parquet:
    """A table with the same rows as CSV, in Apache Parquet's form.

    Args:
        params: Path and contents.
    """

    def __init__(self, params: RecordsParams) -> None:
        import pyarrow
        from pyarrow import parquet

        self._params, self._arrow, self._rows = params, pyarrow, list[dict[str, Any]]()
        fields = [("frame", pyarrow.int64()), ("pts", pyarrow.float64())]
        fields += [(name, pyarrow.string() if name in _TEXTS else pyarrow.float32()) for name in params.columns]
        self._schema = pyarrow.schema(fields)
        self._writer = parquet.ParquetWriter(params.path, self._schema)

    def write(self, index: int, pts: float, record: Record) -> None:
        """Collect the rows of a frame, and write full groups of rows."""
        self._rows += _rows(index, pts, record, self._params.columns)
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        self._rows = []

    def finish(self) -> None:
        """Write the last rows and the table's end."""
        self._flush()
        self._writer.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._writer.close()


class Coco(RecordFile):
    """One document of COCO's form: annotations, images and categories, each with numbers from 1.

    Source: the data format of the COCO data set (Lin et al., 2014), https://cocodataset.org/#format-data.
    """

    def begin(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._number = 0
        self._places = {label: place for place, label in enumerate(self.params.labels, 1)}
        self.file.write('{"annotations": [')

    def write(self, index: int, pts: float, record: Record) -> None:
        image = len(self._images) + 1
        name = f"{index:06}.png"
        size = {"width": self.params.width, "height": self.params.height}
        self._images.append({"id": image, "file_name": name, "frame": index, "pts": pts, **size})
        for value in record["detections"]:
            self._number += 1
            left, top, right, bottom = value["box"]
            box = [left, top, round(right - left, 2), round(bottom - top, 2)]
            annotation = {
                "id": self._number,
                "image_id": image,
                "category_id": self._places[value["label"]],
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "score": value["score"],
            }
            if "mask" in value:
                annotation |= {"segmentation": value["mask"], "area": int(decode(value["mask"]).sum())}
            if "keypoints" in value:
                # COCO's third number says whether a point is visible (2).
                annotation["keypoints"] = [part for x, y, _ in value["keypoints"] for part in (x, y, 2)]
                annotation["num_keypoints"] = len(value["keypoints"])
            self.file.write(("," if self._number > 1 else "") + "\n" + json.dumps(annotation))

    def end(self) -> None:
        more: dict[str, Any] = {"keypoints": list(self.params.keypoints)} if self.params.keypoints else {}
        if more:
            more["skeleton"] = [[first + 1, second + 1] for first, second in self.params.skeleton]
        categories = [{"id": place, "name": label, **more} for label, place in self._places.items()]
        rest = json.dumps({"images": self._images, "categories": categories}, ensure_ascii=False)
        self.file.write("\n], " + rest[1:] + "\n")


class Yolo:
    """A zip file with ``labels/000000.txt`` for each frame and ``classes.txt``.

    A line holds the number of the class, the centre and the size of the box in 0..1 of the frame, and the score, in
    the order of the text files of Ultralytics (https://docs.ultralytics.com/datasets/detect).

    Args:
        params: Path and contents.
    """

    def __init__(self, params: RecordsParams) -> None:
        self._params = params
        self._zip = zipfile.ZipFile(params.path, "w", zipfile.ZIP_DEFLATED)

    def write(self, index: int, pts: float, record: Record) -> None:
        """Write the text file of a frame."""
        width, height = self._params.width, self._params.height
        lines = []
        for value in record["detections"]:
            left, top, right, bottom = value["box"]
            centre = [(left + right) / 2 / width, (top + bottom) / 2 / height]
            numbers = [*centre, (right - left) / width, (bottom - top) / height]
            place = self._params.labels.index(value["label"])
            lines.append(f"{place} {' '.join(f'{number:.6f}' for number in numbers)} {value['score']:.4f}\n")
        self._zip.writestr(f"labels/{index:06}.txt", "".join(lines))

    def finish(self) -> None:
        """Write the names of the classes, and complete the file."""
        self._zip.writestr("classes.txt", "".join(f"{label}\n" for label in self._params.labels))
        self._zip.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._zip.close()


FORMATS: Mapping[str, Any] = {
    "jsonl": JsonLines, "json": Json, "csv": Csv, "parquet": Parquet, "coco": Coco, "yolo": Yolo,
}  # fmt: skip
"""The class of each format."""


def join_records(params: RecordsParams, parts: Sequence[Path], *_: object) -> None:
    """Write the records of a clip's parts, which are in JSON Lines, to one file.

    Args:
        params: Path and contents of the whole file.
        parts: The files, in order. Frames have the numbers and times of the whole clip.
    """
    file = FORMATS[params.format](params)
    try:
        for part in parts:
            with part.open(encoding="utf-8") as lines:
                for line in lines:
                    record = json.loads(line)
                    file.write(record.pop("frame"), record.pop("pts"), record)
        file.finish()
    except BaseException:
        file.close()
        raise
