"""Compare whole pipelines on a GPU with their slower half: the engine alone, or NVDEC alone.

    python benchmarks/gpu.py --clip clip.mp4 --loops 10 \\
        --face ultraface_rfb_640.onnx=ultraface.plan --upscale realesr_animevideov3_x2.onnx=animevideov3.plan

The clip is looped by copying its packets. All is measured in one run, on the same clip: (a) the engine with data that
stays on the GPU, (b) NVDEC alone, (c) the pipeline from the end of the first frame to the end of the last. Each figure
is the best of three. ``=PLAN`` names an engine; without it, the engine comes from the store, which builds it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import torch

from bmfgraph import Job, compose
from bmfgraph.sweep.engine_speed import engine_alone

ROUNDS = 3


def looped(clip: Path, times: int, target: Path) -> Path:
    """Write the video of a clip several times in a row, without decoding, and return the target."""
    with av.open(str(target), "w") as out:
        target_stream = None
        shift = 0
        for _ in range(times):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                target_stream = target_stream or out.add_stream_from_template(stream)
                length = 0
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target_stream
                    out.mux(packet)
                shift += length
    return target


def best(measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(ROUNDS))


def alone(job: Job) -> float:
    """Return frames per second of the job's engine, with inputs that stay on the GPU."""
    node, engine = job.plan().engines()[0]
    return engine_alone(node.name, engine)


def nvdec_alone(clip: Path) -> float:
    """Return frames per second of PyNvVideoCodec's threaded decoder, whose frames are dropped."""
    import PyNvVideoCodec as nvc

    decoder = nvc.ThreadedDecoder(str(clip), buffer_size=16, gpu_id=0, use_device_memory=True)
    count = len(decoder.get_batch_frames(8))
    began, first = time.perf_counter(), count
    while frames := decoder.get_batch_frames(8):
        count += len(frames)
    seconds = time.perf_counter() - began
    decoder.end()
    return (count - first) / seconds


def pipeline_speed(job: Job) -> float:
    """Return frames per second at the sink, from its first frame on."""
    return job.run(overwrite=True).steady_fps


def looped_clip_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that the scripts with a looped clip share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--loops", type=int, default=10)
    parser.add_argument("--face", metavar="ONNX[=PLAN]")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("overrides", nargs="*", help="for all pipelines, such as engine=fp16")
    return parser


def main() -> None:
    parser = looped_clip_parser(__doc__)
    parser.add_argument("--upscale", metavar="ONNX[=PLAN]")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = looped(options.clip, options.loops, Path(folder) / "loop.mp4")
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            print(f"{stream.frames} frames of {stream.width}x{stream.height}, {torch.cuda.get_device_name()}")
        common = ["decoder=nvdec", "encoder=measure", "device=cuda", *options.overrides]
        for title, pipeline, overrides in pipelines(options, folder):
            job = compose(pipeline, *common, *overrides, input=clip)
            job.build()
            engine_fps = best(partial(alone, job))
            decoding = best(partial(nvdec_alone, clip))
            whole = best(partial(pipeline_speed, job))
            slower = min(engine_fps, decoding)
            rows.append(
                {"pipeline": title, "engine": engine_fps, "nvdec": decoding, "fps": whole, "ratio": whole / slower}
            )
    print("\n| pipeline | engine alone | nvdec alone | whole pipeline | of the slower |\n|---|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['pipeline']} | {row['engine']:.0f} | {row['nvdec']:.0f} | {row['fps']:.0f} | {row['ratio']:.2f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def pipelines(options: argparse.Namespace, folder: str) -> list[tuple[str, str, list[str]]]:
    """Return the title, pipeline and overrides of each row."""
    rows = []
    if options.upscale:
        onnx, _, plan = options.upscale.partition("=")
        meaning = "{input: {layout: NCHW, channels: RGB, std: 255}}"
        outputs = "{output: {layout: NCHW, channels: RGB, std: 255}}"
        overrides = [f"model.file={onnx}", "model.name=animevideov3"]
        overrides += [f"model.inputs={meaning}", f"model.outputs={outputs}", *engine(plan)]
        rows.append(("nvdec → preprocess → animevideov3 → frames → null", "super_resolution", overrides))
    if options.face:
        onnx, _, plan = options.face.partition("=")
        chain = "nvdec → preprocess → UltraFace-640 → detections → records"
        overrides = ["model=ultraface_rfb_640", f"model.file={onnx}", *engine(plan), f"records={folder}/faces.jsonl"]
        rows.append((f"{chain}, overlay → null", "face_detection", overrides))
        overrides = [*overrides, "~pipeline.nodes.draw", "~pipeline.nodes.sink"]
        rows.append((chain, "face_detection", overrides))
    return rows


def engine(plan: str) -> list[str]:
    return [f"engine.path={plan}", "engine.allow_host_code=true"] if plan else []


if __name__ == "__main__":
    main()
