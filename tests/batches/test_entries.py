"""Test which clips a batch lists, and what it says of a wrong list."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from bmfgraph.batches.entries import Entry, entries, is_manifest
from bmfgraph.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("clips/b.mp4", "clips/a.mp4", "clips/x/a.mkv", "shots/1.png", "shots/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def listed(value: str | list[str]) -> list[tuple[int, str, str]]:
    return [(entry.index, entry.clip, entry.relative) for entry in entries(value)]


def test_folders_patterns_lists_and_single_clips() -> None:
    assert listed("clips") == [(0, "clips/a.mp4", "a"), (1, "clips/b.mp4", "b")]
    assert listed("clips/**/*.m*") == [
        (0, "clips/a.mp4", "a"),
        (1, "clips/b.mp4", "b"),
        (2, "clips/x/a.mkv", "x/a"),
    ]
    assert listed("clips/b.mp4") == [(0, "clips/b.mp4", "b")]
    assert listed("shots/*.png") == [(0, "shots/*.png", "shots")]
    assert listed(["clips/b.mp4", "clips"]) == [
        (0, "clips/b.mp4", "b"),
        (1, "clips/a.mp4", "a"),
        (2, "clips/b.mp4", "b"),
    ]
    assert listed("none/*.mp4") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "input,output,decoder.start,engine\nclips/a.mp4,out,2.5,\nx/b.mp4,1e3,,fp16\n"),
        ("m.CSV", '\ufeff input ,output,decoder.start,engine\r\n"clips/a.mp4",out,2.5,\r\nx/b.mp4,1e3,, fp16 \r\n'),
        (
            "m.jsonl",
            '{"input": "clips/a.mp4", "output": "out", "decoder": {"start": 2.5}}\n\n'
            '{"engine": "fp16", "input": "x/b.mp4", "output": "1e3"}\n',
        ),
    ],
)
def test_manifests(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")
    assert is_manifest(name)
    assert list(entries(name)) == [
        Entry(0, "clips/a.mp4", "clips/a", {"output": "out", "decoder.start": 2.5}),
        Entry(1, "x/b.mp4", "x/b", {"output": "1e3", "engine": "fp16"}),
    ]


@pytest.mark.parametrize(
    ("clip", "relative"),
    [
        ("x/a.b.mp4", "x/a.b"),
        ("/x/a.mp4", "a"),
        ("../../x/a.mp4", "a"),
        ("x/../../a.mp4", "a"),
        ("https://host/x/a.mp4", "a"),
    ],
)
def test_no_name_leads_out_of_the_folder(clip: str, relative: str) -> None:
    Path("m.csv").write_text(f"input\n{clip}\n")
    assert [entry.relative for entry in entries("m.csv")] == [relative]


def test_cells_are_values_as_in_yaml_but_file_names_stay_text() -> None:
    Path("m.csv").write_text("input,report,latency,a,b,c,d\nx.mp4,12,0.5,true,null,[1],2024-01-01\n")
    (entry,) = entries("m.csv")
    assert entry.changes == {"report": "12", "latency": 0.5, "a": True, "b": None, "c": "[1]", "d": "2024-01-01"}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("m.csv", "clip\nx.mp4\n", "line 1 of 'm.csv': its header has no column 'input'"),
        ("m.csv", "", "line 1 of 'm.csv': its header has no column 'input'"),
        ("m.csv", "input,output\nx.mp4\n", "line 2 of 'm.csv': it has not as many cells as the header"),
        ("m.csv", "input,output\nx.mp4,a,b\n", "line 2 of 'm.csv': it has not as many cells as the header"),
        ("m.csv", "input,output\n,a\n", "line 2 of 'm.csv': it names no clip in 'input'"),
        ("m.csv", 'input\n"x', "line 1 of 'm.csv': unexpected end of data"),
        ("m.csv", "input\n" + "x" * (1 << 20) + "\n", "line 2 of 'm.csv': it has more than 1,048,576 characters"),
        ("m.jsonl", '{"input": "x"}\n{', "line 2 of 'm.jsonl': it is not JSON"),
        ("m.jsonl", "[" * 100_000, "line 1 of 'm.jsonl': it is not JSON"),
        ("m.jsonl", "[]", "line 1 of 'm.jsonl': it is not an object"),
        ("m.jsonl", '{"input": 3}', "line 1 of 'm.jsonl': it names no clip in 'input'"),
    ],
)
def test_wrong_manifests(name: str, text: str, reason: str) -> None:
    Path(name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        list(entries(name))
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("E224", "input")
    assert problem.message.startswith(reason)


@pytest.mark.wide
def test_a_long_manifest_is_read_row_by_row() -> None:
    with Path("m.jsonl").open("w") as file:
        for number in range(50_000):
            file.write(json.dumps({"input": f"clip{number}.mp4", "output": f"out{number}.mp4"}) + os.linesep)
    next(entries("m.jsonl"))
    tracemalloc.start()
    try:
        assert sum(1 for _ in entries("m.jsonl")) == 50_000
        # As a list, the entries take 30 MB; a module that is imported meanwhile takes some.
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()
