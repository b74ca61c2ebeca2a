"""What a cell of a sweep is compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.errors import ConfigError
from bmfgraph.sweep.references import find_references, quality
from tests.tools import make_clip


def cells(*varied: dict[str, str], failed: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Cells that are called after their values."""
    names = ["/".join(one.values()) for one in varied]
    return [
        {"id": name, "varied": one, "status": "failed" if name in failed else "ok"}
        for name, one in zip(names, varied, strict=True)
    ]


def grid(**axes: str) -> list[dict[str, str]]:
    """All combinations of values."""
    made: list[dict[str, str]] = [{}]
    for key, values in axes.items():
        made = [{**one, key: value} for one in made for value in values.split()]
    return made


def test_a_cell_is_compared_with_its_like_only() -> None:
    found, file = find_references("auto", cells(*grid(input="a b", engine="fp16 fp32")))
    assert file is None
    assert found == {"a/fp16": "a/fp32", "a/fp32": "a/fp32", "b/fp16": "b/fp32", "b/fp32": "b/fp32"}


def test_how_the_engine_runs_makes_no_other_output() -> None:
    some = grid(engine="fp32 fp16", **{"engine.batch": "1 8"})
    assert find_references("auto", cells(*some))[0]["fp16/8"] == "fp32/8"
    assert find_references("auto", cells(*some, failed=("fp32/8",)))[0]["fp16/8"] == "fp32/1"
    one = find_references("engine=fp32 engine.batch=1", cells(*some))[0]
    assert set(one.values()) == {"fp32/1"}
    # Another input's output is nothing to compare with, whatever has failed.
    two = cells(*grid(input="a b", engine="fp32 fp16"), failed=("b/fp32",))
    assert find_references("auto", two)[0]["b/fp16"] == "b/fp32"


def test_without_a_cell_in_fp32_there_is_no_reference() -> None:
    for some in (grid(engine="fp16 int8"), grid(crf="18 20"), grid()):
        assert find_references("auto", cells(*some)) == ({}, None)
    assert find_references(None, cells(*grid(engine="fp32 fp16"))) == ({}, None)


def test_lists_and_quotes_are_values() -> None:
    some = grid(size="[1,2] [3,4]", input="'a' 'b'")
    assert set(find_references("size=[3,4],input='b'", cells(*some))[0].values()) == {"[3,4]/'b'"}
    with pytest.raises(ConfigError, match=r"'size=\[3,5\]' names none of the cells"):
        find_references("size=[3,5]", cells(*some))


def test_what_was_measured_before_is_not_again_and_may_be_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    clip = make_clip(folder / "sink.mp4", frames=2)
    outputs = {"sink": str(clip)}
    found, why = quality(folder, {"outputs": outputs}, outputs)
    assert (found["psnr_y"]["median"], why) == (100, "")
    kept = json.loads((folder / "quality.json").read_text())
    for text in ("[]", "{", '{"of": 1}', json.dumps({"of": kept["of"]})):
        (folder / "quality.json").write_text(text)
        assert quality(folder, {"outputs": outputs}, outputs) == (found, "")
    (folder / "quality.json").write_text(json.dumps({**kept, "quality": {"psnr_y": 7}}))
    assert quality(folder, {"outputs": outputs}, outputs)[0]["psnr_y"]["median"] == 7
