"""Run the pipelines ``segmentation`` and ``map`` from a clip to a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image, ImageDraw, ImageFont

from bmfgraph.nodes.palette import color_of
from bmfgraph.stages.color_maps import color_table
from tests.conftest import located
from tests.runner.command import bmfgraph, start
from tests.tools import Pixels, save_model, tensor_info

DETECTOR = "wheel:rapidocr-onnxruntime==1.4.4/rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"


def pictures(path: Path) -> list[NDArray[np.int64]]:
    """Return the frames of a clip, RGB [height, width, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def text_picture(index: int, width: int, height: int) -> Pixels:
    """Draw a line of text in the upper left quarter of a grey picture."""
    image = Image.new("RGB", (width, height), (70, 80, 90))
    ImageDraw.Draw(image).text((20, 30), "HELLO 123", font=ImageFont.load_default(28), fill=(255, 255, 255))
    return np.asarray(image)


@pytest.mark.wide
def test_text_is_marked_and_nothing_else(tmp_path: Path, clip: Callable[..., Path]) -> None:
    located(DETECTOR)
    # The height is no multiple of 32, so the frame is padded and the label map is cut.
    clip(size=(320, 180), frames=2, draw=text_picture)
    words = ("pipeline=segmentation", "input=clip.mp4", "output=out.mp4", "pipeline.nodes.draw.opacity=1")
    start(bmfgraph(*words), tmp_path).wait().success()
    source = text_picture(0, 320, 180).astype(int)
    drawn = np.asarray(Image.fromarray(text_picture(0, 320, 180)).convert("L")) > 150
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    (top, bottom), (left, right) = rows[[0, -1]], columns[[0, -1]]
    images = pictures(tmp_path / "out.mp4")
    assert len(images) == 2
    for image in images:
        marked = abs(image - color_of(0)).max(axis=2) < 40
        same = abs(image - source).max(axis=2) < 40
        # The network marks the core of a line, which is smaller than its letters.
        assert marked[(top + bottom) // 2, left + 12 : right - 12].all()
        outside = np.ones(marked.shape, bool)
        outside[top - 4 : bottom + 5, left - 4 : right + 5] = False
        assert same[outside].all()


def bars(index: int, width: int, height: int) -> Pixels:
    """Draw grey bars 32 pixels wide."""
    levels = np.repeat(np.array([0, 80, 160, 240], np.uint8), width // 4)
    return np.broadcast_to(levels[:, None], (height, width, 3))


def test_a_map_covers_the_frame_whatever_the_models_input(tmp_path: Path, clip: Callable[..., Path]) -> None:
    clip(size=(128, 64), frames=3, draw=bars)
    # The brightness of an input of 96x96, of which the frame fills 48 rows.
    save_model(
        tmp_path / "net.onnx",
        [helper.make_node("ReduceMean", ["picture"], ["depth"], axes=[1], keepdims=0)],
        [tensor_info("picture", "float32", [1, 3, 96, 96])],
        [tensor_info("depth", "float32", [1, 96, 96])],
    )
    own = tmp_path / "my" / "model" / "net.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: net\nfile: net.onnx\ninputs: {picture: {std: 255}}\ndecode: {task: map, value: depth}\n")
    command = bmfgraph("--config-dir", "my", "pipeline=map", "model=net", "input=clip.mp4", "output=out.mp4")
    start(command, tmp_path).wait().success()
    table = color_table("turbo", "cpu").numpy().astype(int)
    images = pictures(tmp_path / "out.mp4")
    assert len(images) == 3
    for image in images:
        # The range of a frame is stretched from its darkest to its brightest bar.
        for number, level in enumerate((0, 85, 170, 255)):
            middle = image[:, 32 * number + 8 : 32 * number + 24]
            assert abs(middle - table[level]).max() <= 12, number
