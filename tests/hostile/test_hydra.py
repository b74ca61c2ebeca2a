"""Settings and flags of Hydra's that would run code of a configuration, or write files where it says."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import bmfgraph as bg
from bmfgraph.config.compose import composed, expanded
from bmfgraph.errors import ConfigError
from tests.codes.command import run_cli
from tests.tools import make_clip

NODES = """\
pipeline:
  name: p
  nodes:
    source: {kind: decoder, path: "${input}"}
    sink: {kind: encoder, inputs: [source.video], path: "${output}", preset: ultrafast}
"""
GLOBAL = f"# @package _global_\n{NODES}"
CALL = "{_target_: call.Call}"
WORDS = "--config-dir conf pipeline=p input=clip.mp4 output=out.mp4 progress=false"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip, an empty folder of configuration, and a module that leaves a file behind when it is imported."""
    make_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "conf" / "pipeline").mkdir(parents=True)
    (tmp_path / "call.py").write_text("open('CALLED', 'w')\nclass Call: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, name: str, content: str) -> None:
    path = folder / "conf" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def refused(folder: Path, words: str) -> tuple[str, str]:
    """Check that a command is refused and nothing was called; return the place and the message."""
    outcome = run_cli(words, folder, as_json=False)
    text = outcome.err.removeprefix("bmfgraph: error[E119]: ")
    assert (outcome.code, text != outcome.err) == (2, True), outcome
    assert not (folder / "CALLED").exists()
    assert not (folder / "out.mp4").exists()
    where, _, message = text.partition(": ")
    return where, message


SETTINGS = {
    "callbacks": f"hydra: {{callbacks: {{x: {CALL}}}}}\n",
    "job_logging": "hydra: {job_logging: {version: 1, handlers: {h: {(): call.Call}}, root: {handlers: [h]}}}\n",
    "run": "hydra: {run: {dir: elsewhere}}\n",
    "sweep": "hydra: {sweep: {dir: elsewhere}}\n",
    "output_subdir": "hydra: {output_subdir: elsewhere}\n",
    "job": "hydra: {job: {chdir: true, env_set: {PATH: .}}}\n",
    "searchpath": "hydra: {searchpath: ['file:///tmp']}\n",
    "mode": "hydra: {mode: MULTIRUN}\n",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("verb", ["run", "check", "plan", "build"])
def test_a_file_sets_nothing_of_hydras(folder: Path, setting: str, verb: str) -> None:
    put(folder, "pipeline/p", GLOBAL + SETTINGS[setting])
    where, message = refused(folder, f"{verb} {WORDS}")
    assert where == f"hydra.{setting}"
    assert message.startswith(f"{folder}/conf/pipeline/p.yaml sets hydra.{setting}, and only hydra/launcher, ")


@pytest.mark.parametrize(
    "files",
    [
        {"pipeline/p": f"# @package hydra\ncallbacks: {{x: {CALL}}}\n"},
        {"pipeline/p": f"# @package _global_.hydra.callbacks\nx: {CALL}\n"},
        {"pipeline/p": f"# @package a._global_.hydra\ncallbacks: {{x: {CALL}}}\n"},
        {"pipeline/p": f"# @package _global_\nhydra: ${{more}}\nmore: {{callbacks: {{x: {CALL}}}}}\n{NODES}"},
        {"pipeline/p": f"# @package _global_\ndefaults: [override /hydra/job_logging: default]\n{NODES}"},
        {
            "pipeline/p": f"# @package _global_\ndefaults: [/more@_global_.hydra.callbacks: x, _self_]\n{NODES}",
            "more/x": f"x: {CALL}\n",
        },
        {
            "pipeline/p": f"# @package _global_\ndefaults: [/more/x@hydra.callbacks, _self_]\n{NODES}",
            "more/x": f"x: {CALL}\n",
        },
        {
            "pipeline/p": f"# @package _global_\ndefaults: [/hydra/callbacks: x, _self_]\n{NODES}",
            "hydra/callbacks/x": f"x: {CALL}\n",
        },
    ],
)
def test_no_way_leads_to_hydras_settings(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        put(folder, name, content)
    assert refused(folder, f"run {WORDS}")[0].startswith("hydra")


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.x._target_=call.Call",
        "+hydra.callbacks.x._target_=call.Call",
        "'++hydra={callbacks:{x:{_target_:call.Call}}}'",
        "+hydra/callbacks=x",
        "+engine@hydra.callbacks=fp32",
        "+engine@_global_.hydra.callbacks=fp32",
        "~hydra.job_logging",
        "hydra.run.dir=elsewhere",
        "hydra.sweep.dir=elsewhere",
        "hydra.output_subdir=elsewhere",
        "hydra.job.chdir=true",
        "hydra.searchpath=[file:///tmp]",
        "hydra.verbose=true",
    ],
)
def test_the_command_line_sets_nothing_of_hydras(folder: Path, word: str) -> None:
    put(folder, "pipeline/p", GLOBAL)
    assert refused(folder, f"run {WORDS} {word}")[0].startswith("hydra")
    assert refused(folder, f"check -m {WORDS} encoder.crf=20,30 {word}")[0].startswith("hydra")


@pytest.mark.parametrize(
    "hydra",
    [
        f"launcher: {CALL}",
        f"sweeper: {CALL}",
        "launcher: {_target_: '${more._target_}'}",
        "sweeper: {params: {hydra.callbacks.x._target_: call.Call}}",
    ],
)
def test_launchers_and_sweepers_are_those_of_plugins(folder: Path, hydra: str) -> None:
    put(folder, "pipeline/p", f"{GLOBAL}hydra:\n  {hydra}\nmore: {CALL}\n")
    assert refused(folder, f"run -m {WORDS} ++more.crf=20,30")[0].startswith("hydra")


def test_a_plugin_is_built_of_nothing_else(folder: Path) -> None:
    put(folder, "pipeline/p", GLOBAL)
    for plugin in ("launcher", "sweeper"):
        word = f"'+hydra.{plugin}.more={{_target_: call.Call}}'"
        where, message = refused(folder, f"run -m {WORDS} ++more.crf=20,30 {word}")
        assert (where, message.startswith("'call.Call' is not a class of an installed plugin")) == (
            f"hydra.{plugin}",
            True,
        )


def test_the_api_refuses_them_too(folder: Path) -> None:
    put(folder, "pipeline/p", GLOBAL + SETTINGS["callbacks"])
    content: dict[str, Any] = {"name": "p", "nodes": {}, "hydra": {"callbacks": {"x": {"_target_": "call.Call"}}}}
    calls = (
        lambda: bg.compose("p", config_dir="conf"),
        lambda: bg.load("conf/pipeline/p.yaml"),
        lambda: bg.load(content),
        lambda: bg.compose("super_resolution", "hydra.run.dir=elsewhere"),
        lambda: composed(["pipeline=p", "--config-dir", "conf"]),
        lambda: expanded(["-m", "pipeline=super_resolution,p", "--config-dir", "conf", "hydra.verbose=true"]),
    )
    for call in calls:
        with pytest.raises(ConfigError) as caught:
            call()
        assert caught.value.problems[0].code == "E119"


def test_presets_of_sweeps_still_work(folder: Path) -> None:
    put(folder, "pipeline/p", GLOBAL)
    put(
        folder,
        "sweep/mine",
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {pipeline.nodes.sink.crf: '20,30'}}}\n",
    )
    outcome = run_cli(f"check {WORDS} +sweep=mine", folder)
    assert (outcome.code, outcome.out.count('"run"')) == (0, 2)


