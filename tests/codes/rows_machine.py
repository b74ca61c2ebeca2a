"""List mistakes of engines, runtimes, missing software and runs, and warnings: E6, E7, E8 and W1."""

from __future__ import annotations

from tests.codes.command import Situation
from tests.codes.row import BUILD, CHECK_SWEEP, COPY, ODD, RUN_COPY, SWEEP, TRT, UP, N, Row

__all__ = ["ROWS"]

_BARE = "no NVIDIA driver (libcuda.so.1) is installed"
_H200 = "NVIDIA H200 (compute capability 9.0)"
_PATH = N + "upscale: engine.path "

# One row a line reads better than what the formatter makes of it.
# ruff: noqa: E501
# fmt: off
ROWS: tuple[Row, ...] = (
    Row("E601", UP + "engine.runtime=tensorrt device=cpu", N + "upscale: engine.runtime=tensorrt runs on a GPU only, and device=cpu is set"),
    Row("E601", UP + "decoder=nvdec device=cpu target=gpu.json", N + "source: kind 'nvdec' works on a GPU only, and device=cpu is set"),
    Row("E602", TRT + "engine.path=none.plan", _PATH + "'none.plan' does not exist"),
    Row("E603", UP + "engine.path=clip.mp4 engine.runtime=onnxruntime", _PATH + "'clip.mp4' is an engine of TensorRT, which engine.runtime=onnxruntime does not run"),
    Row("E604", UP + "engine=fp16 engine.runtime=onnxruntime target=bare.json", N + "upscale: engine.precision=fp16: ONNX Runtime on the CPU computes in fp32"),
    Row("E605", UP + "device=cuda target=bare.json", f"device: cuda needs a GPU, but {_BARE}"),
    Row("E605", UP + "device=cuda target=gpu.json", N + f"upscale: device=cuda: {_H200} is present, but ONNX Runtime has no CUDA provider; no TensorRT that builds engines is installed"),
    Row("E605", UP + "engine.runtime=tensorrt target=bare.json", N + f"upscale: TensorRT's engines are built for one GPU, and {_BARE}"),
    Row("E605", UP + "decoder=nvdec target=bare.json", N + f"source: kind 'nvdec' runs on an NVIDIA GPU, and {_BARE}\n  → run it on a machine with a GPU, or set decoder=ffmpeg to use the CPU"),
    Row("E605", UP + "engine.path=clip.mp4 target=bare.json", _PATH + f"'clip.mp4', an engine of TensorRT, runs on an NVIDIA GPU, and {_BARE}"),
    Row("E606", UP + "engine.runtime=tensorrt target=gpu.json", N + "upscale: engine.runtime=tensorrt: it is not installed\n  → pip install tensorrt"),
    Row("E606", UP + "engine.runtime=tensorrt target=lean.json", N + "upscale: engine.runtime=tensorrt: only tensorrt_lean 10.16.0 is installed, which cannot build engines"),
    Row("E607", TRT + "engine=int8", N + "upscale: engine.precision=int8: model 'vsr_x2_fast_video' is not quantised, and there is no clip to calibrate it\n  → set engine.calibration=CLIP"),
    Row("E607", TRT + "engine=int8 engine.calibration=none.mp4", N + "upscale: engine.calibration: 'none.mp4' does not exist"),
    Row("E608", UP + "engine.batch=3 engine.profiles={input:{min:1x3x8x8,opt:1x3x48x64,max:2x3x64x64}}", N + "upscale: input input has the shape [3, 3, 48, 64], outside of engine.profiles.input: min [1, 3, 8, 8], max [2, 3, 64, 64]"),
    Row("E608", UP + "engine.profiles={input:{min:1x3x8x8,opt:1x3x16x16,max:1x3x32x32}}", N + "upscale: input input has the shape [1, 3, 48, 64], outside of engine.profiles.input: min [1, 3, 8, 8], max [1, 3, 32, 32]"),
    Row("E608", UP + "engine.profiles={inptu:{min:1x3x8x8,opt:1x3x48x64,max:1x3x64x64}}", N + "upscale: engine.profiles.inptu: the model has no such input (did you mean 'input'?); it has: input"),
    Row("E609", TRT + "engine.build=never engine.store=none", N + "upscale: 'none' has no engine of 'vsr_x2_fast_video'; engine.build is 'never'\n  → build it: engine.build=auto"),
    Row("E609", TRT + "engine.build=never engine.store=<store_of_ada>", "differs in compute_capability '8.9' there, '9.0' here; gpu 'NVIDIA L4' there, 'NVIDIA H200' here; engine.build is 'never'"),
    Row("E609", UP + "target=trt_new.json engine.build=never engine.store=<store_of_10_13>", "differs in version '10.13.0' there, '10.16.0' here; engine.build is 'never'"),
    Row("E610", TRT + "engine.path=<other_gpu>", f"was built for NVIDIA L4 (compute capability 8.9), and {_H200} is here\n  → build it again on this machine"),
    Row("E611", TRT + "engine.path=<other_version>", "was built by tensorrt 10.1.0, and tensorrt 10.13.0 is here"),
    Row("E611", TRT + "engine.path=<of_rtx>", ", and tensorrt would run it\n  → set engine.runtime=tensorrt_rtx"),
    Row("E612", TRT + "engine.path=<fine> model.file=negate.onnx", "has the input input uint8[?x3x?x?], and the model's is float32"),
    Row("E612", TRT + "engine.path=<fine> input=big.mp4", "takes input of [1, 3, 48, 64] to [1, 3, 48, 64], and the frames make [1, 3, 64, 96]"),
    Row("E613", TRT + "engine.path=<cut>", "is damaged: engine.plan has 1000 bytes, not "),
    Row("E613", TRT + "engine.path=<bad>", "manifest.json is not JSON, or it is cut off"),
    Row("E614", TRT + "engine.store=clip.mp4", N + "upscale: the engine store 'clip.mp4' cannot be read (Not a directory)\n  → set engine.store to a folder of yours"),
    Row("E614", "engines list --store clip.mp4", "the engine store 'clip.mp4' cannot be read (Not a directory)\n  → name another folder with --store", exit=1),
    Row("E615", TRT + "engine.python=/none/python", N + "upscale: the interpreter '/none/python' cannot be run (No such file or directory)"),
    Row("E615", TRT + "engine.builder=command engine.command=[none-such]", N + "upscale: engine.command names 'none-such', which is not a program on this machine"),
    Row("E615", TRT + "engine.builder=command 'engine.command=[sh,\"{onx}\"]'", N + "upscale: engine.command has {onx} in '{onx}'\n  → allowed: {onnx}, {plan}, "),
    Row("E616", BUILD + "'engine.command=[sh,-c,\"exit 3\"]'", N + "upscale: 'sh' ended with exit code 3", exit=1),
    Row("E617", BUILD + "engine.command=[sh] model.file=sums.onnx", N + "upscale: sums.onnx: node 'sum' (Add) computes with the uint8 tensor 'input'", exit=1),
    Row("E618", UP + "target=rtx_hopper.json engine.runtime=tensorrt_rtx", N + f"upscale: engine.runtime=tensorrt_rtx does not run on {_H200}, but on compute capability 7.5, "),
    Row("E619", TRT + "engine.path=double.onnx", _PATH + "'double.onnx' is a model, from which engines are built\n  → set model.file=double.onnx instead"),
    Row("E620", TRT + "engine.path=<host_code>", "brings CPU code of its own\n  → if you trust where it comes from, set engine.allow_host_code=true"),
    Row("E621", "engines prune --all --store .", "--store: '.' is not an engine store: it holds "),
    # what is installed
    Row("E701", UP, "BMF is not installed\n  → pip install 'bmfgraph[cpu]'", situation=Situation(without=("bmf",))),
    Row("E702", UP, "FFmpeg 4 is incomplete: libavcodec.so.58, ", situation=Situation(packs=("packs/no_libraries",)), bundled=True),
    Row("E703", UP + "encoder=x265 encoder.backend=bmf", N + "sink: this FFmpeg has no encoder libx265; it has: ", bundled=True),
    Row("E704", UP + "decoder.hwaccel=cuda", N + "source: hwaccel cuda: this machine has no NVIDIA driver with a video decoder", bundled=True),
    Row("E708", UP + "engine.runtime=openvino target=bare.json", N + "upscale: engine.runtime=openvino: OpenVINO is not installed\n  → pip install openvino"),
    Row("E705", UP + "engine.runtime=onnxruntime device=cpu", N + "upscale: ONNX Runtime is not installed\n  → pip install onnxruntime", situation=Situation(without=("onnxruntime",))),
    # while running
    Row("E414", SWEEP + "input=tiny.mp4 sweep.reference=input", "node 'input' (downscale): 'tiny.mp4' is 2x2: too small to be reduced by 2", exit=1),
    Row("E800", RUN_COPY + "'+pipeline.nodes.x={kind: stopping, inputs: [source.video]}' pipeline.nodes.sink.inputs=[x]", "node 'run' (pipeline): stopped: interrupted (Ctrl-C)\n  → nothing was written under the final name", exit=130, situation=ODD),
    Row("E801", RUN_COPY + "'+pipeline.nodes.x={kind: breaking, inputs: [source.video]}' pipeline.nodes.sink.inputs=[x]", "node 'x' (breaking), frame 2 at 0.080 s: ValueError: no more of these frames\n  → debug=true shows where it happened", exit=1, situation=ODD),
    Row("E803", RUN_COPY + "input=holed.mkv", "node 'source' (decoder), frame ", exit=1),
    Row("E804", RUN_COPY + "output=made.mp4 input=twice.mp4 reference=longer.mp4", "node 'reference' (quality): 'made.mp4' ends after 3 frames, the other goes on", exit=1),
    Row("E805", RUN_COPY + "encoder=measure encoder.preset=null report=report.json", "report: 'report.json' cannot be written (File too large); the run itself is complete", exit=1, situation=Situation(room=100)),
    Row("E810", RUN_COPY + "isolated={memory:100MB}", "isolated.memory: 100.0 MB of memory are allowed; this run needs more than 250.0 MB\n  → give it more memory, ", exit=1),
    Row("E812", RUN_COPY + "isolated={seconds:0.05}", "isolated.seconds: the run took longer than 0.05 s\n  → raise isolated.seconds", exit=1),
    Row("E899", UP + "'+pipeline.nodes.x={kind: portless, inputs: [restore]}'", "RuntimeError: the ports are being cleaned\n  → unexpected error; please report it", exit=1, situation=ODD),
    # warnings
    Row("W101", UP + "model.file=old.onnx target=bare.json", N + "upscale: model 'vsr_x2_fast_video' lists its weights as inputs", exit=0),
    Row("W124", RUN_COPY + "input=holed.mkv decoder.on_error=skip", N + "source: 'holed.mkv': ", exit=3),
    Row("W125", RUN_COPY + "input=spliced.mpg", N + "source: 'spliced.mpg': its times jump 1 time, and were joined\n  → copy the file again, or look at the output there", exit=0),
    Row("W102", UP + "target=gpu.json", N + f"upscale: runs on the CPU: no TensorRT that builds engines is installed: {_H200} stays idle\n  → pip install tensorrt", exit=0),
    Row("W103", UP + "engine=fp16 target=bare.json", N + f"upscale: computes in fp32, not in fp16: {_BARE}", exit=0),
    Row("W104", UP + "target=bare.json", N + "sink: about 0.7 kB will be written into '<shop>', and 0.8 kB are free", exit=0, situation=Situation(room=800)),
    Row("W105", UP + "model.file=small.onnx target=bare.json", N + "sink: the output is 32x24, smaller than its source of 64x48: model 'vsr_x2_fast_video' has a fixed size", exit=0),
    Row("W106", UP + "model.file=growing.onnx target=bare.json", N + "upscale: ONNX Runtime's trial inference was not finished: one inference takes more than ", exit=0),
    Row("W109", CHECK_SWEEP + "engine.workspace=100,200", "engine.workspace=200: no difference here: does the same on this machine as engine.workspace=100, and runs only once (their plans are equal)", exit=0),
    Row("W110", TRT + "engine.python=/bin/sh", N + "upscale: engine.python '/bin/sh' would have to run to tell its TensorRT", exit=0),
    Row("W128", COPY + "target=bare.json input=rich.mkv output=out.ts encoder.audio=aac", N + "sink: mpegts cannot hold the source's 2 chapters; the file is written without\n  → write .mkv, or leave chapters out of pipeline.nodes.sink.copy", exit=0, also=("W130",)),
    Row("W129", COPY + "target=bare.json output=out.webm encoder=vp9", N + "sink: stream 1 (audio aac 48000 Hz 1 ch) is encoded as opus, because webm cannot hold it\n  → set pipeline.nodes.sink.audio=opus to say so, or write .mkv", exit=0),
    Row("W130", COPY + "target=bare.json input=rich.mkv output=out.mkv encoder.audio=aac", N + "sink: stream 1 (audio pcm_s16le 192000 Hz 2 ch) is resampled from 192000 to 96000 Hz, because aac has no more\n  → choose flac and .mkv to keep it as it is", exit=0),
    Row("W131", COPY + "input=deep.mkv encoder=mpeg4", N + "sink: codec mpeg4 stores 8 bits of the source's 10\n  → choose another, such as encoder=x265", exit=0),
    Row("W131", UP + "input=deep.mkv", N + "sink: node 'prepare' (preprocess) makes 8 bits of the source's 10\n  → use a model with float tensors", exit=0),
    Row("W132", COPY + "input=hdr.mkv encoder.pixel_format=yuv420p", N + "sink: HDR video in 8 bits (yuv420p) shows bands\n  → write 10 bits, such as encoder=x265", exit=0),
)
