"""How close whole pipelines come to their slower half, on a GPU: the engine alone, or NVDEC alone.

    python benchmarks/gpu.py --clip clip.mp4 --loops 10 \\
        --face ultraface_rfb_640.onnx=ultraface.plan --upscale realesr_animevideov3_x2.onnx=animevideov3.plan

The clip is looped by copying its packets. Everything is measured in one run, on the same clip: (a) the engine with
data that stays on the GPU, (b) NVDEC without anything behind it, (c) the pipeline from the first frame's end to the
last one's. Each figure is the best of three. Engines need no ``=PLAN``: without it the store builds them.
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

from bmfgraph.compile.job import compile_job
from bmfgraph.config.compose import composed
from bmfgraph.plan.plan import Plan
from bmfgraph.runner.engines import prepare_engines
from bmfgraph.runner.run import run_plan
from bmfgraph.sweep.engine_speed import engine_alone

ROUNDS = 3


def looped(clip: Path, times: int, target: Path) -> Path:
    """The clip's video ``times`` over, packets as they are."""
    with av.open(str(target), "w") as out:
        made = None
        shift = 0
        for _ in range(times):
            with av.open(str(clip)) as given:
                stream = given.streams.video[0]
                made = made or out.add_stream_from_template(stream)
                length = 0
                for packet in given.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, made
                    out.mux(packet)
                shift += length
    return target


def best(measure: Callable[[], float]) -> float:
    return max(measure() for _ in range(ROUNDS))


def alone(plan: Plan) -> float:
    """Frames a second of the plan's engine, with inputs that stay on the GPU."""
    node, engine = plan.engines()[0]
    return engine_alone(node.name, engine)


def nvdec_alone(clip: Path) -> float:
    """Frames a second of PyNvVideoCodec's threaded decoder, which nobody looks at."""
    import PyNvVideoCodec as nvc

    decoder = nvc.ThreadedDecoder(str(clip), buffer_size=16, gpu_id=0, use_device_memory=True)
    count = len(decoder.get_batch_frames(8))
    began, first = time.perf_counter(), count
    while frames := decoder.get_batch_frames(8):
        count += len(frames)
    seconds = time.perf_counter() - began
    decoder.end()
    return (count - first) / seconds


def pipeline(plan: Plan) -> float:
    """Frames a second at the sink, from its first frame on."""
    return run_plan(plan).steady_fps


def compiled(words: list[str]) -> Plan:
    plan = compile_job(composed(words))
    prepare_engines(plan)
    return plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--loops", type=int, default=10)
    parser.add_argument("--face", metavar="ONNX[=PLAN]")
    parser.add_argument("--upscale", metavar="ONNX[=PLAN]")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("overrides", nargs="*", help="for all pipelines, such as engine=fp16")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = looped(options.clip, options.loops, Path(folder) / "loop.mp4")
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            print(f"{stream.frames} frames of {stream.width}x{stream.height}, {torch.cuda.get_device_name()}")
        common = [f"input={clip}", "decoder=nvdec", "encoder=measure", "device=cuda", *options.overrides]
        for name, given in pipelines(options, folder):
            plan = compiled([*common, *given])
            engine_fps = best(partial(alone, plan))
            decoding = best(partial(nvdec_alone, clip))
            whole = best(partial(pipeline, plan))
            rows.append(
                {
                    "pipeline": name,
                    "engine": engine_fps,
                    "nvdec": decoding,
                    "fps": whole,
                    "ratio": whole / min(engine_fps, decoding),
                }
            )
    print("\n| pipeline | engine alone | nvdec alone | whole pipeline | of the slower |\n|---|---:|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['pipeline']} | {row['engine']:.0f} | {row['nvdec']:.0f} | {row['fps']:.0f} | {row['ratio']:.2f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def pipelines(options: argparse.Namespace, folder: str) -> list[tuple[str, list[str]]]:
    found = []
    if options.upscale:
        onnx, _, plan = options.upscale.partition("=")
        meaning = "{input: {layout: NCHW, channels: RGB, std: 255}}"
        outputs = "{output: {layout: NCHW, channels: RGB, std: 255}}"
        words = ["pipeline=super_resolution", f"model.file={onnx}", "model.name=animevideov3"]
        words += [f"model.inputs={meaning}", f"model.outputs={outputs}", *engine(plan)]
        found.append(("nvdec → preprocess → animevideov3 → frames → null", words))
    if options.face:
        onnx, _, plan = options.face.partition("=")
        words = ["pipeline=face_detection", "model=ultraface_rfb_640", f"model.file={onnx}", *engine(plan)]
        words += [f"records={folder}/faces.jsonl"]
        found.append(("nvdec → preprocess → UltraFace-640 → detections → records, overlay → null", words))
        words = [*words, "~pipeline.nodes.draw", "~pipeline.nodes.sink"]
        found.append(("nvdec → preprocess → UltraFace-640 → detections → records", words))
    return found


def engine(plan: str) -> list[str]:
    return [f"engine.path={plan}", "engine.allow_host_code=true"] if plan else []


if __name__ == "__main__":
    main()
