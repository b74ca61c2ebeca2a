"""What the other kinds make of their inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from bmfgraph.engines.onnx.model import read_onnx
from bmfgraph.errors import PlanError
from bmfgraph.media.probe import probe
from bmfgraph.nodes.convert import ConvertParams, ConvertSpec
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.detections import DetectionsParams
from bmfgraph.nodes.encoder import EncoderParams
from bmfgraph.nodes.facts import complete
from bmfgraph.nodes.frames import FramesParams
from bmfgraph.nodes.inference import InferenceParams
from bmfgraph.nodes.model import ModelSpec
from bmfgraph.nodes.overlay import OverlayParams
from bmfgraph.nodes.window import WindowParams
from bmfgraph.plan.plan import Inferred, PlanNode, Requirement
from bmfgraph.plan.types import (
    AudioSpec,
    BundleSpec,
    ClassesSpec,
    ColorSpec,
    DetectionsSpec,
    EmbeddingsSpec,
    FrameSpec,
    PortType,
    TensorMeaning,
    TensorSpec,
    TrackSpec,
    Window,
)
from tests.stages.detectors import bundle
from tests.tools import detector_model, double_model, frames, middle_model, negate_model, node, placement, tensor, want

AAC = AudioSpec((TrackSpec(1, "audio", "aac", "", 48_000, 2),))


def audio(codec: str) -> AudioSpec:
    """Return stereo audio of a codec."""
    return AudioSpec((TrackSpec(1, "audio", codec, "", 48_000, 2),))


COLUMNS = ("label", "score", "x1", "y1", "x2", "y2")


def resolve(made: PlanNode, *inputs: PortType, wanted: Requirement | None = None) -> Inferred:
    return made.spec.infer(made, inputs, wanted)


# ------------------------------------------------------------------------------------------------------ decoder


def decoder(path: Path, **options: Any) -> DecoderParams:
    made = node("decoder", path=str(path), **options)
    made = replace(made, metadata=made.spec.probe("n"))
    work = resolve(made).params
    assert isinstance(work, DecoderParams)
    return work


@pytest.mark.parametrize(
    ("options", "count", "exact", "duration"),
    [
        ({}, 50, True, 2.0),
        ({"start": 0.5}, 38, False, 1.5),
        ({"end": 0.5}, 12, False, 0.5),
        ({"start": 0.5, "end": 1.0}, 12, False, 0.5),
        ({"start": 1.0, "end": 99.0}, 25, False, 1.0),
        ({"start": 0.0}, 50, False, 2.0),
    ],
    ids=str,
)
def test_decoder_expects_what_was_asked_for(
    clip: Callable[..., Path], options: dict[str, Any], count: int, exact: bool, duration: float
) -> None:
    params = decoder(clip(frames=50), **options)
    assert (params.exact_count, params.start, params.end) == (exact, options.get("start"), options.get("end"))
    assert params.frame_count == pytest.approx(count, abs=0.51)
    assert params.duration == pytest.approx(duration)


def test_decoder_ports_follow_the_file(clip: Callable[..., Path]) -> None:
    path = clip(audio="aac")
    made = node("decoder", path=str(path))
    assert made.spec.ports() == ("video", "audio")
    outputs = resolve(replace(made, metadata=probe(path))).outputs
    assert [port.name for port in outputs] == ["video", "audio"]
    assert [port.name for port in resolve(replace(made, metadata=probe(path, audio=None))).outputs] == ["video"]
    assert (decoder(path).video, decoder(path).tracks) == (0, (1,))
    assert decoder(path, audio=None).tracks == ()


# ------------------------------------------------------------------------------------------------------ convert


@pytest.mark.parametrize(
    ("source", "target", "color"),
    [
        (frames(), "rgb24", ColorSpec("bt601", False)),
        (frames(color=ColorSpec("bt709", True)), "rgb24", ColorSpec("bt709", True)),
        (frames(pixel_format="rgb24", color=ColorSpec("bt709", False)), "yuv420p", ColorSpec("bt709", False)),
        (frames(pixel_format="bgr0", color=ColorSpec("rgb", True)), "yuv444p", ColorSpec("bt709", False)),
        (frames(color=ColorSpec("bt2020", True, tagged=False)), "yuv422p", ColorSpec("bt2020", False, tagged=False)),
    ],
    ids=str,
)
def test_convert_keeps_the_matrix_and_writes_limited_range(source: FrameSpec, target: str, color: ColorSpec) -> None:
    made = PlanNode("c", ConvertSpec(inputs=("a",), pixel_format=target))
    found = resolve(made, source)
    out = found.outputs[0].type
    assert isinstance(out, FrameSpec)
    assert isinstance(found.params, ConvertParams)
    assert (out.pixel_format, out.color, found.params.source) == (target, color, source.color)
    assert (out.width, out.height, out.rate, out.time_base) == (64, 48, source.rate, source.time_base)


@pytest.mark.parametrize(("height", "matrix"), [(576, "bt601"), (720, "bt709")])
def test_convert_to_what_readers_take_for_granted(height: int, matrix: str) -> None:
    made = PlanNode("c", ConvertSpec(inputs=("a",), pixel_format="yuv420p", default_color=True))
    out = resolve(made, frames(64, height, color=ColorSpec("bt2020", True))).outputs[0].type
    assert isinstance(out, FrameSpec)
    assert (out.color.matrix, out.color.full_range) == (matrix, False)


# ------------------------------------------------------------------------------------------------------- window


def test_window_joins_channels() -> None:
    window = Window(7, (2, 3, 4), 3)
    for layout, shape, axis in (("NCHW", (1, 21, 48, 64), 1), ("NHWC", (1, 48, 64, 21), 3)):
        made = node("window", "a")
        found = resolve(made, tensor(layout=layout), wanted=want(window=window))
        out = found.outputs[0].type
        assert isinstance(out, TensorSpec)
        assert (out.shape, out.pictures, out.window) == (shape, 7, window)
        assert found.params == WindowParams(window, axis)
        assert not made.spec.identity(found.params)


def test_windows_own_settings_win_and_none_is_no_window() -> None:
    made = node("window", "a", window={"frames": 3, "outputs": [1]})
    assert resolve(made, tensor(), wanted=want(window=Window(7, (2, 3, 4), 3))).params.window == Window(3, (1,), 1)
    made = node("window", "a")
    assert made.spec.identity(resolve(made, tensor()).params)
    assert made.spec.identity(resolve(made, tensor(), wanted=want()).params)


def test_window_hands_the_want_up() -> None:
    made, wanted = node("window", "a"), want(8, 8)
    assert made.spec.requires(made, 0, wanted) is wanted
    assert made.spec.requires(made, 0, None) is None


# ---------------------------------------------------------------------------------------------------- inference


def inference(path: Path, **options: Any) -> PlanNode:
    model = {"name": "m", "file": str(path)} | options.pop("model", {})
    facts = complete(ModelSpec.model_validate(model), read_onnx(path))
    return node("inference", "a", name="net", facts=facts, model=model, **options)


@pytest.mark.parametrize(
    ("make", "model", "engine", "dims", "dtype"),
    [
        (double_model, {}, {}, (None, 3, None, None), "uint8"),
        (detector_model, {}, {}, (1, 3, 48, 64), "float32"),
        (double_model, {}, {"input_shapes": {"input": [1, 3, 20, 30]}}, (1, 3, 20, 30), "uint8"),
        (negate_model, {"inputs": {"input": {"dims": ["b", 3, 32, "w"]}}}, {}, (None, 3, 32, None), "float32"),
    ],
)
def test_inference_wants_what_the_model_takes(
    tmp_path: Path, make: Any, model: Any, engine: Any, dims: Any, dtype: str
) -> None:
    made = inference(make(tmp_path / "x.onnx"), model=model, engine=engine)
    wanted = made.spec.requires(made, 0, None)
    assert wanted is not None
    assert (wanted.consumer, wanted.tensor.name, wanted.tensor.shape, wanted.tensor.dtype) == (
        "net",
        "input",
        dims,
        dtype,
    )


def test_inference_of_pictures(tmp_path: Path) -> None:
    made = inference(double_model(tmp_path / "x.onnx"), model={"outputs": {"output": {}}}, engine={"batch": 4})
    place = placement(64, 48, scale_x=0.5, scale_y=0.25, left=3.0, top=1.0)
    found = resolve(made, tensor(placement=place))
    out = found.outputs[0].type
    assert isinstance(out, TensorSpec)
    # A batch is the engine's affair: items stay single.
    assert (out.shape, out.pictures, out.meaning) == ((1, 3, 96, 128), 1, TensorMeaning())
    assert out.placement == placement(64, 48, width=128, height=96, scale_x=1.0, scale_y=0.5, left=6.0, top=2.0)
    work = found.params
    assert isinstance(work, InferenceParams)
    assert work.inputs == (("input", (4, 3, 48, 64)),)
    assert work.output_shapes == (("output", (4, 3, 96, 128)),)
    assert (work.batch, work.fixed_batch) == (4, False)


def test_inference_of_a_window(tmp_path: Path) -> None:
    window = {"frames": 7, "outputs": [2, 3, 4], "step": 3}
    meaning = {"layout": "NHWC"}
    made = inference(
        middle_model(tmp_path / "x.onnx"),
        model={"window": window, "inputs": {"input:0": meaning}, "outputs": {"output:0": meaning}},
    )
    given = tensor(layout="NHWC", channels=21, pictures=7, window=Window(7, (2, 3, 4), 3))
    found = resolve(made, given)
    out = found.outputs[0].type
    assert isinstance(out, TensorSpec)
    assert (out.shape, out.pictures, out.window) == ((1, 48, 64, 9), 3, Window(7, (2, 3, 4), 3))
    assert found.params.fixed_batch


def test_inference_with_several_outputs_gives_a_bundle(tmp_path: Path) -> None:
    made = inference(
        detector_model(tmp_path / "x.onnx"), model={"decode": "ultraface", "inputs": {"input": {"mean": 0, "std": 1}}}
    )
    out = resolve(made, tensor(dtype="float32")).outputs[0].type
    assert isinstance(out, BundleSpec)
    assert [one.name for one in out.tensors] == ["scores", "boxes"]
    assert out.decode.preset == "ultraface"
    assert [name for name, _ in out.layouts] == ["scores", "boxes"]


def test_the_same_mean_for_each_channel_is_the_mean_for_all(tmp_path: Path) -> None:
    made = inference(
        negate_model(tmp_path / "x.onnx"), model={"inputs": {"input": {"mean": [127, 127, 127], "std": 128}}}
    )
    given = tensor(dtype="float32", meaning=TensorMeaning(mean=(127,), std=(128, 128, 128)))
    assert resolve(made, given).params.inputs == (("input", (1, 3, 48, 64)),)


def test_models_can_follow_each_other(tmp_path: Path) -> None:
    made = inference(double_model(tmp_path / "x.onnx"), model={"outputs": {"output": {}}})
    first = resolve(made, tensor()).outputs[0].type
    assert isinstance(first, TensorSpec)
    second = resolve(made, replace(first, name="input")).outputs[0].type
    assert isinstance(second, TensorSpec)
    assert second.shape == (1, 3, 192, 256)
    assert second.placement == placement(64, 48, width=256, height=192, scale_x=4.0, scale_y=4.0)


# ------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("given", "crop", "size"),
    [
        (tensor(128, 96, placement=placement(64, 48, width=128, height=96, scale_x=2.0, scale_y=2.0)), None, (128, 96)),
        # padded to a multiple on the right and below: cut off
        (tensor(128, 96, placement=placement(100, 90, width=128, height=96)), (0, 0, 100, 90), (100, 90)),
        # letterboxed
        (tensor(64, 64, placement=placement(64, 32, height=64, top=16.0)), (0, 16, 64, 32), (64, 32)),
        # cropped: what is left is all there is
        (tensor(64, 48, placement=placement(128, 48, width=64, left=-32.0)), None, (64, 48)),
    ],
)
def test_frames_cut_off_what_was_added(given: TensorSpec, crop: Any, size: tuple[int, int]) -> None:
    found = resolve(node("frames", "a"), given)
    out = found.outputs[0].type
    assert isinstance(out, FrameSpec)
    assert isinstance(found.params, FramesParams)
    assert (found.params.crop, (out.width, out.height)) == (crop, size)
    assert (out.pixel_format, out.color) == ("rgb24", ColorSpec("bt601", False))


def test_frames_of_an_rgb_source_are_meant_for_bt709() -> None:
    found = resolve(node("frames", "a"), tensor(source=frames(color=ColorSpec("rgb", True))))
    assert getattr(found.outputs[0].type, "color", None) == ColorSpec("bt709", False)


def test_frames_of_a_window(tmp_path: Path) -> None:
    given = tensor(channels=9, pictures=3, window=Window(7, (2, 3, 4), 3))
    assert resolve(node("frames", "a"), given).params.pictures == 3


def test_frames_choose_among_several_tensors() -> None:
    bundle = BundleSpec((tensor(name="mask", channels=1), tensor(name="picture")))
    assert resolve(node("frames", "a", tensor="picture"), bundle).params.tensor == "picture"


# ------------------------------------------------------------------------------------ detections, overlay, records


def faces(**decode: Any) -> BundleSpec:
    """Return the outputs of an UltraFace."""
    return bundle("ultraface", {"scores": (1, 3, 2), "boxes": (1, 3, 4)}, placement(64, 48), **decode)


@pytest.mark.parametrize(
    ("options", "threshold", "iou"),
    [
        ({}, 0.7, 0.3),
        ({"threshold": 0.0, "iou": 1.0}, 0.0, 1.0),
        ({"decode": {"preset": "ultraface", "threshold": 0.2, "iou": 0.4}}, 0.2, 0.4),
    ],
)
def test_detections_thresholds_of_the_node_win(options: Any, threshold: float, iou: float) -> None:
    result = resolve(node("detections", "a", **options), faces())
    assert isinstance(result.params, DetectionsParams)
    assert (result.params.thresholds, result.params.iou) == ((threshold,), iou)
    assert [table.tensor for table in result.params.tensors] == ["scores", "boxes"]
    assert result.outputs[0].type == DetectionsSpec(frames(), ("face",))


def test_detections_take_the_labels_of_the_model_where_the_node_has_none() -> None:
    spec = {"task": "detect", "box": "xyxy", "unit": "picture", "background": "first"}
    result = resolve(node("detections", "a", decode=spec), faces(labels=["head"]))
    assert isinstance(result.params, DetectionsParams)
    assert result.params.labels == ("head",)


@pytest.mark.parametrize(
    ("height", "options", "thickness", "font"),
    [(48, {}, 1, 9), (720, {}, 3, 22), (2160, {}, 9, 68), (720, {"thickness": 1, "font_size": 4}, 1, 4)],
)
def test_overlay_sizes_follow_the_frame(height: int, options: Any, thickness: int, font: int) -> None:
    source = frames(64, height, "rgb24")
    work = resolve(node("overlay", "a", "b", **options), source, DetectionsSpec(source, ("face",))).params
    assert isinstance(work, OverlayParams)
    assert (work.thickness, work.font_size) == (thickness, font)


@pytest.mark.parametrize(
    ("path", "form", "found"),
    [
        ("a.jsonl", None, "jsonl"),
        ("a.JSON", None, "json"),
        ("a.ndjson", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("a.txt", "csv", "csv"),
        ("a.csv", "jsonl", "jsonl"),
        ("a.parquet", None, "parquet"),
        ("a.zip", None, "yolo"),
        ("a.json", "coco", "coco"),
    ],
)
def test_records_go_by_the_extension_unless_told(path: str, form: str | None, found: str) -> None:
    made = node("records", "a", path=path, format=form)
    params = resolve(made, DetectionsSpec(frames(), ("face",))).params
    assert (params.path, params.format) == (path, found)
    assert params.columns == (COLUMNS if found in ("csv", "parquet") else ())
    assert params.labels == (("face",) if found in ("coco", "yolo") else ())
    assert params.empty_frames == (found not in ("parquet", "yolo"))


@pytest.mark.parametrize(
    ("path", "kinds", "words"),
    [
        ("a.csv", 2, "format csv holds the results of one node, and 2 are connected"),
        ("a.jsonl", -2, "a record holds one embedding, and several are connected"),
        ("a.zip", 1, "format yolo holds detections, not classes of 64x48"),
    ],
)
def test_a_format_that_cannot_hold_the_results(path: str, kinds: int, words: str) -> None:
    inputs = [ClassesSpec(frames(), ("day",)) if kinds > 0 else EmbeddingsSpec(frames(), 2)] * abs(kinds)
    with pytest.raises(PlanError, match=words) as error:
        resolve(node("records", *"ab"[: len(inputs)], path=path), *inputs)
    assert error.value.problems[0].code == "E361"


# ------------------------------------------------------------------------------------------------------ encoder


def encoder(*inputs: PortType, **options: Any) -> EncoderParams:
    made = node("encoder", "a", name="sink", **options)
    work = resolve(dataclasses.replace(made, spec=made.spec.compiled()), *(inputs or (frames(),))).params
    assert isinstance(work, EncoderParams)
    return work


@pytest.mark.parametrize(
    ("path", "codec", "container"),
    [
        ("a.mp4", "x264", "mp4"),
        ("a.M4V", "x264", "mp4"),
        ("a.mov", "x265", "mov"),
        ("a.mkv", "vp9", "matroska"),
        ("a.webm", "vp9", "webm"),
        ("a.avi", "mpeg4", "avi"),
        ("a.ts", "x264", "mpegts"),
    ],
)
def test_encoder_containers(path: str, codec: str, container: str) -> None:
    assert encoder(path=path, codec=codec).container == container


def test_encoder_container_by_name_and_null() -> None:
    assert encoder(path="a.bin", container="matroska").container == "matroska"
    params = encoder(path="a.mp4", container="null")
    assert (params.path, params.container) == (None, "null")
    assert encoder(container="null").path is None


@pytest.mark.parametrize(
    ("options", "crf", "bits"),
    [
        ({}, 18, None),
        ({"codec": "x265"}, 20, None),
        ({"codec": "vp9"}, 24, None),
        ({"codec": "mpeg4"}, None, 64 * 48 * 8),
        ({"crf": 1}, 1, None),
        ({"bit_rate": "4M"}, None, 4_000_000),
        ({"codec": "mpeg4", "bit_rate": "500k"}, None, 500_000),
        # VP9 alone takes both: constrained quality.
        ({"codec": "vp9", "crf": 30, "bit_rate": "1M"}, 30, 1_000_000),
    ],
    ids=str,
)
def test_encoder_quality(options: dict[str, Any], crf: float | None, bits: int | None) -> None:
    params = encoder(path="a.mkv", **options)
    chosen = dict(params.options).get("crf")
    assert (chosen and float(chosen), params.bit_rate) == (crf, bits)


@pytest.mark.parametrize(
    ("size", "pixel_format", "fits"),
    [
        ((64, 48), "yuv420p", True),
        ((63, 48), "yuv420p", False),
        ((64, 47), "yuv420p", False),
        ((64, 47), "yuv422p", True),
        ((63, 48), "yuv422p", False),
        ((63, 47), "yuv444p", True),
        ((63, 48), "yuv420p10le", False),
    ],
)
def test_encoder_sizes(size: tuple[int, int], pixel_format: str, fits: bool) -> None:
    from bmfgraph.errors import PlanError

    if fits:
        assert encoder(frames(*size), path="a.mp4", pixel_format=pixel_format).pixel_format == pixel_format
    else:
        with pytest.raises(PlanError, match="needs an even width"):
            encoder(frames(*size), path="a.mp4", pixel_format=pixel_format)


def test_encoder_timing_follows_the_frames() -> None:
    params = encoder(frames(rate=Fraction(30000, 1001), variable_rate=True), path="a.mp4")
    assert params.rate == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("options", "source", "time_base"),
    [
        # one tick a frame at a constant rate
        ({"path": "a.mp4"}, frames(), Fraction(1, 25)),
        ({"path": "a.mkv"}, frames(rate=Fraction(30000, 1001)), Fraction(1001, 30000)),
        # else the grid of the frame times, as far as the format can write it
        ({"path": "a.mp4"}, frames(variable_rate=True, time_grid=Fraction(1, 1000)), Fraction(1, 1000)),
        ({"path": "a.mp4"}, frames(variable_rate=True, time_grid=Fraction(1, 1_000_000)), Fraction(1, 90_000)),
        ({"path": "a.mp4", "codec": "mpeg4"}, frames(time_grid=Fraction(1, 90_000)), Fraction(1, 60_000)),
        ({"path": "a.avi"}, frames(time_grid=Fraction(1, 12800)), Fraction(1, 25)),
    ],
)
def test_encoder_time_base(options: dict[str, Any], source: FrameSpec, time_base: Fraction) -> None:
    assert encoder(source, **options).time_base == time_base


@pytest.mark.parametrize(
    ("path", "codec", "usual"),
    [
        ("a.avi", "mpeg4", True),
        ("a.ts", "mpeg4", True),
        ("a.mp4", "mpeg4", False),
        ("a.avi", "x264", False),
        ("a.mkv", "vp9", False),
    ],
)
def test_encoder_asks_for_usual_colours_where_none_can_be_written(path: str, codec: str, usual: bool) -> None:
    need = node("encoder", "a", path=path, codec=codec).spec.accepts(0)
    assert need is not None
    assert (need.type, need.format_of(frames()), need.default_color) == (FrameSpec, "yuv420p", usual)
