"""Test that cached facts equal the file's own, and that invalid entries are ignored."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import bmfgraph
from bmfgraph.engines.onnx import cache as notes
from bmfgraph.engines.onnx.cache import cached_model, cached_output_shapes
from bmfgraph.engines.onnx.model import OnnxError, OnnxModel, describe, read_onnx
from bmfgraph.engines.onnx.shapes import infer_shapes
from tests.tools import detector_model, double_model, middle_model, negate_model

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BMFGRAPH_CACHE", str(folder))
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the calls that the cache did not answer."""
    asked: list[str] = []

    def read(path: Path) -> OnnxModel:
        asked.append("model")
        return describe(path)

    def infer(path: Path, inputs: Shapes) -> dict[str, tuple[int | None, ...]]:
        asked.append("shapes")
        return infer_shapes(path, inputs)

    monkeypatch.setattr(notes, "read_limited", read)
    monkeypatch.setattr(notes, "shapes_limited", infer)
    return asked


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (double_model, {"input": (1, 3, 48, 64)}),
        (middle_model, {"input:0": (1, 5, 6, 21)}),
        (detector_model, {"input": (1, 3, 48, 64)}),
        (lambda path: negate_model(path, weights_as_inputs=True), {"input": (2, 3, 4, 5)}),
    ],
    ids=["double", "middle", "detector", "weights as inputs"],
)
def test_notes_say_what_the_file_says(
    tmp_path: Path, reads: list[str], make: Callable[[Path], Path], shapes: Shapes
) -> None:
    path = make(tmp_path / "net.onnx")
    for _ in range(3):
        model = cached_model(path)
        assert model == read_onnx(path)
        assert cached_output_shapes(model, shapes) == infer_shapes(path, shapes)
    assert reads == ["model", "shapes"]


def test_other_shapes_are_asked_for(tmp_path: Path, reads: list[str]) -> None:
    model = cached_model(double_model(tmp_path / "net.onnx"))
    for _ in range(2):
        for height, width in ((48, 64), (96, 128)):
            shapes = {"input": (1, 3, height, width)}
            assert cached_output_shapes(model, shapes) == {"output": (1, 3, 2 * height, 2 * width)}
    assert reads == ["model", "shapes", "shapes"]


def test_another_place_or_other_bytes(tmp_path: Path, reads: list[str]) -> None:
    path = double_model(tmp_path / "net.onnx")
    cached_model(path)
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(path.read_bytes())
    assert cached_model(copy).path == copy
    assert reads == ["model"]
    negate_model(path)
    assert cached_model(path).inputs == read_onnx(path).inputs
    assert reads == ["model", "model"]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(OnnxError) as caught:
        cached_model(path)
    assert caught.value.code == "E502"
    with pytest.raises(OnnxError, match="does not exist"):
        cached_model(tmp_path / "none.onnx")


