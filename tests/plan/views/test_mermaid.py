"""Check the Mermaid text of a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bmfgraph.plan.plan import Plan, Ref
from bmfgraph.plan.views.mermaid import plan_mermaid
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, UPSCALE, MakePlan
from tests.plan.views.pipelines import STEPS

UPSCALED = """\
flowchart LR
  n0["<b>source</b><br/>decoder · CPU"]
  n1["<b>source-upload</b><br/>upload · GPU"]
  subgraph g2["one BMF node"]
    n2["<b>prepare</b><br/>preprocess · GPU"]
    n3["<b>net</b><br/>inference · GPU"]
    n4["<b>restore</b><br/>frames · GPU"]
  end
  style g2 fill:#fafafc,stroke:#ccd2de,color:#566073
  n5["<b>restore-yuv420p</b><br/>download · GPU"]
  n6["<b>sink</b><br/>encoder · CPU"]
  n0 -->|"64x48 yuv420p"| n1
  n1 -->|"64x48 rgb24"| n2
  n2 -->|"uint8 1x3x48x64"| n3
  n3 -->|"uint8 1x3x96x128"| n4
  n4 -->|"128x96 rgb24"| n5
  n5 -->|"128x96 yuv420p"| n6
  n0 -.->|"audio aac"| n6
  classDef cpu fill:#f5f8fd,stroke:#3f66a8,color:#1b2330
  class n0,n6 cpu
  classDef cuda fill:#f1f9f1,stroke:#2f7d3b,color:#1b2330
  class n1,n2,n3,n4,n5 cuda
"""

DETECTION = """\
flowchart LR
  n0["<b>source</b><br/>decoder · CPU"]
  n1["<b>source-640x360</b><br/>convert · CPU"]
  subgraph g2["one BMF node"]
    n2["<b>prepare</b><br/>preprocess · CPU"]
    n3["<b>detect</b><br/>inference · CPU"]
    n4["<b>faces</b><br/>detections · CPU"]
  end
  style g2 fill:#fafafc,stroke:#ccd2de,color:#566073
  n5["<b>source-rgb24</b><br/>convert · CPU"]
  n6["<b>draw</b><br/>overlay · CPU"]
  n7["<b>table</b><br/>records · CPU"]
  n8["<b>draw-yuv420p</b><br/>convert · CPU"]
  n9["<b>sink</b><br/>encoder · CPU"]
  n0 -->|"1280x720 yuv420p"| n1
  n1 -->|"640x360 rgb24"| n2
  n2 -->|"float32 1x3x384x640"| n3
  n3 -->|"4 tensors float32"| n4
  n0 -->|"1280x720 yuv420p"| n5
  n5 -->|"1280x720 rgb24"| n6
  n4 -->|"face boxes"| n6
  n4 -->|"face boxes"| n7
  n6 -->|"1280x720 rgb24"| n8
  n8 -->|"1280x720 yuv420p"| n9
  n0 -.->|"audio aac"| n9
  classDef cpu fill:#f5f8fd,stroke:#3f66a8,color:#1b2330
  class n0,n1,n2,n3,n4,n5,n6,n7,n8,n9 cpu
"""


def test_on_the_gpu(plan: MakePlan) -> None:
    assert plan_mermaid(plan(UPSCALE, machine=HOPPER_TRT)) == UPSCALED


def test_face_detection(packaged: Callable[[str], Plan]) -> None:
    assert plan_mermaid(packaged("face_detection")) == DETECTION


def test_a_subgraph_for_each_shared_bmf_node(plan: MakePlan) -> None:
    lines = plan_mermaid(plan(STEPS)).splitlines()
    assert sum(line.strip().startswith("subgraph") for line in lines) == 5
    assert lines.count("  end") == 5


def test_words_that_mean_something_in_mermaid(plan: MakePlan) -> None:
    made = plan(COPY)
    source, sink = made.nodes
    name = 'end"] --> x;#35;<b>&`'
    odd = replace(
        made,
        nodes=(replace(source, name=name), replace(sink, inputs=tuple(Ref(name, ref.port) for ref in sink.inputs))),
    )
    first = plan_mermaid(odd).splitlines()[1]
    assert first == ('  n0["<b>end#34;#93; --#62; x#59;#35;35#59;#60;b#62;#38;#96;</b><br/>decoder · CPU"]')
    assert plan_mermaid(odd).splitlines()[2:] == plan_mermaid(made).splitlines()[2:]
