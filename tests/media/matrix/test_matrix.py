"""Test a sample of the combinations, and that the tables in docs/media.md list all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmfgraph.nodes.codecs import CODECS
from tests.media.matrix.cells import READ_FORMATS, Cell, read_cell, read_cells, write_cell, write_cells
from tests.media.matrix.table import PAGE, between_marks, tables, with_tables


@pytest.mark.parametrize(
    ("container", "codec", "pixel_format", "result"),
    [
        ("mp4", "libsvtav1", "yuv420p10le", "yes"),
        ("mxf", "mpeg2video", "yuv422p", "yes"),
        ("avi", "huffyuv", "yuv422p", "yes"),
        ("picture", "png", "rgb48be", "yes"),
        ("raw stream", "libx264", "yuv420p", "yes"),
        ("mp4", "huffyuv", "rgb24", "–"),
    ],
)
def test_reading(tmp_path: Path, container: str, codec: str, pixel_format: str, result: str) -> None:
    cell = read_cell(Cell("read", container, codec, pixel_format), tmp_path)
    assert (cell.result, cell.reason) == (result, "")


@pytest.mark.parametrize(
    ("container", "codec", "pixel_format", "result"),
    [
        ("matroska", "ffv1", "gray10le", "yes"),
        ("dash", "x264", "yuv420p", "yes"),
        ("webp", "webp", "yuv420p", "yes"),
        ("yuv4mpegpipe", "raw", "yuv420p10le", "yes"),
        ("rawvideo", "raw", "p010le", "yes"),
        ("avi", "raw", "yuv444p", "E345"),
        ("mp4", "ffv1", "yuv420p", "E342"),
    ],
)
def test_writing(tmp_path: Path, container: str, codec: str, pixel_format: str, result: str) -> None:
    cell = write_cell(Cell("write", container, codec, pixel_format), tmp_path)
    assert cell.result == result, cell.reason
    assert bool(cell.reason) == (result != "yes")


def test_a_clip_that_is_read_wrongly_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.media.matrix.cells._fault_of_written", lambda *_: "2 frames, not 3")
    cell = write_cell(Cell("write", "matroska", "ffv1", "yuv420p"), tmp_path)
    assert (cell.failed, cell.reason) == (True, "2 frames, not 3")


def test_the_tables() -> None:
    cells = [
        Cell("read", "mp4", "libx264", "yuv420p", "yes"),
        Cell("read", "avi", "libx264", "yuv420p", "–"),
        Cell("read", "mp4", "gif", "pal8", "–"),
        Cell("read", "avi", "gif", "pal8", "–"),
        Cell("write", "mp4", "x264", "yuv420p", "yes"),
        Cell("write", "mp4", "x264", "yuv422p", "yes"),
        Cell("write", "mp4", "ffv1", "yuv420p", "E342", "mp4 files cannot hold codec ffv1"),
    ]
    lines = tables(cells).splitlines()
    assert [line for line in lines if line.startswith("| ")] == [
        "| codec | pixel formats | mp4 | avi |",
        "| libx264 | yuv420p | yes | – |",
        "| codec | pixel formats | mp4 |",
        "| x264 | yuv420p, yuv422p | yes |",
        "| ffv1 | yuv420p | E342 |",
    ]
    assert lines[-1].startswith("- E342: ")
    page = "before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n"
    assert between_marks(with_tables(page, "new")) == "new"
    assert with_tables(page, "new").startswith("before\n")
    assert with_tables(page, "new").endswith("\nafter\n")


def test_the_page_lists_every_codec_and_pixel_format() -> None:
    text = between_marks(PAGE.read_text())
    read, _, written = text.partition("### Written")
    advice = "make media-table"
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in written.splitlines() if line.startswith("| ")}
    assert set(CODECS) <= set(rows), advice
    for cell in write_cells():
        assert any(
            line.startswith(f"| {cell.codec} | ") and cell.pixel_format in line.split(" | ")[1].split(", ")
            for line in written.splitlines()
        ), (advice, cell)
    assert {cell.codec for cell in read_cells()} == set(READ_FORMATS)
    assert all(f"| {codec} | " in read for codec in READ_FORMATS), advice
    assert "failed" not in text