def test_a_file_that_is_replaced_while_it_is_read_is_not_noted(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = double_model(tmp_path / "net.onnx")

    def read(path: Path) -> OnnxModel:
        return describe(negate_model(path))

    def infer(path: Path, inputs: Shapes) -> dict[str, tuple[int | None, ...]]:
        return infer_shapes(negate_model(path), inputs)

    before = cached_model(path)
    (cache / "onnx" / f"{before.sha256}.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(notes, "shapes_limited", infer)
        assert cached_output_shapes(before, {"input": (1, 3, 4, 4)}) == {"output": (1, 3, 4, 4)}
        patch.setattr(notes, "read_limited", read)
        assert cached_model(double_model(path)).inputs[0].dtype == "float32"
    double_model(path)
    assert list((cache / "onnx").iterdir()) == []
    assert cached_model(path) == before
    assert cached_output_shapes(before, {"input": (1, 3, 4, 4)}) == {"output": (1, 3, 8, 8)}


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero"), tmp_path):
        with pytest.raises(OnnxError) as caught:
            cached_model(path)
        assert caught.value.code == "E501"


def test_what_is_wrong_is_not_noted(tmp_path: Path, reads: list[str]) -> None:
    model = cached_model(negate_model(tmp_path / "net.onnx", shape=(1, 3, 8, 8)))
    for _ in range(2):
        with pytest.raises(OnnxError):
            cached_output_shapes(cached_model(double_model(tmp_path / "d.onnx")), {"input": (1, 5)})
    assert reads == ["model", "model", "shapes", "shapes"]
    assert cached_output_shapes(model, {"input": (1, 3, 8, 8)}) == {"output": (1, 3, 8, 8)}


def test_weights_in_files_of_their_own(tmp_path: Path, reads: list[str]) -> None:
    path = negate_model(tmp_path / "net.onnx")
    onnx.save_model(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="net.weights",
        size_threshold=0,
        convert_attribute=True,
    )
    first = cached_model(path)
    assert [file.name for file in first.external] == ["net.weights"]
    assert cached_model(path) == first == read_onnx(path)
    assert cached_output_shapes(first, {"input": (1, 3, 4, 4)}) == {"output": (1, 3, 4, 4)}
    assert cached_output_shapes(first, {"input": (1, 3, 4, 4)}) == {"output": (1, 3, 4, 4)}
    assert reads == ["model", "shapes"]
    weights = tmp_path / "net.weights"
    weights.write_bytes(bytes(len(weights.read_bytes())))
    assert cached_model(path).sha256 == read_onnx(path).sha256 != first.sha256
    weights.unlink()
    with pytest.raises(OnnxError) as caught:
        cached_model(path)
    assert caught.value.code == "E503"


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '{"by": 1}', "OTHER", "NO MODEL", "NO SHAPES", "WRONG SHAPES"],
)
def test_damaged_notes_and_those_of_another_onnx(tmp_path: Path, cache: Path, reads: list[str], damage: str) -> None:
    path = double_model(tmp_path / "net.onnx")
    shapes = {"input": (1, 3, 48, 64)}
    right = cached_model(path), cached_output_shapes(cached_model(path), shapes)
    (note,) = (cache / "onnx").iterdir()
    told = json.loads(note.read_text())
    assert told["by"] == [4, bmfgraph.__version__, onnx.__version__]
    changed = {
        "OTHER": {**told, "by": [4, bmfgraph.__version__, "1.0"]},
        "NO MODEL": {**told, "model": {"inputs": 3}},
        "NO SHAPES": {**told, "shapes": [1]},
        "WRONG SHAPES": {**told, "shapes": {"input=1x3x48x64": 7}},
    }
    note.write_text(json.dumps(changed[damage]) if damage in changed else damage)
    assert (cached_model(path), cached_output_shapes(cached_model(path), shapes)) == right
    asked = len(reads)
    assert asked > 2
    assert (cached_model(path), cached_output_shapes(cached_model(path), shapes)) == right
    assert len(reads) == asked
    assert [one.name for one in (cache / "onnx").iterdir()] == [note.name]


@pytest.mark.parametrize("why", ["a file is there", "no home"])
def test_a_cache_that_cannot_be_written(
    tmp_path: Path, cache: Path, reads: list[str], request: pytest.FixtureRequest, why: str
) -> None:
    if why == "no home":
        request.getfixturevalue("no_home")
    else:
        cache.write_text("")
    path = double_model(tmp_path / "net.onnx")
    for _ in range(2):
        assert cached_model(path) == read_onnx(path)
    assert reads == ["model", "model"]


def test_notes_do_not_grow_without_end(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    model = cached_model(double_model(tmp_path / "net.onnx"))
    for width in range(1, 41):
        cached_output_shapes(model, {"input": (1, 3, 1, width)})
    (note,) = (cache / "onnx").iterdir()
    assert list(json.loads(note.read_text())["shapes"]) == [f"input=1x3x1x{width}" for width in range(9, 41)]


def test_what_was_noted_needs_no_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = double_model(tmp_path / "net.onnx")
    shapes = {"input": (1, 3, 4, 4)}
    right = cached_model(path), cached_output_shapes(cached_model(path), shapes)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert (cached_model(path), cached_output_shapes(cached_model(path), shapes)) == right
