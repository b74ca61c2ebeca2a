"""Define the codes of errors about media: what is read and written, and how."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "EXISTING_OUTPUT",
    "FRAME_RATE_TOO_HIGH",
    "FRAME_SIZE_CHANGE",
    "HDR_REFUSED",
    "INCOMPLETE_OUTPUT",
    "INSEPARABLE_CLIP",
    "INVALID_CROP",
    "INVALID_ENCODER_OPTION",
    "INVALID_SEQUENCE_NAME",
    "MALFORMED_MANIFEST",
    "MISSING_DECODER",
    "MISSING_GPU_ENCODER",
    "MISSING_OBJECT",
    "MISSING_PICTURE",
    "REFUSED_ACCESS",
    "REMOTE_FAILURE",
    "SEVERAL_CLIPS",
    "SHARED_OUTPUT",
    "UNEQUAL_PICTURES",
    "UNKNOWN_NAME_WORD",
    "UNPIPEABLE_CONTAINER",
    "UNREADABLE_PIPE",
    "UNREADABLE_URL",
    "UNSUPPORTED_BY_BACKEND",
    "UNSUPPORTED_MEDIA",
    "UNSUPPORTED_PASSES",
    "UNSUPPORTED_TUNE",
    "UNUSABLE_JOURNAL",
    "UNUSED_RATE",
]

EXISTING_OUTPUT = Code("E220", "A file to write exists.", "Set `overwrite=true`, or write to another file.")
UNKNOWN_NAME_WORD = Code(
    "E221",
    "The name of a file to write has a word that is unknown there, or a brace without its partner.",
    "Use the words that the message lists; `{{` and `}}` stand for braces.",
)
SHARED_OUTPUT = Code(
    "E222", "Two clips would write one file.", "Put `{stem}` into the names of outputs, records and the report."
)
MALFORMED_MANIFEST = Code(
    "E224", "A row of a manifest is wrong.", "Name the clip in `input`, and overrides in the other columns or keys."
)
UNUSABLE_JOURNAL = Code(
    "E225", "The journal of a batch is no file of this version.", "Name another file, or delete this one."
)
INSEPARABLE_CLIP = Code(
    "E226", "A clip cannot be run in parts: the pipeline or the file does not allow it.", "Leave `segments` out."
)
SEVERAL_CLIPS = Code("E223", "`input` names several clips where one is needed.", "Name one of them.")
UNSUPPORTED_TUNE = Code(
    "E363", "The codec does not have the `tune`.", "Leave it out, or use one that the message lists."
)
UNSUPPORTED_PASSES = Code(
    "E364", "The codec cannot make two passes, or they lack a bit rate.", "Set `passes: 1`, or `bit_rate`."
)
MISSING_GPU_ENCODER = Code(
    "E365", "The machine has no NVENC, which the codec needs.", "Choose another codec, such as `encoder=x264`."
)
UNPIPEABLE_CONTAINER = Code(
    "E366", "The container cannot be written into a pipe.", "Set `encoder.container` to matroska, nut or mpegts."
)
INVALID_ENCODER_OPTION = Code(
    "E367", "The codec or the container does not support an option of the encoder.", "Leave the option out."
)
INVALID_SEQUENCE_NAME = Code(
    "E368", "The path does not suit the number of files.", "Write a sequence such as `frame_%05d.png`."
)
INCOMPLETE_OUTPUT = Code(
    "E369", "The written file does not hold every frame.", "Write another container, and report the error."
)
FRAME_RATE_TOO_HIGH = Code(
    "E370", "The container shows fewer frames per second.", "Write another container, or set `decoder.every`."
)
HDR_REFUSED = Code(
    "E383", "The input is HDR video, and the decoder refuses it.", "Set `hdr: tonemap` or `hdr: keep` of the decoder."
)
UNSUPPORTED_BY_BACKEND = Code(
    "E389",
    "The back end `bmf` does not support an option of the decoder or the encoder.",
    "Leave the option out, or set `backend: pyav`.",
)
MISSING_DECODER = Code(
    "E391",
    "The FFmpeg that decodes has no decoder for the codec of the input.",
    "With `backend: bmf`, set `backend: pyav`; else convert the file.",
)
MISSING_OBJECT = Code(
    "E426", "A bucket, a folder or a file at an address does not exist.", "Correct the address or the account."
)
REFUSED_ACCESS = Code(
    "E427",
    "A store or a server refuses access: credentials are missing or wrong, or do not allow it.",
    "Set `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; never put them into an address.",
)
REMOTE_FAILURE = Code(
    "E428", "A store or a server cannot be reached, or a transfer failed.", "Check the network, or set `retries=3`."
)
MISSING_PICTURE = Code(
    "E430",
    "A number is missing between pictures with numbered names.",
    "Add the picture, or use a pattern such as `shots/*.png`, which joins what there is.",
)
UNEQUAL_PICTURES = Code(
    "E431",
    "The files that a name stands for are not pictures of one size and format.",
    "Convert them, or name a part of them.",
)
UNREADABLE_PIPE = Code(
    "E432",
    "A clip cannot be read from a pipe, or not more than once.",
    "Write it as Matroska, MPEG-TS or NUT, start its writer first, or write it to a file.",
)
UNREADABLE_URL = Code("E433", "A clip cannot be read from an address.", "Check the address and the network.")
UNUSED_RATE = Code("E434", "`rate` is set for a clip that has times of its own.", "Leave `rate` out.")
UNSUPPORTED_MEDIA = Code(
    "E390",
    "The back end `bmf` would not read or write these frames as they are: FFmpeg 4 or BMF's frames cannot.",
    "Set `backend: pyav`.",
)
FRAME_SIZE_CHANGE = Code(
    "E440",
    "The frames of a clip change their size.",
    "Set `decoder.end` to stop before, or `decoder.size_change: letterbox`.",
)
INVALID_CROP = Code(
    "E441",
    "`crop` reaches beyond the frames, or begins between two chroma samples.",
    "Keep it inside the frames; use even numbers for left and top.",
)
