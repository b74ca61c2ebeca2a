"""Test the verb ``model try``: the drawn picture, the comparison with the origin, and its certificate in ``plan``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import helper
from PIL import Image

from bmfgraph.cli.main import main
from bmfgraph.media.parity import Parity, Record, compare_records
from tests.nodes.wrong_models import RIGHT, constant_model, detector
from tests.stages.object_detectors import FAMILIES
from tests.tools import Pixels, make_clip, save_model, tensor_info

Run = Callable[..., tuple[str, str]]
TRUTH = [
    {"label": "dog", "score": 0.9, "box": [6, 6, 26, 26]},
    {"label": "car", "score": 0.8, "box": [32, 12, 56, 28]},
    {"label": "cat", "score": 0.7, "box": [10, 38, 50, 58]},
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in a folder with the model ``v8`` and a grey picture of 64x64."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BMFGRAPH_CACHE", str(tmp_path / "cache"))
    detector(tmp_path / "v8.onnx", "v8")
    write_model("net.yaml", {"file": "v8.onnx", **RIGHT["v8"]})
    Image.new("RGB", (64, 64), (90, 90, 90)).save("grey.png")

    def command(*words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*words])
        out, err = capsys.readouterr()
        assert end.value.code == code, out + err
        return out, err

    return command


def write_model(path: str, content: dict[str, Any]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(yaml.safe_dump({"name": "net", **content}))


def pixels(path: str) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def write_lines(path: str, *lines: dict[str, Any]) -> None:
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.wide
def test_results_are_printed_and_drawn(run: Run) -> None:
    out, _ = run("model", "try", "net.yaml", "grey.png")
    assert out.splitlines() == [
        "frame 0: 3 results",
        "  dog  0.9000  [6.00, 6.00, 26.00, 26.00]",
        "  car  0.8000  [32.00, 12.00, 56.00, 28.00]",
        "  cat  0.7000  [10.00, 38.00, 50.00, 58.00]",
        "grey_try.png: the results, drawn",
    ]
    drawn = pixels("grey_try.png")
    assert drawn.shape == (64, 64, 3)
    assert (drawn[16, 6] != 90).any()
    assert (drawn[62, 62] == 90).all()


def test_pictures_are_upright_and_of_any_format_and_clips_give_their_first_frame(run: Run, tmp_path: Path) -> None:
    picture = Image.new("RGB", (48, 96), (10, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("turned.jpg", "turned.webp"):
        picture.save(name, exif=exif)
        run("model", "try", "net.yaml", name, "--output", "out.bmp")
        assert pixels("out.bmp").shape == (48, 96, 3)
    make_clip(tmp_path / "clip.mkv", frames=3)
    out, _ = run("model", "try", "net.yaml", "clip.mkv", "--json")
    assert [frame["frame"] for frame in json.loads(out)["frames"]] == [0]


def test_overrides_and_names_work_as_in_a_run(run: Run) -> None:
    write_model("my/model/own.yaml", {"file": "v8.onnx", **RIGHT["v8"]})
    out, _ = run("model", "try", "own", "grey.png", "model.decode.threshold=0.75", "--config-dir", "my", "--json")
    assert [item["label"] for item in json.loads(out)["frames"][0]["detections"]] == ["dog", "car"]
    assert json.loads(run("model", "try", "my/model/own.yaml", "grey.png", "--json")[0])["output"] == "grey_try.png"


def test_nothing_detected_is_said_with_the_best_score(run: Run) -> None:
    out, err = run("model", "try", "net.yaml", "grey.png", "model.decode.threshold=0.95")
    assert out.splitlines()[0] == "frame 0: 0 results"
    assert "warning[W116]: pipeline.nodes.results: nothing was detected in 1 frame(s): the best score was 0.9\n" in err


def test_a_model_of_pictures_gives_its_picture(run: Run) -> None:
    save_model(
        Path("half.onnx"),
        [helper.make_node("Mul", ["images", "half"], ["out"])],
        [tensor_info("images", "float32", [1, 3, 64, 64])],
        [tensor_info("out", "float32", [1, 3, 64, 64])],
        {"half": np.array(0.5, np.float32)},
    )
    write_model("half.yaml", {"file": "half.onnx", "outputs": {"out": {"channels": "RGB"}}})
    run("model", "try", "half.yaml", "grey.png")
    assert (pixels("grey_try.png") == 45).all()


@pytest.mark.sample(9)
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("net.yaml", "none.png"), "E359", "PICTURE: 'none.png' cannot be read (No such file or directory)"),
        (("net.yaml", "net.yaml"), "E404", "'net.yaml'"),
        (("none.yaml", "grey.png"), "E401", "MODEL: 'none.yaml' cannot be read (No such file or directory)"),
        (("nett", "grey.png"), "E103", "model=nett: there is no such option"),
        (("net.yaml", "grey.png", "--output", "grey.png"), "E411", "--output: 'grey.png' cannot be written: it is an"),
        (("net.yaml", "grey.png", "--output", "out.mp4"), "E411", "its name must end in one of .png, .jpg, "),
        (("net.yaml", "grey.png", "model.decode.labels=[a]"), "E323", "has 1 label(s), but out scores 3"),
        (("bare.yaml", "grey.png"), "E358", "model.decode: the model's config does not say what its outputs mean"),
        (("net.yaml", "grey.png", "--against", "none.jsonl"), "E360", "'none.jsonl' cannot be read"),
        (("net.yaml", "grey.png", "--against", "text.jsonl"), "E360", "'text.jsonl' is not JSON Lines"),
        (("net.yaml", "grey.png", "--against", "short.jsonl"), "E360", "line 1: detections.0.box: Field required"),
        (("net.yaml", "grey.png", "--against", "other.jsonl"), "E360", "has neither detections nor classes nor texts"),
        (("net.yaml", "grey.png", "--against", "late.jsonl"), "E360", "have a frame 3, and the input has 1 frame(s)"),
        (("net.yaml", "grey.png", "--against", "sort.jsonl"), "E360", "frame 0 have classes, and the model gives det"),
        (("net.yaml",), "E114", "'PICTURE' is missing"),
        (("net.yaml", "grey.png", "--iou", "2"), "E114", "--iou: 2.0 is not in the range 0<=x<=1"),
    ],
)  # fmt: skip
def test_mistakes(run: Run, words: tuple[str, ...], code: str, text: str) -> None:
    write_model("bare.yaml", {"file": "v8.onnx"})
    Path("text.jsonl").write_text("dog\n")
    write_lines("short.jsonl", {"frame": 0, "detections": [{"label": "dog", "score": 1}]})
    write_lines("other.jsonl", {"frame": 0})
    write_lines("late.jsonl", {"frame": 3, "detections": []})
    write_lines("sort.jsonl", {"frame": 0, "classes": []})
    before = sorted(Path().iterdir())
    _, err = run("model", "try", *words, code=1 if code == "E404" else 2)
    assert f"error[{code}]: " in err
    assert text in err
    assert "\n  → " in err
    assert [path for path in sorted(Path().iterdir()) if path not in before] in ([], [Path("cache")], [
        Path("cache"), Path("grey_try.png"),
    ])  # fmt: skip


# ------------------------------------------------------------------------------------------- the origin


def test_equal_results_give_a_certificate_that_plan_shows_until_the_declaration_changes(run: Run) -> None:
    nearly = [{**TRUTH[0], "score": 0.9004, "box": [6, 6, 26.04, 26]}, *TRUTH[1:]]
    # Predictions below the threshold are not expected.
    weak = {"label": "cat", "score": 0.2, "box": [0, 0, 9, 9]}
    write_lines("origin.jsonl", {"frame": 0, "detections": [*nearly, weak]})
    out, err = run("model", "try", "net.yaml", "grey.png", "--against", "origin.jsonl")
    line = "equal to the origin: 3 matched, least IoU 0.998, greatest score difference 0.0004, 0 missing, 0 extra"
    assert line in out.splitlines()
    assert "certificate: " in err
    write_model("my/model/net.yaml", {"file": "v8.onnx", **RIGHT["v8"]})
    plan = ("--config-dir", "my", "pipeline=detection", "model=net", "input=grey.png", "output=out.mp4")
    table, _ = run("plan", "--table", *plan)
    (shown,) = [text for text in table.splitlines() if "parity" in text]
    assert shown.startswith(
        "detect: parity: least IoU 0.998, greatest score difference 0.0004 against origin.jsonl, 20"
    )
    assert "(onnxruntime " in shown
    assert shown.endswith(", fp32)")
    planned = json.loads(run("plan", *plan)[0])
    certificate = planned.pop("parity")["detect"]
    assert (certificate["matched"], certificate["frames"]) == (3, 1)
    changed = ("model.decode.iou=0.5", *plan)
    assert "parity" not in json.loads(run("plan", *changed)[0])
    assert "parity" not in run("plan", "--table", *changed)[0]
    # The certificate is beside the plan, not in it.
    for path in (Path("cache") / "parity").iterdir():
        path.unlink()
    assert json.loads(run("plan", *plan)[0]) == planned


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["yolov8", "yolox", "detr"])
def test_a_decoder_written_from_the_publication_agrees(run: Run, name: str) -> None:
    family = FAMILIES[name]
    outputs = family.outputs(np.random.default_rng(1), 64, 64)
    constant_model(Path("family.onnx"), outputs)
    write_model("family.yaml", {"file": "family.onnx", "decode": {"preset": name, "labels": list(family.labels)}})
    kept = family.detect(outputs, 64, 64)
    assert len(kept) > 3
    boxes = [
        {
            "label": family.labels[label],
            "score": score,
            "box": [min(max(float(value), 0.0), 64.0) for value in corners],
        }
        for label, score, *corners in kept
    ]
    write_lines("origin.jsonl", {"frame": 0, "detections": boxes})
    out = json.loads(run("model", "try", "family.yaml", "grey.png", "--against", "origin.jsonl", "--json")[0])
    against = out["against"]
    assert (against["equal"], against["matched"], against["missing"], against["extra"]) == (True, len(kept), [], [])
    assert against["least_iou"] > 0.9999
    assert against["score_difference"] < 1e-5


def test_every_frame_of_a_clip_is_compared_that_the_origin_has(run: Run, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", frames=4, size=(64, 64))
    write_lines("origin.jsonl", *({"frame": frame, "detections": TRUTH} for frame in (0, 2)))
    out = json.loads(run("model", "try", "net.yaml", "clip.mkv", "--against", "origin.jsonl", "--json")[0])
    assert [frame["frame"] for frame in out["frames"]] == [0, 1, 2]
    assert {key: out["against"][key] for key in ("equal", "frames", "matched", "missing", "extra")} == {
        "equal": True,
        "frames": 2,
        "matched": 6,
        "missing": [],
        "extra": [],
    }


def test_differences_are_named_and_give_no_certificate(run: Run) -> None:
    moved = {**TRUTH[0], "box": [8, 6, 28, 26]}
    other = {"label": "dog", "score": 0.6, "box": [50, 50, 60, 60]}
    Path("origin.json").write_text(json.dumps([moved, {**TRUTH[1], "score": 0.75}, other]))
    out, _ = run("model", "try", "net.yaml", "grey.png", "--against", "origin.json", code=1)
    assert out.splitlines()[-3:] == [
        "different from the origin: 2 matched, least IoU 0.8182, greatest score difference 0.0500, 1 missing, 1 extra",
        "  missing  frame 0: dog 0.600 [50.0, 50.0, 60.0, 60.0]",
        "  extra  frame 0: cat 0.700 [10.0, 38.0, 50.0, 58.0]",
    ]
    assert not (Path("cache") / "parity").exists()
    Path("origin.json").write_text(json.dumps([moved, {**TRUTH[1], "score": 0.75}, TRUTH[2]]))
    run("model", "try", "net.yaml", "grey.png", "--against", "origin.json", "--iou", "0.8", "--score", "0.06")
    # Such tolerances make no certificate.
    assert not (Path("cache") / "parity").exists()


@pytest.mark.wide
def test_a_wrong_order_of_channels_shows_as_a_difference_of_scores(run: Run) -> None:
    """The score is the share of red: nobody can tell RGB from BGR without the origin's answer."""
    save_model(
        Path("red.onnx"),
        [
            helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "pick"], ["score"]),
            helper.make_node("Unsqueeze", ["score", "axis"], ["scores"]),
            helper.make_node("Mul", ["scores", "nothing"], ["zero"]),
            helper.make_node("Add", ["box", "zero"], ["boxes"]),
        ],
        [tensor_info("images", "float32", [1, 3, 64, 64])],
        [tensor_info("scores", "float32", [1, 1, 1]), tensor_info("boxes", "float32", [1, 1, 4])],
        {
            "pick": np.array([[1], [0], [0]], np.float32),
            "axis": np.array([2]),
            "nothing": np.array(0, np.float32),
            "box": np.array([[[32, 32, 20, 20]]], np.float32),
        },
    )
    declaration = {
        "file": "red.onnx",
        "outputs": {"scores": {"fields": ["scores"]}, "boxes": {"fields": ["box"]}},
        "decode": {"labels": ["red"]},
    }
    Image.new("RGB", (64, 64), (204, 0, 102)).save("pink.png")
    write_lines("origin.jsonl", {"frame": 0, "detections": [{"label": "red", "score": 0.8, "box": [22, 22, 42, 42]}]})
    for channels, code, difference in (("RGB", 0, "0.0000"), ("BGR", 1, "0.4000")):
        write_model("red.yaml", {**declaration, "inputs": {"images": {"std": 255, "channels": channels}}})
        out, err = run("model", "try", "red.yaml", "pink.png", "--against", "origin.jsonl", code=code)
        assert f"1 matched, least IoU 1, greatest score difference {difference}, 0 missing, 0 extra" in out
        assert "warning" not in err


