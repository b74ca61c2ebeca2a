"""Test the references of a sweep's cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bmfgraph import compose
from bmfgraph.errors import ConfigError
from bmfgraph.sweep.references import find_references, quality
from tests.tools import make_clip


def cells(*varied: dict[str, str], failed: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return cells whose ids are their values."""
    names = ["/".join(overrides.values()) for overrides in varied]
    return [
        {"id": name, "varied": overrides, "status": "failed" if name in failed else "ok"}
        for name, overrides in zip(names, varied, strict=True)
    ]


def grid(**axes: str) -> list[dict[str, str]]:
    """Return all combinations of values."""
    runs: list[dict[str, str]] = [{}]
    for key, values in axes.items():
        runs = [{**run, key: value} for run in runs for value in values.split()]
    return runs


def test_a_cell_is_compared_with_a_cell_that_has_the_same_input() -> None:
    references, file = find_references("auto", cells(*grid(input="a b", engine="fp16 fp32")))
    assert file is None
    assert references == {"a/fp16": "a/fp32", "a/fp32": "a/fp32", "b/fp16": "b/fp32", "b/fp32": "b/fp32"}


def test_options_of_the_engine_may_differ_from_the_reference() -> None:
    runs = grid(engine="fp32 fp16", **{"engine.batch": "1 8"})
    assert find_references("auto", cells(*runs))[0]["fp16/8"] == "fp32/8"
    assert find_references("auto", cells(*runs, failed=("fp32/8",)))[0]["fp16/8"] == "fp32/1"
    references = find_references("engine=fp32 engine.batch=1", cells(*runs))[0]
    assert set(references.values()) == {"fp32/1"}
    # The output of another input is not a reference, even if the right cell has failed.
    inputs = cells(*grid(input="a b", engine="fp32 fp16"), failed=("b/fp32",))
    assert find_references("auto", inputs)[0]["b/fp16"] == "b/fp32"


def test_without_a_cell_in_fp32_there_is_no_reference() -> None:
    for runs in (grid(engine="fp16 int8"), grid(crf="18 20"), grid()):
        assert find_references("auto", cells(*runs)) == ({}, None)
    assert find_references(None, cells(*grid(engine="fp32 fp16"))) == ({}, None)


def test_lists_and_quotes_are_values() -> None:
    runs = grid(size="[1,2] [3,4]", input="'a' 'b'")
    assert set(find_references("size=[3,4],input='b'", cells(*runs))[0].values()) == {"[3,4]/'b'"}
    with pytest.raises(ConfigError, match=r"'size=\[3,5\]' names none of the cells"):
        find_references("size=[3,5]", cells(*runs))


def test_quality_is_measured_once_unless_its_file_is_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    clip = make_clip(folder / "sink.mp4", frames=2)
    outputs = {"sink": str(clip)}
    metrics, reason = quality(folder, {"outputs": outputs}, outputs)
    assert (metrics["psnr_y"]["median"], reason) == (100, "")
    stored = json.loads((folder / "quality.json").read_text())
    for text in ("[]", "{", '{"of": 1}', json.dumps({"of": stored["of"]})):
        (folder / "quality.json").write_text(text)
        assert quality(folder, {"outputs": outputs}, outputs) == (metrics, "")
    (folder / "quality.json").write_text(json.dumps({**stored, "quality": {"psnr_y": 7}}))
    assert quality(folder, {"outputs": outputs}, outputs)[0]["psnr_y"]["median"] == 7


def test_records_have_the_metrics_of_their_task(tmp_path: Path) -> None:
    record = {"frame": 0, "pts": 0.0, "texts": [{"text": "exit", "score": 0.5}]}
    output, labels = tmp_path / "texts.jsonl", tmp_path / "labels.jsonl"
    output.write_text(json.dumps(record))
    labels.write_text(json.dumps(record | {"texts": [{"text": "exist"}]}))
    metrics, reason = quality(tmp_path, {"outputs": {"table": str(output)}}, labels)
    assert ({name: values["median"] for name, values in metrics.items()}, reason) == (
        {"cer": 0.2, "exact_text": 0.0},
        "",
    )
    # A second file has another task, whose metrics come beside them.
    boxes = tmp_path / "boxes.jsonl"
    boxes.write_text(
        json.dumps({"frame": 0, "pts": 0.0, "detections": [{"label": "a", "score": 1, "box": [0, 0, 4, 4]}]})
    )
    outputs = {"boxes": str(boxes), "table": str(output)}
    assert quality(tmp_path, {"outputs": outputs}, labels)[0].keys() == {"cer", "exact_text"}
    assert {"map", "cer"} < quality(tmp_path, {"outputs": outputs}, outputs)[0].keys()
    # A table for other programs is no clip.
    (tmp_path / "boxes.parquet").write_bytes(b"PAR1")
    unread = {"table": str(tmp_path / "boxes.parquet")}
    assert quality(tmp_path, {"outputs": unread}, unread) == ({}, "it writes nothing that could be compared")
    labels.write_text("3")
    metrics, reason = quality(tmp_path, {"outputs": {"table": str(output)}}, labels)
    assert (metrics, reason[:7]) == ({}, "[E804] ")


@pytest.mark.parametrize(
    ("overrides", "cut_short"),
    [
        ((), False),
        (("decoder.end=1",), True),
        (("pipeline.nodes.source.end=1",), True),
        (("decoder.start=1", "decoder.end=2"), False),
        (("decoder=nvdec", "decoder.end=1"), True),
    ],
)
def test_an_input_that_is_cut_short_may_have_a_longer_reference(overrides: tuple[str, ...], cut_short: bool) -> None:
    assert compose("super_resolution", *overrides, input="clip.mp4").spec.cut_short is cut_short
