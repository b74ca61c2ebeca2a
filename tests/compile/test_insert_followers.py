"""Test the nodes that belong behind the outputs of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bmfgraph.plan.plan import Ref
from tests.compile.pipelines import MakePlan, names

_HDR = {"preset": "ultrafast", "x264-params": "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"}
_TEXT = """
source: {kind: decoder, path: "@hdr.mkv", hdr: tonemap}
small: {kind: resize, inputs: source, scale: 0.5}
sink: {kind: encoder, inputs: [source.video, source.audio], path: "@a.mkv"}
sink2: {kind: encoder, inputs: small, path: "@b.mkv"}
"""


def test_all_consumers_of_the_frames_get_ordinary_video(plan: MakePlan, clip: Callable[..., Path]) -> None:
    clip("hdr.mkv", pix_fmt="yuv420p10le", options=_HDR, audio="aac")
    compiled = plan(_TEXT)
    assert names(compiled)[:3] == ["source", "source-rgb48le", "source-tonemap"]
    assert compiled.node("source-tonemap").inputs == (Ref("source-rgb48le", "out"),)
    assert compiled.node("small").inputs == (Ref("source-tonemap", "out"),)
    assert compiled.node("sink").inputs == (Ref("source-tonemap-yuv420p", "out"), Ref("source", "audio"))
    assert str(compiled.type_of(Ref("source", "video"))) == "frames 64x48 yuv420p10le bt2020/limited/PQ 25 fps on cpu"
    assert str(compiled.type_of(Ref("source-tonemap"))) == "frames 64x48 rgb24 bt709/limited 25 fps on cpu"


def test_a_name_gives_way_to_a_node_of_the_user(plan: MakePlan, clip: Callable[..., Path]) -> None:
    clip("hdr.mkv", pix_fmt="yuv420p10le", options=_HDR, audio="aac")
    compiled = plan(_TEXT.replace("small", "source-tonemap"))
    assert compiled.node("source-tonemap").kind == "resize"
    assert compiled.node("source-tonemap-").kind == "tonemap"


def test_ordinary_video_has_none(plan: MakePlan) -> None:
    compiled = plan(_TEXT.replace("hdr.mkv", "clip.mp4"))
    assert "tonemap" not in {node.kind for node in compiled}