@pytest.mark.parametrize(
    "words", ["--experimental-rerun rerun.pickle", "--experimental-rerun=rerun.pickle", "--config-name p", "-cp conf"]
)
def test_flags_that_replace_the_configuration(folder: Path, words: str) -> None:
    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, ("CALLED", "w")

    (folder / "rerun.pickle").write_bytes(pickle.dumps(Call()))
    outcome = run_cli(f"run pipeline=super_resolution input=clip.mp4 {words}", folder)
    assert (outcome.code, [problem["code"] for problem in outcome.problems]) == (2, ["E114"])
    assert not (folder / "CALLED").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--info=nope", "--info: 'nope' is not one of"),
        ("--cfg job --package nope", "package 'nope' not found in config"),
        ("--cfg job --info", "--cfg and --info exclude each other"),
        ("-m --cfg job", "--cfg and --multirun exclude each other"),
        ("--resolve", "--resolve goes with --cfg"),
        ("--package engine", "--package goes with --cfg"),
    ],
)
def test_wrong_flags_of_hydra_have_a_code(folder: Path, words: str, text: str) -> None:
    outcome = run_cli(f"run pipeline=super_resolution {words}", folder)
    assert (outcome.code, outcome.out) == (2, "")
    (problem,) = outcome.problems
    assert (problem["code"], text in problem["message"]) == ("E114", True), problem


def test_every_config_dir_counts(folder: Path) -> None:
    put(folder, "pipeline/p", GLOBAL)
    (folder / "it's, [another]").mkdir()
    words = WORDS.replace("--config-dir", '--config-dir "it\'s, [another]" --config-dir')
    assert run_cli(f"check {words}", folder).code == 0
    assert "name: p" in run_cli(f"run {words} --cfg job", folder).out


def test_a_traceback_of_what_hydra_says(folder: Path) -> None:
    for verb in ("run", "build", "check", "run -m"):
        outcome = run_cli(f"{verb} pipeline=super_resolution engine=nope debug=true", folder, as_json=False)
        assert "MissingConfigException" in outcome.err
        assert "bmfgraph: error[E103]" in outcome.err
