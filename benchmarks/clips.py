"""Measure how the speed of face detection grows with the clips that run side by side in one process.

    python benchmarks/clips.py --clip bigbuckbunny.mp4 --loops 2 --parallel 1,2
    python benchmarks/clips.py --clip bigbuckbunny.mp4 --loops 20 --parallel 1,2,4,7 \\
        --face ultraface_rfb_640.onnx=ultraface.plan decoder=nvdec device=cuda

Each number of clips runs that many copies of the looped clip, to records. Frames per second of all together, while all
of them run: without the first tenth of each clip, in which frames that were decoded ahead come at once. Best of two. On
a GPU, NVDEC alone stands beside it: as many decoders, whose frames are dropped.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu import engine, looped_clip_parser, nvdec_alone  # type: ignore[import-not-found]  # the scripts beside this one
from looped import looped  # type: ignore[import-not-found]

from bmfgraph import Job, compose

ROUNDS = 2


def job_of(clips: Sequence[Path], folder: str, face: str | None, overrides: Sequence[str]) -> Job:
    """Return the job of several clips: their faces, to records."""
    common = ["~pipeline.nodes.draw", "~pipeline.nodes.sink", f"records={folder}/{{stem}}.jsonl", *overrides]
    if face:
        onnx, _, plan = face.partition("=")
        common += ["model=ultraface_rfb_640", f"model.file={onnx}", *engine(plan)]
    return compose("face_detection", *common, input=[str(clip) for clip in clips], overwrite=True)


def together(job: Job, parallel: int) -> float:
    """Return frames per second while all clips run, behind their first tenth."""
    results = [ended.result for ended in job.run_each(parallel=parallel)]
    done = [result.timings["table"].done for result in results if result]
    began, ended = max(times[len(times) // 10] for times in done), min(times[-1] for times in done)
    frames = sum(began < time <= ended for times in done for time in times)
    return frames / (ended - began)


def decoders(clips: Sequence[Path]) -> float:
    """Return frames per second of as many decoders as clips."""
    speeds: list[float] = []
    threads = [threading.Thread(target=lambda clip=clip: speeds.append(nvdec_alone(clip))) for clip in clips]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(speeds)


def main() -> None:
    parser = looped_clip_parser(__doc__)
    parser.add_argument("--parallel", default="1,2,4")
    parser.add_argument("--face", metavar="ONNX[=PLAN]")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    on_gpu = "decoder=nvdec" in options.overrides
    print("| clips | fps | of one | NVDEC alone |\n|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, options.parallel.split(",")):
            clips = [looped(options.clip, options.loops, Path(folder) / f"clip{number}.mp4") for number in range(count)]
            job = job_of(clips, folder, options.face, options.overrides)
            fps = max(together(job, count) for _ in range(ROUNDS))
            alone = max(decoders(clips) for _ in range(ROUNDS)) if on_gpu else 0.0
            rows.append({"clips": count, "fps": fps, "ratio": fps / rows[0]["fps"] if rows else 1.0, "nvdec": alone})
            row = rows[-1]
            print(f"| {count} | {fps:.0f} | {row['ratio']:.2f} | {f'{alone:.0f}' if on_gpu else ''} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
