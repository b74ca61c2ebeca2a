"""Test that memory does not grow with the length of a clip, even with a slow stage."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from bmfgraph.nodes.base import NodeSpec
from bmfgraph.plan.plan import Inferred, InputType, PlanNode, Requirement
from bmfgraph.plan.types import FrameSpec, Port, PortType
from bmfgraph.stages.base import Stage
from tests.runner.media_tools import as_yuv, decoder, encoder, run, write

FRAMES = 2000


def memory() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


class SlowSpec(NodeSpec):
    """Passes frames on after some milliseconds."""

    kind: Literal["slow"] = "slow"
    stage: ClassVar[str] = "tests.runner.test_memory:Slow"

    def accepts(self, index: int) -> InputType:
        return InputType(FrameSpec, "rgb24")

    def infer(self, node: PlanNode, inputs: tuple[PortType, ...], requirement: Requirement | None) -> Inferred:
        return Inferred((Port("out", inputs[0]),))


class Slow(Stage):
    """Measures memory at every hundredth frame."""

    used: ClassVar[dict[int, int]] = {}

    def open(self) -> None:
        Slow.used.clear()
        self.count = 0

    def process(self, *items: Any) -> Iterable[Any]:
        time.sleep(0.003)
        self.count += 1
        if self.count % 100 == 0:
            Slow.used[self.count] = memory()
        return items


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 2,000 frames of 720p at little cost."""
    pictures = []
    for index in range(20):
        picture = np.full((720, 1280, 3), (40, 90, 140), np.uint8)
        picture[300:420, index * 50 : index * 50 + 120] = (250, 220, 40)
        pictures.append(as_yuv(picture, "yuv420p", "bt709", False))
    clip = [pictures[index % 20] for index in range(FRAMES)]
    return write(tmp_path_factory.mktemp("long") / "long.mp4", clip, options={"tune": "fastdecode", "crf": "30"})


@pytest.mark.wide
def test_memory_is_flat_behind_a_slow_stage(long_clip: Path) -> None:
    frame_size = 1280 * 720 * 3
    # The libraries are loaded with the first run.
    sink = {"kind": "encoder", "inputs": ["source.video"], "container": "null"}
    run({"source": decoder(long_clip, end=0.2), "sink": sink})
    peak = Peak()
    with peak:
        before = memory()
        outcome = run(
            {
                "source": decoder(long_clip),
                "slow": SlowSpec(inputs=("source.video",)),
                "sink": {"kind": "encoder", "inputs": ["slow"], "container": "null"},
            }
        )
    assert outcome.frames == FRAMES
    assert Slow.used[FRAMES] < 1.1 * Slow.used[200]
    # The limit covers all queues and the decoder's own frames.
    assert peak.most - before < 80 * frame_size + 150e6
    deepest = {name: max(timings.queued, default=0) for name, timings in outcome.timings.items()}
    # Three calls wait, each with up to a dozen frames of the decoder's threads.
    assert max(deepest.values()) <= 40, deepest


class Peak:
    """Measure the peak memory of the process within the context."""

    def __enter__(self) -> Peak:
        self.most = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, memory())


@pytest.mark.wide
def test_frames_of_the_other_encoder_are_freed(long_clip: Path, tmp_path: Path) -> None:
    def copied(name: str) -> int:
        source = decoder(long_clip, backend="bmf", end=4)
        run({"source": source, "sink": encoder(tmp_path / name, "source.video", backend="bmf", preset="ultrafast")})
        return memory()

    before, after = copied("a.mp4"), copied("b.mp4")
    # A hundred frames have 138 MB; what else the process holds varies by some tens.
    assert after - before < 69e6
