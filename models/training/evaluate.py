"""Measures ONNX files: Y-PSNR, SSIM and flicker on still pictures and on video, and time on the CPU.

    python -m bmfgraph.models.training.evaluate all --stills DIR --clips A.mp4 B.mp4 --models A.onnx --out DIR
    python -m bmfgraph.models.training.evaluate speed --models A.onnx B.onnx

``all`` scores networks that enlarge by two and by four beside bicubic and Lanczos interpolation, on Set5, Set14
and BSD100 (``DIR/Set5/image_SRF_2/*_HR.png`` with ``*_LR.png`` beside) and on video clips whose small frames are
made in four ways; two of them are coded, and decoded as the project's decoder does.  It writes ``scores.json``,
``scores.md`` and, for each way and scale, a sheet of magnified crops.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .clips import WINDOW
from .report import crop_sheet, markdown
from .scoring import INPUTS, Scores, mean_scores, read_passages, scored_window, still_scores, window_scores
from .upscaler import AnyUpscaler, Interpolation, Upscaler

STILL_SETS = ("Set5", "Set14", "BSD100")
MEAN = "mean"
"""Key of the means over the clips."""

_WARM_UP_RUNS = 3
_log = logging.getLogger(__name__)

ByModel = dict[str, Scores]


def evaluate_stills(models: Sequence[AnyUpscaler], root: Path) -> dict[str, ByModel]:
    """Scores of the models that take single pictures, by set and name."""
    able = [model for model in models if not model.takes_windows]
    return {name: {m.name: still_scores(m, root / name / "image_SRF_2") for m in able} for name in STILL_SETS}


def evaluate_clips(
    models: Sequence[AnyUpscaler], clips: Sequence[Path], windows: int, out: Path
) -> dict[str, dict[str, ByModel]]:
    """Scores by input, clip (and ``MEAN``) and model, and sheets of crops into a folder.

    Args:
        models: of one scale.
        clips: videos.
        windows: of each clip.
        out: folder for the sheets.

    Raises:
        ValueError: a clip is too short.
    """
    scale = models[0].scale
    found: dict[str, dict[str, ByModel]] = {kind: {} for kind in INPUTS}
    sheets: dict[str, list[Any]] = {kind: [] for kind in INPUTS}
    for clip in clips:
        passages = read_passages(clip, windows)
        if not passages:
            _log.warning("%s holds nothing but blank windows", clip.name)
            continue
        for kind in INPUTS:
            chosen = [scored_window(passage, kind, scale) for passage in passages]
            found[kind][clip.name] = {model.name: window_scores(model, chosen) for model in models}
            sheets[kind].append((clip.stem, chosen[0]))
        _log.info("%s, x%d", clip.name, scale)
    for kind, rows in sheets.items():
        name = kind.replace(" ", "_").lower()
        crop_sheet(rows, models).save(out / f"crops_x{scale}_{name}.png")
    for by_clip in found.values():
        by_clip[MEAN] = {m.name: mean_scores([row[m.name] for row in by_clip.values()]) for m in models}
    return found


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


def _all(options: argparse.Namespace) -> None:
    networks = [Upscaler(path, options.threads) for path in options.models]
    options.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Mapping[str, Any]] = {}
    for scale in sorted({model.scale for model in networks}):
        models: list[AnyUpscaler] = [Interpolation(name, scale) for name in ("bicubic", "lanczos")]
        models += [model for model in networks if model.scale == scale]
        result[f"x{scale}"] = {
            "stills": evaluate_stills(models, options.stills) if options.stills else {},
            "video": evaluate_clips(models, options.clips, options.windows, options.out) if options.clips else {},
        }
    (options.out / "scores.md").write_text(markdown(result, MEAN), encoding="utf-8")
    text = json.dumps(_plain(result), indent=1)
    (options.out / "scores.json").write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Scores as objects with rounded numbers."""
    if isinstance(value, Scores):
        return {name: round(number, 4) for name, number in value._asdict().items() if number == number}
    return {key: _plain(inner) for key, inner in value.items()}


def _speed(options: argparse.Namespace) -> None:
    models = [Upscaler(path, threads=1) for path in options.models]
    for name, seconds in cpu_times(models, options.runs).items():
        sys.stdout.write(f"{name}\tmedian {median(seconds) * 1e3:.2f} ms\tmin {min(seconds) * 1e3:.2f} ms\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description="Measure ONNX files that enlarge pictures and video.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("all", help="scores, tables and crops")
    command.add_argument("--stills", type=Path, help="folder with Set5, Set14 and BSD100")
    command.add_argument("--clips", type=Path, nargs="+", default=[])
    command.add_argument("--windows", type=int, default=2, help="windows of seven frames a clip")
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--out", type=Path, default=Path("scores"))
    command.set_defaults(run=_all)
    command = commands.add_parser("speed", help="time for a 320x180 frame on one CPU thread")
    command.add_argument("--runs", type=int, default=40)
    command.set_defaults(run=_speed)
    for command in commands.choices.values():
        command.add_argument("--models", type=Path, nargs="+", required=True, metavar="MODEL.onnx")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.run(options)


if __name__ == "__main__":
    main()
