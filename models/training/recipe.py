"""The recipe's command line: from a pool of pictures to the four ONNX files, step by step or all at once.

Step by step, or with ``all`` at once:

    python -m bmfgraph.models.training.recipe crops --pool pool --out crops.npy
    python -m bmfgraph.models.training.recipe clips --clips trailer.mp4 bottles.mp4 --out clips.npz
    python -m bmfgraph.models.training.recipe train --preset fast --crops crops.npy --pool pool --out fast.npz
    python -m bmfgraph.models.training.recipe export --weights fast.npz --out vsr_x2_fast.onnx
    python -m bmfgraph.models.training.recipe all --pool pool --clips trailer.mp4 bottles.mp4 --out out
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .clips import Clip, load_clips, read_clip, save_clips
from .crops import ImagePair, cut_pool, validation_pairs
from .export import export
from .folded import FoldedNetwork
from .presets import PRESETS, STARTED_FROM, TrainingOptions
from .resample import Picture
from .train import TrainedNetwork, Trainer

_MOST_FRAMES = 1400  # of a clip
_log = logging.getLogger(__name__)


def run_all(
    pool: Path,
    clip_files: Sequence[Path],
    out: Path,
    presets: Mapping[str, TrainingOptions] = PRESETS,
    most_frames: int = _MOST_FRAMES,
) -> dict[str, TrainedNetwork]:
    """Cuts crops and frames, trains every preset and exports it.

    Args:
        pool: folder made by ``prepare_data``.
        clip_files: videos for the temporal network; may be empty.
        out: folder to write ``<name>.npz``, ``<name>.pt`` and ``vsr_x2_<name>.onnx`` into; made when missing.
        presets: what to train, by name; one that starts from another comes after it.
        most_frames: of each video.

    Returns:
        The trained networks by name.

    Raises:
        ValueError: no picture of the pool gives a crop, or a video is too short.
    """
    out.mkdir(parents=True, exist_ok=True)
    crops = cut_pool(pool)
    clips = [clip for clip in (read_clip(file, most_frames) for file in clip_files) if len(clip.starts)]
    clips.sort(key=lambda clip: clip.name)
    validation = validation_pairs(pool)
    trained: dict[str, TrainedNetwork] = {}
    for name, options in presets.items():
        start = trained[STARTED_FROM[name]].state if name in STARTED_FROM else None
        trained[name] = train_and_save(options, crops, clips, validation, start, out / f"{name}.npz")
        export(trained[name].folded, out / f"vsr_x2_{name}.onnx")
    return trained


def train_and_save(
    options: TrainingOptions,
    crops: Picture,
    clips: Sequence[Clip],
    validation: Sequence[ImagePair],
    start: Mapping[str, Tensor] | None,
    weights: Path,
) -> TrainedNetwork:
    """Trains one network and writes its folded weights, and beside them, as ``.pt``, the unfolded ones."""
    network = Trainer(options, crops, clips, validation, start).run()
    network.folded.save(weights)
    torch.save(dict(network.state), weights.with_suffix(".pt"))
    _log.info("%s: %d parameters", weights, network.folded.parameters)
    return network


def _all(arguments: argparse.Namespace) -> None:
    presets = {name: replace(options, seconds=options.seconds * arguments.scale) for name, options in PRESETS.items()}
    run_all(arguments.pool, arguments.clips, arguments.out, presets, arguments.frames)


def _crops(arguments: argparse.Namespace) -> None:
    np.save(arguments.out, cut_pool(arguments.pool))


def _clips(arguments: argparse.Namespace) -> None:
    save_clips(arguments.out, [read_clip(file, arguments.frames) for file in arguments.clips])


def _train(arguments: argparse.Namespace) -> None:
    options = PRESETS[arguments.preset]
    changes = {name: getattr(arguments, name) for name in ("seconds", "max_steps", "batch", "patch", "seed")}
    options = replace(options, **{name: value for name, value in changes.items() if value is not None})
    train_and_save(
        options,
        np.load(arguments.crops),
        load_clips(arguments.frames_file) if arguments.frames_file else [],
        validation_pairs(arguments.pool),
        torch.load(arguments.start, map_location="cpu") if arguments.start else None,
        arguments.out,
    )


def _export(arguments: argparse.Namespace) -> None:
    export(FoldedNetwork.load(arguments.weights), arguments.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the x2 super-resolution networks.")
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("all", help="everything from the pool to the ONNX files")
    command.add_argument("--pool", type=Path, default=Path("pool"))
    command.add_argument("--clips", type=Path, nargs="*", default=[], help="videos for the temporal network")
    command.add_argument("--frames", type=int, default=_MOST_FRAMES, help="most frames of a video")
    command.add_argument("--out", type=Path, default=Path("out"))
    command.add_argument("--scale", type=float, default=1.0, help="factor on every preset's seconds")
    command.set_defaults(run=_all)

    command = commands.add_parser("crops", help="cut the pool's pictures")
    command.add_argument("--pool", type=Path, default=Path("pool"))
    command.add_argument("--out", type=Path, default=Path("crops.npy"))
    command.set_defaults(run=_crops)

    command = commands.add_parser("clips", help="take frames out of videos")
    command.add_argument("--clips", type=Path, nargs="+", required=True)
    command.add_argument("--frames", type=int, default=_MOST_FRAMES, help="most frames of a video")
    command.add_argument("--out", type=Path, default=Path("clips.npz"))
    command.set_defaults(run=_clips)

    command = commands.add_parser("train", help="train one preset")
    command.add_argument("--preset", choices=PRESETS, required=True)
    command.add_argument("--crops", type=Path, default=Path("crops.npy"))
    command.add_argument("--pool", type=Path, default=Path("pool"), help="for the validation pictures")
    command.add_argument("--frames-file", type=Path, help="what the clips command wrote")
    command.add_argument("--start", type=Path, help="a .pt file; fast_video started from fast's")
    command.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    command.add_argument("--seconds", type=float)
    for option in ("--max-steps", "--batch", "--patch", "--seed"):
        command.add_argument(option, type=int)
    command.set_defaults(run=_train)

    command = commands.add_parser("export", help="weights to ONNX")
    command.add_argument("--weights", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=_export)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.run(options)


if __name__ == "__main__":
    main()
