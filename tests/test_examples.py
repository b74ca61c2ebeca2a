"""The examples, the notebook, and every Python block of the pages about Python: run as a user runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "examples"

NOTEBOOK = """
import ast, json, sys
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]), cell["id"])
    shown = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, cell["id"], "exec"), globals())
    if shown is not None and (value := eval(compile(ast.Expression(shown), cell["id"], "eval"), globals())) is not None:
        for method in ("_repr_svg_", "_repr_png_", "_repr_mimebundle_", "__repr__"):
            if hasattr(value, method):
                arguments = ((), ()) if method == "_repr_mimebundle_" else ()
                print("SHOWN", cell["id"], method, repr(getattr(value, method)(*arguments))[:2000])
                break
"""
"""Runs the code cells of a notebook as Jupyter does, and prints how it would show the last value of each."""


@pytest.fixture
def sample(samples: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clip that the examples read by default: 120 frames of 176x144, a face in each."""
    monkeypatch.chdir(tmp_path)
    path: Path = samples["carphone"]
    return path


def python(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def size_and_count(path: Path) -> tuple[int, int, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height, sum(1 for _ in container.decode(stream))


def boxes_of(answer: dict[str, Any]) -> list[list[float]]:
    return [found["box"] for frame in answer["frames"] for found in frame["detections"]]


def test_every_example_is_listed_and_tested() -> None:
    scripts = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "__pycache__"}
    listed = set(re.findall(r"^\| \[(\S+)\]\(\1\) \|", (EXAMPLES / "README.md").read_text(), re.M))
    assert listed == scripts
    tests = Path(__file__).read_text()
    assert all(f'EXAMPLES / "{name}"' in tests for name in scripts)


def test_compose_and_run(sample: Path) -> None:
    out = python(EXAMPLES / "01_compose_and_run.py", "--output", "out/x2.mp4")
    assert "120 frames" in out
    assert "upscale" in out
    assert size_and_count(Path("out/x2.mp4")) == (352, 288, 120)


def test_compose_and_run_with_a_mistake(sample: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "01_compose_and_run.py", "--input", "no.mp4"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error E401 pipeline.nodes.source: input 'no.mp4' does not exist")


@pytest.mark.wide
def test_detections_without_files(sample: Path) -> None:
    lines = python(EXAMPLES / "02_detections_without_files.py", "--input", sample).splitlines()
    assert [line.split()[1] for line in lines] == ["0", "10", "20", "30", "40", "50"]
    assert not list(Path.cwd().iterdir())


@pytest.mark.wide
def test_frames_into_numpy(sample: Path) -> None:
    out = python(EXAMPLES / "03_frames_into_numpy.py", "--output", "frames")
    assert "(144, 176, 3) -> (288, 352, 3)" in out
    images = [Image.open(Path("frames") / f"{name}.png") for name in ("first", "last")]
    assert [image.size for image in images] == [(352, 288)] * 2
    assert images[0].tobytes() != images[1].tobytes()


@pytest.mark.wide
def test_pipeline_in_code(sample: Path) -> None:
    python(EXAMPLES / "04_pipeline_in_code.py", "--output", "two")
    assert size_and_count(Path("two/faces.mp4")) == (176, 144, 120)
    assert size_and_count(Path("two/small.mp4")) == (176, 144, 120)


@pytest.mark.wide
def test_own_node(sample: Path) -> None:
    python(EXAMPLES / "05_own_node.py", "--output", "mirrored.mkv")
    assert size_and_count(Path("mirrored.mkv")) == (176, 144, 120)
    with av.open(str(sample)) as plain, av.open("mirrored.mkv") as mirrored:
        before, after = (next(clip.decode(video=0)).to_ndarray(format="gray").astype(int) for clip in (plain, mirrored))
    assert abs(before[:, ::-1] - after).mean() < 4 < abs(before - after).mean()


@pytest.mark.wide
def test_service(sample: Path) -> None:
    python(EXAMPLES / "06_service.py", "--input", sample, "no.mp4", sample)
    first, wrong, second = json.loads(Path("answers.json").read_text())
    assert len(first["frames"]) == 120
    assert boxes_of(first) == boxes_of(second)
    assert len(boxes_of(first)) >= 110
    assert [problem["code"] for problem in wrong["problems"]] == ["E401"]
    assert {path.name for path in Path.cwd().iterdir()} == {"answers.json"}


@pytest.mark.wide
def test_notebook(sample: Path) -> None:
    notebook = EXAMPLES / "tour.ipynb"
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    out = python("-c", NOTEBOOK, notebook)
    shown = [line.split()[2] for line in out.splitlines() if line.startswith("SHOWN")]
    assert shown == ["__repr__", "__repr__", "_repr_svg_", "_repr_png_", "__repr__", "_repr_mimebundle_"]
    assert "E203" in out
    assert "120 frames, scores 0." in out
    assert "PNG" in out
    assert size_and_count(Path("tour/sink.mp4")) == (176, 144, 120)
    assert len(Path("tour/table.jsonl").read_text().splitlines()) == 120


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The Python blocks of a page, each with the number of the lines before it."""
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S):
        yield text.count("\n", 0, match.start(1)), match[1]


def script_of(text: str) -> str:
    """The blocks of a page below each other, each at the line that it has in the page."""
    lines: list[str] = []
    for before, code in blocks(text):
        lines += [""] * (before - len(lines)) + code.splitlines()
    return "\n".join(lines) + "\n"


def section(text: str, title: str) -> str:
    """The page with all lines but those of a section left empty."""
    inside, lines = False, []
    for line in text.splitlines():
        inside = line == f"## {title}" if line.startswith("## ") else inside
        lines.append(line if inside else "")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("page", "choose"),
    [
        pytest.param("README.md", lambda text: section(text, "From Python"), id="README"),
        pytest.param("docs/python.md", lambda text: text, id="docs/python.md", marks=pytest.mark.wide),
    ],
)
def test_blocks_of_a_page(page: str, choose: Callable[[str], str], sample: Path) -> None:
    code = script_of(choose((REPOSITORY / page).read_text()))
    assert code.strip()
    for name in ("clip.mp4", "one.mp4", "two.mp4"):
        shutil.copy(sample, name)
    Path("my_conf/pipeline").mkdir(parents=True)
    shutil.copy(REPOSITORY / "conf/pipeline/super_resolution.yaml", "my_conf/pipeline/mine.yaml")
    Path("page.py").write_text(code)
    python("page.py")


@pytest.mark.wide
def test_a_benchmark_writes_its_outputs_again(sample: Path) -> None:
    benchmark = REPOSITORY / "benchmarks" / "media.py"
    table = python(benchmark, "--clip", sample, "--rounds", "1", "--seconds", "0.4", "--only", "copy")
    assert re.search(r"^copy +[\d.]+ +[\d.]+ ", table, re.M)
