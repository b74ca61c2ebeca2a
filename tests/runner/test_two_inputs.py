"""Test a real model with two inputs: each gets the frames of its own edge, in step with the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmfgraph.errors import RunError
from tests.runner.media_tools import SEEN, RecordSpec, decoder, encoder, recorded, run, video_times
from tests.tools import make_clip, mix_model

pytest.importorskip("onnxruntime")


def mixing(folder: Path, second: Path, **engine: Any) -> dict[str, Any]:
    """Return a pipeline that mixes 3/4 of a clip and 1/4 of a second one, with red and blue swapped."""
    model = {
        "name": "mix",
        "file": str(mix_model(folder / "mix.onnx")),
        "inputs": {"a": {}, "b": {"channels": "BGR"}},
        "outputs": {"output": {}},
    }
    return {
        "source": decoder(folder / "a.mp4"),
        **({} if second.name == "a.mp4" else {"other": decoder(second)}),
        "one": {"kind": "preprocess", "inputs": ["source.video"]},
        "two": {"kind": "preprocess", "inputs": ["source.video" if second.name == "a.mp4" else "other.video"]},
        "net": {"kind": "inference", "inputs": ["one", "two"], "model": model, "engine": {"threads": 1, **engine}},
        "back": {"kind": "frames", "inputs": ["net"]},
        "record": RecordSpec(inputs=("back",)),
        "sink": encoder(folder / "out.mp4", "back"),
    }


@pytest.mark.parametrize("second", ["a.mp4", "b.mp4"])
@pytest.mark.parametrize(("batch", "count"), [(1, 5), (3, 7), (4, 2)])
def test_every_frame_is_mixed_with_its_partner(tmp_path: Path, batch: int, count: int, second: str) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=count)
    other = tmp_path / second
    if other != clip:
        make_clip(other, frames=count, draw=lambda index, width, height: np.full((height, width, 3), 20 * index, "u1"))
    run(mixing(tmp_path, other, batch=batch))
    seen = SEEN.pop("seen")
    assert [one.index for one in seen] == list(range(count))
    assert video_times(tmp_path / "out.mp4") == video_times(clip)
    for result, a, b in zip(seen, recorded(clip), recorded(other), strict=True):
        expected = 0.75 * a.pixels + 0.25 * b.pixels[..., ::-1]
        assert np.abs(result.pixels - expected).max() <= 0.5
        assert result.time == a.time


def test_clips_of_different_length_do_not_go_together(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=4)
    nodes = mixing(tmp_path, make_clip(tmp_path / "b.mp4", frames=6))
    with pytest.raises(RunError) as caught:
        run(nodes)
    assert str(caught.value).startswith(
        "node 'net' (inference): after the last frame: RuntimeError: input 1 has 2 frame(s) that the other inputs do"
    )
    assert not (tmp_path / "out.mp4").exists()


def test_one_tensor_may_be_both_inputs(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=5)
    nodes = mixing(tmp_path, clip, batch=2)
    nodes["net"]["model"]["inputs"] = {"a": {}, "b": {}}
    nodes["net"]["inputs"] = ["one", "one"]
    del nodes["two"]
    run(nodes)
    for result, a in zip(SEEN.pop("seen"), recorded(clip), strict=True):
        assert np.abs(result.pixels.astype(int) - a.pixels).max() <= 1
