"""Test whole pipelines against the same networks run by hand, and pipelines with several outputs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.errors import SourceError
from bmfgraph.media.sources import locate
from bmfgraph.runner.result import RunResult
from bmfgraph.runner.run import run_plan
from tests.runner.media_tools import (
    SEEN,
    Pixels,
    RecordSpec,
    decoder,
    encoder,
    frames_of,
    recorded,
    run,
    scene,
    through_rgb,
    video_times,
    write,
)

Compose = Callable[..., dict[str, Any]]
ort = pytest.importorskip("onnxruntime", reason="onnxruntime runs the networks by hand")


def session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def model_of(compose: Compose, name: str, *overrides: str) -> dict[str, Any]:
    model: dict[str, Any] = compose("pipeline=super_resolution", f"model={name}", *overrides)["model"]
    return model


def run_data(data: dict[str, Any]) -> RunResult:
    return run_plan(compile_pipeline(parse_pipeline(data)))


# ------------------------------------------------------------------------------------------- temporal windows


def windows_by_hand(network: Any, pictures: list[Pixels], outputs: list[int]) -> list[Pixels]:
    """Compute each frame by definition: the network on the window whose outputs include the frame."""
    count, made = len(pictures), []
    cache: dict[int, NDArray[Any]] = {}
    for index in range(count):
        group, place = divmod(index, len(outputs))
        if group not in cache:
            first = group * len(outputs) - outputs[0]
            members = [pictures[max(0, min(count - 1, first + position))] for position in range(7)]
            (cache[group],) = network.run(None, {"input:0": np.concatenate(members, axis=-1)[None]})
        made.append(cache[group][0, ..., 3 * place : 3 * place + 3])
    return made


@pytest.mark.sample(4)
@pytest.mark.parametrize("count", [1, 8, 20, 2, 3, 6, 7])
@pytest.mark.parametrize("name", ["vsr_x2_temporal", "bmf_v1"])
def test_temporal_windows(tmp_path: Path, compose: Compose, request: Any, name: str, count: int) -> None:
    if name == "bmf_v1":
        file = request.getfixturevalue("shared_models") / "bmf_v1_contract_x2.onnx"
        model, outputs = model_of(compose, name, f"model.file={file}"), [0, 1, 2]
    else:
        model, outputs = model_of(compose, name), [2, 3, 4]
        file = locate(model["source"])
    clip = write(tmp_path / "in.mkv", [scene(index, 48, 36) for index in range(count)], codec="ffv1")
    run(
        {
            "source": decoder(clip),
            "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
            "window": {"kind": "window", "inputs": ["prepare"]},
            "upscale": {"kind": "inference", "inputs": ["window"], "model": model},
            "restore": {"kind": "frames", "inputs": ["upscale"]},
            "record": RecordSpec(inputs=("restore",)),
            "before": RecordSpec(inputs=("source.video",), key="before"),
        }
    )
    made, given = SEEN.pop("seen"), SEEN.pop("before")
    wanted = windows_by_hand(session(file), [one.pixels for one in given], outputs)
    assert [one.index for one in made] == list(range(count))
    assert [one.time for one in made] == [one.time for one in given]
    for one, picture in zip(made, wanted, strict=True):
        assert one.pixels.shape == (72, 96, 3)
        assert np.abs(one.pixels.astype(int) - picture).max() <= 1


# --------------------------------------------------------------------------------------------------- detectors


def iou(one: NDArray[Any], other: NDArray[Any]) -> float:
    x1, y1 = np.maximum(one[:2], other[:2])
    x2, y2 = np.minimum(one[2:], other[2:])
    shared = max(0.0, x2 - x1) * max(0.0, y2 - y1)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(shared / (sum(areas) - shared))


def strongest(boxes: NDArray[Any], scores: NDArray[Any], most: float = 0.3) -> list[tuple[float, NDArray[Any]]]:
    """Suppress greedily: a box is kept unless it overlaps a better one that is kept."""
    kept: list[tuple[float, NDArray[Any]]] = []
    for place in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[place], box) <= most for _, box in kept):
            kept.append((float(scores[place]), boxes[place]))
    return kept


def fitted(picture: Pixels, width: int, height: int) -> tuple[NDArray[np.float64], float, int, int]:
    """Letterbox with black bars by Pillow; return the image, its scale and its offset."""
    from PIL import Image

    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    # A network with float input also gets values between two levels.
    channels = [Image.fromarray(picture[..., one].astype(np.float32)) for one in range(3)]
    small = np.stack([np.asarray(one.resize(inner, Image.Resampling.BILINEAR)) for one in channels], axis=-1)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    whole = np.zeros((height, width, 3))
    whole[top : top + inner[1], left : left + inner[0]] = small
    return whole, scale, left, top


def ultraface(network: Any, picture: Pixels, width: int, height: int) -> list[tuple[float, NDArray[Any]]]:
    whole, scale, left, top = fitted(picture, width, height)
    tensor = ((whole - 127) / 128).astype(np.float32).transpose(2, 0, 1)[None]
    scores, boxes = network.run(["scores", "boxes"], {"input": tensor})
    chosen = scores[0, :, 1] > 0.7
    corners = boxes[0][chosen] * (width, height, width, height)
    corners = (corners - (left, top, left, top)) / scale
    limit = (picture.shape[1], picture.shape[0]) * 2
    return [(score, np.clip(box, 0, limit)) for score, box in strongest(corners, scores[0, :, 1][chosen])]


def centerface(network: Any, picture: Pixels) -> list[tuple[float, NDArray[Any]]]:
    height, width = picture.shape[:2]
    whole = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
    whole[:height, :width] = picture
    heat, scale, offset = network.run(["537", "538", "539"], {"input.1": whole.transpose(2, 0, 1)[None]})
    found, scores = [], []
    for row, column in np.argwhere(heat[0, 0] > 0.5):
        tall, wide = np.exp(scale[0, :, row, column]) * 4
        down, right = offset[0, :, row, column]
        x, y = (column + right + 0.5) * 4, (row + down + 0.5) * 4
        found.append([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2])
        scores.append(heat[0, 0, row, column])
    kept = strongest(np.array(found).reshape(-1, 4), np.array(scores))
    return [(score, np.clip(box, 0, (width, height, width, height))) for score, box in kept]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same_boxes(lines: list[dict[str, Any]], wanted: list[list[tuple[float, NDArray[Any]]]], size: int) -> None:
    """Compare boxes to a thousandth of the image size."""
    assert [line["frame"] for line in lines] == list(range(len(wanted)))
    for line, boxes in zip(lines, wanted, strict=True):
        assert len(line["detections"]) == len(boxes)
        for got, (score, box) in zip(line["detections"], boxes, strict=True):
            assert got["score"] == pytest.approx(score, abs=2e-3)
            assert np.abs(np.array(got["box"]) - box).max() <= max(0.006, size * 1e-3)


@pytest.fixture(scope="session")
def faces(samples: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a short, small, lossless clip with a face."""
    frames = []
    for frame in frames_of(samples["carphone"])[:6]:
        frames.append(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
    return write(tmp_path_factory.mktemp("faces") / "faces.mkv", frames, codec="ffv1", pix_fmt="yuv444p", tagged=True)


@pytest.mark.parametrize(("name", "width", "height"), [("640", 640, 480), ("320", 320, 240)])
def test_ultraface(
    tmp_path: Path, compose: Compose, shared_models: Path, faces: Path, name: str, width: int, height: int
) -> None:
    file = shared_models / f"ultraface_rfb_{name}.onnx"
    words = ("pipeline=face_detection", f"model=ultraface_rfb_{name}", f"model.file={file}", f"input={faces}")
    data = compose(*words, f"output={tmp_path}/out.mp4", f"records={tmp_path}/out.jsonl")
    run_data(data["pipeline"])
    network = session(file)
    wanted = [ultraface(network, one.pixels, width, height) for one in recorded(faces)]
    assert sum(map(len, wanted)) >= 4
    assert_same_boxes(lines_of(tmp_path / "out.jsonl"), wanted, 176)


def test_centerface(tmp_path: Path, compose: Compose, faces: Path) -> None:
    try:
        file = locate(str(model_of(compose, "centerface")["source"]))
    except SourceError as error:
        pytest.skip(str(error))
    data = compose(
        "pipeline=face_detection", f"input={faces}", f"output={tmp_path}/o.mp4", f"records={tmp_path}/o.jsonl"
    )
    run_data(data["pipeline"])
    network = by_any_size(file)
    wanted = [centerface(network, one.pixels) for one in recorded(faces)]
    assert sum(map(len, wanted)) >= 5
    assert_same_boxes(lines_of(tmp_path / "o.jsonl"), wanted, 176)


def by_any_size(file: Path) -> Any:
    """Return the network without the input size that its export fixed."""
    import onnx

    model = onnx.load(str(file))
    for tensor in (*model.graph.input, *model.graph.output):
        for axis, dim in enumerate(tensor.type.tensor_type.shape.dim):
            if axis != 1:
                dim.dim_param = f"{tensor.name}_{axis}"
    del model.graph.value_info[:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_a_face_in_nearly_every_frame(tmp_path: Path, compose: Compose, samples: Any) -> None:
    source = samples["carphone"]
    try:
        locate(str(model_of(compose, "centerface")["source"]))
    except SourceError as error:
        pytest.skip(str(error))
    words = ("pipeline=face_detection", f"input={source}", f"output={tmp_path}/o.mp4", f"records={tmp_path}/o.jsonl")
    run_data(compose(*words, "encoder.preset=ultrafast")["pipeline"])
    lines = lines_of(tmp_path / "o.jsonl")
    assert len(lines) == 120
    assert sum(1 for line in lines if line["detections"]) >= 118
    times = [float(time) for time in video_times(source)]
    assert [line["pts"] for line in lines] == pytest.approx(times, abs=1e-6)
    assert len(video_times(tmp_path / "o.mp4")) == 120


# -------------------------------------------------------------------------------------------- several outputs


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.mp4", [scene(index, 64, 48) for index in range(24)], matrix="bt709", tagged=True)


def test_one_source_two_encoders(tmp_path: Path, small: Path) -> None:
    run(
        {
            "source": decoder(small),
            **through_rgb("source.video"),
            "one": encoder(tmp_path / "a.mp4", "back"),
            "two": encoder(tmp_path / "b.webm", "back", codec="vp9"),
            "three": encoder(tmp_path / "c.mkv", "source.video", pixel_format="yuv444p"),
        }
    )
    found = {}
    for name in ("a.mp4", "b.webm", "c.mkv"):
        with av.open(str(tmp_path / name)) as container:
            found[name] = (container.streams.video[0].codec_context.codec.canonical_name, container.format.name)
        assert len(frames_of(tmp_path / name)) == 24
    assert [codec for codec, _ in found.values()] == ["h264", "vp9", "h264"]
    assert "mp4" in found["a.mp4"][1]
    assert "matroska" in found["c.mkv"][1]


def test_two_sources_in_one_pipeline(tmp_path: Path, small: Path) -> None:
    other = write(tmp_path / "other.mkv", [scene(index, 96, 64) for index in range(9)], rate=10)
    run(
        {
            "first": decoder(small),
            "second": decoder(other),
            "one": encoder(tmp_path / "a.mp4", "first.video"),
            "two": encoder(tmp_path / "b.mp4", "second.video"),
        }
    )
    assert len(video_times(tmp_path / "a.mp4")) == 24
    frames = frames_of(tmp_path / "b.mp4")
    assert (len(frames), frames[0].width) == (9, 96)
    assert video_times(tmp_path / "b.mp4") == video_times(other)


@pytest.mark.parametrize("batch", [1, 8])
def test_two_models_on_one_source(tmp_path: Path, compose: Compose, small: Path, batch: int) -> None:
    engine = {"batch": batch}
    upscale = model_of(compose, "vsr_x2_fast")
    video = model_of(compose, "vsr_x2_fast_video")
    nodes: dict[str, dict[str, Any]] = {"source": decoder(small)}
    for suffix, model in (("a", upscale), ("b", video)):
        nodes[f"prepare_{suffix}"] = {"kind": "preprocess", "inputs": ["source.video"]}
        net = {"kind": "inference", "inputs": [f"prepare_{suffix}"], "model": model, "engine": engine}
        nodes[f"net_{suffix}"] = net
        nodes[f"frames_{suffix}"] = {"kind": "frames", "inputs": [f"net_{suffix}"]}
        nodes[f"sink_{suffix}"] = encoder(tmp_path / f"{suffix}.mp4", f"frames_{suffix}")
    run(nodes)
    for suffix in "ab":
        frames = frames_of(tmp_path / f"{suffix}.mp4")
        assert (len(frames), frames[0].width, frames[0].height) == (24, 128, 96)


@pytest.mark.parametrize("batch", [1, 8])
def test_boxes_drawn_and_written_twice(tmp_path: Path, compose: Compose, faces: Path, batch: int) -> None:
    try:
        locate(str(model_of(compose, "centerface")["source"]))
    except SourceError as error:
        pytest.skip(str(error))
    words = ("pipeline=face_detection", f"input={faces}", f"output={tmp_path}/o.mp4", f"records={tmp_path}/o.jsonl")
    data = compose(*words, f"engine.batch={batch}")["pipeline"]
    data["nodes"]["rows"] = {"kind": "records", "inputs": ["faces"], "path": str(tmp_path / "o.csv")}
    run_data(data)
    lines = lines_of(tmp_path / "o.jsonl")
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    boxes = [(line["frame"], one["score"], one["box"]) for line in lines for one in line["detections"]]
    told = [
        (int(row["frame"]), float(row["score"]), [float(row[key]) for key in ("x1", "y1", "x2", "y2")]) for row in rows
    ]
    assert told == boxes
    assert len(boxes) >= 5
    assert len(frames_of(tmp_path / "o.mp4")) == len(lines) == 6
