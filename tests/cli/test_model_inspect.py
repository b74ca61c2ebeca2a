"""Test ``model inspect``: the YAML that it writes is a config of the model, as far as the guess is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bmfgraph import api, error_codes as codes
from bmfgraph.cli.model.inspect import inspect_command
from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.errors import ConfigError
from bmfgraph.nodes.decode import DetectDecode
from bmfgraph.nodes.facts import complete
from bmfgraph.nodes.model import ModelSpec
from tests.tools import Shape, double_model, shaped_model

ROOT = Path(__file__).parents[2]
Inspect = Callable[[Path], str]


@pytest.fixture
def inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Return what `model inspect` prints, after it was written to `conf/model/net.yaml`."""

    def run(path: Path) -> str:
        assert inspect_command(str(path)) == 0
        text = capsys.readouterr().out
        (tmp_path / "conf" / "model").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / "model" / "net.yaml").write_text(text)
        return text

    return run


def problems(folder: Path, pipeline: str, clip: Path) -> list[str]:
    """Return the messages of `check` for the written config."""
    job = api.compose(
        pipeline, "model=net", f"output={folder / 'out.mp4'}", input=clip, config_dir=[str(folder / "conf")]
    )
    return [f"{problem.path}: {problem.message}" for problem in job.check().problems]


HEAD = (1, 3, 64, 96)
"""Cells of this size: 96 + 24 + 6 = 126 with strides 8, 16, 32, and 2 more with 64."""


DETECTORS: list[tuple[Shape, dict[str, Sequence[int]], str, int, str]] = [
    (HEAD, {"a": (1, 7, 126)}, "yolov8", 3, "126 cells of strides 8, 16, 32 of 96x64; 7 = 4 + 3 classes"),
    (HEAD, {"a": (1, 84, 126)}, "yolov8", 80, "guessed: 80 labels needed, as COCO has"),
    (HEAD, {"a": (1, 7, 128)}, "yolov8", 3, "128 cells of strides 8, 16, 32, 64"),
    (
        HEAD,
        {"a": (1, 378, 8)},
        "yolov5",
        3,
        "378 = 3 anchors in the cells of strides 8, 16, 32 of 96x64; 8 = 5",
    ),
    (HEAD, {"a": (1, 126, 6)}, "yolox", 1, "126 cells of strides 8, 16, 32 of 96x64, so it is no list of finished"),
    ((1, 3, 416, 416), {"a": (1, 3549, 6)}, "yolox", 1, "3549 cells of strides 8, 16, 32 of 416x416"),
    ((1, 3, 640, 640), {"a": (1, 300, 6)}, "yolov10", 80, "300 rows are no grid of 640x640"),
    ((1, 3, 640, 640), {"a": (1, 25200, 85)}, "yolov5", 80, "25200 = 3 anchors"),
    (HEAD, {"a": (1, 126, 84)}, "yolov8", 80, "84 = 4 + 80 classes, with the dims exchanged"),
    (HEAD, {"a": (1, 126, 6)}, "yolox", 1, "; 126 finished boxes would be preset yolov10"),
    (HEAD, {"a": (1, 30, 8)}, "rtdetr", 4, "30 queries; 8 = 4 + 4 classes"),
    (HEAD, {"a": (1, 128, 35)}, "nanodet", 3, "35 = 3 classes + 4 x 8"),
    (
        HEAD,
        {"a": (1, 39, 126), "b": (1, 32, 16, 24)},
        "yolov8_seg",
        3,
        "39 = 4 + 3 classes + 32 coefficients",
    ),
    (
        HEAD,
        {"a": (1, 56, 126)},
        "yolov8_pose",
        1,
        "56 = 4 + 1 class + 17 keypoints; 4 + 52 classes is",
    ),
    (HEAD, {"a": (1, 100, 4), "b": (1, 100, 4)}, "detr", 3, "100 queries; with RT-DETR's sigmoid it is rtdetr_hf"),
    (HEAD, {"a": (1, 300, 2), "b": (1, 300, 4)}, "ultraface", 1, "300 boxes, and scores of a face"),
    (HEAD, {"a": (1, 300, 3), "b": (1, 300, 4)}, "rtdetr_hf", 3, "300 queries; with DETR's softmax it is detr"),
    (("b", 3, "h", "w"), {"a": (1, 7, 8400)}, "yolov8", 3, "8400 cells of strides 8, 16, 32 of 640x640"),
    (
        (1, 3, 64, 96),
        {"a": (1, 1, 16, 24), "b": (1, 2, 16, 24), "c": (1, 2, 16, 24), "d": (1, 10, 16, 24)},
        "centerface",
        1,
        "guessed: heat map, sizes, offsets and landmarks",
    ),
]
"""Sizes of input and outputs, the preset and the number of labels that are guessed, and a part of the comment."""


