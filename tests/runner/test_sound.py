"""Test audio that is read beside a decoder without audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bmfgraph.compile.split_audio import split_audio
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.plan.types import FrameSpec, Port
from bmfgraph.runner.run import run_plan
from tests.runner.media_tools import Sound, compiled, decoder, encoder, scene, sound_packets, video_times, write


def on(plan: Plan, device: str) -> Plan:
    """Return the plan with the source's frames declared on another device; they are on the CPU."""

    def moved(node: PlanNode) -> PlanNode:
        outputs = tuple(
            Port(port.name, replace(port.type, device=device)) if isinstance(port.type, FrameSpec) else port  # type: ignore[arg-type]
            for port in node.outputs
        )
        return replace(node, outputs=outputs)

    return plan.replace(*(moved(node) for node in plan if node.name == "source"))


@pytest.mark.parametrize("audio", ["copy", "aac"])
@pytest.mark.parametrize("start", [None, 0.4])
def test_the_sound_is_the_decoders(tmp_path: Path, audio: str, start: float | None) -> None:
    source = write(
        tmp_path / "in.mp4", [scene(index, 64, 48) for index in range(30)], sound=Sound(seconds=1.2), options={"g": "5"}
    )

    def plan(name: str) -> Plan:
        nodes = {
            "source": decoder(source, start=start),
            "sink": encoder(tmp_path / name, "source.video", "source.audio", audio=audio),
        }
        return compiled(nodes)

    run_plan(plan("together.mp4"))
    apart = on(split_audio(on(plan("apart.mp4"), "cuda")), "cpu")
    assert [node.name for node in apart] == ["source", "source-audio", "sink"]
    assert [port.name for port in apart.node("source").outputs] == ["video"]
    outcome = run_plan(_hosted(apart))
    assert outcome.timings["sink"].frames == len(video_times(tmp_path / "together.mp4"))
    assert video_times(tmp_path / "apart.mp4") == video_times(tmp_path / "together.mp4")
    assert sound_packets(tmp_path / "apart.mp4") == sound_packets(tmp_path / "together.mp4")


def _hosted(plan: Plan) -> Plan:
    return plan.replace(*(replace(node, bmf_node=node.name) for node in plan))


def test_sound_that_nobody_takes_is_not_read(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", [scene(index, 64, 48) for index in range(3)], sound=Sound(seconds=0.2))
    nodes = {"source": decoder(source), "sink": encoder(tmp_path / "out.mp4", "source.video")}
    assert [node.name for node in split_audio(on(compiled(nodes), "cuda"))] == ["source", "sink"]


def test_several_files_get_the_same_sound(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", [scene(index, 64, 48) for index in range(30)], sound=Sound(seconds=1.2))
    nodes = {"source": decoder(source)} | {
        name: encoder(tmp_path / f"{name}.mp4", "source.video", "source.audio", audio=audio)
        for name, audio in (("one", "copy"), ("two", "copy"), ("three", "aac"))
    }
    plan = compiled(nodes)
    assert [node.kind for node in plan] == ["decoder", "encoder", "encoder", "encoder"]
    run_plan(plan)
    assert sound_packets(tmp_path / "one.mp4") == sound_packets(tmp_path / "two.mp4") == sound_packets(source)
    assert len(sound_packets(tmp_path / "three.mp4")) >= len(sound_packets(source))
