"""Measures ONNX files: Y-PSNR on still pictures and on video, and time on the CPU.

    python -m bmfgraph.models.training.evaluate stills --root DIR --models A.onnx B.onnx
    python -m bmfgraph.models.training.evaluate video --clips A.mp4 B.mp4 --models A.onnx B.onnx
    python -m bmfgraph.models.training.evaluate speed --models A.onnx B.onnx

``stills`` expects the usual benchmark folders, ``DIR/Set5/image_SRF_2/*_HR.png`` with ``*_LR.png`` beside.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import mean, median

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

from .clips import WINDOW, decode_rgb
from .resample import Picture, area_shrink, matlab_half, y_psnr
from .upscaler import Upscaler, bicubic

STILL_SETS = ("Set5", "Set14", "BSD100")
_SCORED = slice(2, 5)  # of a window's frames
_MOST_FRAMES = 400
_WIDEST = 640  # px
_VIDEO_BORDER = 6  # px left out on every side
_BLANK = 8.0  # grey levels of standard deviation below which a window is not scored
_FRAMES_BEFORE, _FRAMES_AFTER = (
    8,
    12,
)  # frames that are coded together, before and from a window's first one on
_WARM_UP_RUNS = 3


def still_scores(models: Sequence[Upscaler], folder: Path) -> dict[str, float]:
    """Mean Y-PSNR of models for single pictures on one set, 2 px border left out.

    Args:
        models: what to measure.
        folder: holds ``*_HR.png`` and ``*_LR.png``.

    Returns:
        dB by the models' names.

    Raises:
        FileNotFoundError: the folder holds no such pictures.
    """
    files = sorted(folder.glob("*_HR.png"))
    if not files:
        raise FileNotFoundError(f"no *_HR.png in {folder}")
    scores: dict[str, list[float]] = {model.name: [] for model in models}
    for file in files:
        high, low = _read(file), _read(file.with_name(file.name.replace("_HR", "_LR")))
        for model in models:
            output = model(low[None])[0]
            # The output is a row or column larger where the reference has an odd side.
            height, width = (min(sides) for sides in zip(high.shape[:2], output.shape[:2], strict=True))
            scores[model.name].append(y_psnr(output[:height, :width], high[:height, :width]))
    return {name: mean(values) for name, values in scores.items()}


def _read(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def read_evaluation_frames(path: Path) -> list[Picture]:
    """The first 400 frames of a video, area-shrunk to a width of 640 px if wider, sides multiples of four."""
    frames = []
    for frame in decode_rgb(path, _MOST_FRAMES):
        height, width = frame.shape[:2]
        if width > _WIDEST:
            frame = area_shrink(frame, _WIDEST, round(height * _WIDEST / width))
        frames.append(frame[: frame.shape[0] // 4 * 4, : frame.shape[1] // 4 * 4])
    return frames


def video_scores(
    models: Sequence[Upscaler],
    frames: Sequence[Picture],
    windows: int = 4,
    down: str = "bicubic",
    crf: int = -1,
) -> dict[str, float]:
    """Mean Y-PSNR over the frames 2, 3 and 4 of evenly spread windows of a video.

    Args:
        models: what to measure; bicubic interpolation is measured beside.
        frames: uint8 (H, W, 3), RGB, sides multiples of four, at least 15 of them.
        windows: how many.
        down: "bicubic" (as MATLAB) or "area" (2x2 means).
        crf: code the shrunk frames with x264 at this constant rate factor; below 0, do not.

    Returns:
        dB by name; NaN where every window is blank.

    Raises:
        ValueError: there are too few frames.
    """
    first, last = WINDOW // 2, len(frames) - _FRAMES_AFTER
    if last < first:
        raise ValueError(f"{len(frames)} frames are too few; {first + _FRAMES_AFTER} are needed")
    scores: dict[str, list[float]] = {"bicubic": [], **{model.name: [] for model in models}}
    for start in np.linspace(first, last, windows).astype(int):
        window = frames[start : start + WINDOW]
        if window[WINDOW // 2].std() < _BLANK:
            continue
        lead = min(_FRAMES_BEFORE, start) if crf >= 0 else 0
        tail = _FRAMES_AFTER if crf >= 0 else WINDOW
        low = [_halved(frame, down) for frame in frames[start - lead : start + tail]]
        if crf >= 0:
            low = x264_coded(low, crf)
        stacked = np.stack(low[lead : lead + WINDOW])
        target = window[_SCORED]
        scores["bicubic"] += _frame_scores(bicubic(stacked[_SCORED]), target)
        for model in models:
            output = model(stacked if model.takes_windows else stacked[_SCORED])
            scores[model.name] += _frame_scores(output, target)
    return {name: mean(values) if values else float("nan") for name, values in scores.items()}


def _halved(frame: Picture, down: str) -> Picture:
    if down == "area":
        return area_shrink(frame, frame.shape[1] // 2, frame.shape[0] // 2)
    return matlab_half(frame)


def _frame_scores(output: Picture, target: Sequence[Picture]) -> Iterator[float]:
    return (y_psnr(got, wanted, _VIDEO_BORDER) for got, wanted in zip(output, target, strict=True))


def x264_coded(frames: Sequence[Picture], crf: int) -> list[Picture]:
    """Codes frames with x264 (4:2:0, 25 frames a second) and decodes them.

    Args:
        frames: uint8 (H, W, 3), RGB, even sides.
        crf: constant rate factor.

    Returns:
        As many frames of the same shape.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream: VideoStream = container.add_stream("libx264", rate=Fraction(25), options={"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, mode="r") as coded:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in coded.decode(video=0)]


def cpu_times(models: Sequence[Upscaler], runs: int, width: int = 320, height: int = 180) -> dict[str, list[float]]:
    """Times on random frames, the models taking turns so that none has the quieter machine.

    Args:
        models: what to measure; give them one thread each for figures like the card's.
        runs: how many times each, after three that do not count.
        width: of the input, pixels.
        height: of the input, pixels.

    Returns:
        Seconds of each run by the models' names; a run is one frame in, or for windows three frames out.
    """
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {model.name: [] for model in models}
    for run in range(_WARM_UP_RUNS + runs):
        for model in models:
            count = WINDOW if model.takes_windows else 1
            frames = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
            started = time.perf_counter()
            model(frames)
            if run >= _WARM_UP_RUNS:
                times[model.name].append(time.perf_counter() - started)
    return times


def _stills(options: argparse.Namespace) -> Iterator[str]:
    models = [Upscaler(path) for path in options.models]
    by_set = {name: still_scores(models, options.root / name / "image_SRF_2") for name in STILL_SETS}
    yield "\t".join(["Y-PSNR, dB", *by_set])
    for model in models:
        yield "\t".join([model.name, *(f"{scores[model.name]:.2f}" for scores in by_set.values())])


def _video(options: argparse.Namespace) -> Iterator[str]:
    models = [Upscaler(path) for path in options.models]
    names = ["bicubic", *(model.name for model in models)]
    yield "\t".join(["Y-PSNR, dB", *names])
    rows = []
    for clip in options.clips:
        frames = read_evaluation_frames(clip)
        rows.append(video_scores(models, frames, options.windows, options.down, options.crf))
        yield "\t".join([clip.name, *(f"{rows[-1][name]:.2f}" for name in names)])
    yield "\t".join(["mean", *(f"{mean(row[name] for row in rows):.2f}" for name in names)])


def _speed(options: argparse.Namespace) -> Iterator[str]:
    models = [Upscaler(path, threads=1) for path in options.models]
    for name, seconds in cpu_times(models, options.runs).items():
        yield f"{name}\tmedian {median(seconds) * 1e3:.2f} ms\tmin {min(seconds) * 1e3:.2f} ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Measure ONNX files that upscale 8-bit pictures by two.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("stills", help="Y-PSNR on Set5, Set14 and BSD100")
    command.add_argument("--root", type=Path, required=True, help="folder with the three sets")
    command.set_defaults(run=_stills)
    command = commands.add_parser("video", help="Y-PSNR on video clips")
    command.add_argument("--clips", type=Path, nargs="+", required=True)
    command.add_argument("--windows", type=int, default=4, help="windows of seven frames a clip")
    command.add_argument("--down", choices=("bicubic", "area"), default="bicubic")
    command.add_argument("--crf", type=int, default=-1, help="code the shrunk frames with x264 at this rate factor")
    command.set_defaults(run=_video)
    command = commands.add_parser("speed", help="time for a 320x180 frame on one CPU thread")
    command.add_argument("--runs", type=int, default=40)
    command.set_defaults(run=_speed)
    for command in commands.choices.values():
        command.add_argument("--models", type=Path, nargs="+", required=True, metavar="MODEL.onnx")
    options = parser.parse_args(arguments)
    for line in options.run(options):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