@pytest.mark.parametrize(("shape", "outputs", "preset", "labels", "comment"), DETECTORS)
def test_detectors_without_metadata(
    tmp_path: Path,
    inspect: Inspect,
    shape: Shape,
    outputs: Mapping[str, Sequence[int]],
    preset: str,
    labels: int,
    comment: str,
) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"images": shape}, outputs)
    text = inspect(path)
    assert comment in text
    spec = complete(ModelSpec.model_validate(yaml.safe_load(text)), read_onnx(path)).spec
    assert isinstance(spec.decode, DetectDecode)
    assert spec.decode.preset == preset
    assert len(spec.decode.labels or ()) == labels


def checked_detectors() -> Iterator[Any]:
    """Yield the inputs and the outputs of those that can be checked; in the suite, of one of each preset."""
    seen: set[str] = set()
    for shape, outputs, preset, *_ in DETECTORS:
        # A network of constants does not follow the size of its free or replaced dims.
        if preset != "centerface" and "h" not in shape:
            yield pytest.param(shape, outputs, marks=[pytest.mark.wide] if preset in seen else [])
            seen.add(preset)


@pytest.mark.parametrize(("shape", "outputs"), list(checked_detectors()))
def test_what_is_written_of_a_detector_passes_the_check(
    tmp_path: Path,
    clip: Callable[..., Path],
    inspect: Inspect,
    shape: Shape,
    outputs: Mapping[str, Sequence[int]],
) -> None:
    inspect(shaped_model(tmp_path / "net.onnx", {"images": shape}, outputs))
    assert problems(tmp_path, "detection", clip("clip.mp4", size=(96, 64))) == []


@pytest.mark.parametrize(
    ("shape", "outputs", "decode", "dims"),
    [
        (HEAD, (1, 1000), {"task": "classify"}, ["batch", "classes"]),
        (HEAD, (1, 10, 1, 1), {"task": "classify"}, ["batch", "classes", "height", "width"]),
        (HEAD, (1, 21, 64, 96), {"task": "segment"}, ["batch", "classes", "height", "width"]),
        (HEAD, (1, 1, 64, 96), {"task": "segment"}, ["batch", "classes", "height", "width"]),
        (HEAD, (1, 64, 96), {"task": "map", "value": "depth"}, ["batch", "height", "width"]),
        (HEAD, (1, 512), {"task": "embed", "normalise": "l2"}, ["batch", "embedding"]),
        ((1, 3, 48, 320), (1, 40, 97), {"task": "read", "blank": "first"}, ["batch", "time", "classes"]),
        ((1, 1, 32, "w"), (1, 80, 37), {"task": "read", "blank": "first"}, ["batch", "time", "classes"]),
    ],
)
def test_other_tasks_without_metadata(
    tmp_path: Path,
    clip: Callable[..., Path],
    inspect: Inspect,
    shape: Shape,
    outputs: Sequence[int],
    decode: dict[str, str],
    dims: list[str],
) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"x": shape}, {"y": outputs})
    config = yaml.safe_load(inspect(path))
    assert {key: value for key, value in config["decode"].items() if key not in ("labels", "charset")} == decode
    assert config["outputs"]["y"]["dims"] == dims
    spec = complete(ModelSpec.model_validate(config), read_onnx(path)).spec
    assert spec.decode is not None
    names = getattr(spec.decode, "labels", None) or getattr(spec.decode, "charset", None) or ()
    counts = {"classify": outputs[1], "segment": outputs[1], "read": outputs[-1] - 1}
    assert len(names) == counts.get(decode["task"], 0)
    pipeline = {"segment": "segmentation", "map": "map"}.get(decode["task"])
    if pipeline:
        assert problems(tmp_path, pipeline, clip("clip.mp4", size=(96, 64))) == []