def test_classes_and_texts_are_compared_in_order() -> None:
    def parity(own: dict[str, Any], origin: dict[str, Any]) -> Parity:
        return compare_records({0: Record.model_validate(own)}, {0: Record.model_validate(origin)})

    def classes(*pairs: tuple[str, float]) -> dict[str, Any]:
        return {"classes": [{"label": label, "score": score} for label, score in pairs]}

    every = classes(("dog", 0.5), ("cat", 0.3), ("car", 0.2))
    result = parity(classes(("dog", 0.52), ("cat", 0.3)), every)
    assert (result.matched, result.wrong, round(result.score_difference, 6)) == (2, [], 0.02)
    assert parity(classes(("cat", 0.3), ("dog", 0.3)), every).wrong == [
        "frame 0: the classes are cat, dog, and the origin's dog, cat"
    ]
    texts = {"texts": [{"text": "EXIT"}]}
    assert parity(texts, texts).within(1, 0)
    assert parity({"texts": [{"text": "EX1T"}]}, texts).wrong == [
        "frame 0: the text is 'EX1T', and the origin's 'EXIT'"
    ]


def test_no_class_is_not_equal_to_a_class() -> None:
    parity = compare_records(
        {0: Record(classes=())}, {0: Record.model_validate({"classes": [{"label": "a", "score": 0.9}]})}
    )
    assert not parity.within(0.99, 0.01)
    assert parity.wrong == ["frame 0: the classes are none, and the origin's a"]
