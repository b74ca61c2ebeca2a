"""Collect the rows of the table, and list the codes that other tests provoke."""

from __future__ import annotations

from tests.codes import rows_machine, rows_plans, rows_words

__all__ = ["ELSEWHERE", "ROWS"]

ROWS = (*rows_words.ROWS, *rows_plans.ROWS, *rows_machine.ROWS)

ELSEWHERE = {
    "E369": "only a fault of FFmpeg loses a frame: tests/runner/test_outputs_as_expected.py",
    "E370": "a clip has more than 50 frames a second: tests/runner/test_outputs_as_expected.py",
    "E425": "a server sends a file: tests/hostile/test_downloads.py",
    "E706": "PyNvVideoCodec is looked for on machines with a GPU only: tests/gpu/test_codes.py",
    "E809": "a Python program isolates a run: tests/test_api.py",
    "E811": "a process has few threads: tests/hostile/test_limits.py",
    "E813": "a script lies beside a file with the name of a library: tests/hostile/test_long_process.py",
    "E222": "it needs two clips: tests/runner/test_clips.py",
    "E223": "it needs two clips: tests/runner/test_clips.py",
    "E226": "a clip is run in parts: tests/runner/test_parts.py",
    "E819": "a clip is run in parts: tests/runner/test_parts.py",
    "E224": "it needs a manifest: tests/batches/test_entries.py",
    "E225": "it needs a journal: tests/batches/test_batch.py",
    "E711": "submitit is not installed: tests/batches/test_launchers.py",
    "E815": "two batches run: tests/batches/test_batch.py",
    "E426": "it needs a store: tests/batches/test_cloud.py",
    "E427": "it needs a store: tests/batches/test_cloud.py",
    "E428": "it needs a store: tests/batches/test_cloud.py",
    "E710": "packages are missing: tests/batches/test_cloud.py",
    "W134": "it needs a store: tests/batches/test_cloud.py",
    "E709": "Ray is missing: tests/batches/test_launchers.py",
    "E817": "it needs a cluster: tests/batches/test_ray.py",
    "E818": "it needs a cluster: tests/batches/test_ray.py",
    "E816": "a process ends several times: tests/batches/test_batch.py",
    "E707": "a node pack needs a package: tests/nodes/test_nodepack.py",
    "E806": "a process of a sweep is killed: tests/sweep/test_sweeps.py",
    "E807": "a process of a sweep takes too long: tests/sweep/test_sweeps.py",
    "W133": "only a GPU records work: tests/gpu/test_recording.py",
    "W127": "a clip holds its last frame: tests/runner/test_outputs_as_expected.py",
    "E814": "BMF passes on every frame: tests/runner/test_completeness.py",
    "W111": "only the first frames of a run show it: tests/nodes/test_wrong_declarations.py",
    "W112": "only the first frames of a run show it: tests/nodes/test_wrong_declarations.py",
    "W113": "only the first frames of a run show it: tests/nodes/test_wrong_declarations.py",
    "W114": "only the first frames of a run show it: tests/nodes/test_wrong_declarations.py",
    "W115": "only the first frames of a run show it: tests/nodes/test_wrong_declarations.py",
    "W116": "only a whole run shows it: tests/nodes/test_wrong_declarations.py",
}
"""Code -> the reason why no row provokes it, and the test that does."""
