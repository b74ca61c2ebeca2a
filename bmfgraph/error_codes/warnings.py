"""Explain the codes of warnings."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "BACKGROUND_SUSPECTED",
    "BOXES_ELSEWHERE",
    "CONVERTED_FRAMES",
    "CONVERTED_STREAM",
    "CPU_FALLBACK",
    "DAMAGED_MEDIA",
    "DEPTH_REDUCED",
    "EQUAL_CELLS",
    "HDR_REDUCED",
    "INTERLACED_VIDEO",
    "LABELS_BEYOND_LIST",
    "LOST_STREAM",
    "LOW_DISK_SPACE",
    "MEANINGLESS_SCORES",
    "NOTHING_DETECTED",
    "PRECISION_FALLBACK",
    "RESAMPLED_AUDIO",
    "SCORES_BEYOND_RANGE",
    "SHORTENED_LAST_FRAME",
    "SHRUNK_OUTPUT",
    "UNFINISHED_TRIAL",
    "UNKNOWN_BUILDER_VERSION",
    "UNREAD_CLIP",
    "UNRECORDED_GRAPH",
    "UNUSUAL_TIMES",
    "WEIGHTS_AS_INPUTS",
]

WEIGHTS_AS_INPUTS = Code(
    "W101",
    "A model file of yours lists its weights as inputs, as old exporters did; here they are taken as constants.",
    "Export it again, because other programs run it slowly.",
)
CPU_FALLBACK = Code("W102", "The machine has a GPU, but the model runs on the CPU.", "Install what the message names.")
PRECISION_FALLBACK = Code(
    "W103", "A model runs in another precision than requested.", "Set `engine.runtime` to forbid it."
)
LOW_DISK_SPACE = Code("W104", "The disk may have too little space for the output.", "Free some space.")
SHRUNK_OUTPUT = Code(
    "W105",
    "A model of fixed size makes the output smaller than the input.",
    "Export the model with free sides, or set `dims` of its input.",
)
UNFINISHED_TRIAL = Code(
    "W106", "The trial inference of a model could not be finished.", "Free some memory, or expect a slow run."
)
EQUAL_CELLS = Code(
    "W109", "Two cells of a sweep do the same on this machine.", "Leave one out; no comparison can tell them apart."
)
UNKNOWN_BUILDER_VERSION = Code(
    "W110",
    "The TensorRT of `engine.python` is known only when it runs, which `check` and `plan` do not do.",
    "`build` and `run` ask it; the engine's key and path then differ from those in the plan.",
)
BOXES_ELSEWHERE = Code(
    "W111",
    "The first boxes of a model lie where no object can be: all in a corner, far beyond the picture, or inverted.",
    "Correct `decode.unit` or `decode.box` as the message says.",
)
SCORES_BEYOND_RANGE = Code(
    "W112",
    "The first scores of a model lie beyond 0..1, or do not fit the declared activation.",
    "Correct `activation` of the output.",
)
LABELS_BEYOND_LIST = Code(
    "W113",
    "The first labels of a model have numbers that the list of labels does not have.",
    "Correct `decode.labels`, `decode.first_label` or the order of `fields`.",
)
MEANINGLESS_SCORES = Code(
    "W114",
    "The first scores of a model are all equal, all exactly 0 or 1, or not finite.",
    "Correct `mean` and `std` of the model's input.",
)
BACKGROUND_SUSPECTED = Code(
    "W115",
    "The first or last class of a model is the best one nearly everywhere, and is not declared as the background.",
    "Correct `decode.background`.",
)
NOTHING_DETECTED = Code(
    "W116",
    "A whole run has detected nothing, and the best score was not far below the threshold.",
    "Lower `decode.threshold`, or check the config with `model try`.",
)
CONVERTED_FRAMES = Code(
    "W122",
    "Some frames of a clip have another size, pixel format or colours than the first ones, and were converted.",
    "Look at the output there, or cut the clip.",
)
INTERLACED_VIDEO = Code("W123", "A clip is interlaced, and its fields stay mixed.", "Set `decoder.deinterlace: auto`.")
DAMAGED_MEDIA = Code(
    "W124",
    "A part of a source could not be read, and the run went on without it.",
    "Copy the file again; the report lists what is missing.",
)
UNUSUAL_TIMES = Code(
    "W125",
    "The times of a source jump, or its first frames need others that are not in the file.",
    "Look at the output there.",
)
SHORTENED_LAST_FRAME = Code(
    "W127",
    "The container does not store how long the last frame of a source is shown.",
    "Write .mp4 or .mkv.",
)
LOST_STREAM = Code(
    "W128",
    "The container cannot hold a stream, the chapters or a tag of the source.",
    "Write .mkv, or leave that part out of the encoder's `copy`.",
)
CONVERTED_STREAM = Code(
    "W129",
    "Audio is encoded, or subtitles are converted, because the container cannot hold them as they are.",
    "Choose the codec with `audio`, or write .mkv.",
)
RESAMPLED_AUDIO = Code(
    "W130",
    "The encoded audio gets another sample rate, or fewer channels, because its codec does not have the source's.",
    "Choose `audio: flac` and .mkv to keep them.",
)
DEPTH_REDUCED = Code(
    "W131",
    "The source has more than 8 bits of a sample, and the output gets 8.",
    "Take the model or the codec that the message names out of the way, or set `pixel_format` to confirm it.",
)
HDR_REDUCED = Code(
    "W132",
    "HDR video is written in 8 bits, or without its mastering metadata.",
    "Write 10 bits by `encoder=x265`, or set `hdr: tonemap` of the decoder.",
)
UNRECORDED_GRAPH = Code(
    "W133",
    "The work of a model on the GPU cannot be recorded as a CUDA graph, so its kernels are launched one by one.",
    "Set `engine.cuda_graph: false`, or export the model with fixed shapes.",
)
UNREAD_CLIP = Code(
    "W134",
    "`check` does not read a clip in a store, because it cannot make a temporary address of it.",
    "Run it: its mistakes show then; or fetch the clip, and check the copy.",
)
