"""Compare NVDEC with FFmpeg's decoder: images, times, audio and pixel aspect ratio."""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmfgraph.compile import compile_pipeline
from bmfgraph.config.pipeline import PipelineSpec
from bmfgraph.errors import BmfgraphError
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import spec_class
from bmfgraph.runner.run import run_plan
from bmfgraph.system.machine import find_machine
from tests.runner.media_tools import (
    SEEN,
    RecordSpec,
    Sound,
    encoder,
    frames_of,
    plane,
    psnr,
    scene,
    soft_scene,
    sound_packets,
    through_rgb,
    video_times,
    write,
)

PICTURES = [scene(index, 320, 240) for index in range(30)]


def run(nodes: dict[str, Any]) -> Any:
    specs = {
        name: node if isinstance(node, NodeSpec) else spec_class(node["kind"]).model_validate(node)
        for name, node in nodes.items()
    }
    return run_plan(compile_pipeline(PipelineSpec(name="test", nodes=specs), find_machine()), overwrite=True)


def recorded(source: Path, kind: str, **options: Any) -> list[Any]:
    run({"source": {"kind": kind, "path": str(source), **options}, "r": RecordSpec(inputs=("source.video",))})
    return SEEN.pop("seen")


def assert_same(ours: list[Any], theirs: list[Any], least: float = 48) -> None:
    """Assert equal times, and images that differ by rounding only.

    Borders and the hardest edges may differ more: swscale clips what its interpolation makes of saturated colours.
    """
    assert [one.time for one in ours] == [one.time for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        off = np.abs(one.pixels.astype(int) - other.pixels.astype(int))
        assert (off[4:-4, 4:-4] > 2).mean() < 0.01
        assert psnr(one.pixels, other.pixels) > least


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le"), ("libvpx-vp9", "yuv420p")]
)
def test_colours(tmp_path: Path, codec: str, pix_fmt: str, matrix: str, full: bool) -> None:
    name = "in.mkv" if codec == "libvpx-vp9" else "in.mp4"
    options = {"log-level": "none"} if codec == "libx265" else {}
    source = write(
        tmp_path / name,
        PICTURES[:6],
        codec=codec,
        pix_fmt=pix_fmt,
        matrix=matrix,
        full=full,
        tagged=True,
        options=options,
    )
    assert_same(recorded(source, "nvdec"), recorded(source, "decoder"))


@pytest.mark.parametrize(
    "options",
    [
        {"options": {"preset": "medium", "bf": "3"}},
        {"rate": Fraction(30000, 1001), "options": {"preset": "medium", "bf": "3"}},
        {"times": [Fraction(at * at, 100) for at in range(30)], "time_base": Fraction(1, 1000)},
        {"begin": Fraction(1, 2), "time_base": Fraction(1, 1000), "sound": Sound(seconds=1.5)},
        {"options": {"g": "10"}},
    ],
    ids=["B frames", "29.97", "uneven", "late", "several key frames"],
)
@pytest.mark.parametrize("part", [{}, {"start": 0.3, "end": 0.9}], ids=["whole", "part"])
def test_times(tmp_path: Path, options: dict[str, Any], part: dict[str, float]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, **options)
    assert_same(recorded(source, "nvdec", **part), recorded(source, "decoder", **part))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_pictures(tmp_path: Path, rotation: int) -> None:
    # FFmpeg turns the frame before it is made RGB, and its chroma then lies elsewhere: pictures without edges.
    source = write(tmp_path / "in.mp4", [soft_scene(index, 320, 240) for index in range(5)], rotation=rotation)
    ours, theirs = recorded(source, "nvdec"), recorded(source, "decoder")
    assert [one.pixels.shape for one in ours] == [one.pixels.shape for one in theirs]
    assert min(psnr(one.pixels, other.pixels) for one, other in zip(ours, theirs, strict=True)) > 40


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (322, 242), (1918, 1078)], ids=str)
def test_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    source = write(tmp_path / "in.mp4", [scene(index, *size) for index in range(4)])
    assert_same(recorded(source, "nvdec"), recorded(source, "decoder"))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_there_and_back(tmp_path: Path, pix_fmt: str) -> None:
    pictures = [soft_scene(index, 320, 240) for index in range(10)]
    source = write(
        tmp_path / "in.mp4",
        pictures,
        aspect=Fraction(16, 11),
        sound=Sound(seconds=0.4),
        options={"crf": "1"},
        tagged=True,
        matrix="bt709",
    )
    outcome = run(
        {
            "source": {"kind": "nvdec", "path": str(source)},
            **through_rgb("source.video"),
            "sink": encoder(tmp_path / "out.mp4", "back", "source.audio", crf=1, pixel_format=pix_fmt),
        }
    )
    assert {node.device for node in outcome.plan if node.kind not in ("sound", "encoder")} == {"cuda"}
    assert video_times(tmp_path / "out.mp4") == pytest.approx(video_times(source), abs=0.0005)
    assert [data for _, data in sound_packets(tmp_path / "out.mp4")] == [data for _, data in sound_packets(source)]
    made = frames_of(tmp_path / "out.mp4")
    assert made[0].format.name == pix_fmt
    import av

    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
        assert container.streams.video[0].codec_context.colorspace == 1
    for one, other in zip(made, frames_of(source), strict=True):
        # Of ten bits the upper eight.
        deep = pix_fmt.endswith("10le")
        luma = plane(one.reformat(format="yuv420p") if deep else one, 0)
        assert psnr(luma, plane(other, 0)) > 50


