"""Test that HDR and deep video come through whole, or that the plan says what is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmfgraph.errors import PlanError
from bmfgraph.media.probe import probe
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, Plan, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, HdrMetadata, PortType
from bmfgraph.runner.preflight import preflight_warnings
from bmfgraph.runner.run import run_plan
from bmfgraph.stages.base import Stage
from bmfgraph.stages.color import ToRgb
from tests.runner.media_tools import compiled, decoder, encoder, frames_of, plane as plane_of, run

Codes = NDArray[np.int64]

PQ, HLG, BT2020 = 16, 18, 9
METADATA = HdrMetadata(
    red=(Fraction(34000, 50000), Fraction(16000, 50000)),
    green=(Fraction(13250, 50000), Fraction(34500, 50000)),
    blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
    white=(Fraction(15635, 50000), Fraction(16450, 50000)),
    darkest=Fraction(50, 10000),
    brightest=Fraction(1000),
    max_content=1000,
    max_average=400,
)
_DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
_QUIET = "log-level=none"
WIDTH, HEIGHT = 320, 96


def samples(frame: av.VideoFrame) -> list[Codes]:
    """Return the codes of each plane of a frame with more than 8 bits."""
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
        width = plane.width * (3 if frame.format.name == "rgb48le" else 1)
        planes.append(rows[: plane.height, :width].astype(np.int64))
    return planes


def ramp(pixel_format: str, bits: int = 10) -> av.VideoFrame:
    """Draw every luma code of limited range in turn, with faint colours that no conversion clips."""
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    unit = 1 << (bits - 8)
    luma = np.arange(WIDTH * HEIGHT) // (WIDTH * HEIGHT // (200 * unit)) % (200 * unit) + 26 * unit
    for number, plane in enumerate(frame.planes):
        data = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        colours = 128 * unit + np.linspace(-unit, unit, plane.width).round()[None] * (1 if number == 1 else -1)
        data[:, : plane.width] = luma.reshape(HEIGHT, WIDTH) if number == 0 else colours
        plane.update(data.tobytes())
    return frame


def write_deep(
    path: Path, pixel_format: str = "yuv420p10le", *, transfer: int = PQ, metadata: bool = True, bits: int = 10
) -> Path:
    """Write three frames of :func:`ramp`: HDR10 in H.265, lossless."""
    terms = [_QUIET, "lossless=1", *([f"master-display={_DISPLAY}", "max-cll=1000,400"] if metadata else [])]
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "x265-params": ":".join(terms)}
        stream: Any = out.add_stream("libx265", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        context = stream.codec_context
        context.colorspace, context.color_range = BT2020, 1
        context.color_primaries, context.color_trc = BT2020, transfer
        for index in range(3):
            frame = ramp(pixel_format, bits)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


PLANES: list[list[Codes]] = []


class PlanesSpec(NodeSpec):
    """Records the planes of every frame in :data:`PLANES`."""

    kind: Literal["planes"] = "planes"
    pixel_format: str
    stage: ClassVar[str] = "tests.runner.test_hdr:RecordPlanes"

    def ports(self) -> tuple[str, ...]:
        return ()

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, self.pixel_format)

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred(())


class RecordPlanes(Stage):
    """Keeps copies of the planes."""

    def open(self) -> None:
        PLANES.clear()

    def process(self, *items: Any) -> Iterable[Any]:
        PLANES.append(samples(items[0].as_picture()))
        return ()


@pytest.fixture
def hdr10(tmp_path: Path) -> Path:
    return write_deep(tmp_path / "hdr10.mkv")


def through_tensors(source: Path, dtype: str = "float32", **options: Any) -> dict[str, Any]:
    """Return nodes that convert frames to tensors and back; the last node is ``back``."""
    return {
        "source": decoder(source, **options),
        "tensor": {"kind": "preprocess", "inputs": ["source.video"], "dtype": dtype},
        "back": {"kind": "frames", "inputs": ["tensor"]},
    }


def warnings_of(plan: Plan) -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in preflight_warnings(plan) if problem.code in ("W131", "W132")]


# --------------------------------------------------------------------------------------------------------- keep


@pytest.mark.parametrize("codec", ["x265", "x264"])
def test_hdr10_comes_through(hdr10: Path, tmp_path: Path, codec: str) -> None:
    """Levels, tags and metadata are those of the source, within 2 of 1023 codes."""
    out = tmp_path / "out.mp4"
    plan = compiled({**through_tensors(hdr10), "sink": encoder(out, "back", codec=codec, crf=0)})
    assert warnings_of(plan) == []
    run_plan(plan)
    before, after = frames_of(hdr10), frames_of(out)
    assert len(before) == len(after) == 3
    for one, other in zip(before, after, strict=True):
        assert other.format.name == "yuv420p10le"
        assert (other.color_trc, other.color_primaries, other.colorspace, other.color_range) == (
            one.color_trc,
            one.color_primaries,
            one.colorspace,
            one.color_range,
        )
        for first, last in zip(samples(one), samples(other), strict=True):
            assert np.abs(first - last).max() <= 2
            assert abs((first - last).mean()) < 0.1
    assert probe(out).frames.hdr == METADATA == probe(hdr10).frames.hdr
    assert (int(after[0].color_trc), int(after[0].color_primaries), int(after[0].colorspace)) == (PQ, BT2020, BT2020)


def test_hlg_keeps_its_transfer(tmp_path: Path) -> None:
    source = write_deep(tmp_path / "hlg.mkv", transfer=HLG, metadata=False)
    run({"source": decoder(source), "sink": encoder(tmp_path / "out.mkv", "source.video", codec="x265")})
    frames = probe(tmp_path / "out.mkv").frames
    assert (frames.color.transfer, frames.color.primaries, frames.hdr) == (HLG, BT2020, None)
    assert str(frames.color) == "bt2020/limited/HLG"


@pytest.mark.parametrize(
    ("pixel_format", "bits"),
    [("yuv420p10le", 10), ("yuv422p10le", 10), ("yuv444p10le", 10), ("yuv420p12le", 12), ("yuv444p12le", 12)],
)
@pytest.mark.parametrize(("dtype", "most"), [("float32", 2), ("float16", 4)])
def test_tensors_keep_depth_and_chroma(tmp_path: Path, pixel_format: str, bits: int, dtype: str, most: int) -> None:
    source = write_deep(tmp_path / "in.mkv", pixel_format, bits=bits, metadata=False)
    run({**through_tensors(source, dtype), "end": PlanesSpec(inputs=("back",), pixel_format=pixel_format)})
    before = [samples(frame) for frame in frames_of(source)]
    assert len(PLANES) == len(before) == 3
    for planes, expected in zip(PLANES, before, strict=True):
        for after, first in zip(planes, expected, strict=True):
            assert np.abs(after - first).max() <= most << (bits - 10)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "expected"),
    [
        ("yuv422p10le", "x264", "yuv422p10le"),
        ("yuv444p10le", "x265", "yuv444p10le"),
        ("yuv444p12le", "x265", "yuv444p12le"),
        ("yuv422p12le", "x264", "yuv422p10le"),
        ("yuv422p10le", "vp9", "yuv422p"),
        ("yuv422p10le", "mpeg4", "yuv420p"),
    ],
)
@pytest.mark.parametrize("rgb", [False, True], ids=["direct", "tensors"])
def test_the_output_is_as_deep_as_the_codec_allows(
    tmp_path: Path, pixel_format: str, codec: str, expected: str, rgb: bool
) -> None:
    source = write_deep(tmp_path / "in.mkv", pixel_format, bits=12 if "12" in pixel_format else 10, metadata=False)
    nodes, last = (through_tensors(source), "back") if rgb else ({"source": decoder(source)}, "source.video")
    run({**nodes, "sink": encoder(tmp_path / "out.mkv", last, codec=codec)})
    assert [frame.format.name for frame in frames_of(tmp_path / "out.mkv")] == [expected] * 3


def test_resized_frames_stay_deep(hdr10: Path, tmp_path: Path) -> None:
    nodes = {"source": decoder(hdr10), "small": {"kind": "resize", "inputs": ["source.video"], "scale": 0.5}}
    out = tmp_path / "out.mkv"
    run({**nodes, "sink": encoder(out, "small", codec="x265", crf=0)})
    frame = frames_of(out)[0]
    assert (frame.format.name, frame.width, frame.height) == ("yuv420p10le", WIDTH // 2, HEIGHT // 2)
    luma = samples(frame)[0]
    # Steps of a code are finer than those of 8 bits.
    assert len(np.unique(luma % 4)) == 4
    assert len(np.unique(luma)) > 300


@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv422p10le", "yuv444p12le"])
def test_stages_get_rgb_of_the_right_levels(tmp_path: Path, pixel_format: str) -> None:
    """Swscale on the CPU agrees with the formulas of BT.2020, which test_color.py tests, within a code of 10 bits."""
    bits = 12 if "12" in pixel_format else 10
    source = write_deep(tmp_path / "in.mkv", pixel_format, bits=bits, metadata=False)
    run({"source": decoder(source), "end": PlanesSpec(inputs=("source.video",), pixel_format="rgb48le")})
    media = probe(source).frames
    convert = ToRgb(pixel_format, media.color, media.chroma, WIDTH, HEIGHT, torch.device("cpu"), deep=True)
    planes = [torch.from_numpy(plane.astype(np.uint16)) for plane in samples(frames_of(source)[0])]
    exact = convert(planes).permute(1, 2, 0).int().numpy()
    off = np.abs(PLANES[0][0].reshape(HEIGHT, WIDTH, 3) - exact)[2:-2, 2:-2]
    assert off.max() <= 65535 / 876
    assert off.mean() < 24


# ----------------------------------------------------------------------------------------------- what is lost


@pytest.mark.parametrize(
    ("nodes", "last", "options", "expected"),
    [
        (lambda path: {"source": decoder(path)}, "source.video", {}, []),
        (through_tensors, "back", {}, []),
        (
            lambda path: through_tensors(path, dtype="uint8"),
            "back",
            {},
            [("W131", "node 'tensor' (preprocess) makes 8 bits of the source's 10")],
        ),
        (
            lambda path: {"source": decoder(path)},
            "source.video",
            {"codec": "mpeg4"},
            [("W131", "codec mpeg4 stores 8 bits of the source's 10")],
        ),
        # The user has confirmed it.
        (lambda path: through_tensors(path, dtype="uint8"), "back", {"pixel_format": "yuv420p"}, []),
    ],
)
def test_lost_bits_are_told(
    tmp_path: Path,
    nodes: Callable[[Path], dict[str, Any]],
    last: str,
    options: dict[str, Any],
    expected: list[tuple[str, str]],
) -> None:
    source = write_deep(tmp_path / "in.mkv", transfer=1, metadata=False)
    assert warnings_of(compiled({**nodes(source), "sink": encoder(tmp_path / "out.mkv", last, **options)})) == expected


def test_hdr_in_8_bits_is_told(hdr10: Path, tmp_path: Path) -> None:
    plan = compiled(
        {"source": decoder(hdr10), "sink": encoder(tmp_path / "a.mp4", "source.video", pixel_format="yuv420p")}
    )
    assert warnings_of(plan) == [("W132", "HDR video in 8 bits (yuv420p) shows bands")]


# -------------------------------------------------------------------------------------------- tonemap and refuse


@pytest.mark.parametrize("codec", ["x264", "mpeg4"])
def test_tonemapped_video_is_ordinary(hdr10: Path, tmp_path: Path, codec: str) -> None:
    out = tmp_path / "out.mp4"
    sink = encoder(out, "source.video", codec=codec, **({"crf": 1} if codec == "x264" else {"bit_rate": "9M"}))
    plan = compiled({"source": decoder(hdr10, hdr="tonemap"), "sink": sink})
    assert [node.kind for node in plan] == ["decoder", "convert", "tonemap", "convert", "encoder"]
    assert warnings_of(plan) == []
    run_plan(plan)
    frames = probe(out).frames
    assert (frames.pixel_format, frames.hdr) == ("yuv420p", None)
    assert (frames.color.transfer, frames.color.primaries, frames.color.matrix) == (1, 1, "bt709")
    (before, *_), (after, *_) = frames_of(hdr10), frames_of(out)
    luma = samples(before)[0]
    levels = plane_of(after, 0)
    # 10 and 203 cd/m² in PQ become 73 and 230 of 255 levels, by test_tonemap.
    for signal, level in ((0.2997, 73), (0.5807, 230)):
        place = np.abs(luma - (64 + signal * 876)) < 1
        assert levels[place].mean() == pytest.approx(16 + level * 219 / 255, abs=2)


def test_ordinary_video_is_not_mapped(tmp_path: Path) -> None:
    source = write_deep(tmp_path / "in.mkv", transfer=1, metadata=False)
    for choice in ("tonemap", "refuse"):
        plan = compiled({"source": decoder(source, hdr=choice), "sink": encoder(tmp_path / "a.mkv", "source.video")})
        assert [node.kind for node in plan] == ["decoder", "encoder"]


def test_hdr_is_refused(hdr10: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"hdr10\.mkv' is HDR video \(bt2020/limited/PQ\), and hdr is refuse") as caught:
        compiled({"source": decoder(hdr10, hdr="refuse"), "sink": encoder(tmp_path / "a.mkv", "source.video")})
    assert caught.value.problems[0].code == "E383"
    assert "hdr=tonemap" in str(caught.value)
