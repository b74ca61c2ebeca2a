"""Explain every code of an error or warning; ``docs/generate.py`` makes ``docs/errors.md`` from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["CODES", "Entry"]


@dataclass(frozen=True)
class Entry:
    """What a code stands for, and what to do about it."""

    title: str
    cure: str


CODES: Mapping[str, Entry] = MappingProxyType(
    {
        "E101": Entry("The first word is no verb.", "Choose one of those that the message lists."),
        "E102": Entry("The folder of `--config-dir` does not exist.", "It is relative to the current folder."),
        "E103": Entry("A group has no such option.", "Choose another, or bring yours with `--config-dir`."),
        "E104": Entry("There is no such key.", "Fields of nodes are `pipeline.nodes.NODE.FIELD`."),
        "E105": Entry(
            "An argument is not an override that Hydra can read, or adds a key that exists.",
            "Write KEY=VALUE, and values with special characters in quotes.",
        ),
        "E106": Entry("Hydra cannot compose the configuration.", "The message is Hydra's own."),
        "E107": Entry(
            "A value is missing (`???`), no pipeline was chosen, or its file describes none.",
            "Give it on the command line, or in the file.",
        ),
        "E108": Entry("An interpolation `${...}` names nothing.", "Correct the name, or define the key."),
        "E109": Entry("An interpolation `${...}` cannot be read or resolved.", "Correct it."),
        "E110": Entry("`device` is none of auto, cpu, cuda.", "Leave it out, or choose one of them."),
        "E111": Entry("The report cannot be written where it should go.", "Name another file."),
        "E112": Entry("The output cannot be measured against `reference`.", "Give a clip of the output's size."),
        "E113": Entry(
            "`target` does not describe a machine, or is given to a verb that works on this one.",
            "`doctor --json` writes such a file; `check` and `plan` take it.",
        ),
        "E114": Entry("Words or flags that the verb does not take.", "Every verb has a `--help`."),
        "E115": Entry("`sweep.objective` cannot be read, or is missing.", "Write it like `fps where psnr_y>=45`."),
        "E116": Entry("A file of the configuration is no YAML, or cannot be read.", "The message has its line."),
        "E117": Entry(
            "`sweep.strategy=halving` with a launcher or sweeper of another kind.",
            "Halving runs the cells of a grid itself: leave that out.",
        ),
        "E201": Entry("Something that must be a mapping is none.", "Write `key: value` pairs."),
        "E202": Entry("A name has letters that names must not have.", "Use letters, digits, `_` and `-`."),
        "E203": Entry("A key is unknown where it stands.", "Take the nearest allowed one, which the message names."),
        "E204": Entry("A required value is missing.", "Give it."),
        "E205": Entry("A value is none of those allowed.", "Take one that the message lists."),
        "E206": Entry("A value has the wrong type.", "The message says what it must be."),
        "E207": Entry("A number is out of range.", "The message says the range."),
        "E208": Entry("A value has the wrong form: empty, too long, or not as the pattern.", "Correct it."),
        "E209": Entry("Values contradict each other, or a rule of their kind.", "The message says which rule."),
        "E210": Entry("A node has no kind.", "Give it one; a `use` may bring it."),
        "E211": Entry("A kind is unknown.", "Correct it, or install the package that has it."),
        "E212": Entry("Two installed packages define the same kind.", "Uninstall one of them."),
        "E213": Entry("The package of a kind fails to import.", "Repair or uninstall it; other kinds still work."),
        "E214": Entry("What a package offers as a kind is none.", "Correct the package's entry point."),
        "E215": Entry("A node has too few or too many inputs.", "The message says how many its kind takes."),
        "E216": Entry("An edge begins at a node that does not exist.", "Correct the name under `inputs`."),
        "E217": Entry("An edge begins at a port that does not exist.", "Correct `node.port` under `inputs`."),
        "E218": Entry("The edges run in a circle.", "Take one of them out."),
        "E301": Entry(
            "An edge carries something else than its consumer takes.", "Put the node between that joins them."
        ),
        "E302": Entry("A required input is not in the file.", "Take the node out, or read another file."),
        "E303": Entry("Two consumers want different tensors of one node.", "Give each a preprocess node of its own."),
        "E304": Entry("A node's output is not connected.", "Connect it, or take it out."),
        "E305": Entry("Two nodes write the same file.", "Give one of them another path."),
        "E306": Entry("A node would write over a file that the run reads.", "Write to another file."),
        "E307": Entry("A third-party node breaks its contract.", "Tell its author; README, Adding a node."),
        "E308": Entry("BMF alone cannot run the plan.", "`plan --bmf` is for pipelines of decoders and encoders."),
        "E310": Entry("`fit: none`, and the picture's size is not the model's.", "Choose letterbox, stretch or crop."),
        "E311": Entry(
            "The tensor's dtype cannot be made, or cannot hold normalised values.", "Change dtype or mean/std."
        ),
        "E312": Entry("`mean` or `std` has the wrong number of values.", "One value, or one for each channel."),
        "E313": Entry("A model's output is not an image of a known size.", "Say what it means under `model.outputs`."),
        "E314": Entry("Frames are to be made of a grey tensor.", "Repeat the channel inside the model."),
        "E315": Entry(
            "A model's output has not the channels of its frames.", "Correct `model.window` or `model.outputs`."
        ),
        "E316": Entry("A model has several outputs, or not the one named.", "Set `tensor` to one of them."),
        "E317": Entry("A window of windows.", "One window node per model is enough."),
        "E318": Entry("Frames are made of tensors, and something else arrives.", "Connect an inference node."),
        "E320": Entry("Detections are made of a detector's outputs.", "Connect an inference node."),
        "E321": Entry("Nothing says how the outputs stand for boxes.", "Set `decode` in the model's config."),
        "E322": Entry("`decode` names an output that the model lacks.", "Correct `model.decode`."),
        "E323": Entry("`labels` are not as many as the model's scores.", "Correct `model.decode.labels`."),
        "E324": Entry("Boxes cannot be mapped back to the source picture.", "Feed the model from a preprocess node."),
        "E325": Entry("Boxes would be drawn on frames of another size.", "Draw on the frames that the detector saw."),
        "E330": Entry("The extension has no known format of records.", "Use .jsonl or .csv, or set `format`."),
        "E340": Entry("An encoder has no path.", "Set it, or `container: 'null'` to measure."),
        "E341": Entry("The extension has no known container.", "Rename the file, or set `container`."),
        "E342": Entry("The container does not take the codec.", "Choose another codec or extension."),
        "E343": Entry("`crf` is out of range, not the codec's, or beside a bit rate.", "The message says which."),
        "E344": Entry("The codec has no presets.", "Set `preset: null`."),
        "E345": Entry("The codec does not take the pixel format.", "Use yuv420p, or another codec."),
        "E346": Entry("AVI cannot hold frames that are unevenly spaced.", "Write .mkv or .mp4."),
        "E347": Entry("An odd size for a pixel format with shared chroma.", "Use yuv444p, or another size."),
        "E348": Entry("The container does not take the audio.", "Set `audio: aac` or `none`, or write .mkv."),
        "E349": Entry("Frames larger than the codec takes.", "Use another codec, or smaller frames."),
        "E401": Entry("A file does not exist.", "Relative paths begin in the current folder."),
        "E402": Entry("A folder, pipe or device stands where a file must be.", "Name a file."),
        "E403": Entry("A file may not be read.", "Change its permissions."),
        "E404": Entry("A file is no video that FFmpeg can read.", "Try to play it; it may be cut off or empty."),
        "E405": Entry("A file holds no video.", "Name a file with video."),
        "E406": Entry("A file has no stream of that number.", "Streams of a kind are counted from 0."),
        "E407": Entry("A file is cut off.", "Copy it again, or set `allow_truncated`."),
        "E408": Entry("A video stream has no frame that can be decoded.", "Try to play it."),
        "E409": Entry("The input is a URL.", "Fetch it first."),
        "E410": Entry("`start` lies behind the clip's last frame, or none before `end`.", "Set them further apart."),
        "E411": Entry("An output cannot be written where it should go.", "Choose another path."),
        "E412": Entry("The disk is too small for the output.", "Make room, or write to another disk."),
        "E413": Entry("The GPU's decoder cannot decode the file.", "Use `decoder=ffmpeg`."),
        "E414": Entry("A clip cannot be reduced.", "Name a clip as `sweep.reference` instead."),
        "E420": Entry("A `wheel:` or `package:` source is malformed.", "The message shows the form."),
        "E421": Entry("A source cannot be fetched.", "Check the network, or name a local copy."),
        "E422": Entry(
            "A file has not the checksum that it should have.", "Put the right file there, or correct `sha256`."
        ),
        "E423": Entry("A package or wheel lacks the file.", "Correct the path, or the version."),
        "E424": Entry("The cache folder cannot be used.", "Set BMFGRAPH_CACHE to a folder of yours."),
        "E501": Entry("A model file is missing or cannot be read.", "Check `model.file`."),
        "E502": Entry("A file is not an ONNX model, or it is damaged.", "Fetch or export it again."),
        "E503": Entry("A model's weights lie in a file that is not there.", "Copy that file beside the model."),
        "E505": Entry("A model needs a newer ONNX.", "Update the package, or export with an older operator set."),
        "E506": Entry("A model's config names a tensor that the file lacks.", "Correct `model.inputs` or `outputs`."),
        "E507": Entry("`dims` of a model's input has the wrong length.", "One entry for each dimension."),
        "E508": Entry("A model has more or fewer inputs than edges arrive.", "One edge for each input, in its order."),
        "E509": Entry("A model's input has not four dims.", "Reshape inside the model."),
        "E510": Entry("The network does not take the size.", "Choose another `size` or `multiple`."),
        "E511": Entry("An output's first dim does not count the batch.", "Export the model so that it does."),
        "E512": Entry("The model takes another batch size only.", "Set `engine.batch` to it."),
        "E513": Entry("The model works on another temporal window than it is fed.", "Put a window node before it."),
        "E514": Entry("The tensor has another dtype than the model takes.", "Leave `dtype` of preprocess out."),
        "E515": Entry(
            "The tensor means something else than the model takes.", "Leave layout, channels, mean, std out."
        ),
        "E516": Entry("The tensor has another size than the model takes.", "Set `size` and `fit` of preprocess."),
        "E517": Entry("`engine.input_shapes` contradicts the model or the frames.", "Correct it, or leave it out."),
        "E518": Entry("A dim of an output stays free, and must be known.", "Export the model with that dim fixed."),
        "E601": Entry("`device=cpu`, and something that needs a GPU.", "Leave one of the two out."),
        "E602": Entry("The file of `engine.path` does not exist.", "Correct it, or leave it out to build one."),
        "E603": Entry("ONNX Runtime does not run TensorRT's engines.", "Leave `engine.path` or `engine.runtime` out."),
        "E604": Entry("ONNX Runtime does not compute in that precision.", "Set fp32, or use TensorRT."),
        "E605": Entry("A GPU is needed, and there is none.", "Use the CPU, or another machine."),
        "E606": Entry("No TensorRT that builds engines is installed.", "`pip install tensorrt`."),
        "E607": Entry("int8 lacks what it is calibrated over.", "Set `engine.calibration` to a clip like yours."),
        "E608": Entry("`engine.profiles` contradicts the model or the frames.", "Correct it, or set it to auto."),
        "E609": Entry("The store has no such engine, and none may be built.", "Set `engine.build=auto`."),
        "E610": Entry("The engine was built for another GPU.", "Build it on the machine that runs it."),
        "E611": Entry(
            "The engine was built by another library or version.", "Build it again, or with version_compatible."
        ),
        "E612": Entry(
            "The engine's inputs or outputs are not the model's, or not for these shapes.", "Build it again."
        ),
        "E613": Entry("The engine file is damaged.", "Build it again."),
        "E614": Entry("The engine store cannot be read or written.", "Set `engine.store` to a folder of yours."),
        "E615": Entry("`engine.python` or `engine.command` cannot be used.", "The message says why."),
        "E616": Entry("TensorRT cannot build the network.", "See the log that the message names."),
        "E617": Entry("The network cannot be prepared for the builder.", "The message names the ONNX node."),
        "E618": Entry("TensorRT-RTX does not run on this GPU.", "Use TensorRT."),
        "E619": Entry("A runtime refuses the file.", "Build it again, or update the runtime."),
        "E620": Entry("The engine brings CPU code of its own.", "If you trust it, set `engine.allow_host_code=true`."),
        "E701": Entry("BMF is not installed.", "`pip install 'bmfgraph[cpu]'` or `'bmfgraph[gpu]'`."),
        "E702": Entry("FFmpeg 4, which BMF needs, is not there or not whole.", "`pip install decord==0.6.0`."),
        "E703": Entry("This FFmpeg has no such encoder.", "Choose another codec."),
        "E704": Entry("This FFmpeg was built without that hardware decoder.", "Use `decoder=nvdec`."),
        "E705": Entry("ONNX Runtime, or its CUDA provider, is not installed.", "`pip install onnxruntime`."),
        "E706": Entry("PyNvVideoCodec is not installed, or cannot be loaded.", "`pip install PyNvVideoCodec`."),
        "E707": Entry("A package that a third-party node needs is not installed.", "Install it as the message says."),
        "E800": Entry("The run was stopped by Ctrl-C or a signal.", "Nothing was written under the final name."),
        "E801": Entry("A node failed at its work.", "The message has its frame and time; `debug=true` shows more."),
        "E803": Entry("A file gave fewer frames than it promises.", "Copy it again, or set `allow_truncated`."),
        "E804": Entry("The output could not be measured against the reference.", "The output itself is complete."),
        "E805": Entry("The report could not be written after the run.", "The output itself is complete."),
        "E806": Entry("The process of a sweep's cell ended before its time.", "See log.txt in the cell's folder."),
        "E807": Entry("A sweep's cell took longer than it may.", "Raise `sweep.timeout`."),
        "E808": Entry(
            "A run would wait for a stream that its own thread has open.",
            "End or close the stream, or isolate the run.",
        ),
        "E809": Entry("A run in a child process could not begin or crashed.", "The message says which."),
        "E899": Entry("Something that bmfgraph did not foresee.", "Please report it, with what `debug=true` shows."),
        "W101": Entry(
            "A model lists its weights as inputs, as old exporters did.", "Export it again: up to twice as fast."
        ),
        "W102": Entry("A GPU is here, and the model runs on the CPU.", "The message says what is missing."),
        "W103": Entry(
            "A model is computed in another precision than asked for.", "`engine.runtime` makes it an error."
        ),
        "W104": Entry("The disk may be too small for the output.", "Make room."),
    }
)
