"""Fixtures that several tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import pytest
from hydra import compose as hydra_compose, initialize_config_module

from bmfgraph.config.compose import plain
from bmfgraph.config.overrides import free_node_fields
from bmfgraph.errors import SourceError
from bmfgraph.media.sources import locate
from bmfgraph.system.console import console_output
from tests.tools import Pixels, file_system, make_clip, picture

REPOSITORY = Path(__file__).parents[1]
# Before anybody imports torch, whose threads would spin while the other workers' tests run.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# `nohup` and `&` ignore signals, and the processes that the tests start would inherit that.
for _number, _handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write tests/golden anew instead of comparing")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but a sample of some tests to ``make wide``, and begin with whole sweeps, which take longest."""
    cases: defaultdict[object, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("sample"):
            cases[item.parent, item.originalname].append(item)
    for some in cases.values():
        mark = some[0].get_closest_marker("sample")
        assert mark is not None
        kept = {len(some) * place // mark.args[0] for place in range(mark.args[0])}
        for number, item in enumerate(some):
            if number not in kept:
                item.add_marker("wide")
    items.sort(key=lambda item: item.path.name != "test_sweeps.py")


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a tiny clip in the test's folder: ``clip("a.mp4", frames=3, audio="aac")``; see tools.make_clip."""

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        return make_clip(tmp_path / name, **options)

    return make


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a user without a home folder and without a variable that names a cache folder."""
    monkeypatch.delenv("BMFGRAPH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def _compose(*overrides: str) -> dict[str, Any]:
    with initialize_config_module("bmfgraph.conf", version_base="1.3"):
        return plain(hydra_compose("config", overrides=free_node_fields(overrides)))


@pytest.fixture(scope="session")
def compose() -> Callable[..., dict[str, Any]]:
    """Composes the packaged configuration: ``compose("pipeline=super_resolution", "encoder.crf=20")``."""
    return _compose


class Samples:
    """The sample clips by name; one that cannot be fetched skips the test."""

    def __init__(self) -> None:
        self._sources: dict[str, str] = _compose("pipeline=super_resolution")["samples"]

    def __getitem__(self, name: str) -> Path:
        return located(self._sources[name])


def located(source: str, sha256: str | None = None) -> Path:
    """The file of a source that may need the network; skips the test where it cannot be had."""
    try:
        return locate(source, sha256)
    except SourceError as error:
        pytest.skip(f"{source}: {error}")


@pytest.fixture(scope="session")
def samples() -> Samples:
    """``samples["carphone"]`` is the path of a sample clip."""
    return Samples()


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of models that lies beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "models"
    if not folder.is_dir():
        pytest.skip(f"the shared models are not at {folder}")
    return folder


class FrameMaker(Protocol):
    """Makes a Frame."""

    def __call__(self, index: int, pixels: Pixels | None = None, *, pts: int | None = None) -> Any: ...


@pytest.fixture(scope="session")
def video_frame() -> FrameMaker:
    """Makes RGB frames: ``video_frame(3, pixels)`` has pts 3 at 25 fps unless told otherwise."""
    import torch

    from bmfgraph.stages.items import Frame

    def make(index: int, pixels: Pixels | None = None, *, pts: int | None = None) -> Frame:
        if pixels is None:
            pixels = picture(index, 64, 48)
        return Frame(index, index if pts is None else pts, Fraction(1, 25), torch.from_numpy(pixels.copy()))

    return make


@pytest.fixture(scope="session")
def powerless() -> list[str]:
    """What to put before a command so that file permissions bind it, even where the tests run as root."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root cannot give up its power over file permissions here: no setpriv")
    return command


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    with file_system(tmp_path / "disk", "64k") as folder:
        yield folder


@pytest.fixture(scope="session")
def nodepack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the node pack of tests/nodepack installed: put it on PYTHONPATH of a subprocess."""
    pytest.importorskip("setuptools", reason="setuptools builds the node pack")
    folder = tmp_path_factory.mktemp("nodepack")
    source = folder / "source"
    source.mkdir()
    for file in (REPOSITORY / "tests" / "nodepack").iterdir():
        # A copy, so that the build leaves nothing in the checkout.
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    target = folder / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(autouse=True)
def printed_messages() -> Iterator[None]:
    """Messages go to standard error, as on the command line."""
    with console_output():
        yield


@pytest.fixture(scope="session")
def faulty_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment with the node kind ``faulty``, for subprocesses only."""
    folder = tmp_path_factory.mktemp("faulty")
    # The build writes files beside the source.
    shutil.copytree(REPOSITORY / "tests/runner/faulty", folder / "source")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *options, "--target"]
    command += [str(folder / "site"), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True)
    return {"PYTHONPATH": str(folder / "site")}
