"""Full disks: the error names the node and its file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import bmfgraph as bg
from bmfgraph import error_codes as codes
from bmfgraph.media.quality import measure
from tests.tools import Pixels, file_system

Clip = Callable[..., Path]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    with file_system(tmp_path / "small", "64k") as folder:
        yield folder


def noise(index: int, width: int, height: int) -> Pixels:
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


def fill(folder: Path) -> None:
    """Leave no room in the file system of a folder."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def nodes(clip: Path, **others: object) -> dict[str, object]:
    return {"name": "full", "nodes": {"source": {"kind": "decoder", "path": str(clip)}, **others}}


def failed(job: bg.Job) -> bg.Problem:
    with pytest.raises(bg.BmfgraphError) as error:
        job.run()
    return error.value.problems[0]


def test_the_disk_of_the_output_is_full(small: Path, clip: Clip) -> None:
    sink = {"kind": "encoder", "inputs": ["source.video"], "path": str(small / "out.mkv"), "crf": 0}
    # Noise needs far more room than the check before the run expects.
    source = clip("clip.mp4", frames=60, draw=noise)
    problem = failed(bg.Job(nodes(source, sink=sink)))
    assert problem.code == codes.DISK_FULL
    assert problem.place.startswith("node 'sink' (encoder)")
    assert str(small / "out.mkv") in problem.message
    assert ".part" not in problem.message
    assert "pipeline.nodes.sink.path" in problem.hint
    assert list(small.iterdir()) == []


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_the_disk_of_the_records_is_full(small: Path, form: str, clip: Clip, tmp_path: Path) -> None:
    fill(small)
    job = bg.compose(
        "face_detection",
        "encoder.preset=ultrafast",
        input=clip("clip.mp4", frames=3),
        output=tmp_path / "out.mp4",
        records=str(small / f"boxes.{form}"),
    )
    problem = failed(job)
    assert problem.code == codes.DISK_FULL
    assert problem.place.startswith("node 'table' (records)")
    assert f"boxes.{form}" in problem.message
    assert not (tmp_path / "out.mp4").exists()


def test_no_temporary_folder_can_be_made(tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clip("clip.mp4", frames=3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(bg.RunError, match="no temporary folder can be made") as error:
        measure(source, source)
    assert "TMPDIR" in error.value.hint
