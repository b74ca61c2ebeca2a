"""Check the SVG of a plan with an XML parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from bmfgraph.plan.plan import Plan
from bmfgraph.plan.views.drawing import PALETTES
from bmfgraph.plan.views.scene import draw_plan
from bmfgraph.plan.views.svg import plan_svg
from tests.compile.machines import HOPPER_TRT
from tests.compile.pipelines import COPY, DETECT, UPSCALE, MakePlan
from tests.plan.test_golden import PLANS
from tests.plan.views.pipelines import LONG

SVG = "{http://www.w3.org/2000/svg}"


def parsed(plan: Plan) -> Element:
    return ElementTree.fromstring(plan_svg(plan))


def texts(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def titles(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


@pytest.mark.parametrize("name", PLANS)
def test_packaged_plans(packaged: Callable[[str], Plan], name: str) -> None:
    plan = packaged(name)
    root, picture = parsed(plan), draw_plan(plan)
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox") == f"0 0 {picture.width} {picture.height}"
    assert (root.get("width"), root.get("height")) == (str(picture.width), str(picture.height))
    assert (root[0].tag, root[0].text) == (f"{SVG}title", picture.title)
    said = texts(root)
    for node in plan:
        assert node.name in said
        assert node.kind in said
    fused = {node.bmf_node for node in plan if node.bmf_node != node.name}
    assert said.count("one BMF node") == len(fused) == 1
    assert ("GPU" in said) == ("CPU" in said) == (len({node.device for node in plan}) == 2)
    assert len(list(root.iter(f"{SVG}path"))) == 2 * sum(len(node.inputs) for node in plan)


def test_a_page_lies_under_it_all(plan: MakePlan) -> None:
    root = parsed(plan(COPY))
    page = next(root.iter(f"{SVG}rect"))
    assert page.get("fill") == "#ffffff"
    assert float(str(page.get("width"))) == int(str(root.get("width"))) - 1


def test_it_needs_nothing_else_and_names_no_folder(plan: MakePlan) -> None:
    for machine in ({}, {"machine": HOPPER_TRT}):
        text = plan_svg(plan(UPSCALE, **machine))
        assert not re.search(r"href|url\(|<script|<style|<image|@import| id=", text)
        assert "/tmp/" not in text
        assert "system-ui" in text


def test_everything_is_titled(plan: MakePlan) -> None:
    made = plan(DETECT)
    said = titles(parsed(made))
    assert len(said) == 1 + len(made.nodes) + sum(len(node.inputs) for node in made)
    assert "source.audio to sink: audio aac 48000 Hz 1 ch" in said
    net = next(title for title in said if title.startswith("net: "))
    assert net == (
        "net: inference on the CPU; takes prepare.out (float32 1x3x48x64); find; ONNX Runtime · fp32; "
        "detector.onnx; input 1x3x48x64"
    )


def test_devices_have_their_colours(plan: MakePlan) -> None:
    made = plan(UPSCALE, machine=HOPPER_TRT)
    fills = [rect.get("fill") for rect in parsed(made).iter(f"{SVG}rect")]
    for device, tint in PALETTES.items():
        # One more is the legend's.
        assert fills.count(tint.fill) == 1 + sum(node.device == device for node in made)


def test_names_that_xml_would_mind(plan: MakePlan, clip: Callable[..., object]) -> None:
    clip("a-film-of-our-holidays-with-a-rather-long-name.mp4", audio="aac")
    said = texts(parsed(plan(LONG)))
    assert 'a<b>&"c" é [red].mp4' in said
    assert "a-film-of-our-h…-long-name.mp4" in said
    odd = plan(LONG.replace("[red]", "\\x01\\uFFFE"))
    assert 'a<b>&"c" é \ufffd\ufffd.mp4' in texts(parsed(odd))


def test_equal_plans_give_equal_files(plan: MakePlan) -> None:
    assert plan_svg(plan(DETECT)) == plan_svg(plan(DETECT))