def test_a_clip_that_is_cut_off(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", PICTURES, sound=Sound(seconds=1.2))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    with pytest.raises(BmfgraphError, match="cut off or damaged"):
        recorded(source, "nvdec")
    assert 0 < len(recorded(source, "nvdec", on_error="skip")) < 30


def test_stages_of_both_kinds(tmp_path: Path) -> None:
    """Put the GPU between a CPU decoder and a CPU encoder; run twice, because a run must leave no state behind."""
    source = write(tmp_path / "in.mp4", PICTURES)
    sums = []
    for _ in range(2):
        run(
            {
                "source": {"kind": "nvdec", "path": str(source)},
                **through_rgb("source.video"),
                "one": encoder(tmp_path / "one.mp4", "back"),
                "two": encoder(tmp_path / "two.mp4", "source.video", pixel_format="yuv444p"),
                "r": RecordSpec(inputs=("back",)),
            }
        )
        seen = SEEN.pop("seen")
        assert len(seen) == 30
        sums.append([one.pixels.sum() for one in seen])
    assert sums[0] == sums[1]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_ffmpeg_decodes_on_the_gpu(tmp_path: Path, pix_fmt: str) -> None:
    codec, options = ("libx265", {"log-level": "none"}) if "10" in pix_fmt else ("libx264", {})
    source = write(tmp_path / "in.mp4", PICTURES, codec=codec, pix_fmt=pix_fmt, options=options)
    ours, theirs = recorded(source, "decoder", hwaccel="cuda"), recorded(source, "decoder")
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_damage_inside_of_a_clip_ends_the_run(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / name, [scene(index % 30, 320, 240) for index in range(120)], options={"g": "12"})
    data = bytearray(source.read_bytes())
    random = np.random.default_rng(5)
    for start in range(len(data) // 3, 2 * len(data) // 3, 997):
        data[start : start + 40] = random.integers(0, 256, 40, dtype=np.uint8).tobytes()
    source.write_bytes(data)
    with contextlib.suppress(BmfgraphError):
        frames = recorded(source, "nvdec", on_error="skip")
        assert [one.index for one in frames] == list(range(len(frames)))
        assert all(one.time < other.time for one, other in itertools.pairwise(frames))


def test_decoders_that_are_left_in_the_middle(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", [scene(index % 30, 320, 240) for index in range(90)])
    for _ in range(5):
        assert len(recorded(source, "nvdec", end=0.4)) == 10
