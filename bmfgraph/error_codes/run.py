"""Explain the codes of failures during a run."""

from __future__ import annotations

from bmfgraph.error_codes.code import Code

__all__ = [
    "CELL_CRASH",
    "CELL_TIMEOUT",
    "CLIP_CRASHES",
    "CLUSTER_FAILURE",
    "COMPARISON_FAILURE",
    "INTERNAL_ERROR",
    "ISOLATED_RUN_FAILURE",
    "JOIN_FAILURE",
    "JOURNAL_IN_USE",
    "LOST_FRAMES",
    "LOST_WORKER",
    "MEMORY_SHORT",
    "MISSING_FRAMES",
    "MODULE_IN_THE_WAY",
    "NODE_FAILURE",
    "RUN_CANCELLED",
    "THREADS_SHORT",
    "TIME_LIMIT",
    "UNWRITTEN_REPORT",
]

RUN_CANCELLED = Code(
    "E800", "Ctrl-C or a signal stopped the run.", "Start it again; nothing was written under the final name."
)
NODE_FAILURE = Code("E801", "A node failed during the run.", "See its frame in the message, or set `debug=true`.")
MISSING_FRAMES = Code(
    "E803", "A file gave fewer frames than it declares.", "Copy it again, or set `decoder.on_error=skip`."
)
COMPARISON_FAILURE = Code(
    "E804", "The output cannot be compared with the reference.", "Use another reference; the output itself is complete."
)
UNWRITTEN_REPORT = Code(
    "E805",
    "The report cannot be written after the run.",
    "Free some space, or write elsewhere; the output is complete.",
)
CELL_CRASH = Code("E806", "The process of a sweep's cell ended too early.", "See log.txt in the folder of the cell.")
CELL_TIMEOUT = Code("E807", "A sweep's cell took longer than `sweep.timeout`.", "Raise `sweep.timeout`.")
ISOLATED_RUN_FAILURE = Code("E809", "The process of an isolated run failed.", "See the cause in the message.")
MEMORY_SHORT = Code(
    "E810",
    "Memory is short: an allocation failed, or a limit is below what the run needs.",
    "Raise the limit, or use smaller frames, `engine.batch=1` and fewer threads.",
)
THREADS_SHORT = Code(
    "E811",
    "No thread can be started, or a limit is below what the run needs.",
    "Raise the limit, or set `encoder.threads=1` and `engine.threads=1`.",
)
TIME_LIMIT = Code(
    "E812", "An isolated run took longer than `isolated.seconds`.", "Raise the limit, or give it less to do."
)
MODULE_IN_THE_WAY = Code(
    "E813", "A file in the script's folder has the name of a library's module.", "Rename the file or move the script."
)
JOURNAL_IN_USE = Code(
    "E815", "Another batch uses the journal.", "Wait for its end, or name another one with `journal`."
)
CLIP_CRASHES = Code(
    "E816", "The process ended three times while a clip ran.", "Set `launcher=local`, and see what the clip is."
)
CLUSTER_FAILURE = Code(
    "E817", "The Ray cluster cannot be reached, or has no room for a worker.", "Start it, or ask for less."
)
LOST_WORKER = Code("E818", "The worker of a clip died again and again.", "See the logs of the cluster.")
INTERNAL_ERROR = Code("E899", "An unexpected error occurred in bmfgraph.", "Report it with the output of `debug=true`.")
JOIN_FAILURE = Code("E819", "The parts of a clip do not fit together.", "Leave `segments` out.")
LOST_FRAMES = Code("E814", "A node took fewer frames than the node before it gave.", "Run it again, and report it.")
