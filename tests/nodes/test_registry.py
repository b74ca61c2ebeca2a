"""Node kinds from entry points, with real packages: a good pack, a broken one, and two of the same name."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmfgraph.config.pipeline import parse_pipeline
from bmfgraph.nodes.base import NodeSpec
from bmfgraph.nodes.registry import GROUP, RegistryError, kinds, spec_class

OWN = [
    *("decoder", "detections", "encoder", "frames", "inference", "map", "nvdec", "overlay", "preprocess"),
    *("records", "redact", "resize", "segment", "window"),
]


def make_pack(folder: Path, distribution: str, entries: dict[str, str]) -> Path:
    """Lay a distribution's metadata into a folder, as pip would."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def with_pack(nodepack: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The node pack importable in this process."""
    spec_class.cache_clear()
    monkeypatch.syspath_prepend(str(nodepack))
    yield monkeypatch
    spec_class.cache_clear()


def test_our_own_kinds_are_there_and_name_themselves() -> None:
    assert [kind for kind in kinds() if kind in OWN] == OWN
    for kind in OWN:
        found = spec_class(kind)
        assert issubclass(found, NodeSpec)
        assert found.model_fields["kind"].annotation.__args__ == (kind,)  # type: ignore[union-attr]
        assert found.__doc__


def test_every_stage_named_exists(video_frame: object) -> None:
    from bmfgraph.stages.base import Stage

    for kind in OWN:
        stage = spec_class(kind).stage
        # An encoder's is chosen by its options.
        if isinstance(stage, str) and stage:
            module, _, name = stage.partition(":")
            assert issubclass(getattr(importlib.import_module(module), name), Stage), kind


def test_an_installed_pack_adds_its_kind(with_pack: object) -> None:
    assert "invert" in kinds()
    spec = spec_class("invert").model_validate({"kind": "invert", "inputs": ["a"], "amount": 0.5})
    assert spec.stage == "nodepack_stage:Invert"


def test_a_broken_kind_harms_only_those_who_ask_for_it(with_pack: object) -> None:
    assert "broken" in kinds()
    assert spec_class("decoder").__name__ == "DecoderSpec"
    with pytest.raises(RegistryError) as caught:
        spec_class("broken")
    assert str(caught.value) == (
        "kind 'broken' cannot be loaded from nodepack_broken:BrokenSpec of package bmfgraph-nodepack "
        "(ModuleNotFoundError: No module named 'a_library_that_is_not_installed')"
    )
    assert caught.value.hint == "repair or uninstall that package; other kinds work without it"


def test_an_entry_that_is_no_node_is_refused(with_pack: object) -> None:
    with pytest.raises(RegistryError) as caught:
        spec_class("no_node")
    assert str(caught.value) == ("kind 'no_node': nodepack:Strength is not a subclass of bmfgraph.nodes.base.NodeSpec")
    assert caught.value.hint == "correct the entry point of its package"


