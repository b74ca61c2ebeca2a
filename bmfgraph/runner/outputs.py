"""Write a run's files under temporary names, and rename them after the run has succeeded."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bmfgraph import error_codes as codes
from bmfgraph.errors import BmfgraphError, RunError
from bmfgraph.media.naming import PICTURE_NUMBER
from bmfgraph.plan.plan import Plan, PlanNode
from bmfgraph.system.files import DISK_FULL, make_parent, unwritable
from bmfgraph.system.temporary import publish, reserved, reserved_folder

__all__ = [
    "Output",
    "existing_files",
    "full_disk",
    "make_output_folder",
    "temporary_outputs",
    "with_output_folder",
    "write_error",
]


@dataclass(frozen=True)
class Output:
    """What a node has written."""

    path: Path
    """The file, or the pattern or list of several files."""
    size: int
    """Bytes of all its files."""


@contextlib.contextmanager
def temporary_outputs(plan: Plan, *, overwrite: bool = False) -> Iterator[tuple[Plan, Callable[[], dict[str, Output]]]]:
    """Redirect every sink to a temporary file in the folder of its final file.

    Temporary files that are left at the end of the context are deleted; so are those of earlier runs that were killed.

    Args:
        plan: The plan.
        overwrite: Replace files that exist. Otherwise none of the outputs appears if one of their names is taken.

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
            part = stack.enter_context(_reserved(node, path, overwrite))
            final[node.name], parts[node.name] = path, part
            nodes.append(node.writing_to(part / path.name if node.files.several else part))

        def publish_all() -> dict[str, Output]:
            published: list[Path] = []
            try:
                return {
                    name: Output(path, _publish(plan.node(name), parts[name], path, overwrite, published))
                    for name, path in final.items()
                }
            except RunError:
                for path in published if not overwrite else ():
                    with contextlib.suppress(OSError):
                        Path(os.path.realpath(path)).unlink()
                raise

        yield plan.replace(*nodes), publish_all


def _publish(node: PlanNode, part: Path, path: Path, overwrite: bool, published: list[Path]) -> int:
    """Rename the files of a node, append their names to ``published``, and return their bytes."""
    size = 0
    for file, target in _published(part, path):
        try:
            size += file.stat().st_size
            publish(file, target, overwrite=overwrite)
        except FileExistsError:
            raise _exists(node, target) from None
        except OSError as error:
            raise _unwritable(node, path, str(error.strerror)) from None
        published.append(target)
    if node.files.several:
        # Pictures of an earlier sequence that was longer would continue this one.
        for stale in set(existing_files(node)) - set(published):
            with contextlib.suppress(OSError):
                stale.unlink()
    return size


def _published(part: Path, path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file to publish with its final path; of several files, the list that names the others comes last."""
    if not part.is_dir():
        yield part, path
        return
    for file in sorted(part.iterdir(), key=lambda file: file.name == path.name):
        yield file, path.parent / file.name


def with_output_folder(plan: Plan, folder: Path) -> Plan:
    """Return the plan with its files written into that folder, each under its node's name."""
    sinks = ((node, Path(node.written)) for node in plan if node.written)
    return plan.replace(*(node.writing_to(folder / _named(node, path)) for node, path in sinks))


def _named(node: PlanNode, path: Path) -> str:
    numbers = "_%05d" if node.files.several and "%" in path.name else ""
    return f"{node.name}{numbers}{path.suffix}"


def make_output_folder(folder: Path | str | None) -> None:
    """Create a folder, if there is one, with its parents. A failure shows when the outputs are reserved."""
    if folder is not None:
        with contextlib.suppress(OSError):
            Path(folder).mkdir(parents=True, exist_ok=True)


def write_error(node: PlanNode, *, deep: bool = False, overwrite: bool = False) -> RunError | None:
    """Return an error if the file of a node cannot be written, as far as that shows without writing; else None.

    Args:
        node: The node.
        deep: All folders above the file will be created, also outside the current folder.
        overwrite: Whether the file may exist.
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
        if not overwrite and (existing := existing_files(node)):
            return _exists(node, existing[0])
    except OSError as error:
        return _unwritable(node, path, str(error.strerror))
    obstacle = unwritable(target, deep=deep)
    return _unwritable(node, path, obstacle) if obstacle else None


def existing_files(node: PlanNode) -> list[Path]:
    """Return the files under the name of a node's output: at most one, or all pictures that its pattern matches.

    Raises:
        OSError: The folder cannot be read.
    """
    path = Path(node.written or "")
    if not node.files.several or not (number := PICTURE_NUMBER.search(path.name)):
        return [path] if node.written and os.path.lexists(os.path.realpath(path)) else []
    before, after = path.name[: number.start()], path.name[number.end() :]
    name = re.compile(rf"{re.escape(before)}\d{{{number[1] or 1},}}{re.escape(after)}")
    folder = path.parent
    return sorted(file for file in folder.iterdir() if name.fullmatch(file.name)) if folder.is_dir() else []


@contextlib.contextmanager
def _reserved(node: PlanNode, path: Path, overwrite: bool) -> Iterator[Path]:
    """Create an empty file next to ``path``, so that missing permissions show before a frame is decoded."""
    if (fault := write_error(node, overwrite=overwrite)) is not None:
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
    reason = next((os.strerror(number) for number in DISK_FULL if os.strerror(number) in error.cause), None)
    if node is None or reason is None:
        return None
    named = RunError(
        node.name,
        node.kind,
        f"output {node.written!r} cannot be written: {reason}",
        frame=error.frame,
        time=error.time,
        hint=f"make room on the disk, or set pipeline.nodes.{node.name}.path to another disk",
        code=codes.DISK_FULL,
    )
    named.__dict__.update({name: getattr(error, name) for name in ("trace", "abandoned") if hasattr(error, name)})
    return named


def _exists(node: PlanNode, path: Path) -> RunError:
    return RunError(
        node.name,
        node.kind,
        f"output {str(path)!r} exists",
        hint=f"set overwrite=true to replace it, or pipeline.nodes.{node.name}.path to another name",
        code=codes.EXISTING_OUTPUT,
    )


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
