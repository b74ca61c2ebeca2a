"""Check the page of a sweep as the parser of a browser reads it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest

from bmfgraph.sweep.metrics import METRICS, median
from bmfgraph.sweep.report.page import report_page
from bmfgraph.sweep.report.scatter import lay_out
from bmfgraph.sweep.report.text import variant
from tests.sweep import reports
from tests.sweep.reports import cell, error, report
from tests.sweep.tree import Node, parsed

MAKERS = [reports.super_resolution, reports.detectors, reports.without_quality, reports.failures, reports.equals]


def fifty() -> dict[str, Any]:
    """The largest sweep that the page is made for."""
    made = reports.super_resolution()
    model = made["cells"][5]
    cells = []
    for number in range(50):
        copy = model | {"id": f"c{number:02d}", "varied": {"engine": "fp16", "engine.batch": str(number)}}
        metrics = {
            name: {part: parts[part] * (1 + (number * 7 % 50) / 25) for part in ("median", "min", "max")}
            for name, parts in model["metrics"].items()
        }
        cells.append(copy | {"metrics": metrics})
    return made | {"cells": cells}


@pytest.mark.parametrize("maker", [*MAKERS, fifty, report])
def test_it_is_one_file_that_loads_nothing(maker: Any) -> None:
    text = report_page(maker())
    assert len(text.encode()) < 300_000
    assert text.startswith("<!doctype html>\n")
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<(img|iframe|object|embed|base|form)\b", text)
    root = parsed(text)
    assert [node.attributes["href"] for node in root.all() if "href" in node.attributes] == ["data:,"]
    assert not [node for node in root.all() if "src" in node.attributes or "style" in node.attributes]
    assert not [key for node in root.all() for key in node.attributes if key.startswith("on")]


def test_its_policy_allows_its_own_style_and_script_alone() -> None:
    root = parsed(report_page(reports.detectors()))
    (policy,) = (node.attributes["content"] for node in root.all("meta") if "http-equiv" in node.attributes)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for name in ("style", "script"):
        (element,) = root.all(name)
        digest = base64.b64encode(hashlib.sha256(element.text().encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("maker", [*MAKERS, fifty])
def test_every_cell_appears(maker: Any) -> None:
    made = maker()
    root = parsed(report_page(made))
    rows = {row.attributes["data-id"]: row for row in root.all("tr") if "data-id" in row.attributes}
    assert set(rows) == {one["id"] for one in made["cells"]}
    for one in made["cells"]:
        row = rows[one["id"]]
        assert variant(one) in row.all("th")[0].text()
        assert [button.attributes["data-copy"] for button in row.all("button")] == [one["command"]]
        if one["status"] == "ok":
            for name in one["metrics"]:
                value = median(one, name)
                assert value is not None
                assert METRICS[name].text(value) in row.text()
        else:
            assert one["status"] in row.text()
            for each in one["errors"]:
                assert all(each[part] in row.text() for part in ("code", "where", "message", "hint"))


def test_the_verdict() -> None:
    made = reports.super_resolution()
    (section,) = parsed(report_page(made)).all("section", class_="verdict")
    text = section.text()
    assert section.all("h2")[0].text() == "Ship fp16 · batch 4"
    for words in (
        "181.7 fps",
        "3.0×",
        "51.37 dB",
        "6.37 dB to spare",
        "−31 %",
        "against fp32 · batch 1, the reference",
    ):
        assert words in text
    assert (
        section.all("code")[0].text() == section.all("button")[0].attributes["data-copy"] == made["cells"][6]["command"]
    )
    (equal,) = parsed(report_page(reports.equals())).all("section", class_="verdict")
    assert equal.all("h2")[0].text() == "Ship any of 2 that are as good: fp32 · batch 1, fp32 · batch 2"
    assert [code.text() for code in equal.all("code")] == [
        "python -m bmfgraph engine=fp32",
        reports.equals()["cells"][0]["command"],
    ]
    assert "leaves out what was for measuring only: decoder.end=1 progress=false." in equal.text()
    (none,) = parsed(report_page(reports.failures())).all("section", class_="none")
    assert none.all("h2")[0].text() == "No variant ran"
    assert not none.all("button")


def drawings(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


@pytest.mark.parametrize(("maker", "best"), [(reports.super_resolution, 4), (reports.detectors, 5)])
def test_the_plot(maker: Any, best: int) -> None:
    made = maker()
    wide, narrow = (one for one in drawings(report_page(made)) if "plot" in one.get("class", "").split())
    for drawing, size in ((wide, (1100, 440)), (narrow, (350, 360))):
        plot = lay_out(made, *size)
        assert plot
        assert drawing.get("viewBox") == f"0 0 {size[0]} {size[1]}"
        dots = {one.get("data-id"): one for one in drawing.iter("g")}
        assert set(dots) == {dot.id for dot in plot.dots}
        assert sum("front" in one.get("class", "").split() for one in dots.values()) == best
        for dot in plot.dots:
            assert dots[dot.id].findtext("title") == dot.title
            for circle in dots[dot.id].iter("circle"):
                at = float(circle.get("cx", "nan")), float(circle.get("cy", "nan"))
                assert at == pytest.approx((dot.x, dot.y), abs=0.01)
        (steps,) = (one.get("d", "") for one in drawing.iter("path") if one.get("class") == "steps")
        assert len(steps.split("L")) == len(plot.front) == 1 + 2 * best
        said = [one.text for one in drawing.iter("text")]
        for label in plot.labels:
            assert label.text in said
        assert len(plot.limits) == sum(one.get("class") == "limit" for one in drawing.iter("line")) == 1


def bars(root: Node, label: str) -> list[Node]:
    (found,) = (one for one in root.all("ol") if one.attributes["aria-label"] == label)
    return found.all("li")


def share(piece: Node, key: str) -> float:
    return float(piece.attributes[key].removesuffix("%"))


def test_without_quality_there_are_bars_of_speed() -> None:
    root = parsed(report_page(reports.without_quality()))
    assert not root.all("svg", class_="plot")
    rows = bars(root, "steady speed")
    assert [row.all("span", class_="name")[0].text() for row in rows] == ["nvdec", "decoder auto"]
    assert [share(row.all("rect")[0], "width") for row in rows] == [100, pytest.approx(100 * 41 / 63.9, abs=0.01)]
    assert [row.attributes.get("class") for row in rows] == ["won", None]


def test_nodes_in_a_row() -> None:
    made = reports.super_resolution()
    rows = bars(parsed(report_page(made)), "time of each node")
    assert len(rows) == 10
    cells = {variant(one): one for one in made["cells"]}
    ends = []
    for row in rows:
        nodes = cells[row.all("span", class_="name")[0].text()]["nodes"]
        pieces = row.all("rect")
        assert [piece.all("title")[0].text() for piece in pieces] == [
            f"{one['name']} {one['frame_ms']:.2f} ms" for one in nodes
        ]
        assert [piece.attributes["class"] for piece in pieces] == ["n0", "n1", "n2", "n3", "n4"]
        at = 0.0
        for piece in pieces:
            assert share(piece, "x") == pytest.approx(at, abs=0.03)
            at += share(piece, "width")
        ends.append(at)
        slowest = max(nodes, key=lambda one: one["frame_ms"])
        assert row.all("span", class_="number")[0].text() == f"{slowest['name']} {slowest['frame_ms']:.1f} ms"
    assert max(ends) == pytest.approx(100, abs=0.03)


def test_of_many_nodes_the_quickest_share_a_colour() -> None:
    root = parsed(report_page(reports.detectors()))
    legend = [one.text() for one in root.all("ul", class_="legend")[0].all("li")]
    assert legend == ["find", "faces", "draw", "upload", "download", "boxes", "sink", "other nodes"]
    row = bars(root, "time of each node")[0]
    assert Counter(piece.attributes["class"] for piece in row.all("rect")) == {
        **dict.fromkeys([f"n{number}" for number in range(7)], 1),
        "n7": 3,
    }


def test_latencies_lie_over_each_other() -> None:
    row = bars(parsed(report_page(reports.detectors())), "latency p50, p95, p99")[0]
    assert [piece.attributes["class"] for piece in row.all("rect")] == ["p99", "p95", "p50"]
    widths = [share(piece, "width") for piece in row.all("rect")]
    assert widths == sorted(widths, reverse=True)
    assert row.text().endswith("10.7 / 14.5 / 18.2 ms")


def test_how_it_was_measured() -> None:
    made = reports.super_resolution()
    text = parsed(report_page(made)).text()
    assert "Every variant ran 3 times after a run to warm up, which does not count." in text
    assert "Every variant ran once." in parsed(report_page(made | {"repeats": 1, "warmup": False})).text()
    assert "engine.batch=1,2,4,8" in text
    assert "tensorrt 10.16.0" in text
    assert "upscale: TensorRT 10.16 on NVIDIA H100 80GB HBM3 (10 variants)" in text
    assert "steady_fps where psnr_y>=45" in text
    for name in made["cells"][1]["metrics"]:
        assert METRICS[name].meaning in text


def test_the_sweep_can_be_pasted_into_a_shell() -> None:
    made = report(command=["python", "-m", "bmfgraph", "sweep.objective='fps where ssim>1'"])
    (button,) = parsed(report_page(made)).all("button")
    assert button.attributes["data-copy"] == "python -m bmfgraph 'sweep.objective='\"'\"'fps where ssim>1'\"'\"''"


HOSTILE = "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\0\x1b\ud800"


@pytest.mark.parametrize("status", ["ok", "crashed"])
def test_words_are_no_markup(status: str) -> None:
    harmless = {"script", "style", "title"}
    bad = cell(HOSTILE, {HOSTILE: HOSTILE}, status, fps=3.0, psnr_y=40.0, latency_p50_ms=3.0)
    bad["errors"] = [error(HOSTILE, HOSTILE, HOSTILE, HOSTILE)] * 2
    bad["nodes"] = [{"name": HOSTILE, "kind": "k", "device": "cpu", "frame_ms": 3.0}]
    bad["runs_on"] = {HOSTILE: HOSTILE}
    bad["command"] = HOSTILE
    names = ("pipeline", "reference", "created", "bmfgraph")
    made = report(bad, cell("b", {"x": "1"}, fps=3.0, psnr_y=40.0), **dict.fromkeys(names, HOSTILE))
    made["machine"] = {"platform": HOSTILE, "gpu": HOSTILE, "cores": 1, "packages": {HOSTILE: HOSTILE}}
    made["command"] = [HOSTILE]
    text = report_page(made)
    text.encode()
    root = parsed(text)
    assert not root.all("img")
    assert {name: len(root.all(name)) for name in harmless - {"title"}} == {"script": 1, "style": 1}
    said = HOSTILE.replace("\0", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert said in root.all("h1")[0].text()
    assert said in [button.attributes["data-copy"] for button in root.all("button", class_="copy")]
    assert all(drawings(text))


@pytest.mark.parametrize("maker", MAKERS)
def test_it_can_be_read_without_eyes_and_used_without_a_mouse(maker: Any) -> None:
    root = parsed(report_page(maker()))
    assert root.all("html")[0].attributes["lang"] == "en"
    assert len(root.all("h1")) == len(root.all("main")) == 1
    names = {node.attributes["id"] for node in root.all() if "id" in node.attributes}
    assert len(names) == sum("id" in node.attributes for node in root.all())
    for section in root.all("section"):
        assert section.attributes["aria-labelledby"] in names
    for label in root.all("label"):
        assert label.attributes["for"] in names
    for drawing in root.all("svg"):
        assert drawing.attributes.get("aria-label") or drawing.attributes.get("aria-hidden") == "true"
    for button in root.all("button"):
        assert button.attributes["type"] == "button"
        assert button.text()
    for head in root.all("thead")[0].all("th"):
        assert head.text()
        assert head.attributes["scope"] == "col"
    for row in root.all("tbody")[0].all("tr"):
        assert len(row.all("th", scope="row")) == 1
    (region,) = root.all("div", role="region")
    assert region.attributes["tabindex"] == "0"


def test_light_dark_and_small() -> None:
    (style,) = parsed(report_page(report())).all("style")
    light, dark = (
        set(re.findall(r"(--[a-z0-9-]+):", block)) for block in re.findall(r":root \{(.*?)\}", style.text(), re.DOTALL)
    )
    assert light - dark == {"--sans"}
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", style.text())) == light
    assert "(prefers-color-scheme: dark)" in style.text()
    assert "(max-width: 640px)" in style.text()


def test_every_class_has_a_style() -> None:
    text = "".join(report_page(maker()) for maker in MAKERS)
    style = parsed(report_page(report())).all("style")[0].text()
    used = {word for words in re.findall(r'class="([^"]*)"', text) for word in words.split()}
    plain = {"as-good", "kept", "reference", "same", "skipped"}
    assert {word for word in used if not re.search(rf"\.{re.escape(word)}\b", style)} == plain
    assert set(re.findall(r"\.([a-z][a-z0-9-]*)", style)) <= used


def test_colours_can_be_read() -> None:
    """Text has the contrast of 4.5 that WCAG asks for, in light and dark."""
    (style,) = parsed(report_page(report())).all("style")
    for block in re.findall(r":root \{(.*?)\}", style.text(), re.DOTALL):
        colors = dict(re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6})", block))
        texts = [("ink", "page"), ("soft", "page"), ("soft", "faint"), ("bad", "bad-soft"), ("warn", "warn-soft")]
        texts += [(name, "card") for name in ("ink", "soft", "accent", "warn", "bad")]
        texts += [(name, "accent-soft") for name in ("ink", "soft", "accent")]
        for text, ground in texts:
            assert contrast(colors[f"--{text}"], colors[f"--{ground}"]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
