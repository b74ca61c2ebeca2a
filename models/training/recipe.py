"""The recipe's command line: from a pool of pictures to the seven ONNX files, step by step or all at once.

Step by step:

    python -m bmfgraph.models.training.recipe crops --pool pool --data data
    python -m bmfgraph.models.training.recipe validation --pool pool --data data
    python -m bmfgraph.models.training.recipe pairs --pool pool --clips a.mp4 b.mp4 --data data --name pairs2_a
    python -m bmfgraph.models.training.recipe train fast --data data --out out
    python -m bmfgraph.models.training.recipe export --out out

or at once, over all GPUs, and again until everything is done:

    python -m bmfgraph.models.training.recipe all --pool pool --clips a.mp4 b.mp4 --seconds-now 600

``train`` and ``all`` continue what they left when ``--seconds-now`` was over.  With ``--continue-from models`` a preset
whose ONNX file lies in that folder starts from its weights, so that what it would start from otherwise need not be
trained.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .batches import Batches
from .coding import Coding
from .crops import CORES, cut_pool
from .folded import FoldedNetwork, mean_of
from .pairs import PairOptions, Pairs, make_pairs
from .plan import Job, run_jobs
from .presets import CONTINUED_RATE, FILE_NAMES, PRESETS, STARTED_FROM, TrainingOptions
from .train import CaptureError, Progress, Trainer, folded, trained
from .validation import Validation

_SCALES = (2, 4)
_PAIR_JOBS = {"pairs2_a": 2500, "pairs2_b": 2500, "pairs2_c": 2500, "pairs2_d": 2500, "pairs4_a": 1200}
"""Folders of pairs that ``all`` makes, each named after its scale, and how many."""
_SMALL = ("fast", "fast_video", "x4_video")
"""Presets that may share a GPU with one of the others, or with each other."""
_VALIDATION_WINDOWS = 24
_VALIDATION_CODING = Coding("libx264", "medium", 25)
_ENDING = 12.0  # seconds before the end of ``--seconds-now`` at which training stops to write its checkpoint

_log = logging.getLogger(__name__)


def make_validation(pool: Path, data: Path, count: int, side: int, device: torch.device) -> None:
    """Renders windows of the held-out pictures, and writes them bicubically shrunk, clean and coded, per scale."""
    for scale in _SCALES:
        clean = PairOptions(
            count,
            scale,
            side * 2 // scale,
            held_out=True,
            uncoded_share=1,
            drawn_share=None,
            scalers={"bicubic": 1.0},
            damage=False,
        )
        for name, options in (
            ("clean", clean),
            ("coded", replace(clean, uncoded_share=0, coding=_VALIDATION_CODING)),
        ):
            make_pairs(pool, [], data / f"validation{scale}" / name, options, device)


def train(
    name: str,
    options: TrainingOptions,
    data: Path,
    out: Path,
    seconds_now: float = 1e9,
    continue_from: Path | None = None,
) -> Progress:
    """Trains a preset, or continues it.

    Args:
        name: of the preset, and of the files: ``<name>.pt`` and the learning curve.
        options: of the preset, perhaps changed.
        data: folder with what ``crops``, ``validation`` and ``pairs`` wrote.
        out: folder to write into; made when missing.  The checkpoint to start from lies there too.
        seconds_now: stop in time to be through after so many seconds.
        continue_from: folder with exported files; if that of the preset is among them, the run starts from it, at a
            lower learning rate.

    Raises:
        FileNotFoundError: there are no data, or nothing to start from.
        ValueError: there are no pairs, or the file is of another network.
        CaptureError: the step cannot be captured as a CUDA graph.
    """
    deadline = time.monotonic() + seconds_now - _ENDING
    stopped: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folders = sorted(path.parent for path in data.glob(f"pairs{options.scale}_*/done.json"))
    pairs = [Pairs.load(folder) for folder in folders] if options.pair_share else []
    crops = np.load(data / "crops.npy") if options.pair_share < 1 else None
    start: Mapping[str, Tensor] | FoldedNetwork | None = None
    if file := _file_of(name, continue_from):
        from .export import read_folded  # Only this and exporting need onnx.

        start = read_folded(file, options.network)
        options = replace(options, learning_rate=options.learning_rate * CONTINUED_RATE)
        _log.info("%s continues from %s", name, file)
    elif name in STARTED_FROM:
        start = trained(out / f"{STARTED_FROM[name]}.pt")
    validation = Validation(data / f"validation{options.scale}", device)
    batches = Batches(crops, pairs, options, device)
    trainer = Trainer(options, batches, out / f"{name}.pt", validation, start, device)
    try:
        return trainer.run(lambda: bool(stopped) or time.monotonic() > deadline)
    finally:
        signal.signal(signal.SIGTERM, before)


def _file_of(name: str, folder: Path | None) -> Path | None:
    """The exported file of a preset, if a folder holds it."""
    file = folder / f"{FILE_NAMES[name]}.onnx" if folder else None
    return file if file and file.exists() else None


def export_all(out: Path) -> None:
    """Writes the ONNX file of every checkpoint of a folder."""
    from .export import export  # Only this and continuing from files need onnx.

    for name, file_name in FILE_NAMES.items():
        if (out / f"{name}.pt").exists():
            network = folded(PRESETS[name].network, out / f"{name}.pt")
            export(network, out / f"{file_name}.onnx")
            _log.info("%s: %d parameters", file_name, network.parameters)


def plan(options: argparse.Namespace) -> list[Job]:
    """The jobs of ``all``.

    Raises:
        FileNotFoundError: the folder to continue from holds no file of a preset that is to be trained.
        ValueError: what a preset starts from is neither to be trained nor in that folder.
    """
    data, out = options.data, options.out
    names = list(PRESETS) if options.only is None else options.only
    if options.continue_from and not any(_file_of(name, options.continue_from) for name in names):
        raise FileNotFoundError(f"{options.continue_from} holds no file of {', '.join(names)}")
    source = ["--pool", str(options.pool), "--data", str(data)]
    workers = str(max(1, CORES // len(_PAIR_JOBS)))
    size = ["--side", str(options.side)]
    jobs = [
        Job("crops", ["crops", *source], (data / "crops.npy").exists),
        Job(
            "validation",
            ["validation", *source, *size, "--count", str(options.validation)],
            (data / f"validation{_SCALES[-1]}/coded/done.json").exists,
        ),
    ]
    for number, (name, count) in enumerate(_PAIR_JOBS.items()):
        arguments = ["pairs", *source, *size, "--name", name, "--seed", str(number + 1), "--workers", workers]
        arguments += ["--count", str(max(1, round(count * options.pairs))), "--seconds", str(options.pair_seconds)]
        arguments += ["--clips", *map(str, options.clips)] if options.clips else []
        jobs.append(Job(name, arguments, (data / name / "done.json").exists))
    # The large ones first, so that two of them and two small ones fill two devices in whatever order they are named.
    for name in sorted(names, key=lambda name: name in _SMALL):
        preset = PRESETS[name]
        needed = ["crops", "validation"]
        if name in STARTED_FROM and not _file_of(name, options.continue_from):
            if STARTED_FROM[name] not in names:
                raise ValueError(f"{name} starts from {STARTED_FROM[name]}, which is not to be trained")
            needed.append(STARTED_FROM[name])
        if preset.pair_share:
            needed += [job for job in _PAIR_JOBS if job.startswith(f"pairs{preset.scale}")]
        arguments = ["train", name, "--data", str(data), "--out", str(out), "--seconds"]
        arguments.append(str(preset.seconds * options.scale))
        for option in ("max_steps", "batch", "patch", "continue_from"):
            if getattr(options, option) is not None:
                arguments += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
        weight = 2 if name in _SMALL else 3
        jobs.append(Job(name, arguments, lambda name=name: _is_done(out / f"{name}.json"), needed, weight))  # type: ignore[misc]
    return jobs


def _is_done(file: Path) -> bool:
    return file.exists() and bool(json.loads(file.read_text())["done"])


def _all(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    count, shown = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = (shown.split(",") if shown else [str(i) for i in range(count)])[:count] or [""]
    for folder in (options.data, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    states = run_jobs(plan(options), devices, options.seconds_now, options.out / "logs")
    export_all(options.out)
    for name, state in states.items():
        _log.info("%-14s %s", name, state)
    return int("failed" in states.values())


def _crops(options: argparse.Namespace) -> int:
    options.data.mkdir(parents=True, exist_ok=True)
    new = options.data / "crops.new.npy"
    np.save(new, cut_pool(options.pool))
    new.replace(options.data / "crops.npy")
    return 0


def _validation(options: argparse.Namespace) -> int:
    make_validation(options.pool, options.data, options.count, options.side, _device())
    return 0


def _pairs(options: argparse.Namespace) -> int:
    scale = int(options.name.removeprefix("pairs")[0])
    made = PairOptions(
        options.count,
        scale,
        options.side * 2 // scale,
        seconds=min(options.seconds, options.seconds_now - _ENDING),
        seed=options.seed,
    )
    make_pairs(options.pool, options.clips, options.data / options.name, made, _device(), options.workers)
    return 0


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _train(options: argparse.Namespace) -> int:
    changes = {name: getattr(options, name) for name in ("seconds", "max_steps", "batch", "patch", "seed")}
    changes = {name: value for name, value in changes.items() if value is not None}
    preset = replace(PRESETS[options.name], cuda_graph=not options.eager, **changes)
    try:
        train(options.name, preset, options.data, options.out, options.seconds_now, options.continue_from)
    except CaptureError as error:
        _log.warning("no CUDA graph, so the run starts anew without: %s", error)
        os.execv(sys.executable, [sys.executable, "-m", f"{__package__}.recipe", *sys.argv[1:], "--eager"])
    return 0


def _export(options: argparse.Namespace) -> int:
    export_all(options.out)
    return 0


def _mean(options: argparse.Namespace) -> int:
    from .export import export, read_folded

    first, second = (read_folded(file, PRESETS[options.name].network) for file in options.files)
    export(mean_of(first, second), options.to)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the super-resolution networks.")
    commands = parser.add_subparsers(required=True)
    made = {
        name: commands.add_parser(name, help=text)
        for name, text in (
            ("all", "everything from the pool to the ONNX files; call it again to continue"),
            ("crops", "cut the pool's pictures"),
            ("validation", "make the held-out windows"),
            ("pairs", "make coded windows and their high-resolution frames"),
            ("train", "train one preset, or continue it"),
            ("export", "checkpoints to ONNX"),
            ("mean", "the network half-way between an ONNX file and the one that continues from it"),
        )
    }
    for name, run in zip(made, (_all, _crops, _validation, _pairs, _train, _export, _mean), strict=True):
        made[name].set_defaults(run=run)
    for name in ("train", "mean"):
        made[name].add_argument("name", choices=PRESETS)
    made["mean"].add_argument("files", type=Path, nargs=2)
    made["mean"].add_argument("--to", type=Path, required=True, help="ONNX file, whose stem names its graph")
    for name in ("all", "crops", "validation", "pairs"):
        made[name].add_argument("--pool", type=Path, default=Path("pool"))
    for name in ("all", "crops", "validation", "pairs", "train"):
        made[name].add_argument("--data", type=Path, default=Path("data"))
        made[name].add_argument("--seconds-now", type=float, default=1e9, help="seconds of this call")
    for name in ("all", "train", "export"):
        made[name].add_argument("--out", type=Path, default=Path("out"))
    for name in ("all", "pairs"):
        made[name].add_argument("--clips", type=Path, nargs="+", default=[], help="videos, shot, not for evaluation")
    for name in ("all", "validation", "pairs"):
        made[name].add_argument("--side", type=int, default=192, help="of the halved frames, pixels")
    for name in ("all", "train"):
        for option in ("--max-steps", "--batch", "--patch"):
            made[name].add_argument(option, type=int)
        made[name].add_argument("--continue-from", type=Path, help="folder with exported files to start from")

    made["all"].add_argument("--scale", type=float, default=1.0, help="factor on every preset's seconds")
    made["all"].add_argument("--pairs", type=float, default=1.0, help="factor on the number of pairs")
    made["all"].add_argument("--pair-seconds", type=float, default=90.0, help="most time for making pairs")
    made["all"].add_argument("--validation", type=int, default=_VALIDATION_WINDOWS, help="held-out windows")
    made["all"].add_argument("--only", nargs="+", choices=PRESETS, help="train these presets")
    made["validation"].add_argument("--count", type=int, default=_VALIDATION_WINDOWS)
    made["pairs"].add_argument("--name", default="pairs2_a", help="of the folder: pairs2_... or pairs4_...")
    made["pairs"].add_argument("--count", type=int, default=7000)
    made["pairs"].add_argument("--seconds", type=float, default=1e9)
    made["pairs"].add_argument("--seed", type=int, default=1)
    made["pairs"].add_argument("--workers", type=int, default=0)
    made["train"].add_argument("--seconds", type=float, help="the whole budget")
    made["train"].add_argument("--seed", type=int)
    made["train"].add_argument("--eager", action="store_true", help="no CUDA graph")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if status := options.run(options):
        sys.exit(status)


if __name__ == "__main__":
    main()
