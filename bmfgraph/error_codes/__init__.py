"""Explain every code of an error or warning; ``docs/generate.py`` makes ``docs/errors.md`` from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bmfgraph.error_codes.code import Code
from bmfgraph.error_codes.machine import *
from bmfgraph.error_codes.media import *
from bmfgraph.error_codes.models import *
from bmfgraph.error_codes.run import *
from bmfgraph.error_codes.warnings import *

__all__ = ["CODES", "Code"]


# Command line and configuration
UNKNOWN_VERB = Code("E101", "The first word is not a verb of bmfgraph.", "Use one of the verbs that the message lists.")
MISSING_CONFIG_FOLDER = Code(
    "E102", "The folder of `--config-dir` does not exist.", "Correct the path; it is relative to the current folder."
)
UNKNOWN_GROUP_OPTION = Code(
    "E103",
    "A config group does not have this option.",
    "Use an option from the message, or add yours with `--config-dir`.",
)
UNKNOWN_CONFIG_KEY = Code(
    "E104", "A configuration key does not exist.", "Set fields of nodes as `pipeline.nodes.NODE.FIELD`."
)
INVALID_OVERRIDE = Code("E105", "Hydra cannot apply an override.", "Write KEY=VALUE; quote special characters.")
COMPOSITION_FAILURE = Code(
    "E106", "Hydra cannot compose the configuration.", "Correct the file or group in the message."
)
MISSING_CONFIG_VALUE = Code(
    "E107", "The pipeline or a mandatory value (`???`) is missing.", "Set it on the command line or in the file."
)
UNKNOWN_INTERPOLATION_KEY = Code(
    "E108", "An interpolation `${...}` refers to a key that does not exist.", "Correct the key, or define it."
)
INVALID_INTERPOLATION = Code(
    "E109", "An interpolation `${...}` cannot be resolved.", "Correct its syntax, resolver or cycle."
)
INVALID_DEVICE = Code("E110", "`device` is not auto, cpu or cuda.", "Use one of the three, or leave it out.")
UNUSABLE_REPORT_PATH = Code("E111", "The report cannot be written to its path.", "Choose another file.")
UNUSABLE_REFERENCE = Code(
    "E112",
    "The reference does not fit the output or the sweep.",
    "Name another clip, or overrides of one cell of the sweep.",
)
INVALID_TARGET = Code(
    "E113",
    "`target` is not a machine file, or the verb does not take it.",
    "Write it with `doctor --json`, for `check` and `plan`.",
)
INVALID_ARGUMENT = Code("E114", "The verb does not take an argument, or lacks one.", "See the verb's `--help`.")
INVALID_OBJECTIVE = Code("E115", "`sweep.objective` is missing or invalid.", "Write it like `fps where psnr_y>=45`.")
UNREADABLE_CONFIG_FILE = Code(
    "E116", "A configuration file cannot be read, or is not valid YAML.", "Correct the file or line in the message."
)
HALVING_CONFLICT = Code(
    "E117",
    "`sweep.strategy=halving`, or the key `launcher`, excludes this launcher or sweeper.",
    "Leave one of them out; halving runs the cells of a grid itself.",
)
TOO_MANY_CELLS = Code(
    "E118", "A sweep has more cells than `sweep.max_cells`.", "Sweep over fewer values, or set `sweep.max_cells`."
)
REFUSED_HYDRA_SETTING = Code(
    "E119",
    "A file or an override sets something of Hydra's own that could run code or write files.",
    "Leave it out; only `hydra/launcher`, `hydra/sweeper` and the `hydra.mode` of sweeps can be set.",
)
UNMEASURABLE_METRIC = Code(
    "E124",
    "No cell of the sweep can have a metric of `sweep.objective`.",
    "Name a metric that this machine, the pipeline and `sweep.reference` have.",
)
FOREIGN_SWEEP_FOLDER = Code(
    "E125", "The folder of a sweep holds files or links of others.", "Name a new folder with `sweep.dir`."
)

# Pipeline description
MAPPING_EXPECTED = Code("E201", "A value is not a mapping, and must be.", "Write `key: value` pairs.")
INVALID_NODE_NAME = Code(
    "E202",
    "The name of a node has invalid characters, or is in use.",
    "Use letters, digits, `_` and `-`, and a new name.",
)
UNKNOWN_KEY = Code("E203", "A mapping has an unknown key.", "Use a key that the message lists, or remove it.")
MISSING_FIELD = Code("E204", "A required field is missing.", "Set it.")
INVALID_CHOICE = Code("E205", "A value is not one of the allowed values.", "Use a value that the message lists.")
WRONG_TYPE = Code("E206", "A value has the wrong type.", "Use the type that the message names.")
VALUE_OUT_OF_RANGE = Code("E207", "A number is out of range.", "Use a number in the range that the message gives.")
MALFORMED_VALUE = Code("E208", "A value is empty, too long, or does not match its pattern.", "Correct its form.")
CONFLICTING_VALUES = Code(
    "E209", "Two values conflict, or a value breaks a rule of its field.", "Correct the value as the message says."
)
MISSING_NODE_KIND = Code("E210", "A node has no kind, or an invalid one.", "Set `kind`, or a `use` that contains it.")
UNKNOWN_NODE_KIND = Code("E211", "The kind of a node is unknown.", "Correct it, or install its package.")
DUPLICATE_NODE_KIND = Code("E212", "Two installed packages define the same kind.", "Uninstall one of them.")
BROKEN_KIND_PACKAGE = Code(
    "E213", "The package of a kind cannot be imported.", "Repair or uninstall it; other kinds still work."
)
INVALID_NODE_CLASS = Code("E214", "The entry point of a kind is not a node class.", "Correct it in its package.")
WRONG_INPUT_COUNT = Code("E215", "A node has too few or too many inputs.", "List as many inputs as its kind takes.")
UNKNOWN_NODE = Code("E216", "A node of this name does not exist.", "Use a name that the message lists.")
UNKNOWN_PORT = Code("E217", "A port of this name does not exist.", "Use a port that the message lists.")
EDGE_CYCLE = Code("E218", "The edges form a cycle.", "Remove one edge of the cycle.")

# Nodes that do not fit together
EDGE_TYPE_MISMATCH = Code("E301", "The consumer of an edge does not take its type.", "Add the node that converts it.")
MISSING_INPUT_STREAM = Code(
    "E302", "The file lacks a stream that a node requires.", "Remove the node or change the file."
)
CONFLICTING_TENSOR_REQUIREMENTS = Code(
    "E303", "Two consumers require different tensors of one node.", "Give each its own preprocess node."
)
UNUSED_NODE = Code("E304", "The output of a node is not connected.", "Connect it, or remove the node.")
DUPLICATE_OUTPUT_PATH = Code("E305", "Two nodes write the same file.", "Give one of them another path.")
INPUT_OVERWRITE = Code("E306", "A node would overwrite a file that the run reads.", "Write to another file.")
NODE_CONTRACT_VIOLATION = Code(
    "E307", "A third-party node breaks the contract of nodes.", "Report it to its author; see README, Adding a node."
)
UNEXPORTABLE_PLAN = Code("E308", "BMF alone cannot run the plan.", "Use `plan --bmf` with decoders and encoders only.")
UNFITTED_FRAME_SIZE = Code(
    "E310", "`fit` is none, and the frame's size is not the model's.", "Set `fit` to letterbox, stretch or crop."
)
INVALID_PREPROCESS_DTYPE = Code(
    "E311",
    "The dtype is not possible, or does not hold normalised values.",
    "Change `dtype`, or leave `mean` and `std` out.",
)
WRONG_MEAN_STD_LENGTH = Code("E312", "`mean` or `std` has the wrong length.", "Give one value, or one per channel.")
UNDESCRIBED_MODEL_OUTPUT = Code("E313", "The output is not an image of known size.", "Describe it in `model.outputs`.")
OUTPUT_CHANNEL_MISMATCH = Code(
    "E315", "A model's output has the wrong channel count.", "Correct `model.window` or `model.outputs`."
)
AMBIGUOUS_OUTPUT_TENSOR = Code(
    "E316", "A model has several outputs, or none of this name.", "Set `tensor` to its name."
)
NESTED_WINDOW = Code("E317", "A window node gets windows as its input.", "Use one window node per model.")
TENSOR_EXPECTED = Code(
    "E318", "A frames node takes tensors or label maps, and gets another type.", "Connect an inference node."
)
DETECTOR_EXPECTED = Code(
    "E320", "A node that reads results takes a model's outputs, and gets another type.", "Connect an inference node."
)
MISSING_DECODE = Code(
    "E321", "How to read results from the model's outputs is not configured.", "Set `decode` in the model's config."
)
LABEL_COUNT_MISMATCH = Code(
    "E323", "The number of labels is not the number of the model's scores.", "Correct `model.decode.labels`."
)
UNKNOWN_BOX_PLACEMENT = Code(
    "E324", "Results cannot be mapped to the source image.", "Feed the model from a preprocess node."
)
BOX_FRAME_MISMATCH = Code("E325", "The result belongs to frames of another size.", "Connect the model's frames.")
BOX_FRAME_MISMATCH = Code("E325", "The results belong to frames of another size.", "Connect the model's frames.")
FIELDS_MISMATCH = Code(
    "E326", "The fields of an output do not fit its shape.", "Correct `dims` or `fields` as the message says."
)
GRID_MISMATCH = Code(
    "E327", "The strides of the grid make another number of candidates than the model has.", "Correct `decode.grid`."
)
MISSING_OUTPUT_FIELD = Code(
    "E328", "The outputs lack a field that the task needs.", "Name the fields under `model.outputs`."
)
MASKS_MISMATCH = Code(
    "E329", "The masks do not fit the outputs.", "Correct `decode.masks` and the fields of the outputs."
)
UNKNOWN_RECORDS_FORMAT = Code(
    "E330", "The format of the records is unknown.", "Use .jsonl, .json, .csv, .parquet or .zip, or set `format`."
)
FEED_MISMATCH = Code("E362", "The values of a fed input do not fit it.", "Correct `inputs.NAME.feed`.")
RECORDS_FORMAT_MISMATCH = Code(
    "E361", "The format of the records cannot hold these results.", "Write .jsonl, or connect another node."
)
KEYPOINTS_MISMATCH = Code("E331", "The keypoints are not as many as their names.", "Correct `keypoints.names`.")
ROTATED_BOX_FORM = Code("E332", "Boxes with an angle have the wrong form.", "Set `box: cxcywh`, `unit: pixels`.")
TOO_MANY_CLASSES = Code("E337", "A label map has more than 255 classes.", "Join classes inside the model.")
UNUSED_OPTION = Code(
    "E338", "An option of a label map or a map has no effect with the others.", "Change or remove one of them."
)
REGION_OUTSIDE_FRAME = Code(
    "E334", "The region of a preprocess node reaches beyond the frame.", "Correct `region`, in pixels of the frame."
)
MISSING_ENCODER_PATH = Code("E340", "An encoder has no path.", "Set `path`, or `container: 'null'` to measure only.")
UNKNOWN_CONTAINER = Code("E341", "The extension does not name a container.", "Rename the file, or set `container`.")
CODEC_CONTAINER_CONFLICT = Code("E342", "The container does not support the codec.", "Use another codec or container.")
INVALID_CRF = Code(
    "E343", "`crf` is out of range, unsupported, or beside `bit_rate`.", "Correct it, or set it to null."
)
UNSUPPORTED_PRESET = Code("E344", "The codec has no presets.", "Set `preset: null`.")
UNSUPPORTED_PIXEL_FORMAT = Code("E345", "The codec does not support the pixel format.", "Use yuv420p or another codec.")
VARIABLE_RATE_AVI = Code("E346", "AVI does not support a variable frame rate.", "Write .mkv or .mp4.")
ODD_FRAME_SIZE = Code("E347", "The pixel format does not allow an odd size.", "Use yuv444p, or an even size.")
UNSUPPORTED_AUDIO = Code("E348", "The container does not support the audio codec.", "Set `audio: none`, or write .mkv.")
UNWRITABLE_FRAME_SIZE = Code(
    "E349", "The frames are too large or too narrow for the codec.", "Use another codec, or frames of another size."
)
MISSING_MASKS = Code(
    "E350", "Objects without masks cannot be redacted by their masks.", "Set `shape` to box or ellipse."
)
UNDETECTED_LABEL = Code("E351", "The detector has no such label.", "Correct `labels`.")
AMBIGUOUS_FRAME_SIZE = Code("E352", "`size` and `scale` give no size, or two.", "Set one of them.")
UNREAD_TASK = Code("E358", "No node reads the results of the model's task.", "Set `decode.task` of the model.")
UNREADABLE_PICTURE = Code("E359", "A picture cannot be read.", "Name a png, jpg, webp or bmp file, or a clip.")
UNUSABLE_PREDICTIONS = Code(
    "E360", "The origin's predictions of `--against` cannot be compared.", "Write them as the message shows."
)

# Files
FILE_NOT_FOUND = Code("E401", "A file does not exist.", "Correct the path; relative paths begin in the current folder.")
FILE_EXPECTED = Code("E402", "The path leads to a folder without pictures, a pipe or a device.", "Name a file.")
UNREADABLE_FILE = Code("E403", "A file cannot be read.", "Check its permissions.")
UNREADABLE_VIDEO = Code("E404", "FFmpeg cannot read a file as video.", "Try to play it; it may be truncated or empty.")
NO_VIDEO_STREAM = Code("E405", "A file has no video stream.", "Name a file with video.")
STREAM_NOT_FOUND = Code("E406", "A file has no stream of this number.", "Use a lower number; the first is 0.")
TRUNCATED_FILE = Code("E407", "A file is truncated.", "Copy it again, or set `decoder.on_error=skip`.")
UNDECODABLE_VIDEO = Code("E408", "No frame of a video stream can be decoded.", "Try to play the file.")
URL_INPUT = Code("E409", "A URL of this kind, or in this place, is not read.", "Download it first.")
EMPTY_TIME_RANGE = Code("E410", "No frame lies between `start` and `end`.", "Move `start` or `end`.")
UNWRITABLE_OUTPUT = Code("E411", "An output cannot be written to its path.", "Choose another path.")
DISK_FULL = Code("E412", "The disk has too little space for the output.", "Free some space, or write to another disk.")
UNSUPPORTED_GPU_DECODING = Code("E413", "The GPU's decoder does not support the file.", "Set `decoder=ffmpeg`.")
DOWNSCALE_FAILURE = Code("E414", "A clip cannot be downscaled.", "Set `sweep.reference` to a clip instead.")
PLAYLIST_INPUT = Code(
    "E415", "The file is a playlist, which opens other files.", "Name a video, or set `decoder.protocols`."
)
MALFORMED_SOURCE = Code(
    "E420", "A source has the wrong form, or contains a password.", "Write it as the message shows."
)
FETCH_FAILURE = Code("E421", "A source cannot be downloaded.", "Check the network, or name a local copy.")
CHECKSUM_MISMATCH = Code("E422", "A file does not have the expected checksum.", "Replace it, or correct `sha256`.")
MISSING_PACKAGE_FILE = Code(
    "E423", "A package or a wheel does not contain the file.", "Install it, or correct the path or the version."
)
UNUSABLE_CACHE_FOLDER = Code(
    "E424", "The cache folder is full, not writable, or not private.", "Set BMFGRAPH_CACHE to a folder of yours."
)
MISSING_CHECKSUM = Code("E425", "A URL has no checksum.", "Set `sha256`, or `sha256: any` to accept any file.")

# Models
UNREADABLE_MODEL_FILE = Code("E501", "A model file is missing or cannot be read.", "Correct `model.file`.")
INVALID_ONNX_MODEL = Code("E502", "A file is not an ONNX model, or is damaged.", "Download or export it again.")
MISSING_EXTERNAL_WEIGHTS = Code(
    "E503",
    "A file with weights of a model is missing, cut off, or outside of the model's folder.",
    "Copy that file to the model's folder.",
)
UNSUPPORTED_ONNX_VERSION = Code(
    "E505", "A model needs a newer onnx.", "Update it, or export with an older operator set."
)
UNKNOWN_MODEL_TENSOR = Code(
    "E506", "The config names a tensor that the model does not have.", "Correct `model.inputs` or `model.outputs`."
)
WRONG_DIMS_LENGTH = Code("E507", "`dims` of a model's input has the wrong length.", "Give one entry per dimension.")
MODEL_INPUT_COUNT = Code(
    "E508", "The number of edges is not the number of model inputs.", "List one edge per input, in the model's order."
)
MODEL_INPUT_RANK = Code("E509", "A model's input does not have four dimensions.", "Reshape inside the model.")
UNSUPPORTED_INPUT_SIZE = Code("E510", "The network does not accept the size.", "Choose another `size` or `multiple`.")
MISSING_BATCH_DIMENSION = Code(
    "E511", "An output's first dimension is not the batch.", "Export the model so that it is."
)
FIXED_BATCH_SIZE = Code("E512", "The model has a fixed batch size, which is another one.", "Set `engine.batch` to it.")
WINDOW_MISMATCH = Code("E513", "The tensor lacks the model's temporal window.", "Add a window node before the model.")
TENSOR_DTYPE_MISMATCH = Code("E514", "The tensor does not have the model's dtype.", "Leave `dtype` of preprocess out.")
TENSOR_MEANING_MISMATCH = Code(
    "E515", "The tensor does not have the model's layout or value range.", "Leave layout, channels, mean and std out."
)
TENSOR_SIZE_MISMATCH = Code(
    "E516", "The tensor does not have the model's input size.", "Set `size` and `fit` of preprocess."
)
CONFLICTING_INPUT_SHAPES = Code(
    "E517", "`engine.input_shapes` contradicts the model or the frames.", "Correct it, or leave it out."
)
DYNAMIC_OUTPUT_DIMENSION = Code(
    "E518", "A dimension of an output is dynamic, and must be known.", "Export the model with a fixed one."
)
COSTLY_MODEL = Code(
    "E519", "Reading a model takes too much memory or time, or crashes onnx.", "Export it again, and simplify it."
)
UNSUPPORTED_OPERATOR = Code(
    "E520",
    "The runtime does not have an operator of a model.",
    "Export the model with ONNX's own operators, or choose another runtime.",
)
REFUSED_MODEL = Code(
    "E521", "The runtime refuses a model, or fails on a trial inference.", "Export it again, or update the runtime."
)
CRASHING_MODEL = Code("E522", "A model crashes the runtime, or never finishes loading.", "Export the model again.")
MISSING_TILE_SIZE = Code("E531", "The size of tiles is unknown.", "Set `size` of the tiles node.")
INVALID_OVERLAP = Code("E532", "Tiles overlap by their whole size.", "Set a smaller `overlap`, or larger tiles.")
UNSTITCHED_TILES = Code("E533", "A node works on whole pictures, and gets tiles.", "Put a stitch node before it.")
TILES_EXPECTED = Code("E534", "A stitch node gets no tiles.", "Put a tiles node before the model.")
UNALIGNED_TILES = Code("E535", "Tiles begin between two pixels of the output.", "Set `multiple` of the model's input.")
CONFLICTING_TILES = Code("E536", "The inputs of a model are cut to tiles differently.", "Cut all of them alike.")

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {code: code for code in sorted(value for value in tuple(globals().values()) if isinstance(value, Code))}
)
"""Every code, in order."""
