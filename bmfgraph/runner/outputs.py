"""Write a run's files under temporary names, and rename them after the run has succeeded."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, RunError
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.system.files import DISK_FULL, make_parent, unwritable
from bmfgraph.system.temporary import publish, reserved, reserved_folder

__all__ = ["Output", "full_disk", "make_output_folder", "temporary_outputs", "with_output_folder", "write_error"]


@dataclass(frozen=True)
class Output:
    """What a node has written."""

    path: Path
    """The file, or the pattern or list of several files."""
    size: int
    """Bytes of all its files."""


@contextlib.contextmanager
def temporary_outputs(plan: Plan) -> Iterator[tuple[Plan, Callable[[], dict[str, Output]]]]:
    """Redirect every sink to a temporary file in the folder of its final file.

    Temporary files that are left at the end of the context are deleted; so are those of earlier runs that were killed.

    Yields:
        The redirected plan, and a function that renames the files and returns their paths by node name.

    Raises:
        RunError: A file cannot be written.
    """
    final: dict[str, Path] = {}
    parts: dict[str, Path] = {}
    nodes: list[PlanNode] = []
    with contextlib.ExitStack() as stack:
        for node in plan:
            if node.written is None:
                continue
            path = Path(node.written)
            part = stack.enter_context(_reserved(node, path))
            final[node.name], parts[node.name] = path, part
            nodes.append(node.writing_to(part / path.name if node.files.several else part))

        def publish_all() -> dict[str, Output]:
            outputs = {}
            for name, path in final.items():
                size, fresh = 0, set[str]()
                try:
                    for part, target in _published(parts[name], path):
                        size += part.stat().st_size
                        publish(part, target)
                        fresh.add(target.name)
                    if plan.node(name).files.several:
                        _remove_stale(path, fresh)
                except OSError as error:
                    raise _unwritable(plan.node(name), path, str(error.strerror)) from None
                outputs[name] = Output(path, size)
            return outputs

        yield plan.replace(*nodes), publish_all


def _published(part: Path, path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file to publish with its final path; of several files, the list that names the others comes last."""
    if not part.is_dir():
        yield part, path
        return
    for file in sorted(part.iterdir(), key=lambda file: file.name == path.name):
        yield file, path.parent / file.name


def _remove_stale(path: Path, fresh: Collection[str]) -> None:
    """Delete the numbered pictures of an earlier output of the same name that was longer."""
    if (mark := re.search(r"%0?\d*d", path.name)) is None:
        return
    before, after = path.name[: mark.start()], path.name[mark.end() :]
    number = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    for file in path.parent.iterdir():
        match = number.fullmatch(file.name)
        if match and file.name not in fresh and f"{before}{mark[0] % int(match[1])}{after}" == file.name:
            file.unlink()


def with_output_folder(plan: Plan, folder: Path) -> Plan:
    """Return the plan with its files written into that folder, each under its node's name."""
    sinks = ((node, Path(node.written)) for node in plan if node.written)
    return plan.replace(*(node.writing_to(folder / _named(node, path)) for node, path in sinks))


def _named(node: PlanNode, path: Path) -> str:
    numbers = "_%05d" if node.files.several and "%" in path.name else ""
    return f"{node.name}{numbers}{path.suffix}"


def make_output_folder(folder: Path) -> None:
    """Create a folder with its parents. A failure shows when the outputs are reserved."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)


def write_error(node: PlanNode, *, deep: bool = False) -> RunError | None:
    """Return an error if the file of a node cannot be written, as far as that shows without writing; else None.

    Args:
        node: The node.
        deep: All folders above the file will be created, also outside the current folder.
    """
    if node.written is None:
        return None
    path = Path(node.written)
    if re.match(r"\w+://", node.written):
        return _output_error(node, node.written, "is an address, and only files are written")
    # A link is followed, so that it stays a link when the file is replaced.
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            return _output_error(node, path, "is a folder")
        if target.exists() and not target.is_file():
            problem = "is a device or a pipe, not a file"
            return _output_error(node, path, problem, hint="; encoder=measure writes nothing")
    except OSError as error:
        return _unwritable(node, path, str(error.strerror))
    obstacle = unwritable(target, deep=deep)
    return _unwritable(node, path, obstacle) if obstacle else None


@contextlib.contextmanager
def _reserved(node: PlanNode, path: Path) -> Iterator[Path]:
    """Create an empty file next to ``path``, so that missing permissions show before a frame is decoded."""
    if (fault := write_error(node)) is not None:
        raise fault
    with contextlib.ExitStack() as stack:
        try:
            make_parent(path)
            part = stack.enter_context((reserved_folder if node.files.several else reserved)(path))
        except OSError as error:
            raise _unwritable(node, path, str(error.strerror)) from None
        yield part


def full_disk(error: BmfgraphError, plan: Plan) -> RunError | None:
    """Return the error that names the file whose disk is full; None if the error has another cause.

    Args:
        error: The failure of a node.
        plan: The plan with the final files.
    """
    if not isinstance(error, RunError) or error.problems[0].code != codes.NODE_FAILURE:
        return None
    node = next((node for node in plan if node.name == error.node and node.written), None)
    if node is None or not any(os.strerror(number) in error.cause for number in DISK_FULL):
        return None
    named = RunError(
        node.name,
        node.kind,
        f"output {node.written!r} cannot be written: {error.cause}",
        frame=error.frame,
        time=error.time,
        hint=f"make room on the disk, or set pipeline.nodes.{node.name}.path to another disk",
        code=codes.DISK_FULL,
    )
    named.__dict__.update({name: getattr(error, name) for name in ("trace", "abandoned") if hasattr(error, name)})
    return named


def _unwritable(node: PlanNode, path: Path, reason: str) -> RunError:
    return _output_error(node, path, f"cannot be written ({reason})")


def _output_error(node: PlanNode, path: str | Path, problem: str, *, hint: str = "") -> RunError:
    """Return the error for the file of a node; ``hint`` follows the advice to write elsewhere."""
    return RunError(
        node.name,
        node.kind,
        f"output {str(path)!r} {problem}",
        hint=f"set pipeline.nodes.{node.name}.path to a place where you may write{hint}",
        code=codes.UNWRITABLE_OUTPUT,
    )
