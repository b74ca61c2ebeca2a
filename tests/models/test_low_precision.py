"""The int8 versions of the super-resolution networks, and what lower precisions cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import bmfgraph.models
from bmfgraph.models.training import low_precision
from bmfgraph.models.training.drawn_page import draw_page
from bmfgraph.models.training.resample import Picture, matlab_shrink, y_psnr
from bmfgraph.models.training.upscaler import Upscaler
from tests.models.training_tools import write_video

FAST = Path(bmfgraph.models.__file__).parent / "vsr_x2_fast_video.onnx"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that moves over a drawn page."""
    path = tmp_path_factory.mktemp("clip") / "page.mp4"
    page = np.asarray(draw_page(12).resize((600, 600), Image.Resampling.LANCZOS))
    frames: list[Picture] = [np.ascontiguousarray(page[200:328, i : i + 160]) for i in range(24)]
    write_video(path, frames)
    return path


def test_int8_costs_little(clip: Path, tmp_path: Path) -> None:
    made = tmp_path / "fast_int8.onnx"
    low_precision.main(["int8", "--model", str(FAST), "--clips", str(clip), "--out", str(made)])
    model = onnx.load(made)
    quantized = {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {"f0r", "f4r", "convs.1.w", "convs.5.w"} <= quantized
    assert quantized.isdisjoint({"x0", "skip.w", "convs.0.w", "tail.w"})
    high = np.asarray(draw_page(13))[300:500, 300:600]
    low = matlab_shrink(high)
    plain, small = (y_psnr(Upscaler(path)(low[None])[0], high) for path in (FAST, made))
    assert plain - small < 0.3  # a page's edges are harder than photographs


def test_the_check_scores_each_precision(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    large = FAST.with_name("vsr_x4_video.onnx")
    low_precision.main(["check", "--models", str(FAST), str(large), "--clips", str(clip), "--out", str(tmp_path)])
    head, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert head == ["Y-PSNR, dB", "bicubic", "area", "x264 CRF 23", "x264 CRF 28"]
    assert [row[0] for row in rows] == [
        f"{file.stem}{kind}" for file in (FAST, large) for kind in ("", " fp16", " bf16")
    ]
    for of_file in (rows[:3], rows[3:]):
        plain, half, brain = (np.array(row[1:], float) for row in of_file)
        assert np.abs(plain - half).max() < 0.02
        assert np.abs(plain - brain).max() < 0.3