def test_a_file_that_says_everything(tmp_path: Path, clip: Callable[..., Path], inspect: Inspect) -> None:
    notes = {
        "task": "detect",
        "names": "{0: 'cat', 1: 'dog'}",
        "stride": "32",
        "imgsz": "[64, 96]",
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
    }
    path = shaped_model(tmp_path / "net.onnx", {"images": HEAD}, {"output0": (1, 6, 126)}, notes)
    assert inspect(path) == (
        "# images float32[1x3x64x96] -> output0 float32[1x6x126]\n"
        "name: net\n"
        f"file: {path}\n"
        "inputs:\n"
        "  images:\n"
        "    multiple: 32  # from metadata\n"
        "decode:\n"
        "  labels: metadata:names  # from metadata\n"
        "  preset: yolov8  # from metadata\n"
        "licence: AGPL-3.0 License (https://ultralytics.com/license)  # from metadata\n"
    )
    assert problems(tmp_path, "detection", clip("clip.mp4", size=(96, 64))) == []


def test_a_file_that_says_a_part(tmp_path: Path, inspect: Inspect) -> None:
    notes = {"task": "dance", "names": "{0: 'cat'}", "stride": "32", "license": "MIT"}
    text = inspect(shaped_model(tmp_path / "net.onnx", {"images": HEAD}, {"y": (1, 7, 126)}, notes))
    assert "#   metadata task 'dance' of net.onnx has no preset; presets: " in text
    assert yaml.safe_load(text)["decode"]["preset"] == "yolov8"
    assert yaml.safe_load(text)["licence"] == "MIT"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "models").glob("*.onnx")))
def test_the_bundled_models(tmp_path: Path, clip: Callable[..., Path], inspect: Inspect, name: str) -> None:
    path = ROOT / "models" / f"{name}.onnx"
    own = ModelSpec.model_validate(yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text()))
    written = ModelSpec.model_validate(yaml.safe_load(inspect(path)))
    assert (written.inputs, written.outputs, written.window) == (own.inputs, own.outputs, own.window)
    if name == "vsr_x2_temporal":
        assert problems(tmp_path, "super_resolution", clip("clip.mp4", size=(96, 64))) == []


def test_float_pictures_are_guessed_in_0_to_1(tmp_path: Path, inspect: Inspect) -> None:
    text = inspect(shaped_model(tmp_path / "net.onnx", {"x": (1, 3, 8, 8)}, {"y": (1, 3, 16, 16)}))
    assert "#   mean and std and the order of the channels, RGB or BGR\n" in text
    assert yaml.safe_load(text)["outputs"]["y"] == {"layout": "NCHW", "channels": "RGB", "std": 255}


def test_names_of_anybody_do_not_leave_their_line(tmp_path: Path, inspect: Inspect) -> None:
    names = ("x: {y}\nfile: /etc/passwd #", "on")
    path = shaped_model(tmp_path / "null.onnx", {names[0]: HEAD}, {names[1]: (1, 7, 126)}, {"license": "a\nb: c"})
    config = yaml.safe_load(inspect(path))
    assert set(config) == {"name", "file", "inputs", "decode"}
    assert (config["name"], config["file"], list(config["inputs"])) == ("null", str(path), [names[0]])
    assert complete(ModelSpec.model_validate(config), read_onnx(path)).spec.decode is not None


def test_json_and_what_cannot_be_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shaped_model(tmp_path / "net.onnx", {"x": (1, 7, 7)}, {"y": (1, 2, 3, 4, 5)})
    assert inspect_command(str(path), as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": {"name": "net", "file": str(path)},
        "notes": {},
        "cannot_know": ["what its inputs are: none has 4 dims with 1 or 3 channels, or a multiple of 3"],
    }
    assert inspect_command(str(double_model(tmp_path / "double.onnx")), as_json=True) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed["notes"]["outputs.output.channels"] == "guessed: a picture of 2 times the size"
    with pytest.raises(ConfigError, match="does not exist") as raised:
        inspect_command(str(tmp_path / "none.onnx"))
    assert raised.value.problems[0].code == codes.UNREADABLE_MODEL_FILE
