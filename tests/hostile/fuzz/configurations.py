"""Mutate pipeline files, model files and overrides."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from bmfgraph import conf
from tests.hostile.fuzz.trial import Case
from tests.tools import double_model, make_clip

__all__ = ["case", "inputs"]

_CONF = Path(conf.__path__[0])
_WORDS = (
    "pipeline",
    "model",
    "engine",
    "decoder",
    "encoder",
    "sweep",
    "input",
    "nodes",
    "kind",
    "inputs",
    "use",
    "path",
)
_OVERRIDES = (
    "engine.batch={}",
    "encoder.crf={}",
    "decoder.start={}",
    "device={}",
    "report={}",
    "target={}",
    "model.name={}",
    "+x.y={}",
    "pipeline.nodes.prepare.size={}",
    "pipeline.nodes.{}.kind=overlay",
    "~{}",
    "{}",
    "engine.{}=1",
    "model.inputs.{}.mean=1",
    "hydra.{}=1",
)


def _values() -> tuple[Any, ...]:
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    return (
        *(None, True, -1, 0, 1e308, float("nan"), 2**63, "", "\x1b[31mred", "a" * 5000, [], {}, [[]], {"a": None}),
        *("${input}", "${oc.env:HOME}", "${oc.deprecated:input}", "${a", "${x.${y}}", "???", "\u202e txt", "\ud800"),
        *("/dev/zero", "/proc/self/mem", "../../../etc/passwd", "-rf", "a\nb", "a\0b", "%s%n", "1" * 400, deep),
        *("https://u:p@[::1/x", "wheel:x==1/../y", "package:os/x", {"_target_": "os.system"}, {1: 2}, {None: 1}),
    )


def case(random: Random, folder: Path) -> Case:
    """Return a check of a mutated pipeline file, a mutated model file or a mutated command line."""
    for source, name in zip(inputs(), ("clip.mp4", "double.onnx"), strict=True):
        (folder / name).write_bytes(source)
    words = ["check", "input=clip.mp4", "output=out.mp4", "model.file=double.onnx"]
    kind = random.choice(("pipeline", "model", "text", "override", "override", "bomb"))
    own = folder / "my"
    if kind == "override":
        for _ in range(random.randint(1, 3)):
            value = random.choice([*_values(), *_WORDS])
            words.append(random.choice(_OVERRIDES).replace("{}", str(value).encode("utf-8", "replace").decode()))
        return Case(folder, (*(word.replace("\0", "") for word in words), "pipeline=super_resolution"))
    group = "model" if kind == "model" else "pipeline"
    source_file = random.choice(sorted((_CONF / group).glob("*.yaml")))
    text = source_file.read_text(encoding="utf-8")
    (own / group).mkdir(parents=True)
    target = own / group / "mine.yaml"
    if kind == "text":
        data = _mutated_text(random, text.encode())
    elif kind == "bomb":
        data = random.choice(_BOMBS)(random.randint(2, 40)).encode()
    else:
        data = _mutated_yaml(random, text)
    target.write_bytes(data)
    chosen = ["model=mine", "pipeline=super_resolution"] if group == "model" else ["pipeline=mine"]
    return Case(folder, (*words, "--config-dir", str(own), *chosen))


@functools.cache
def inputs() -> tuple[bytes, bytes]:
    """Return a clip and a model."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        clip, model = make_clip(Path(name) / "clip.mp4", frames=2), double_model(Path(name) / "double.onnx")
        return clip.read_bytes(), model.read_bytes()


def _mutated_yaml(random: Random, text: str) -> bytes:
    """Replace, remove, rename or nest some values of a YAML file; keep its comments at the top."""
    content = yaml.safe_load(text)
    for _ in range(random.randint(1, 3)):
        holder, key = random.choice(list(_places(content)))
        value = random.choice(_values())
        action = random.choice(("replace", "replace", "remove", "rename", "nest"))
        if action == "replace":
            holder[key] = value
        elif action == "remove":
            del holder[key]
        elif action == "rename" and isinstance(holder, dict):
            holder[random.choice([*_WORDS, None, 3, "\x1b[2J", "a.b", "é"])] = holder.pop(key)
        else:
            holder[key] = {random.choice(_WORDS): holder[key]}
        if not list(_places(content)):
            break
    head = "".join(line + "\n" for line in text.splitlines() if line.startswith("# @"))
    return (head + yaml.safe_dump(content, allow_unicode=False)).encode("utf-8", "replace")


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys or indices."""
    if isinstance(content, (dict, list)):
        for key, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
            yield content, key
            yield from _places(value)


def _mutated_text(random: Random, data: bytes) -> bytes:
    """Insert, remove or repeat some bytes."""
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        piece = random.choice(
            (b"\xff", b"\x00", b"\t", b"&a ", b"*a", b"<<: *a\n", b"!!python/object:os.x ", b"'", b"{", b"- ")
        )
        action = random.choice(("insert", "remove", "repeat", "mark"))
        if action == "insert":
            data = data[:place] + piece + data[place:]
        elif action == "remove":
            data = data[:place] + data[place + random.randint(1, 20) :]
        elif action == "repeat":
            data = data[:place] + data[max(0, place - 50) : place] * random.randint(2, 200) + data[place:]
        else:
            data = b"\xef\xbb\xbf" + data
    return data


def _alias_bomb(size: int) -> str:
    lines = ["# @package _global_", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, size)]
    return "\n".join([*lines, "pipeline: {name: bomb, nodes: {}}"]) + "\n"


def _interpolation_bomb(size: int) -> str:
    lines = ["# @package _global_", "a0: xxxxxxxxxx"]
    lines += [f"a{n}: ${{a{n - 1}}}${{a{n - 1}}}" for n in range(1, size)]
    return "\n".join([*lines, f"pipeline: {{name: '${{a{size - 1}}}', nodes: {{}}}}"]) + "\n"


def _deep(size: int) -> str:
    return "name: x\nnodes: " + "{a: " * (size * 100) + "1" + "}" * (size * 100) + "\n"


def _wide(size: int) -> str:
    return "name: x\nnodes:\n" + "".join(f"  n{n}: {{kind: overlay, inputs: [n{n - 1}]}}\n" for n in range(size * 50))


_BOMBS: tuple[Callable[[int], str], ...] = (_alias_bomb, _interpolation_bomb, _deep, _wide)