def test_a_kind_defined_by_two_packages_names_both(with_pack: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_pack.syspath_prepend(str(make_pack(tmp_path, "other-pack", {"invert": "other:InvertSpec"})))
    with pytest.raises(RegistryError) as caught:
        spec_class("invert")
    text = str(caught.value)
    assert text.startswith("kind 'invert' is defined twice, by ")
    assert "bmfgraph-nodepack (nodepack:InvertSpec)" in text
    assert "other-pack (other:InvertSpec)" in text
    assert caught.value.hint == "uninstall one of them"


def test_the_same_entry_seen_twice_is_one_kind(with_pack: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_pack.syspath_prepend(str(make_pack(tmp_path, "copy-of-it", {"invert": "nodepack:InvertSpec"})))
    assert spec_class("invert").__name__ == "InvertSpec"


def test_an_unknown_kind_lists_those_there_are() -> None:
    with pytest.raises(RegistryError) as caught:
        spec_class("decodr")
    assert str(caught.value).startswith("unknown kind 'decodr' (did you mean 'decoder'?); kinds: ")
    assert all(kind in str(caught.value) for kind in OWN)


def test_the_kinds_of_a_pack_are_checked_like_ours(with_pack: object) -> None:
    from bmfgraph.errors import SpecError

    data = {"name": "x", "nodes": {"flip": {"kind": "invert", "inputs": ["a", "b"], "amout": 1}}}
    with pytest.raises(SpecError) as caught:
        parse_pipeline(data)
    assert [str(problem) for problem in caught.value.problems] == [
        "pipeline.nodes.flip.amout: unknown key (did you mean 'amount'?); allowed: amount, inputs, kind",
        "pipeline.nodes.flip.inputs: kind 'invert' takes 1 input(s), not 2",
    ]


PIPELINE = """\
# @package _global_
pipeline:
  name: negative
  nodes:
    source: {kind: decoder, use: "${decoder}", path: "${input}"}
    flip: {kind: invert, inputs: [source.video], amount: 0.5}
    sink: {kind: encoder, inputs: [flip, source.audio], use: "${encoder}", path: "${output}"}
"""

COMPILE = """\
import sys
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from bmfgraph.compile import compile_pipeline
from bmfgraph.config.compose import plain
from bmfgraph.config.pipeline import parse_pipeline

with initialize_config_module("bmfgraph.conf", version_base="1.3"):
    config = compose("config", overrides=[f"hydra.searchpath=[file://{sys.argv[1]}]", *sys.argv[2:]])
plan = compile_pipeline(parse_pipeline(plain(config)["pipeline"]))
print(*(f"{node.name}:{node.kind}:{node.bmf_node}" for node in plan))
assert "nodepack_stage" not in sys.modules, "compiling imported the stage"
"""


def test_a_users_folder_and_pack_compile_to_a_plan(nodepack: Path, tmp_path: Path, clip: object) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "negative.yaml").write_text(PIPELINE)
    video = clip("in.mp4")  # type: ignore[operator]
    environment = {**os.environ, "PYTHONPATH": str(nodepack)}
    arguments = ["pipeline=negative", f"input={video}", f"output={tmp_path / 'out.mp4'}"]

    shown = subprocess.run(
        [sys.executable, "-m", "bmfgraph", "--config-dir", str(tmp_path), "--cfg", "job", *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kind: invert" in shown.stdout

    compiled = subprocess.run(
        [sys.executable, "-c", COMPILE, str(tmp_path), *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert compiled.stdout.split() == [
        "source:decoder:source",
        "source-rgb24:convert:source-rgb24",
        "flip:invert:flip",
        "flip-yuv420p:convert:flip-yuv420p",
        "sink:encoder:sink",
    ]


def test_our_entry_points_are_those_of_the_installed_package() -> None:
    points = importlib.metadata.entry_points(group=GROUP)
    assert sorted(point.name for point in points if point.value.startswith("bmfgraph.")) == OWN


def test_a_class_is_registered_from_python() -> None:
    from typing import Literal

    from bmfgraph.nodes import registry

    class TwiceSpec(NodeSpec):
        """Nothing twice."""

        kind: Literal["twice"] = "twice"

    class OtherSpec(NodeSpec):
        kind: Literal["twice"] = "twice"

    class Own(NodeSpec):
        kind: Literal["decoder"] = "decoder"

    try:
        assert registry.register(registry.register(TwiceSpec)) is TwiceSpec
        assert "twice" in kinds()
        assert spec_class("twice") is TwiceSpec
        again = type("TwiceSpec", (TwiceSpec,), {"__qualname__": TwiceSpec.__qualname__, "__module__": __name__})
        registry.register(again)
        assert spec_class("twice") is again
        for cls in (OtherSpec, Own):
            with pytest.raises(RegistryError, match="is defined twice, the second time by ") as caught:
                registry.register(cls)
            assert caught.value.code == "E212"
        with pytest.raises(RegistryError, match="NodeSpec has no kind of its own"):
            registry.register(NodeSpec)
    finally:
        registry._REGISTERED.pop("twice", None)
        spec_class.cache_clear()


def test_kinds_have_names_in_python() -> None:
    from bmfgraph import nodes, stages
    from bmfgraph.stages.base import Stage

    decoder = nodes.Decoder(path="x.mp4")
    assert (decoder.kind, type(decoder)) == ("decoder", spec_class("decoder"))
    classes = {name: getattr(nodes, name) for name in nodes.__all__}
    own = {cls.model_fields["kind"].default for name, cls in classes.items() if name in nodes._LAZY}
    assert sorted(own) == OWN
    assert (stages.Stage, stages.new_frame.__name__) == (Stage, "new_frame")
    with pytest.raises(AttributeError, match="has no attribute 'Encodr'"):
        _ = nodes.Encodr
