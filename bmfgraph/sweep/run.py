"""A sweep from its words to its report: all cells checked, engines built once, cells run, results judged and ranked."""

from __future__ import annotations

import contextlib
import shlex
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bmfgraph.config.grid import Grid
from bmfgraph.config.overrides import dir_flags, free_node_fields, literal_paths
from bmfgraph.config.sweep import SweepOptions, sweep_options
from bmfgraph.errors import Cancelled, ConfigError
from bmfgraph.sweep.cell_process import run_described
from bmfgraph.sweep.cells import RESULT, Cell, identity, read_json, writing
from bmfgraph.sweep.halving import halve
from bmfgraph.sweep.inputs import reduced
from bmfgraph.sweep.prepare import describe_new, prepare
from bmfgraph.sweep.report.build import finish, objective_of
from bmfgraph.sweep.validate import validated_options, vetted_references
from bmfgraph.system.console import say

__all__ = ["cell_job", "run_sweep"]

_ABOUT_SWEEPS = ("sweep.", "hydra.", "hydra/")


def run_sweep(
    words: Sequence[str],
    grid: Grid,
    compose: Callable[[Sequence[str]], dict[str, Any]],
    launch: Callable[[Sequence[str]], int],
) -> int:
    """Do a sweep; its exit code: 0 if every cell was measured, 1 if one was not, 2 if one is wrong.

    ``compose``: a configuration of overrides. ``launch``: Hydra's multirun over the words given, which calls
    :func:`cell_job` for every run, on whatever launcher is configured. Raises a BmfgraphError.
    """
    datas = [compose(run) for run in grid.runs]
    options = replace_id(validated_options(grid, datas[0]))
    root = Path(options.dir)
    command = ["python", "-m", "bmfgraph", *words]
    own = [*words, f"++sweep.id={options.id}", "++" + literal_paths([f"sweep.dir={root}"])[0]]
    if not grid.enumerated:
        say("this sweeper chooses its runs as it goes: each is checked when its turn comes")
        with _alone(root):
            code = launch(own)
            folders = _folders(root, options)
            if _stopped(code, root) or (code and not folders):
                return code
            return max(code, finish(root, folders, options, command))
    cells = _different(
        Cell(run, varied, read, root / "cells" / identity(read), command_of(run, words), reference)
        for run, varied, data in zip(grid.runs, grid.varied, datas, strict=True)
        for read, reference in (_read(data, options),)
    )
    vetted_references(options, [{"id": cell.id, "varied": cell.varied} for cell in cells])
    with _alone(root):
        if options.strategy == "halving":
            return halve(cells, options, command)
        if code := prepare(cells, options):
            return code
        code = launch(own)
        if _stopped(code, root):
            return code
        return max(code, finish(root, [cell.folder for cell in cells], options, command))


def _different(cells: Iterable[Cell]) -> list[Cell]:
    """Each of them once; says which are the same as others."""
    found: dict[str, Cell] = {}
    for cell in cells:
        first = found.setdefault(cell.id, cell)
        if first is not cell:
            say(f"{cell.title}: the same as {first.title}, and done once")
    return list(found.values())


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait for other sweeps in that folder: they would write the same files, and disturb what is measured."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"another sweep runs in {str(root)!r}: waiting for its end")
            lock.acquire()
    except OSError as error:
        raise ConfigError(
            f"{str(root)!r} cannot be written to ({error.strerror or error})",
            path="sweep.dir",
            hint="name a folder of yours",
            code="E411",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _stopped(code: int, root: Path) -> bool:
    """Whether the runs were interrupted; says how to go on."""
    if code != Cancelled.exit_code:
        return False
    say(f"the same command goes on where this one was; what there is: python -m bmfgraph report {root}")
    return True


def replace_id(options: SweepOptions) -> SweepOptions:
    """The options with a name for this sweep, by which its cells know that they belong to it."""
    return options.model_copy(update={"id": f"s{uuid.uuid4().hex[:8]}"})


def _read(data: dict[str, Any], options: SweepOptions) -> tuple[dict[str, Any], str | None]:
    """What a cell reads, and the clip or labels that its output is compared with."""
    if options.reference == "input":
        read, original = reduced(data, Path(options.dir) / "inputs")
        return read, None if original is None else str(original)
    return data, None


def _folders(root: Path, options: SweepOptions) -> list[Path]:
    """Of the cells that belong to this sweep."""
    results = ((path, read_json(path)) for path in sorted(root.glob(f"cells/*/{RESULT}")))
    return [path.parent for path, result in results if result is not None and result.get("sweep") == options.id]


def command_of(overrides: Sequence[str], words: Sequence[str]) -> str:
    """The words that run one cell by itself."""
    kept = [word for word in overrides if not _key(word).startswith(_ABOUT_SWEEPS)]
    bare = [word.removeprefix("++") for word in kept]
    # What can be said without a + is easier to read.
    said = [short if free_node_fields([short]) == [word] else word for word, short in zip(kept, bare, strict=True)]
    return shlex.join(["python", "-m", "bmfgraph", *dir_flags(words), *said])


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0] + "."


def cell_job(
    data: dict[str, Any], overrides: Sequence[str], words: Sequence[str], swept: Collection[str]
) -> float | None:
    """Run the cell of one configuration if that is still to be done; its objective, for sweepers that ask for it.

    ``words``: the sweep's own; ``swept``: the keys that differ from cell to cell.
    """
    options = sweep_options(data.get("sweep"))
    read, reference = _read(data, options)
    given = dict(word.lstrip("+").partition("=")[::2] for word in overrides)
    varied = {key: value for key, value in given.items() if key in swept}
    folder = Path(options.dir) / "cells" / identity(read)
    cell = Cell(tuple(overrides), varied, read, folder, command_of(overrides, words), reference)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # The same run may be asked for twice at once.
    with FileLock(folder / ".lock"):
        described = describe_new(cell, options)
        result: Mapping[str, Any] | None = read_json(folder / RESULT)
        if described is not None and (result is None or result["sweep"] != options.id):
            result = run_described(folder)
    return objective_of(folder, result, options)
