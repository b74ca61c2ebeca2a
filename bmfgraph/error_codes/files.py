"""Explain the codes of files: inputs, outputs and sources."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "CHECKSUM_MISMATCH",
    "DISK_FULL",
    "DOWNSCALE_FAILURE",
    "EMPTY_TIME_RANGE",
    "FETCH_FAILURE",
    "FILE_EXPECTED",
    "FILE_NOT_FOUND",
    "MALFORMED_SOURCE",
    "MISSING_CHECKSUM",
    "MISSING_PACKAGE_FILE",
    "NO_VIDEO_STREAM",
    "PLAYLIST_INPUT",
    "STREAM_NOT_FOUND",
    "TRUNCATED_FILE",
    "UNDECODABLE_VIDEO",
    "UNREADABLE_FILE",
    "UNREADABLE_VIDEO",
    "UNSUPPORTED_GPU_DECODING",
    "UNUSABLE_CACHE_FOLDER",
    "UNWRITABLE_OUTPUT",
    "URL_INPUT",
]

FILE_NOT_FOUND = Code("E401", "A file does not exist.", "Correct the path; relative paths begin in the current folder.")
FILE_EXPECTED = Code("E402", "The path leads to a folder, a pipe or a device.", "Name a file.")
UNREADABLE_FILE = Code("E403", "A file cannot be read.", "Check its permissions.")
UNREADABLE_VIDEO = Code("E404", "FFmpeg cannot read a file as video.", "Try to play it; it may be truncated or empty.")
NO_VIDEO_STREAM = Code("E405", "A file has no video stream.", "Name a file with video.")
STREAM_NOT_FOUND = Code("E406", "A file has no stream of this number.", "Use a lower number; the first is 0.")
TRUNCATED_FILE = Code("E407", "A file is truncated.", "Copy it again, or set `decoder.allow_truncated`.")
UNDECODABLE_VIDEO = Code("E408", "No frame of a video stream can be decoded.", "Try to play the file.")
URL_INPUT = Code("E409", "The input is a URL.", "Download it first.")
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
