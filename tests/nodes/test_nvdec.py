"""Test the hardware decoder: its spec, and its BMF module with FFmpeg in place of the GPU."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bmfgraph.errors import InstallError, PlanError, RunError
from bmfgraph.media.probe import probe
from bmfgraph.nodes.decoder import DecoderParams
from bmfgraph.nodes.nvdec import NvdecMedia, NvdecParams, NvdecSpec
from bmfgraph.plan.description import BmfModuleSpec
from bmfgraph.plan.plan import Inferred, PlanNode, json_ready
from bmfgraph.plan.types import AudioSpec, ColorSpec, FrameSpec
from bmfgraph.stages.pictures import to_8_bits
from tests.runner.media_tools import Seen, Sound, recorded, scene, soft_scene, write
from tests.tools import make_clip

PICTURES = [scene(index, 64, 48) for index in range(30)]
BATCH = 4
B_FRAMES = {"preset": "medium", "bf": "3"}


def spec_of(path: Path, **options: Any) -> NvdecSpec:
    return NvdecSpec(kind="nvdec", path=str(path), **options)


def resolved(path: Path, **options: Any) -> Inferred:
    spec = spec_of(path, **options)
    return spec.infer(PlanNode("n", spec, metadata=spec.probe("n")), (), None)


# ---------------------------------------------------------------------------------------------------------- the spec


def test_frames_come_as_rgb_on_the_gpu(clip: Callable[..., Path]) -> None:
    path = clip(audio="aac", frames=20)
    inferred = resolved(path)
    video, audio = (port.type for port in inferred.outputs)
    assert [port.name for port in inferred.outputs] == ["video", "audio"] == list(spec_of(path).ports())
    assert isinstance(video, FrameSpec)
    assert isinstance(audio, AudioSpec)
    frames = probe(path).frames
    assert video == replace(frames, pixel_format="rgb24", origin="yuv420p", device="cuda")
    work = inferred.params
    assert isinstance(work, NvdecParams)
    assert isinstance(work, DecoderParams)
    assert (work.codec, work.pixel_format, work.color) == ("h264", "yuv420p", ColorSpec("bt601", False, tagged=False))
    assert (work.width, work.height, work.rotation, work.chroma) == (64, 48, 0, "left")
    assert (work.frame_count, work.exact_count, work.video, work.tracks) == (20, True, 0, (1,))
    assert [port.name for port in resolved(path, audio=None).outputs] == ["video"]
    assert json_ready(work)["time_base"] == "1/12800"


def test_the_rest_is_as_the_decoder_has_it(clip: Callable[..., Path]) -> None:
    from bmfgraph.nodes.decoder import DecoderSpec

    path = clip(frames=50)
    every: list[dict[str, Any]] = [{}, {"start": 0.5}, {"end": 0.7}, {"start": 0.31, "end": 1.0, "on_error": "skip"}]
    for options in every:
        spec = DecoderSpec.model_validate({"kind": "decoder", "path": str(path), **options})
        reference = json_ready(spec.infer(PlanNode("n", spec, metadata=spec.probe("n")), (), None).params)
        actual = json_ready(resolved(path, **options).params)
        assert {name: actual[name] for name in reference} == reference


def test_a_rotated_file_is_displayed_upright(clip: Callable[..., Path]) -> None:
    inferred = resolved(clip(rotation=90))
    video, work = inferred.outputs[0].type, inferred.params
    assert isinstance(video, FrameSpec)
    assert (video.width, video.height, work.stored_width, work.stored_height) == (48, 64, 64, 48)
    assert work.rotation in (90, 270)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a.avi"}, "is mpeg4 video, and only H.264, H.265, VP8, VP9, AV1 are decoded on the GPU"),
        ({"pix_fmt": "yuv444p"}, "is H.264 video in yuv444p, which NVDEC does not decode"),
        ({"pix_fmt": "yuv420p10le", "name": "a.mkv", "codec": "ffv1"}, "is ffv1 video"),
    ],
    ids=str,
)
def test_what_nvdec_cannot_decode(clip: Callable[..., Path], options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        resolved(clip(options.pop("name", "a.mp4"), **options))
    assert caught.value.hint == "set decoder=ffmpeg, which decodes it on the CPU"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"fields": "flagged"}, "is interlaced, and NVDEC would mix its fields"),
        ({"timed": False}, "has no presentation times"),
        ({"codec": "vp9"}, None),
        ({"codec": "mjpeg"}, "is mjpeg video"),
    ],
    ids=str,
)
def test_what_would_come_out_otherwise(clip: Callable[..., Path], facts: dict[str, Any], message: str | None) -> None:
    spec = spec_of(clip())
    media = replace(spec.probe("n"), **facts)
    with pytest.raises(PlanError, match=message) if message else contextlib.nullcontext():
        spec.infer(PlanNode("n", spec, metadata=media), (), None)


def test_what_is_found_out(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", PICTURES[:4], aspect=Fraction(16, 11), tagged=True, matrix="bt709")
    media = spec_of(source).probe("n")
    assert isinstance(media, NvdecMedia)
    assert (media.codec, media.timed, media.fields, media.frames.aspect) == ("h264", True, "", Fraction(16, 11))
    assert (media.frames.color.primaries, media.frames.color.transfer) == (1, 1)
    fields = {"x264-params": "tff=1"}
    assert spec_of(write(tmp_path / "i.mp4", PICTURES[:4], options=fields)).probe("n").fields == "flagged"
    bare = make_clip(tmp_path / "raw.h264")
    assert not spec_of(bare).probe("n").timed


def test_options(clip: Callable[..., Path]) -> None:
    assert spec_of(clip(), threads=None, start=1.0, end=2.0).threads is None
    with pytest.raises(ValidationError, match="NVDEC has no threads"):
        spec_of(clip(), threads=4)
    with pytest.raises(ValidationError, match="is not after start"):
        spec_of(clip(), start=2.0, end=1.0)
    with pytest.raises(RunError, match="does not exist"):
        spec_of(Path("nowhere.mp4")).probe("n")


# ------------------------------------------------------------------------------------- FFmpeg in the place of NVDEC


@dataclass
class FakeGpu:
    """PyNvVideoCodec as far as the decoder uses it. As there, the next call reuses the surfaces."""

    width: int
    height: int
    lost: int = 0
    """Every so many frames, the decoder reports a wrong time."""
    failing_at: int | None = None
    """Number of the call that fails."""
    at_once: bool = False
    """True if the decoder keeps all pictures back, and its last call returns them together."""
    surfaces: list[Any] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    codec: Any = None
    calls: int = 0
    decoded: int = 0
    cudaVideoCodec: Any = field(default_factory=lambda: SimpleNamespace(H264="h264", HEVC="hevc", VP9="vp9"))
    cudaVideoChromaFormat: Any = field(default_factory=lambda: SimpleNamespace(**{"420": 1}))
    supported: int = 1

    def PacketData(self) -> Any:
        return SimpleNamespace(bsl=0, bsl_data=0, pts=0)

    def GetDecoderCaps(self, **options: Any) -> dict[str, int]:
        assert options["bitdepth"] == 10
        return {"supported": self.supported}

    def CreateDecoder(self, *, codec: str, usedevicememory: bool, **_: Any) -> FakeGpu:
        assert usedevicememory
        self.codec: Any = av.CodecContext.create(codec, "r")
        self.codec.thread_count = 1
        return self

    def GetWidth(self) -> int:
        return self.width + self.width % 2

    def GetHeight(self) -> int:
        return self.height

    def Decode(self, data: Any) -> list[Any]:
        self.calls += 1
        if self.calls == self.failing_at:
            raise RuntimeError("cuvidParseVideoData returned error 999")
        packets = list(self._pictures(ctypes.string_at(data.bsl_data, data.bsl))) if data.bsl else [None]
        for number, packet in enumerate(packets):
            if packet is not None:
                # NVDEC gets one time in each call, and invents those of the frames that follow.
                packet.pts = data.pts + 33 * number
        result = []
        for number, frame in enumerate(itertools.chain.from_iterable(map(self.codec.decode, packets)), len(self.kept)):
            surface = self._nv12(frame)
            if number == len(self.surfaces):
                self.surfaces.append(surface)
            self.surfaces[number][:] = surface
            self.decoded += 1
            reported = -7 if self.lost and self.decoded % self.lost == 0 else frame.pts
            pointer = self.surfaces[number].ctypes.data
            result.append(SimpleNamespace(timestamp=reported, GetPtrToPlane=lambda _, pointer=pointer: pointer))
        if not self.at_once:
            return result
        self.kept += result
        return [] if data.bsl else self.kept

    def _pictures(self, data: bytes) -> Iterator[Any]:
        if self.codec.name == "vp9":
            yield av.Packet(data)
            return
        parser = av.CodecContext.create(self.codec.name, "r")
        yield from parser.parse(data)
        yield from parser.parse()

    def _nv12(self, frame: av.VideoFrame) -> Any:
        size = 2 if "10" in frame.format.name else 1
        y, u, v = (
            np.frombuffer(bytes(plane), np.uint8)
            .reshape(plane.height, plane.line_size)[:, : plane.width * size]
            .copy()
            .view(np.uint16 if size == 2 else np.uint8)
            for plane in frame.planes
        )
        whole = np.zeros((self.height + len(u), self.GetWidth()), y.dtype)
        whole[: self.height, : self.width] = y
        whole[self.height :, 0::2], whole[self.height :, 1::2] = u, v
        return whole << 6 if size == 2 else whole


class FakeQueue(list[Any]):
    put = list.append


class FakeTask:
    def __init__(self) -> None:
        self.outputs = {0: FakeQueue()}
        self.timestamp: Any = None

    def get_inputs(self) -> dict[int, Any]:
        return {}

    def get_outputs(self) -> dict[int, FakeQueue]:
        return self.outputs


@dataclass
class Ran:
    frames: list[Any]
    calls: list[list[int]]
    monitor: Any

    @property
    def base(self) -> Fraction:
        return Fraction(self.frames[0].time_base)

    def seen(self) -> list[Seen]:
        return [Seen(frame.index, frame.time, to_8_bits(frame.image).numpy()) for frame in self.frames]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, video_frame: Any) -> Iterator[Callable[..., Ran]]:
    """Run the module over a file as BMF would; ``video_frame`` makes BMF importable."""
    from bmf import Timestamp

    from bmfgraph.runner.modules import gpu_decoder, nvdec
    from bmfgraph.runner.modules.base import HANDOVER, ModuleConfig, OutputStream
    from bmfgraph.runner.monitor import RunMonitor

    def surface_view(pointer: int, shape: tuple[int, int], is_16_bit: bool, device: torch.device) -> torch.Tensor:
        count = shape[0] * shape[1]
        memory: Any = ((ctypes.c_int16 if is_16_bit else ctypes.c_uint8) * count).from_address(pointer)
        return torch.from_numpy(np.ctypeslib.as_array(memory).reshape(shape))

    monkeypatch.setattr(gpu_decoder, "_surface_view", surface_view)
    monkeypatch.setattr(gpu_decoder, "_current_device", lambda: torch.device("cpu"))
    stream: Any = SimpleNamespace(cuda_stream=1, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream, raising=False)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    event = SimpleNamespace(record=lambda: None, wait=lambda: None)
    monkeypatch.setattr(torch.cuda, "Event", lambda: event, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "TEST GPU")

    def run(path: Path, gpu: dict[str, Any] | None = None, **options: Any) -> Ran:
        work = resolved(path, **options).params
        fake = FakeGpu(work.stored_width, work.stored_height, **(gpu or {}))
        monkeypatch.setattr(gpu_decoder, "_load_library", lambda: fake)
        monitor = RunMonitor()
        timings, outputs = monitor.timings_of("n", "nvdec"), (OutputStream(0),)
        HANDOVER["test"] = ModuleConfig(timings, monitor, BmfModuleSpec(), work, 0, outputs, stream=stream, batch=BATCH)
        module = nvdec.NvdecModule(0, {"job": "test"})
        frames: list[Any] = []
        calls = []
        task = FakeTask()
        while task.timestamp != Timestamp.DONE:
            task = FakeTask()
            module.process(task)
            packets = [packet for packet in task.outputs[0] if packet.timestamp != Timestamp.EOF]
            assert len(task.outputs[0]) - len(packets) == (task.timestamp == Timestamp.DONE)
            batches = [packet.get(None).items for packet in packets]
            frames += itertools.chain.from_iterable(batches)
            assert all(
                packet.timestamp == round(items[0].time * 1_000_000)
                for packet, items in zip(packets, batches, strict=True)
            )
            calls.append([len(items) for items in batches])
        module.close()
        for callback in monitor.on_shutdown:
            callback()
        assert "n" not in monitor.working
        return Ran(frames, calls, monitor)

    yield run
    HANDOVER.pop("test", None)


def part(whole: Sequence[Seen], start: float | None = None, end: float | None = None) -> list[Seen]:
    """Return the frames from ``start`` up to ``end``, counted from ``start``."""
    first, last = Fraction(str(start or 0)), Fraction(str(end or 1000))
    kept = [seen for seen in whole if first <= seen.time < last]
    return [Seen(index, seen.time - first, seen.pixels) for index, seen in enumerate(kept)]


def assert_same(actual: Sequence[Seen], reference: Sequence[Seen], tick: Fraction = Fraction(0), most: int = 3) -> None:
    """Check that frames, times and, but for rounding, images are the same."""
    assert len(actual) == len(reference)
    assert max(abs(one.time - other.time) for one, other in zip(actual, reference, strict=True)) <= tick / 2
    assert [one.index for one in actual] == list(range(len(reference)))
    for one, other in zip(actual, reference, strict=True):
        assert one.pixels.shape == other.pixels.shape
        off = np.abs(one.pixels.astype(int) - other.pixels.astype(int))
        # Near the borders swscale does not quite repeat the last chroma sample.
        assert off[4:-4, 4:-4].max(initial=0) <= most
        assert off.mean() < most / 4


@pytest.mark.sample(24)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start": 0.2},
        {"end": 0.6},
        {"start": 0.41, "end": 0.77},
        {"start": 0.333},
        {"end": 0.61},
    ],
    ids=str,
)
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)], ids=str)
@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("gpu", [{}, {"lost": 3}], ids=str)
def test_frames_and_times_are_those_of_ffmpegs_decoder(
    tmp_path: Path,
    run: Callable[..., Ran],
    gpu: dict[str, Any],
    extension: str,
    rate: Fraction,
    options: dict[str, Any],
) -> None:
    base = Fraction(1, 90_000) if extension == ".ts" else None
    source = write(tmp_path / f"in{extension}", PICTURES, rate=rate, options=B_FRAMES, time_base=base)
    ran = run(source, gpu, **options)
    assert ran.monitor.error is None, ran.monitor.trace
    assert_same(ran.seen(), part(recorded(source), **options), ran.base)
    timings = ran.monitor.timings["n"]
    assert (timings.frames, timings.last_time) == (len(ran.frames), ran.frames[-1].time)
    assert len(timings.seconds) == len(ran.calls)
    assert all(count == BATCH for count in [*itertools.chain(*ran.calls)][:-1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("late.ts", {"begin": Fraction(14, 10), "time_base": Fraction(1, 90_000), "options": B_FRAMES}),
        ("after.mp4", {"begin": Fraction(237, 1000), "time_base": Fraction(1, 1000), "sound": Sound(seconds=1.5)}),
        ("after.mkv", {"begin": Fraction(2, 25), "time_base": Fraction(1, 1000), "sound": Sound(seconds=1.5)}),
        ("sound.mkv", {"sound": Sound(seconds=1.5)}),
        ("sound.mp4", {"sound": Sound(seconds=1.5), "options": B_FRAMES}),
        ("uneven.mp4", {"times": [Fraction(n * n, 1000) for n in range(30)], "time_base": Fraction(1, 1000)}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}}),
        ("full.mp4", {"tagged": True, "full": True, "matrix": "bt709"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("start", [None, 0.3])
def test_other_files(
    tmp_path: Path, run: Callable[..., Ran], name: str, options: dict[str, Any], start: float | None
) -> None:
    # What the cubic makes of hard edges in full range is cut off by swscale, and not by us.
    pictures = [soft_scene(index, 64, 48) for index in range(30)] if "full" in options else PICTURES
    source = write(tmp_path / name, pictures, **options)
    ran = run(source, start=start)
    assert ran.monitor.error is None, ran.monitor.trace
    assert_same(ran.seen(), part(recorded(source), start), ran.base)


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts"])
def test_a_long_file_is_sought(
    tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    pictures = [soft_scene(index, 64, 48) for index in range(125)]
    base = Fraction(1, 90_000) if extension == ".ts" else None
    source = write(tmp_path / f"in{extension}", pictures, options={"g": "10", **B_FRAMES}, time_base=base)
    fed: list[int] = []
    decode = FakeGpu.Decode

    def counting(self: FakeGpu, data: Any) -> list[Any]:
        fed.append(data.pts)
        return decode(self, data)

    monkeypatch.setattr(FakeGpu, "Decode", counting)
    ran = run(source, start=3.5, end=4.2)
    assert ran.monitor.error is None, ran.monitor.trace
    assert_same(ran.seen(), part(recorded(source), 3.5, 4.2), ran.base)
    if extension != ".ts":
        assert len(fed) < 60


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pictures(tmp_path: Path, run: Callable[..., Ran], degrees: int) -> None:
    pictures = [soft_scene(index, 96, 64) for index in range(4)]
    source = write(tmp_path / "in.mp4", pictures, rotation=degrees)
    # FFmpeg turns the pictures before they are RGB, which moves the chroma samples.
    assert_same(run(source).seen(), recorded(source), most=16)


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ({"every": 3}, (20, 0)),
        ({"every": 4, "start": 0.3, "end": 0.7}, (7, 0)),
        ({"fps": 10}, (18, 0)),
        ({"fps": "30000/1001"}, (0, 6)),
        ({"crop": [9, 5, 21, 30]}, None),
        ({"fps": 50}, (0, 30)),
    ],
    ids=str,
)
def test_selected_frames(
    tmp_path: Path, run: Callable[..., Ran], options: dict[str, Any], selected: tuple[int, int] | None
) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, options=B_FRAMES)
    ran = run(source, **options)
    assert ran.monitor.error is None, ran.monitor.trace
    if "crop" in options and options["crop"][0] % 2:
        with pytest.raises(PlanError, match="begins between two chroma samples"):
            recorded(source, **options)
        whole = recorded(source)
        expected = [replace(seen, pixels=seen.pixels[5:35, 9:30]) for seen in whole]
    else:
        expected = recorded(source, **options)
    assert_same(ran.seen(), expected, ran.base)
    assert [(one.dropped, one.repeated) for one in ran.monitor.selected.values()] == ([selected] if selected else [])


def test_mirrored_pictures(tmp_path: Path, run: Callable[..., Ran]) -> None:
    work = spec_of(write(tmp_path / "in.mp4", [soft_scene(0, 96, 64)])).probe("n")
    source = str(work.path)
    with av.open(source) as plain, av.open(str(tmp_path / "out.mp4"), "w") as out:
        stream = out.add_stream_from_template(plain.streams.video[0])
        # Mirrored, then turned by 90 degrees counterclockwise.
        stream.set_display_matrix([0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30])
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    ran = run(tmp_path / "out.mp4")
    assert_same(ran.seen(), recorded(tmp_path / "out.mp4"), most=16)
    assert ran.frames[0].image.shape == (96, 64, 3)


def test_ten_bits(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES[:4], pix_fmt="yuv420p10le", tagged=True, matrix="bt2020")
    ran = run(source)
    assert_same(ran.seen(), recorded(source))
    refused = run(source, {"supported": 0})
    assert not refused.frames
    text = "the decoder of this TEST GPU does not support h264 in yuv420p10le"
    assert text in str(refused.monitor.error)


def test_odd_sizes(tmp_path: Path, run: Callable[..., Ran]) -> None:
    pictures = [soft_scene(index, 65, 49) for index in range(4)]
    source = write(tmp_path / "in.webm", pictures, codec="libvpx-vp9", options={"cpu-used": "8"})
    ran = run(source)
    assert ran.monitor.error is None, ran.monitor.trace
    assert [frame.image.shape for frame in ran.frames] == [(49, 65, 3)] * 4


def test_times_that_the_decoder_has_lost(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, options=B_FRAMES)
    known = run(source)
    lost = run(source, {"lost": 1})
    assert [frame.time for frame in lost.frames] == [frame.time for frame in known.frames]


def test_a_failure_names_the_node_and_the_frame(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES, options={"bf": "0"})
    ran = run(source, {"failing_at": 3})
    text = "node 'n' (nvdec), frame 8 at 0.280 s: RuntimeError: cuvidParseVideoData returned error 999"
    assert str(ran.monitor.error).startswith(text)
    assert len(ran.frames) == 8


def test_a_picture_of_another_size_is_refused(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES[:6])
    ran = run(source, {"surfaces": []})
    assert ran.monitor.error is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeGpu, "GetHeight", lambda self: 96)
        ran = run(source)
    assert "the frame size changes from 64x48 to 64x96" in str(ran.monitor.error)


# --------------------------------------------------------------------------------------------------------- the order


def test_order() -> None:
    from bmfgraph.runner.modules.packet_reader import PtsMatcher

    matcher = PtsMatcher()
    for pts in (0, 40, 20, 30, 80, 60):
        matcher.add(pts)
    assert [matcher.match(pts) for pts in (0, 20)] == [0, 20]
    assert matcher.match(40) == 40, "30 was lost"
    assert matcher.match(30) == 60, "and is not shown late"
    assert matcher.match(12345) == 80
    assert matcher.match(80) is None


# ------------------------------------------------------------------------------------------------------ what is missing


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, video_frame: Any) -> None:
    from bmfgraph.runner.modules import gpu_decoder

    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    with pytest.raises(InstallError, match="PyNvVideoCodec is not installed") as caught:
        gpu_decoder._load_library()
    assert caught.value.hint == "pip install PyNvVideoCodec"


def test_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_frame: Any) -> None:
    from bmfgraph.runner.modules import gpu_decoder

    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InstallError, match="needs an NVIDIA GPU, and torch finds none"):
        gpu_decoder._load_library()


def test_a_library_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video_frame: Any) -> None:
    from bmfgraph.runner.modules import gpu_decoder

    (tmp_path / "PyNvVideoCodec.py").write_text("raise RuntimeError('libnvcuvid.so.1 is not there\\n\\n=== HELP')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InstallError, match=r"cannot be loaded \(libnvcuvid.so.1 is not there\)") as caught:
        gpu_decoder._load_library()
    assert "NVIDIA_DRIVER_CAPABILITIES" in caught.value.hint


def test_a_decoder_that_is_ahead_keeps_what_was_not_read(
    tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bmfgraph.stages.color import ToRgb

    convert = ToRgb.batch

    def slow(self: ToRgb, planes: Sequence[torch.Tensor]) -> torch.Tensor:
        time.sleep(0.05)
        return convert(self, planes)

    monkeypatch.setattr(ToRgb, "batch", slow)
    pictures = [scene(index, 64, 48) for index in range(60)]
    source = write(tmp_path / "in.mp4", pictures)
    ran = run(source)
    assert ran.monitor.error is None, ran.monitor.trace
    assert_same(ran.seen(), part(recorded(source)), ran.base)


def test_more_pictures_come_at_once_than_there_are_slots(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = write(tmp_path / "in.mp4", PICTURES)
    ran = run(source, {"at_once": True})
    assert ran.monitor.error is None, ran.monitor.trace
    assert_same(ran.seen(), part(recorded(source)), ran.base)


def test_pictures_of_another_size_behind_the_end_do_no_harm(
    tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = FakeGpu.GetWidth
    monkeypatch.setattr(FakeGpu, "GetWidth", lambda self: wide(self) + 32 * (self.decoded > 12))
    ran = run(write(tmp_path / "in.ts", PICTURES, time_base=Fraction(1, 90_000)), end=0.4)
    assert ran.monitor.error is None, ran.monitor.trace
    assert len(ran.frames) == 10


def test_a_run_that_ends_early_ends_the_decoders_threads(
    tmp_path: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bmfgraph.runner.modules.gpu_decoder import GpuDecoder

    read = GpuDecoder.read

    def once(self: GpuDecoder) -> list[tuple[int, torch.Tensor]]:
        frames = read(self)
        self.ended = True
        return frames

    monkeypatch.setattr(GpuDecoder, "read", once)
    ran = run(write(tmp_path / "in.mp4", PICTURES * 4))
    assert len(ran.frames) == BATCH
    assert not [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("bmfgraph-nv", "bmfgraph-pa"))
    ]


# ------------------------------------------------------------------------------------------- packets and their bytes


def converted(packets: list[Any], codec: str, stream: Any) -> tuple[list[int], bytes]:
    """Return the number of packets of each piece, and all bytes."""
    from bmfgraph.runner.modules.packet_reader import converted_at_once

    pieces = list(converted_at_once(av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream), packets))
    return [len(some) for some, _ in pieces], b"".join(data for _, data in pieces)


def pictures_of(data: bytes, codec: str) -> list[Any]:
    """Decode a stream in Annex B to gray pictures."""
    decoder: Any = av.CodecContext.create(codec, "r")
    packets = [*decoder.parse(data), *decoder.parse(), None]
    return [frame.to_ndarray(format="gray") for packet in packets for frame in decoder.decode(packet)]


def demuxed(path: Path) -> tuple[Any, Any, list[Any]]:
    container = av.open(str(path))
    stream = container.streams.video[0]
    return container, stream, [packet for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc")])
def test_packets_together_hold_the_same_pictures(tmp_path: Path, encoder: str, codec: str) -> None:
    path = write(tmp_path / "in.mp4", PICTURES, codec=encoder, options={"g": "8"})
    container, stream, packets = demuxed(path)
    numbers, data = converted(packets, codec, stream)
    container.close()
    assert numbers == [30]
    container, stream, packets = demuxed(path)
    one_by_one = b"".join(converted([packet], codec, stream)[1] for packet in packets)
    container.close()
    actual, expected = pictures_of(data, codec), pictures_of(one_by_one, codec)
    assert len(actual) == len(expected) == 30
    assert all(np.array_equal(one, other) for one, other in zip(actual, expected, strict=True))


def test_new_parameter_sets_go_before_their_packet(tmp_path: Path) -> None:
    first = write(tmp_path / "a.flv", PICTURES[:5], time_base=Fraction(1, 1000))
    second = write(tmp_path / "b.flv", [scene(index, 96, 48) for index in range(5)], time_base=Fraction(1, 1000))
    whole = tmp_path / "whole.flv"
    # A file's tags begin behind its header of 13 bytes.
    whole.write_bytes(first.read_bytes() + second.read_bytes()[13:])
    container, stream, packets = demuxed(whole)
    assert [packet.has_sidedata("new_extradata") for packet in packets].index(True) == 5
    numbers, data = converted(packets, "h264", stream)
    container.close()
    assert numbers == [1] * 10
    assert [picture.shape for picture in pictures_of(data, "h264")] == [(48, 64)] * 5 + [(48, 96)] * 5


def test_a_damaged_packet_ends_the_file(tmp_path: Path, run: Callable[..., Ran]) -> None:
    path = write(tmp_path / "in.mp4", PICTURES, options={"bf": "0"})
    container, _, packets = demuxed(path)
    position = packets[9].pos
    container.close()
    data = bytearray(path.read_bytes())
    data[position : position + 4] = b"\xff\xff\xff\x00"
    path.write_bytes(data)
    ran = run(path)
    assert ran.monitor.error is None, ran.monitor.trace
    assert len(ran.frames) == 9
