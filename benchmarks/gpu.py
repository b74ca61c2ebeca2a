"""Compare whole pipelines on a GPU with their parts: the engine alone, and NVDEC alone.

    python benchmarks/gpu.py --clip clip.mp4 --loops 10 --face ultraface_rfb_640.onnx=ultraface.plan \\
        --upscale realesr_animevideov3_x2.onnx=animevideov3.plan --detector yolo_like.onnx=yolo_like.plan

The clip is looped by copying its packets. The contenders take turns on it: the pipeline from the end of the first frame
to the end of the last, the engine with data that stays on the GPU, and NVDEC alone. A pipeline can be as fast as the
slower of its parts. ``=PLAN`` names an engine; without it, the engine comes from the store, which builds it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
from looped import looped  # type: ignore[import-not-found]  # the scripts beside this one
from rows import Row, add_files, measure  # type: ignore[import-not-found]

from bmfgraph import Job, compose
from bmfgraph.sweep.engine_speed import engine_alone

ROUNDS = 3
NVDEC_PACKETS = 8
"""Packets that NVDEC alone gets in one call."""


def alone(job: Job) -> Callable[[], float]:
    """Return what measures a job's engine alone, in frames per second."""
    node, engine = job.plan().engines()[0]
    return lambda: engine_alone(node.name, engine)


def nvdec_alone(clip: Path) -> float:
    """Return frames per second of PyNvVideoCodec's decoder, whose frames are dropped; packets are read before."""
    import PyNvVideoCodec as nvc
    import torch

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        annex_b = av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
        packets = [bytes(part) for packet in container.demux(stream) if packet.size for part in annex_b.filter(packet)]
    decoder = nvc.CreateDecoder(
        gpuid=0,
        codec=getattr(nvc.cudaVideoCodec, codec.upper()),
        cudacontext=0,
        cudastream=torch.cuda.Stream().cuda_stream,
        usedevicememory=True,
    )
    frames, began = [0], [0.0]
    for data in (*(b"".join(chunk) for chunk in batched(packets, NVDEC_PACKETS)), b""):
        packet, array = nvc.PacketData(), np.frombuffer(data, np.uint8)
        packet.bsl, packet.bsl_data = array.nbytes, array.ctypes.data if data else 0
        frames.append(frames[-1] + len(decoder.Decode(packet)))
        began.append(time.perf_counter())
    return (frames[-1] - frames[1]) / (began[-1] - began[1])


def batched(items: Sequence[bytes], count: int) -> Iterator[Sequence[bytes]]:
    """Yield so many items at once."""
    return (items[start : start + count] for start in range(0, len(items), count))


def pipeline_speed(job: Job) -> float:
    """Return frames per second at the sink, from its first frame on."""
    return job.run(overwrite=True).steady_fps


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the models of the rows."""
    for name in ("--upscale", "--face", "--detector"):
        parser.add_argument(name, metavar="ONNX[=PLAN]")


def rows(
    options: argparse.Namespace, clip: Path, loops: int, folder: Path, overrides: tuple[str, ...] = ()
) -> Iterator[Row]:
    """Yield a row for each pipeline whose model the options name, on the looped clip."""
    if not (options.upscale or options.face or options.detector):
        return
    source = looped(clip, loops, folder / "loop.mp4")
    with av.open(str(source)) as container:
        frames = container.streams.video[0].frames
    for title, pipeline, own, goals in pipelines(options, folder):
        common = ["decoder=nvdec", "encoder=measure", "device=cuda", *overrides]
        job = compose(pipeline, *common, *own, input=source)
        job.build()
        contenders = {
            "bmfgraph": partial(pipeline_speed, job),
            "engine alone": alone(job),
            "NVDEC alone": partial(nvdec_alone, source),
        }
        yield Row(f"{title}, {frames} frames", "fps", contenders, goals=goals)


def pipelines(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, list[str], Mapping[str, float]]]:
    """Yield the title, pipeline, overrides and goals of each row; a goal is for the slower part of the measured GPU."""
    if options.upscale:
        onnx, _, plan = options.upscale.partition("=")
        meaning = "{input: {layout: NCHW, channels: RGB, std: 255}}"
        outputs = "{output: {layout: NCHW, channels: RGB, std: 255}}"
        overrides = [f"model.file={onnx}", "model.name=animevideov3"]
        overrides += [f"model.inputs={meaning}", f"model.outputs={outputs}", *engine(plan)]
        title = "nvdec → preprocess → animevideov3 → frames → null"
        yield title, "super_resolution", overrides, {"engine alone": 0.97}
    yolo = ["model.name=yolo_like", "model.decode={preset: yolov8, labels: coco80}"]
    detectors = (
        ("UltraFace-640", "face_detection", options.face, ["model=ultraface_rfb_640"]),
        ("YOLO-like", "detection", options.detector, yolo),
    )
    for name, pipeline, model, words in detectors:
        if not model:
            continue
        onnx, _, plan = model.partition("=")
        title = f"nvdec → preprocess → {name} → detections → records"
        overrides = [*words, f"model.file={onnx}", *engine(plan), f"records={folder}/found.jsonl"]
        bare = [*overrides, "~pipeline.nodes.draw", "~pipeline.nodes.sink"]
        yield title, pipeline, bare, {"NVDEC alone": 0.97}
        yield f"{title}, overlay → null", pipeline, overrides, {"NVDEC alone": 0.93}


def engine(plan: str) -> list[str]:
    """Return the overrides of a prebuilt engine; [] without a path."""
    return [f"engine.path={plan}", "engine.allow_host_code=true"] if plan else []


def looped_clip_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that the scripts with a looped clip share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--loops", type=int, default=10)
    parser.add_argument("overrides", nargs="*", help="for all pipelines, such as engine.cuda_graph=false")
    return parser


def main() -> None:
    parser = looped_clip_parser(__doc__)
    add_models(parser)
    add_files(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(rows(options, options.clip, options.loops, Path(name), tuple(options.overrides)), ROUNDS, options)


if __name__ == "__main__":
    main()
